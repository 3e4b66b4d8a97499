"""The model that answers: what is named is what was read."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from rankbench.bench.errors import UserError
from rankbench.bench.server import served
from rankbench.bench.server.served import READINGS, Served


class Reader:
    """Reads a file, in whose place another one is put meanwhile, some times."""

    def __init__(self, replaced: int, fails: bool = False) -> None:
        self.replaced, self.fails, self.readings = replaced, fails, 0

    def __call__(self, path: Path) -> str:
        self.readings += 1
        if self.readings <= self.replaced:
            path.write_text(f"another {self.readings}")
            if self.fails:
                raise UserError("these weights are no weights")
        return path.read_text()


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(served, "_warm_up", lambda scorer, path: None)
    (tmp_path / "weights").write_text("the first")
    return tmp_path / "weights"


@pytest.mark.parametrize("fails", [False, True])
def test_a_file_that_is_replaced_while_it_is_read_has_the_hash_of_what_answers(weights: Path, fails: bool) -> None:
    reader = Reader(1, fails)
    model = Served(weights, reader).current  # type: ignore[arg-type]
    assert model.scorer == "another 1" and reader.readings == 2  # type: ignore[comparison-overlap]
    assert model.sha256 == hashlib.sha256(b"another 1").hexdigest()


def test_a_file_that_never_rests_is_one_line(weights: Path) -> None:
    reader = Reader(100)
    with pytest.raises(UserError, match="change while they are read"):
        Served(weights, reader)  # type: ignore[arg-type]
    assert reader.readings == READINGS


def test_what_is_wrong_with_a_file_at_rest_is_said_at_once(weights: Path) -> None:
    def load(path: Path) -> None:
        raise ValueError("cut short")

    with pytest.raises(UserError, match=r"cannot be used \(cut short\)"):
        Served(weights, load)  # type: ignore[arg-type]
    weights.unlink()
    with pytest.raises(UserError, match=r"cannot be read \(No such file"):
        Served(weights, load)  # type: ignore[arg-type]
