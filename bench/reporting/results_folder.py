"""What a results folder holds, read for the report: boards, studies and sweeps with their figures. Nothing is recomputed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from ..analysis import study
from ..analysis.leaderboard import Board
from ..analysis.study import StudyRecord
from ..analysis.summary import weight
from ..errors import UserError
from ..records import sweeps
from ..records.schema import RunRecord
from ..records.store import Store
from ..records.sweeps import SweepRecord
from ..records.view import View
from ..typed import text_of
from . import board_files

LEFT_OUT = {"local", "checkpoints"}
"""Folders below a results folder that are no part of its report: runs of one's own, and what is not finished."""

MEASURED = ("speed", "peers")
"""Folders of measurements: a record of each, and its figure beside it."""

T = TypeVar("T")


@dataclass(frozen=True)
class BoardFiles:
    """A board as it lies in a store."""

    store: str
    """From the results folder to the store; empty for the folder itself."""
    board: Board
    records: tuple[RunRecord, ...]
    """Of its rows; empty where only the board is here."""
    figures: tuple[Path, ...]
    place: str
    """Name of its folder."""

    @property
    def name(self) -> str:
        """As tables call it: a board in a store below has the store's name behind its own."""
        return board_files.name(self.board) + (f" ({self.store})" if self.store else "")


@dataclass(frozen=True)
class StudyFiles:
    """A study: a grid of experiments that answers one question."""

    store: str
    record: StudyRecord
    table: str
    """Markdown; empty where there is none."""
    figures: tuple[Path, ...]


@dataclass(frozen=True)
class SweepFiles:
    """The sweeps of a place: trials, tables and figures."""

    store: str
    place: str
    """As records/sweeps.Place calls its folder."""
    records: tuple[SweepRecord, ...]
    """One per model."""
    tables: tuple[Path, ...]
    """csv files."""
    figures: tuple[Path, ...]


@dataclass(frozen=True)
class Contents:
    """Of a results folder and the stores below it: boards by the weight of their evidence, all else by data set, split and
    store."""

    boards: tuple[BoardFiles, ...]
    studies: tuple[StudyFiles, ...]
    sweeps: tuple[SweepFiles, ...]


def collect(root: Path) -> Contents:
    """Everything in `root`.

    Raises:
        UserError: there is nothing to report, or a file is broken.
    """
    boards = sorted(_found(root, "boards/*/board.json", _board), key=lambda at: (weight(at.board), at.place, at.store))
    studies = sorted(
        _found(root, "studies/*/*/study.json", _study),
        key=lambda at: (at.record.study, at.record.dataset, at.record.split, at.store),
    )
    searches = sorted(_found(root, "sweeps/*@*", _sweep), key=lambda at: (at.place, at.store))
    if not (boards or studies or searches):
        raise UserError(f"no board, study or sweep in {root}; make one with rankbench run or rankbench board")
    return Contents(tuple(boards), tuple(studies), tuple(searches))


def _found(root: Path, pattern: str, read: Callable[[Path, str], T]) -> Iterator[T]:
    depth = pattern.count("/") + 1
    for path in root.glob(f"**/{pattern}"):
        store = Path(*path.relative_to(root).parts[:-depth])
        if not LEFT_OUT & set(store.parts):
            yield read(path, "" if store == Path() else store.as_posix())


def _board(path: Path, store: str) -> BoardFiles:
    board = board_files.from_json(_text(path), str(path))
    rows = {(row.model, row.config_hash) for row in board.rows}
    groups = View.of(Store(path.parents[2]), board.dataset, board.split).groups()
    records = [record for group in groups if group.variant == board.variant for record in group.records]
    own = tuple(record for record in records if (record.identity.model, record.identity.config_hash) in rows)
    return BoardFiles(store, board, own, _figures(path.parent), path.parent.name)


def _study(path: Path, store: str) -> StudyFiles:
    table = path.with_name("table.md")
    return StudyFiles(store, study.load(path), _text(table) if table.exists() else "", _figures(path.parent))


def _sweep(folder: Path, store: str) -> SweepFiles:
    records = tuple(sweeps.load(path) for path in sorted(folder.glob("*.json")))
    return SweepFiles(store, folder.name, records, tuple(sorted(folder.glob("*.csv"))), _figures(folder))


def _figures(folder: Path) -> tuple[Path, ...]:
    return tuple(sorted(folder.glob("*.svg")))


def _text(path: Path) -> str:
    return text_of(path, lambda what: UserError(f"{path} {what}; make it again"))
