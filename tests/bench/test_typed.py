"""What is wrong in a file is said in one line that names the place, whatever the types at that place."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Annotated, Literal

import pytest
from pydantic import Discriminator

from rankbench.bench.errors import UserError
from rankbench.bench.typed import read


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
