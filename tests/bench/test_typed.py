"""What is wrong in a file is said in one line that names the place, whatever the types at that place."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import Discriminator

from rankbench.bench.errors import UserError
from rankbench.bench.typed import read, text_of


@dataclass(frozen=True)
class Gain:
    value: float
    kind: Literal["gain"] = "gain"


@dataclass(frozen=True)
class Doubt:
    reason: Literal["few", "odd"]
    by: dict[Literal["a", "b"], float]
    kind: Literal["some doubt"] = "some doubt"


@dataclass(frozen=True)
class Told:
    said: tuple[Annotated[Gain | Doubt, Discriminator("kind")], ...]


DOUBT = {"kind": "some doubt", "reason": "few", "by": {"a": 1.0}}


@pytest.mark.parametrize(
    ("said", "wrong"),
    [
        (DOUBT | {"reasons": 1}, "unknown key in said[0].some doubt 'reasons'; did you mean 'reason'? (known: by, kind, reason)"),
        (DOUBT | {"reason": "many"}, "unknown value of said[0].some doubt.reason 'many' (known: few, odd)"),
        (DOUBT | {"by": {"c": 1.0}}, "unknown key of said[0].some doubt.by 'c' (known: a, b)"),
        ({"kind": "gain"}, "said[0].gain lacks value"),
        ({"kind": "{loss}", "value": 1.0}, "said[0] must be input tag '{loss}'"),
    ],
)
def test_the_first_fault_inside_one_of_several_classes_is_named(said: dict[str, object], wrong: str) -> None:
    with pytest.raises(UserError) as error:
        read(Told, json.dumps({"said": [said]}), UserError)
    assert wrong in str(error.value)


def test_a_file_that_holds_no_text_is_one_line_and_a_mark_at_its_start_is_no_text(tmp_path: Path) -> None:
    def wrong(path: Path) -> str:
        with pytest.raises(UserError) as caught:
            text_of(path, lambda what: UserError(f"{path.name} {what}; make it again"))
        return str(caught.value)

    (tmp_path / "bytes").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "folder").mkdir()
    assert wrong(tmp_path / "none") == "none does not exist; make it again"
    assert wrong(tmp_path / "bytes") == "bytes cannot be read: it is not UTF-8 text; make it again"
    assert wrong(tmp_path / "folder") == "folder cannot be read: Is a directory; make it again"
    (tmp_path / "marked").write_bytes(b"\xef\xbb\xbf{}")
    assert text_of(tmp_path / "marked", UserError) == "{}"
