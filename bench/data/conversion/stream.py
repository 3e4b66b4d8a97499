"""The whole way from blocks of raw rows to the columns of a log, each of which is written as it comes."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from ..content import order_of_texts
from ..sources.files import columns_of
from ..sources.schema import Feature, RawLog
from .cells import spread
from .growing_column import GrowingColumn
from .merge import Texts
from .rows import Records, Screened, screen
from .spool import Spool
from .within import Events

BLOCK_ROWS = 200_000
"""Rows that are read, encoded or written at a time."""


@dataclass(frozen=True)
class Converted:
    """What is known of a log besides its columns, which lie in its folder."""

    raw: RawLog
    """With what was known only when all rows were read."""
    dictionaries: dict[str, Texts]
    screened: Screened
    events: Events
    rows_read: int
    rows_kept: int
    repeated: int
    conflicting: int


def blocks_of(raw: RawLog, rows: int = BLOCK_ROWS) -> Iterator[pd.DataFrame]:
    """The raw rows in blocks of so many rows at most."""
    for frame in [raw.events] if isinstance(raw.events, pd.DataFrame) else raw.events:
        for begin in range(0, len(frame), rows):
            yield columns_of(frame.iloc[begin : begin + rows].reset_index(drop=True), frame.columns)


def stream_columns(raw: RawLog, folder: Path, rows: int = BLOCK_ROWS) -> Converted:
    """Write the columns of events of a log into `folder`, in memory that does not grow with the rows.

    Held whole are distinct values of labels and actions, and numbers for each distinct value of other columns. What is finished
    in `folder`/rows, by a conversion of the same rows that was killed, is not done again.

    Raises:
        UserError: whatever is wrong with the rows.
    """
    work, tell = folder / "rows", _Progress(raw.name)
    work.mkdir(exist_ok=True)
    spool = Spool(raw, work)
    for frame in blocks_of(raw, rows):
        spool.add(frame)
        tell.read(spool.rows)
    if not isinstance(raw.events, pd.DataFrame):
        raw = spool.raw = raw.events.finish(raw)
    if spool.rows == 0:
        shutil.rmtree(work)
        return Converted(raw, {}, _NOTHING, Events(spool, {}), 0, 0, 0, 0)
    spool.times.finish()
    for counted in spool.unread.values():
        counted.finish()
    tell.say(f"all {spool.rows:,} rows read, distinct values are sorted")
    screened = screen(spool)
    records = Records(spool, screened, work)
    written = _write(records, spool, screened, folder, tell)
    texts = {name: codes.texts for name, codes in screened.codes.items() if name != "request"}
    renamed = {name if name in ("user", "item", "action") else f"feature.{name}": one for name, one in texts.items()}
    _close(renamed, written, raw.schema.context_features, folder)
    # Every id of a row that is kept is in the log: rows are only left out for others of the same user and item.
    events = Events(spool, {owner: screened.codes[owner].rank for owner in ("user", "item")})
    return Converted(raw, renamed, screened, events, spool.rows, written.rows, written.repeated, written.conflicting)


_NOTHING = Screened({}, True, 0, False, {}, {}, np.empty(0), np.empty(0), {})


class _Progress:
    """Lines on stderr, where somebody looks."""

    def __init__(self, name: str) -> None:
        self._name, self._next, self._shown, self._begin = name, _TOLD, sys.stderr.isatty(), time.perf_counter()

    def read(self, rows: int) -> None:
        if rows >= self._next:
            self._next = rows + _TOLD
            self.say(f"{rows:,} rows read, {rows / (time.perf_counter() - self._begin):,.0f} a second")

    def sorted(self, part: int, parts: int) -> None:
        if parts > 1:
            self.say(f"part {part:,} of {parts:,} is sorted and written")

    def say(self, what: str) -> None:
        if self._shown:
            print(f"{self._name}: {what}", file=sys.stderr)


_TOLD = 2_000_000
"""Rows after which is told how many were read."""


@dataclass
class _Written:
    rows: int
    repeated: int
    conflicting: int
    used: dict[str, np.ndarray]
    """Column -> bool by code: which codes are in the log."""


def _write(records: Records, spool: Spool, screened: Screened, folder: Path, tell: _Progress) -> _Written:
    names = [name for name in records.kind.names or () if name not in ("user", "request")]
    coded = {name: name.removeprefix("feature.") for name in names if records.kind[name] == np.int32}
    kinds = {name: records.kind[name] for name in names}
    if spool.raw.schema.request_ids:
        kinds["request_id"] = np.dtype(np.int32)
    columns = {name: GrowingColumn(folder / f"{name}.npy", kind) for name, kind in kinds.items()}
    used = {name: np.zeros(len(screened.codes[column].texts), dtype=bool) for name, column in coded.items()}
    counts = np.zeros(len(screened.user_rows), dtype=np.int64)
    requests = 0
    written = _Written(0, 0, 0, used)
    for part, (rows, ordered) in enumerate(records, 1):
        tell.sorted(part, records.partitions)
        for name in names:
            columns[name].append(rows[name])
        for name, seen in used.items():
            seen[rows[name]] = True
        if "request_id" in columns:
            pair = rows["user"].astype(np.int64) * len(screened.codes["request"].texts) + rows["request"]
            number, distinct = pd.factorize(pair)
            columns["request_id"].append((number + requests).astype(np.int32))
            requests += len(distinct)
        counts += np.bincount(rows["user"], minlength=len(counts))
        written.rows += len(rows)
        written.repeated += ordered.repeated
        written.conflicting += ordered.conflicting
    for column in columns.values():
        column.close()
    np.save(folder / "user_offsets.npy", np.concatenate([[0], np.cumsum(counts)]).astype(np.int64))
    return written


def _close(texts: dict[str, Texts], written: _Written, context: tuple[Feature, ...], folder: Path) -> None:
    """Forget values that only dropped rows had, and bring features into their final form."""
    kinds = {f"feature.{feature.column}": feature for feature in context}
    for at, (name, used) in enumerate(written.used.items()):
        feature = kinds.get(name)
        if feature is not None and feature.kind == "multi":
            codes = np.load(folder / f"{name}.npy", mmap_mode="r")
            texts[name] = spread(texts[name].blocks(), used, codes, feature.separator, folder / name, folder / "rows", at)
            continue
        if used.all():
            continue
        left = texts[name].whole()[used]
        # Whether all values are numbers, which are sorted as such, may have changed; ids keep the order that sorted the log.
        order = order_of_texts(left) if feature is not None else np.arange(len(left))
        rank = np.zeros(len(used), dtype=np.int32)
        rank[np.flatnonzero(used)[order]] = np.arange(len(left), dtype=np.int32)
        texts[name] = Texts(left[order])
        _translate(folder / f"{name}.npy", lambda codes, rank=rank: rank[codes])


def _translate(path: Path, change: Callable[[np.ndarray], np.ndarray]) -> None:
    column = np.load(path, mmap_mode="r+")
    for begin in range(0, len(column), BLOCK_ROWS):
        column[begin : begin + BLOCK_ROWS] = change(column[begin : begin + BLOCK_ROWS])
