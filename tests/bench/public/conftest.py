"""A board and two submissions to it, made once; tests have copies, which they falsify."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from rankbench.bench.public.board import PublicBoard, gathered, paths, read
from rankbench.bench.public.row import PublicRow, load, to_json
from support.public import public, runs, submitted


@dataclass(frozen=True)
class Place:
    """A results folder with a board, and what others submitted to it."""

    results: Path
    theirs: Path
    """A folder with the runs of HSTU and of a model that is worse."""

    @property
    def root(self) -> Path:
        return self.results / "public"

    @property
    def board(self) -> PublicBoard:
        return read(self.root)

    def row(self, model: str) -> PublicRow:
        """The one row of a model."""
        (found,) = (row for row in self.board.rows.values() if row.entrant.model == model)
        return found

    def write(self, row: PublicRow) -> Path:
        """A row as a forger writes it: past all checks, under its own name."""
        path = row.path(self.root)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(to_json(row))
        return path

    def unchecked(self) -> PublicBoard:
        return gathered(self.root, [load(path) for path in paths(self.root)])


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Place:
    folder = tmp_path_factory.mktemp("public")
    root, theirs = public(folder / "results"), folder / "theirs"
    runs(runs(theirs, "hstu", 1.2, family="generative"), "dnn", 0.5)
    rows, _ = submitted(theirs, root)
    assert len(rows) == 2
    return Place(folder / "results", theirs)


@pytest.fixture
def place(made: Place, tmp_path: Path) -> Place:
    """A copy of its own."""
    for folder in (made.results, made.theirs):
        shutil.copytree(folder, tmp_path / folder.name)
    return Place(tmp_path / "results", tmp_path / "theirs")
