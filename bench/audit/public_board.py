"""The public leaderboard of a results folder: rows that were edited, copied, taken out or never true, each named in one line."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from pathlib import Path

from ..errors import UserError
from ..public.board import PublicBoard, expiry, gathered, paths, problems
from ..public.entrant import make, reference, same, stands_on
from ..public.envelope import beyond
from ..public.row import PublicRow, load
from ..public.versions import NAME
from ..records.store import Store, stores_below
from ..records.view import View
from .finding import Finding, Said
from .history import past

FOLDER = "public"
"""Of the board, in a results folder."""


def about_public(results: Path, today: datetime.date | None = None) -> Iterator[Finding]:
    """Everything found of the public leaderboard of a results folder; nothing where there is none.

    Args:
        today: by which rows expire; left out, the day that it is (UTC).
    """
    root = results / FOLDER
    if not root.is_dir():
        return
    rows: list[PublicRow] = []
    for path in paths(root):
        try:
            rows.append(load(path))
        except UserError as error:
            yield Finding("wrong", path.relative_to(results).as_posix(), str(error))
    try:
        board = gathered(root, rows)
    except UserError as error:
        yield Finding("wrong", f"{FOLDER}/{NAME}", str(error))
        return
    for row_id, said in problems(board):
        yield Finding("wrong", _where(results, board, board.rows[row_id]), said)
    yield from _about_past(results, root)
    yield from _about_references(results, board)
    stores = stores_below(results)
    for row in board.rows.values():
        where = _where(results, board, row)
        for kind, said in _about_runs(board, row, stores):
            yield Finding(kind, where, said)
        yield from _about_day(board, row, where, today or datetime.datetime.now(datetime.UTC).date())


def _where(results: Path, board: PublicBoard, row: PublicRow) -> str:
    return row.path(board.root).relative_to(results).as_posix()


def _about_past(results: Path, root: Path) -> Iterator[Finding]:
    """Rows that a commit held are here, all of them. That they are unchanged, their names say."""
    history, where = past(root), root.relative_to(results).as_posix()
    if history is None:
        yield Finding("note", where, "whether a row was taken out was not looked up: it lies in no repository with a commit")
        return
    here = {path.relative_to(root).as_posix() for path in paths(root)}
    for path in sorted(history.files - here):
        if path.endswith(".json"):
            said = "it was committed once and is not here; a row is never taken out, it is corrected by one that replaces it"
            yield Finding("wrong", f"{where}/{path}", said)
    if not history.whole:
        yield Finding("note", where, "rows may be missing: not all of the history is here (git fetch --unshallow)")


def _about_references(results: Path, board: PublicBoard) -> Iterator[Finding]:
    for entry in board.versions.entries:
        for track in entry.tracks:
            name = f"version {entry.version}, {track.dataset}@{track.split}"
            try:
                records = reference(track, results).records
            except UserError as error:
                yield Finding("wrong", f"{FOLDER}/{NAME}", f"{name}: {error}")
                continue
            if sorted(record.identity.seed for record in records) != list(range(entry.allowance.seeds)):
                said = f"{name}: the reference has {len(records)} seeds, not 0 to {entry.allowance.seeds - 1}"
                yield Finding("wrong", f"{FOLDER}/{NAME}", said)
            for key, value in records[0].config["data"].items():
                if key not in ("dataset", "split") and track.data.get(key, value) != value:
                    said = f"{name}: the reference has data.{key} {value}, not {track.data[key]}"
                    yield Finding("wrong", f"{FOLDER}/{NAME}", said)


def _about_runs(board: PublicBoard, row: PublicRow, stores: list[Store]) -> Iterator[Said]:
    """Whether the runs that a row stands on are here unchanged, and make it."""
    found = runs_of(row, stores)
    if found is None:
        yield (
            "note" if row.tier == "self-reported" else "wrong",
            "the runs that it stands on are not below the results folder, or were changed since",
        )
        return
    track = board.versions.track(row.version, row.place)
    try:
        if track is None:
            return
        against = reference(track, board.root.parent)
        if any(view.missing_rows(record.identity) for view in (found, against) for record in view.records):
            yield "note", "its numbers were not computed again: the test rows are not here (rankbench board makes them)"
            return
        entrant = make(found, found.records, against)
    except UserError as error:
        yield "wrong", str(error)
        return
    if key := same(row.entrant, entrant):
        yield "wrong", f"its {key} is not what its runs make of it"


def runs_of(row: PublicRow, stores: list[Store]) -> View | None:
    """The runs that a row stands on, from the first store that holds all of them unchanged."""
    for store in stores:
        view = View.of(store, row.entrant.dataset, row.entrant.split)
        records = tuple(
            record
            for record in view.records
            if (record.identity.model, record.identity.config_hash) == (row.entrant.model, row.entrant.config_hash)
            and store.has_scores(record.identity)
        )
        own = {stands_on(store, record): record for record in records}
        if own.keys() >= set(row.entrant.runs):
            return View(store, tuple(own[run] for run in row.entrant.runs))
    return None


def _about_day(board: PublicBoard, row: PublicRow, where: str, today: datetime.date) -> Iterator[Finding]:
    """What is no fault."""
    state = board.state(row, today)
    if state == "expired":
        yield Finding("note", where, f"it is self-reported and expired on {expiry(row)}; rankbench verify makes a row that stays")
    if state == "stands":
        for one in beyond(board, row, today):
            best = max(row.entrant.quality[one.metric].by_seed)
            said = f"its best seed has {one.metric} {best:.4f}, beyond {one.bound:.4f}, what {one.rows} {one.family} rows allow"
            yield Finding("note", where, f"{said}: look for a leak before you believe it")
