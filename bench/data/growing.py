"""A vocabulary that grows from window to window of a stream: nothing is known of an id before a window had it.

Ids of vocabulary.py are in the order of how often training has them, all windows together; here they are in the order of the
windows that have them first, and unknown until then. So what a model is given before a window depends on no event of that window
or of a later one. How many rows a table has does, and nothing else.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from ..contract import UNKNOWN
from .columns import Column, Computed, blocks, ranges
from .eventlog import EventLog, Multi, Owner
from .splits import VALID, Split
from .stream import window_of
from .vocabulary import FieldTable, Vocabulary

_NEVER = np.iinfo(np.int64).max


@dataclass(frozen=True)
class Grown:
    """The ids of a field, renamed."""

    names: np.ndarray
    """int64 [size]: old id -> new id."""
    first: np.ndarray
    """int64 [size]: old id -> the first window that has it, from 0; below 0 for padding and unknown."""

    def lookup(self, window: int) -> np.ndarray:
        """int32 [size]: what each old id is called once a window was seen."""
        return np.where(self.first <= window, self.names, UNKNOWN).astype(np.int32)


@dataclass(frozen=True)
class GrowingVocabulary:
    """The vocabulary of a stream, of which a window knows a part."""

    whole: Vocabulary
    """Of all windows that are learned from, with the old ids."""
    grown: dict[str, Grown]
    """By name of the field; `action` among them."""

    @staticmethod
    def of(vocabulary: Vocabulary, log: EventLog, split: Split, known: Column) -> GrowingVocabulary:
        """
        Args:
            vocabulary: of the events `known`, see `met`; its numbers are cut at quantiles of the first window.
        """
        owners: dict[Owner, np.ndarray] = {"user": np.full(log.meta.users, _NEVER), "item": np.full(log.meta.items, _NEVER)}
        for event, window in _known_events(log, split, known):
            np.minimum.at(owners["user"], log.user_of(event), window)
            np.minimum.at(owners["item"], log.item[event], window)
        numbers = {feature.column for _, feature in log.meta.features if feature.kind == "number"}
        found: dict[str, Grown] = {}
        for table in (*vocabulary.user, *vocabulary.item, *vocabulary.context, vocabulary.action):
            size, name = table.field.size, table.field.name
            if name in numbers:
                found[name] = Grown(np.arange(size), np.full(size, -1))
            elif table.owner == "context":
                found[name] = _grown(table, lambda: _known_events(log, split, known))
            else:
                window = owners[table.owner]
                found[name] = _grown(table, lambda window=window: iter([(np.arange(len(window)), window)]))
        return GrowingVocabulary(vocabulary, found)

    def known_by(self, window: int) -> Vocabulary:
        """What is known once this window, and all before it, were seen."""
        rename = lambda table: self._renamed(table, window)  # noqa: E731
        action = rename(self.whole.action)
        assert not isinstance(action.ids, Multi)
        return dataclasses.replace(
            self.whole,
            user=tuple(map(rename, self.whole.user)),
            item=tuple(map(rename, self.whole.item)),
            context=tuple(map(rename, self.whole.context)),
            action=action,
            action_of_event=action.ids,
        )

    def _renamed(self, table: FieldTable, window: int) -> FieldTable:
        lookup = self.grown[table.field.name].lookup(window)
        if isinstance(table.ids, Multi):
            return dataclasses.replace(table, ids=Multi(_looked_up(table.ids.values, lookup), table.ids.offsets))
        return dataclasses.replace(table, ids=_looked_up(table.ids, lookup))


def _looked_up(ids: Column, lookup: np.ndarray) -> Column:
    if isinstance(ids, Computed):
        return Computed(len(ids), lambda row: lookup[ids[row]])
    return lookup[ids]


def met(log: EventLog, split: Split, held_out: np.ndarray | None) -> Column:
    """bool [events]: what a pass through time knows before the test: it has learned from validation as from other windows.

    Args:
        held_out: bool [items], of which nothing is known; None: of none.
    """

    def of(row: np.ndarray | slice) -> np.ndarray:
        found = split.known[row] | (split.role[row] == VALID)
        if log.asked is not None:
            found |= ~log.asked[row] & (log.time[row] < split.edges[-1])
        return found if held_out is None else found & ~held_out[log.item[row]]

    return Computed(log.meta.events, of)


def _known_events(log: EventLog, split: Split, known: Column) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Known events and their windows, in blocks."""
    for block in blocks(log.meta.events):
        event = block.start + np.flatnonzero(known[block])
        yield event, window_of(split.edges, log.time[event])


def _values(ids: Column | Multi, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The ids of rows, and which of the rows each is of."""
    if not isinstance(ids, Multi):
        return ids[rows], np.arange(len(rows))
    at, offsets = ranges(ids.offsets[rows], ids.offsets[rows + 1] - ids.offsets[rows])
    return ids.values[at], np.repeat(np.arange(len(rows)), np.diff(offsets))


def _grown(table: FieldTable, rows: Callable[[], Iterator[tuple[np.ndarray, np.ndarray]]]) -> Grown:
    """
    Args:
        rows: rows of the field's owner and the first window that has each, in blocks, each time that it is called.
    """
    first = np.full(table.field.size, _NEVER)
    for row, window in rows():
        ids, at = _values(table.ids, row)
        np.minimum.at(first, ids, window[at])
    earliest = np.full(table.field.size, _NEVER)
    for row, window in rows():
        ids, at = _values(table.ids, row)
        then = window[at] == first[ids]
        np.minimum.at(earliest, ids[then], row[at][then])
    first[: UNKNOWN + 1] = -1
    # The old order would tell how frequent an id becomes: of those of one window the first stands where its row does.
    order = np.lexsort((earliest[UNKNOWN + 1 :], first[UNKNOWN + 1 :]))
    names = np.arange(table.field.size)
    names[UNKNOWN + 1 + order] = np.arange(UNKNOWN + 1, table.field.size)
    return Grown(names, first)
