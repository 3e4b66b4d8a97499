"""Tables of users and items, joined to the ids of a log block by block: neither their rows nor their texts are held whole.

A table is read once. Its rows lie on the disk until it is known how its ids and values are written, which the whole table
decides, and which of its ids the log has: both are sorted and merged on the disk. Rows of other ids are passed over. In memory
are a block and a few numbers for each id of the log.
"""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn, cast

import numpy as np
import pandas as pd
import pyarrow as pa

from ...errors import UserError
from ..content import Owner
from ..sources.files import column_of
from ..sources.labels import Unread
from ..sources.schema import Feature, RawLog, Repeated, SideTable
from ..sources.values import Ids, Wording, as_feature, as_numbers
from .coding import AS_THEY_ARE
from .dictionary import Dictionary
from .features import write_all, write_words
from .merge import Texts, merge_runs, write_run
from .within import Events, write_within

BLOCK_ROWS = 200_000
"""Rows of a table in memory that are looked at together."""
_ID = ""
"""Column of the ids in a spool: no feature is called so."""


@dataclass(frozen=True)
class FrameTable:
    """A table that is in memory as a side table, index: id."""

    frame: pd.DataFrame
    where: str
    repeated: Repeated = "refused"

    @property
    def ids(self) -> str:
        """For messages."""
        return f"{self.where}: its index"

    def __iter__(self) -> Iterator[tuple[pd.Series, pd.DataFrame]]:
        for begin in range(0, len(self.frame), BLOCK_ROWS):
            block = self.frame.iloc[begin : begin + BLOCK_ROWS]
            yield pd.Series(block.index), block.reset_index(drop=True)

    def check(self) -> None:
        """Nothing can be seen before its columns are."""


@dataclass(frozen=True)
class Joined:
    """What a log has of a table of users or items besides the columns, which lie in its folder."""

    texts: dict[str, Texts]
    """Dictionary -> its texts."""
    absent: int
    """Ids of the log that the table lacks."""


def join(raw: RawLog, owner: Owner, ids: Texts, events: Events, unread: dict[str, int], folder: Path) -> Joined:
    """Write the features of a log's users or items, in the order of their codes, into `folder`.

    Args:
        ids: by code.
        events: may hold some of the features, or all.
        unread: number feature -> its values that are there but no numbers; those of this owner are added.

    Raises:
        UserError: there is no table, ids that fell together, an id of the log that is listed more often than the table may, a
            number feature that holds few numbers.
    """
    schema = raw.schema
    table, owned = (raw.users, schema.user_features) if owner == "user" else (raw.items, schema.item_features)
    features = tuple(feature for feature in owned if feature.column not in raw.within)
    counted: dict[str, int] = {}
    texts = write_within(events, owner, len(ids), counted, folder) if len(features) < len(owned) else {}
    absent = 0
    if features:
        joined = _join_table(raw, owner, table, features, ids, counted, folder)
        # What stands in the events knows every id.
        texts, absent = texts | joined.texts, joined.absent if len(features) == len(owned) else 0
    unread |= {feature.column: counted[feature.column] for feature in owned if feature.column in counted}
    return Joined(texts, absent)


def _join_table(
    raw: RawLog,
    owner: Owner,
    table: pd.DataFrame | SideTable | None,
    features: tuple[Feature, ...],
    ids: Texts,
    unread: dict[str, int],
    folder: Path,
) -> Joined:
    schema = raw.schema
    if table is None:
        raise UserError(f"feature {features[0].column!r} needs a table of {owner}s, and there is none")
    what = f"{owner} table of {raw.name}"
    work = folder / "rows" / f"{owner}.table"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    side = FrameTable(table, f"the {what}") if isinstance(table, pd.DataFrame) else table
    spooled = _Spooled(side, features, work)
    counts = {
        one.column: Unread(f"the {what}: feature {one.column!r}", schema.decimal) for one in features if one.kind == "number"
    }
    spooled.read(counts)
    unread |= {name: count.finish() for name, count in counts.items()}
    written = _Written(spooled, ids, folder)
    texts = {f"feature.{one.column}": found for at, one in enumerate(features) if (found := written.feature(at, one)) is not None}
    return Joined(texts, written.absent)


@dataclass
class _Spooled:
    """Rows with an id, in blocks on the disk."""

    table: SideTable
    features: tuple[Feature, ...]
    work: Path
    blocks: int = 0
    wordings: dict[tuple[str, str], Wording] = field(default_factory=dict)
    """(column, type of a file) -> how its values are written. Types are written each in its way."""

    def __post_init__(self) -> None:
        self.ids = Ids(self.table.ids)

    def read(self, unread: dict[str, Unread]) -> None:
        """All rows of the table; `unread`: by number feature."""
        for ids, frame in self.table:
            self.ids.note(ids)
            known = np.flatnonzero(ids.notna())
            kept = {_ID: ids.iloc[known].reset_index(drop=True)}
            for feature in self.features:
                column = column_of(frame, feature.column).iloc[known].reset_index(drop=True)
                if feature.kind == "number":
                    exact = as_numbers(column, unread[feature.column].decimal)
                    unread[feature.column].note(column, exact)
                    kept[feature.column] = pd.Series(as_feature(exact))
                else:
                    self._wording(feature, column).note(column)
                    kept[feature.column] = column
            pd.concat(kept, axis=1).to_pickle(self._path())
            self.blocks += 1

    def _path(self, block: int | None = None) -> Path:
        return self.work / f"{self.blocks if block is None else block}.rows"

    def __iter__(self) -> Iterator[pd.DataFrame]:
        return (cast(pd.DataFrame, pd.read_pickle(self._path(block))) for block in range(self.blocks))

    def _wording(self, feature: Feature, column: pd.Series) -> Wording:
        return self.wordings.setdefault((feature.column, str(column.dtype)), Wording())

    def text(self, feature: Feature, column: pd.Series) -> pd.Series:
        """Texts of a category or of a cell, "" where missing."""
        return self._wording(feature, column).write(column).fillna("")


def _codes(spooled: _Spooled, ids: Texts) -> Iterator[np.ndarray]:
    """For each block int64 [rows]: the code of a row's id in the log, -1 for ids that it does not have."""
    work, runs, local = spooled.work, [], []
    for block, frame in enumerate(spooled):
        text = spooled.ids.write(column_of(frame, _ID))
        runs.append(work / f"{block}.ids.run")
        np.save(work / f"{block}.ids.npy", write_run(_array(text), runs[-1]))
    if spooled.ids.padded:
        for frame in spooled:
            spooled.ids.look_again(spooled.ids.wording.write(column_of(frame, _ID)))
    for at, texts in enumerate(ids.blocks()):
        runs.append(work / f"log{at}.ids.run")
        local.append(write_run(_array(texts), runs[-1]))
    codes = [run.with_suffix(".merged.npy") for run in runs]
    merge_runs(runs, work / "ids", codes)
    # Where each id of the log stands among all; what follows the last place is no place.
    place = np.concatenate([np.load(path)[ranks] for path, ranks in zip(codes[spooled.blocks :], local, strict=True)] or [_NONE])
    order = np.argsort(place)
    place = np.append(place[order], -1)
    order = np.append(order, -1)
    for block in range(spooled.blocks):
        found = np.load(codes[block])[np.load(work / f"{block}.ids.npy")]
        at = np.searchsorted(place[:-1], found)
        yield np.where(place[at] == found, order[at], -1)


_NONE = np.empty(0, dtype=np.int32)


def _array(texts: pd.Series | np.ndarray) -> pa.Array:
    array = pa.array(texts, type=pa.large_string())
    return array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array


class _Written:
    """The rows of a spool whose ids a log has, and its features in the order of these ids."""

    def __init__(self, spooled: _Spooled, ids: Texts, folder: Path) -> None:
        self._spooled, self._ids, self._folder = spooled, ids, folder
        self._met, self._again = np.zeros(len(ids), dtype=bool), False
        words = [(at, feature) for at, feature in enumerate(spooled.features) if feature.kind != "number"]
        self._words = {at: Dictionary(spooled.work, f"text{at}") for at, _ in words}
        for block, (codes, frame) in enumerate(zip(_codes(spooled, ids), spooled, strict=True)):
            chosen = self._once(codes)
            rows = frame.iloc[chosen]
            np.save(self._path(block, "code"), codes[chosen])
            for at, feature in enumerate(spooled.features):
                column = column_of(rows, feature.column)
                np.save(self._path(block, str(at)), self._values(block, at, feature, column))

    def _values(self, block: int, at: int, feature: Feature, column: pd.Series) -> np.ndarray:
        """Numbers, or codes within the block."""
        if feature.kind == "number":
            return column.to_numpy()
        text = self._spooled.text(feature, column)
        return self._words[at].add(block, text.where(text != "") if self._all else text)

    @property
    def _all(self) -> bool:
        return self._spooled.table.repeated == "all"

    @property
    def absent(self) -> int:
        """Ids of the log that are in no row."""
        return int((~self._met).sum())

    def feature(self, at: int, feature: Feature) -> Texts | None:
        """Write one of the features; the texts of its codes, unless it has numbers."""
        if feature.kind == "number":
            numbers = self._column(at, np.float32(np.nan), lambda _, values: values)
            np.save(self._folder / f"feature.{feature.column}.npy", numbers)
            return None
        words, work = self._words[at], self._spooled.work
        values = words.finish(self._spooled.blocks)
        if self._all:
            return write_all(feature, lambda: self._pairs(at, words), values, len(self._ids), self._folder, work, at)
        codes = self._column(at, np.int32(-1), words.codes)
        return write_words(feature, values, AS_THEY_ARE, codes, self._folder, work, at)

    def _pairs(self, at: int, words: Dictionary) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Ids and values of the rows, in blocks."""
        for block in range(self._spooled.blocks):
            yield np.load(self._path(block, "code")), words.codes(block, np.load(self._path(block, str(at))))

    def _column(self, at: int, missing: np.generic, final: Callable[[int, np.ndarray], np.ndarray]) -> np.ndarray:
        """[ids of the log], in the type of `missing`, which stands for ids without a row."""
        column = np.full(len(self._ids), missing)
        for block in range(self._spooled.blocks):
            column[np.load(self._path(block, "code"))] = final(block, np.load(self._path(block, str(at))))
        for block in range(self._spooled.blocks) if self._again else ():
            code, values = np.load(self._path(block, "code")), final(block, np.load(self._path(block, str(at))))
            other = (column[code] != values) & ~((column[code] != column[code]) & (values != values))
            if other.any():
                self._refuse(int(code[other.argmax()]))
        return column

    def _once(self, codes: np.ndarray) -> np.ndarray:
        """int64: which rows are taken, by the codes of their ids."""
        rows = np.flatnonzero(codes >= 0)
        if self._all:
            self._met[codes[rows]] = True
            return rows
        first = np.zeros(len(rows), dtype=bool)
        first[np.unique(codes[rows], return_index=True)[1]] = True
        first &= ~self._met[codes[rows]]
        self._met[codes[rows]] = True
        if self._spooled.table.repeated == "first":
            return rows[first]
        if not first.all():
            self._again = True
            if self._spooled.table.repeated == "refused":
                self._refuse(int(codes[rows[first.argmin()]]))
        return rows

    def _refuse(self, code: int) -> NoReturn:
        table = self._spooled.table
        one = next(itertools.islice(self._ids, code, None))
        differing = " with different values" if table.repeated == "equal" else ""
        raise UserError(f"{table.where} lists {one!r} more than once{differing}: keep one row for each id")

    def _path(self, block: int, what: str) -> Path:
        return self._spooled.work / f"{block}.{what}.npy"
