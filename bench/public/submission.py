"""Rows made of a results folder, as whoever ran it reports them."""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

from ..errors import UserError
from ..records.schema import RunRecord
from ..records.store import LAYOUT, Store
from ..records.view import View
from .board import PublicBoard, read
from .entrant import cells, make, stands_on
from .row import SCHEMA_VERSION, Division, Entrant, PublicRow
from .rules import why_not_division
from .versions import Track

References = Callable[[Track], View]
"""The runs of a track's reference, with their test rows."""


@dataclass(frozen=True)
class Submission:
    """What somebody asks for."""

    by: str
    division: Division = "closed"
    models: Collection[str] = ()
    """Names; none: all that are there."""
    replaces: str | None = None
    reason: str = ""


@dataclass(frozen=True)
class Offered:
    """A cell of a folder on its way to the board."""

    records: list[RunRecord]
    entrant: Entrant | None
    """None where no row can be made of it."""
    refused: str
    """Why there is no row of it; empty where there can be one."""

    @property
    def name(self) -> str:
        identity = self.records[0].identity
        return f"{identity.dataset}@{identity.split} {identity.model}/{identity.config_hash}"


def asked_cells(view: View, models: Collection[str]) -> list[list[RunRecord]]:
    """The cells of a view, of the models that are asked for.

    Raises:
        UserError: there is none, or none of one of them.
    """
    every = cells(view)
    missing = set(models) - {group[0].identity.model for group in every}
    if missing or not every:
        which = f" of {', '.join(sorted(missing))}" if missing else ""
        raise UserError(f"no finished run{which} with scores in {view.store.root}; start with: rankbench run")
    return [group for group in every if not models or group[0].identity.model in models]


def offer(
    view: View, group: list[RunRecord], board: PublicBoard, references: References, division: Division, version: int
) -> Offered:
    """A cell with its entrant, or why it cannot be one.

    Args:
        view: of all runs; its test rows are here.
        version: of the board.
    """
    identity, entry = group[0].identity, board.versions.find(version)
    track = board.versions.track(version, (identity.dataset, identity.split))
    if entry is None or track is None:
        return Offered(group, None, f"version {version} of the board has no track {identity.dataset}@{identity.split}")
    try:
        entrant = make(view, group, references(track))
    except UserError as error:
        return Offered(group, None, str(error))
    said = list(why_not_division(entrant, division, entry.allowance, track))
    return Offered(group, None if said else entrant, "; ".join(said))


def row_on(board: PublicBoard, view: View, group: list[RunRecord]) -> PublicRow | None:
    """The latest row that stands on exactly the runs of a cell."""
    runs = tuple(stands_on(view.store, record) for record in group)
    found = [row for row in board.rows.values() if row.entrant.runs == runs]
    replaced = {row.replaces for row in found}
    return next((row for row in reversed(found) if row.id not in replaced), None)


def row_of(entrant: Entrant, board: PublicBoard, asked: Submission, today: datetime.date) -> PublicRow:
    """The row as its submitter reports it."""
    newest = board.versions.newest
    return PublicRow(
        schema_version=SCHEMA_VERSION,
        version=newest.version,
        version_hash=board.versions.hash_of(newest.version),
        division=asked.division,
        tier="self-reported",
        date=today.isoformat(),
        by=asked.by,
        submitted=_submitted(board, asked, today).isoformat(),
        replaces=asked.replaces,
        reason=asked.reason,
        verification=None,
        entrant=entrant,
    )


def _submitted(board: PublicBoard, asked: Submission, today: datetime.date) -> datetime.date:
    """A correction is still of the day of its first row: it gains no time."""
    old = board.rows.get(asked.replaces or "")
    return datetime.date.fromisoformat(old.submitted) if old is not None else today


def submit(view: View, root: Path, references: References, asked: Submission) -> tuple[list[Path], list[str]]:
    """Write a row for each cell of a results folder that can have one.

    Args:
        view: of all runs; its test rows are here.
        root: of the board.

    Returns:
        The files that were written, and a line about every cell that was left out.

    Raises:
        UserError: a correction is not of exactly one cell, or a row cannot stand on the board.
    """
    board, today = read(root), datetime.datetime.now(datetime.UTC).date()
    rows, told = [], []
    for group in asked_cells(view, asked.models):
        old = row_on(board, view, group)
        one = offer(view, group, board, references, asked.division, board.versions.newest.version)
        if old is not None and asked.replaces is None:
            told.append(f"{one.name}: the row {old.id} stands on these runs already")
        elif one.entrant is None:
            told.append(f"{one.name}: {one.refused}")
        else:
            rows.append(row_of(one.entrant, board, asked, today))
    if asked.replaces is not None and len(rows) != 1:
        raise UserError(f"--replaces names one row, but {len(rows)} cells can be rows; choose one with --models")
    return add_all(board, rows), told


def add_all(board: PublicBoard, rows: Iterable[PublicRow]) -> list[Path]:
    """Write rows, all or none of them.

    Raises:
        UserError: one cannot stand on the board.
    """
    grown = board
    for row in rows:
        grown.refuse(row)
        grown = dataclasses.replace(grown, rows={**grown.rows, row.id: row})
    return [grown.write(row) for row in grown.rows.values() if row.id not in board.rows]


def view_of(folder: Path, board: PublicBoard) -> View:
    """The runs of a results folder that are of a track of the board.

    Raises:
        UserError: there is none, or a record is broken.
    """
    store, places = Store(folder), board.versions.places()
    if not store.runs.is_dir():
        raise UserError(f"no run in {folder}; it must hold {LAYOUT}")
    view = View(store, tuple(one for one in store.records() if (one.identity.dataset, one.identity.split) in places))
    if not view.records:
        tracks = ", ".join("@".join(place) for place in places)
        raise UserError(f"no run in {folder} is of a track of the board ({tracks})")
    return view
