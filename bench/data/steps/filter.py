"""The columns of some rows of a log, and dictionaries of what is left of it, in blocks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.feather as feather

from ..columns import Column, blocks
from ..content import order_of_texts
from ..conversion.stream import GrowingColumn
from ..eventlog import EventLog, Multi

Chosen = Callable[[], Iterator[tuple[slice, np.ndarray]]]
"""Blocks of a column, and which of their values are kept: bool [n]."""


class Filter:
    """Writes the rows of a log that are kept."""

    def __init__(self, log: EventLog, keep: np.ndarray, folder: Path) -> None:
        """`keep`: bool [events]"""
        self._log, self._keep, self._folder = log, keep, folder
        self._dictionaries: dict[str, np.ndarray] = {}

    def write(self, roles: Column | None) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """All columns of the filtered log by their names, memory-mapped, and its dictionaries.

        Args:
            roles: declared ones of all rows, instead of the log's own.
        """
        log, events = self._log, _rows(self._keep)
        counts, items = np.zeros(log.meta.users, dtype=np.int64), np.zeros(log.meta.items, dtype=bool)
        for block, user in log.users_of_blocks():
            np.add.at(counts, user[self._keep[block]], 1)
            items[log.item[block][self._keep[block]]] = True
        np.save(self._folder / "user_offsets.npy", np.concatenate([[0], np.cumsum(counts[counts > 0])]).astype(np.int64))
        self._dictionaries["user"] = log.dictionary("user")[counts > 0]
        for name in ("time", "label", *(f"label.{label}" for label in log.meta.labels)):
            self._copy(name, log.column(name), events)
        declared = log.declared if roles is None else roles
        if declared is not None:
            self._copy("role", declared, events)
        if log.request_id is not None:
            self._renumbered("request_id", log.request_id)
        # Ids keep the order that sorted the log.
        self._coded("item", log.item, events, resorted=False)
        self._coded("action", log.action, events, resorted=False)
        owned = {"user": _rows(counts > 0), "item": _rows(items), "context": events}
        for owner, feature in log.meta.features:
            self._feature(f"feature.{feature.column}", log.feature(feature.column), owned[owner])
        for name, texts in self._dictionaries.items():
            strings = pa.array(texts, type=pa.large_string())
            feather.write_feather(pa.table({"value": strings}), self._folder / f"{name}.dictionary.feather", compression="zstd")
        return {path.stem: np.load(path, mmap_mode="r") for path in self._folder.glob("*.npy")}, self._dictionaries

    def _copy(self, name: str, column: Column, chosen: Chosen, rank: np.ndarray | None = None) -> None:
        target = GrowingColumn(self._folder / f"{name}.npy", column[:0].dtype)
        for block, keep in chosen():
            values = np.asarray(column[block])[keep]
            target.append(values if rank is None else rank[values])
        target.close()

    def _renumbered(self, name: str, column: np.ndarray) -> None:
        """Numbers that never decrease, as they are, without gaps."""
        target = GrowingColumn(self._folder / f"{name}.npy", column.dtype)
        number, before = -1, np.empty(0, dtype=column.dtype)
        for block, keep in _rows(self._keep)():
            values = column[block][keep]
            if len(values):
                numbers = number + np.cumsum(np.diff(values, prepend=before if len(before) else values[0] - 1) > 0)
                target.append(numbers.astype(column.dtype))
                number, before = int(numbers[-1]), values[-1:]
        target.close()

    def _coded(self, name: str, codes: np.ndarray, chosen: Chosen, resorted: bool) -> None:
        """Codes without those that no row has any more.

        Args:
            resorted: whether all that is left may be numbers, which are sorted as such.
        """
        texts = self._log.dictionary(name)
        used = np.zeros(len(texts), dtype=bool)
        for block, keep in chosen():
            used[codes[block][keep]] = True
        left = texts[used]
        order = order_of_texts(left) if resorted else np.arange(len(left))
        rank = np.zeros(len(texts), dtype=np.int32)
        rank[np.flatnonzero(used)[order]] = np.arange(len(left), dtype=np.int32)
        self._dictionaries[name] = left[order]
        self._copy(name, codes, chosen, rank)

    def _feature(self, name: str, values: np.ndarray | Multi, chosen: Chosen) -> None:
        if isinstance(values, Multi):
            assert isinstance(values.values, np.ndarray)
            self._offsets(f"{name}.offsets", values.offsets, chosen)
            self._coded(name, values.values, _lists(values.offsets, chosen), resorted=True)
        elif values.dtype.kind == "f":
            self._copy(name, values, chosen)
        else:
            self._coded(name, values, chosen, resorted=True)

    def _offsets(self, name: str, offsets: np.ndarray, chosen: Chosen) -> None:
        target, end = GrowingColumn(self._folder / f"{name}.npy", np.dtype(np.int64)), 0
        target.append(np.zeros(1))
        for block, keep in chosen():
            ends = end + np.cumsum(np.diff(offsets[block.start : block.stop + 1])[keep])
            target.append(ends)
            end = int(ends[-1]) if len(ends) else end
        target.close()


def _rows(keep: np.ndarray) -> Chosen:
    return lambda: ((block, keep[block]) for block in blocks(len(keep)))


def _lists(offsets: np.ndarray, chosen: Chosen) -> Chosen:
    """Of the lists of the chosen rows, all values."""

    def values() -> Iterator[tuple[slice, np.ndarray]]:
        for block, keep in chosen():
            ends = offsets[block.start : block.stop + 1]
            yield slice(int(ends[0]), int(ends[-1])), np.repeat(keep, np.diff(ends))

    return values
