"""Histories made of pools: of each pool its own latest events, together in order of time.

A rare kind of event, such as a like, is crowded out of one common history by a frequent one. Pools of equal size keep it: an
example sees the latest history_length / pools events of each pool that are visible to it (visibility.py), and of an event that is
in several pools one copy. What is seen is then no interval of the user's events any more, but what a past event of a segment sees
still is one of the events that the segment holds: all of them that are earlier than its request.

Places count the events that are in any pool, as HistoryPlaces does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..config import DataConfig
from ..errors import UserError, unknown_name
from .columns import Column, Computed, blocks, collected, ranges
from .eventlog import EventLog
from .visibility import HistoryPlaces

MAIN_LABEL = "label"
"""What settings call the outcome that the main label names."""
NO_LABEL = "no-label"
"""What data.pools calls examples without it."""


def outcome_of(log: EventLog, name: str) -> Callable[[slice], np.ndarray]:
    """A block of events -> bool, which of them have the outcome."""
    if name == MAIN_LABEL:
        return lambda block: log.label[block] == 1
    if name == NO_LABEL:
        return lambda block: (log.label[block] == 0) & (True if log.asked is None else log.asked[block])
    return lambda block: log.further_label(name)[block] == 1


def held_places(log: EventLog, config: DataConfig) -> HistoryPlaces | None:
    """Of the events of data.behaviours, or of all data.pools; None: histories hold all events.

    Raises:
        UserError: a name that is no outcome of the log.
    """
    names, key = config.behaviours or config.pools, "behaviours" if config.behaviours else "pools"
    if not names:
        return None
    known = (MAIN_LABEL, *([NO_LABEL] if config.pools else []), *log.meta.labels)
    for name in names:
        if name not in known:
            raise unknown_name(f"outcome of {log.meta.name} in data.{key}", name, known)
    outcomes = [outcome_of(log, name) for name in names]
    return HistoryPlaces.of(log.meta.events, lambda block: np.any([of(block) for of in outcomes], axis=0), log.near)


@dataclass(frozen=True)
class HistoryPools:
    """Which places are in which pool."""

    members: tuple[np.ndarray, ...]
    """Of each pool: int64 [H], places, ascending."""
    each: int
    """Events of a pool in a history, at most."""

    @staticmethod
    def of(log: EventLog, config: DataConfig, event: np.ndarray) -> HistoryPools:
        """
        Args:
            event: int64 [places], the event at each place: all that are in any pool.

        Raises:
            UserError: no pool may be empty, and histories must have room for each.
        """
        each = config.history_length // len(config.pools)
        if not each:
            raise UserError(f"data.history_length={config.history_length} has no room for {len(config.pools)} data.pools")
        members = tuple(_members(log, name, event, log.near) for name in config.pools)
        for name, places in zip(config.pools, members, strict=True):
            if not len(places):
                raise UserError(f"data.pools: no event of {log.meta.name} is in the pool {name}; leave it out")
        return HistoryPools(members, each)

    def seen(self, begin: np.ndarray, end: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The places that n examples see, end to end and ascending for each, and their offsets [n + 1].

        Args:
            begin: int64 [n], the first place of each example's user.
            end: int64 [n], behind the last place that is visible to it.
        """
        found = [self._of_pool(places, begin, end) for places in self.members]
        place, row = (np.concatenate(part) for part in zip(*found, strict=True))
        order = np.lexsort((place, row))
        place, row = place[order], row[order]
        once = np.ones(len(place), dtype=bool)
        once[1:] = (place[1:] != place[:-1]) | (row[1:] != row[:-1])
        offsets = np.concatenate([[0], np.cumsum(np.bincount(row[once], minlength=len(end)))])
        return place[once], offsets

    def lows(self, begin: Column, end: Column) -> Computed:
        """The first place that each event sees, or where it ends if it sees none: int64 [events]."""

        def of(event: np.ndarray) -> np.ndarray:
            first, last = begin[event], end[event]
            low = last.copy()
            for places in self.members:
                lo, hi = self._bounds(places, first, last)
                low = np.where(hi > lo, np.minimum(low, places[np.minimum(lo, len(places) - 1)]), low)
            return low

        return Computed(len(end), of)

    def _of_pool(self, places: np.ndarray, begin: np.ndarray, end: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        lo, hi = self._bounds(places, begin, end)
        at, offsets = ranges(lo, hi - lo)
        return places[at], np.repeat(np.arange(len(end)), np.diff(offsets))

    def _bounds(self, places: np.ndarray, begin: np.ndarray, end: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        hi = np.searchsorted(places, end)
        return np.maximum(np.searchsorted(places, begin), hi - self.each), hi


def _members(log: EventLog, name: str, event: np.ndarray, near: Path | None) -> np.ndarray:
    """Places of the events that have an outcome."""
    held = outcome_of(log, name)

    def parts() -> Iterator[np.ndarray]:
        for block in blocks(log.meta.events):
            own = block.start + np.flatnonzero(held(block))
            yield np.searchsorted(event, own)

    return collected(parts(), np.int64, near)


def bounds_in_segments(place: np.ndarray, offsets: np.ndarray, segment: np.ndarray, end: np.ndarray) -> np.ndarray:
    """How many of a segment's past events are earlier than a place: int64 [n].

    Args:
        place: of the past events of all segments, ascending in each, [T].
        offsets: of the segments among them, [S + 1].
        segment: of each of the n that ask, [n].
        end: their places, [n].
    """
    span = max(int(place.max(initial=0)), int(end.max(initial=0))) + 1
    key = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets)) * span + place
    return np.searchsorted(key, segment * span + end) - offsets[segment]
