"""A public leaderboard as it lies in a folder, and which of its rows stand on a day.

- <root>/versions.yaml: see versions.py
- <root>/<division>/<dataset>@<split>/<date>-<model>-<hash>.json: rows, see row.py

Divisions are folders, so that no ranking of both is made by listing one; a row is a file of its own, so that two who submit at
the same time change nothing in common; and its name holds its hash, so that neither a list nor an order is kept by hand.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ..atomic import write_text
from ..errors import UserError
from . import rules, versions
from .row import DIVISIONS, TIERS, Division, PublicRow, day, load, to_json
from .versions import Versions

KEPT_DAYS = 365
"""That a self-reported row stands."""

State = Literal["stands", "replaced", "expired", "of another version"]


@dataclass(frozen=True)
class PublicBoard:
    """All of a folder."""

    root: Path
    versions: Versions
    rows: Mapping[str, PublicRow]
    """By id, in the order of their dates."""

    def state(self, row: PublicRow, today: datetime.date) -> State:
        """Whether a row is ranked on a day, and why it is not."""
        if any(other.replaces == row.id for other in self.rows.values()):
            return "replaced"
        if (until := expiry(row)) is not None and today >= until:
            return "expired"
        return "stands" if row.version in self.versions.together(row.place) else "of another version"

    def standing(self, division: Division, place: tuple[str, str], today: datetime.date) -> list[PublicRow]:
        """The rows of one ranking."""
        return [
            row
            for row in self.rows.values()
            if (row.division, row.place) == (division, place) and self.state(row, today) == "stands"
        ]

    def before(self, row: PublicRow) -> Iterator[PublicRow]:
        """The rows in whose place one stands, the latest first."""
        while row.replaces is not None and row.replaces in self.rows:
            row = self.rows[row.replaces]
            yield row

    def refuse(self, row: PublicRow) -> None:
        """Raises UserError if a new row cannot stand on this board."""
        if said := [*rules.why_not(row, self.versions), *_about_one(self, row)]:
            raise UserError(f"the row of {row.entrant.model} on {'@'.join(row.place)} cannot stand: {'; '.join(said)}")

    def write(self, row: PublicRow) -> Path:
        """The file that now holds a row."""
        path = row.path(self.root)
        write_text(path, to_json(row))
        return path


def read(root: Path) -> PublicBoard:
    """The board in a folder.

    Raises:
        UserError: there is none, or anything in it is broken; rankbench check says what.
    """
    board = gathered(root, [load(path) for path in paths(root)])
    for row_id, said in problems(board):
        raise UserError(f"the row {row_id} in {root} cannot stand: {said}")
    return board


def gathered(root: Path, rows: Sequence[PublicRow]) -> PublicBoard:
    """A board of rows that were read.

    Raises:
        UserError: its versions are broken.
    """
    ordered = sorted(rows, key=lambda row: (row.date, TIERS.index(row.tier), row.place, row.entrant.model, row.id))
    return PublicBoard(root, versions.load(root), {row.id: row for row in ordered})


def paths(root: Path) -> list[Path]:
    """Of all rows."""
    return sorted(path for division in DIVISIONS for path in (root / division).rglob("*.json"))


def expiry(row: PublicRow) -> datetime.date | None:
    """The first day on which a row no longer stands; None for one that somebody verified."""
    return None if row.tier != "self-reported" else day(row.submitted) + datetime.timedelta(days=KEPT_DAYS)


def problems(board: PublicBoard) -> Iterator[tuple[str, str]]:
    """Rows that cannot stand, by id, and why: each by itself, then beside the others."""
    for row in board.rows.values():
        for said in (*rules.why_not(row, board.versions), *_about_one(board, row)):
            yield row.id, said


def _about_one(board: PublicBoard, row: PublicRow) -> Iterator[str]:
    """What a row must be beside the others: the only one in its place, and of runs of its own."""
    yield from _about_place(board, row)
    family = {row.id, *(other.id for other in board.before(row))}
    after = {other.id for other in board.rows.values() if row.id in {old.id for old in board.before(other)}}
    scores = {run.scores for run in row.entrant.runs}
    if len(scores) < len(row.entrant.runs) and len(set(row.entrant.quality[row.entrant.headline].by_seed)) > 1:
        yield "two of its seeds have the same scores"
    for other in board.rows.values():
        if other.id in family or other.id in after or other.place != row.place:
            continue
        if len(row.entrant.runs) == len(other.entrant.runs) and scores == {run.scores for run in other.entrant.runs}:
            yield f"it stands on the same scores as the row {other.id}, which it does not replace"
        elif other.entrant.model != row.entrant.model and scores & {run.scores for run in other.entrant.runs}:
            yield f"it has scores of the row {other.id}, which is another model's"


def _about_place(board: PublicBoard, row: PublicRow) -> Iterator[str]:
    if row.replaces is None:
        return
    old = board.rows.get(row.replaces)
    if old is None:
        yield f"it replaces the row {row.replaces}, which is not here"
        return
    if others := [other.id for other in board.rows.values() if other.replaces == row.replaces and other.id != row.id]:
        yield f"it replaces the row {old.id}, which {others[0]} replaces too"
    if day(row.date) < day(old.date):
        yield f"it replaces the row {old.id}, which is of a later day"
    if row.place != old.place or (row.by, row.submitted) != (old.by, old.submitted):
        yield f"it replaces the row {old.id}, which is of another submission"
