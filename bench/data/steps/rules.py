"""What each step keeps: a function of rows in the order of the log, of nothing random and of no order of the source.

Rows come in blocks of whole users, again and again; what is counted over all of them is as long as there are users and items.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from .declared import Bots, KCore, Repeats, SampleUsers, ShortHistories, Step


@dataclass(frozen=True)
class Rows:
    """The n rows of some users that a step looks at, by user and time."""

    user: np.ndarray
    """int [n]: codes, never decreasing."""
    item: np.ndarray
    """int [n]: codes."""
    time: np.ndarray
    """int64 [n], milliseconds, never decreasing within a user."""
    label: np.ndarray
    """uint8 [n]"""
    action: np.ndarray
    """int32 [n]: codes of what the user did."""


@dataclass(frozen=True)
class AllRows:
    """Every row that a step looks at."""

    users: int
    items: int
    parts: Callable[[], Iterator[Rows]]
    """Blocks of whole users in the order of the log, each time that it is called."""
    ids: Callable[[], Iterator[np.ndarray]]
    """str: ids of users in the order of their codes, in blocks."""


def kept(step: Step, rows: AllRows) -> Iterator[np.ndarray]:
    """bool [n] for each block in turn: which of its rows a step keeps."""
    match step:
        case KCore():
            return _core(step, rows)
        case Repeats():
            return (_without_repeats(step, part) for part in rows.parts())
        case Bots():
            return (_without_bots(step, part) for part in rows.parts())
        case ShortHistories():
            return (_of_user(part)[1] >= step.events for part in rows.parts())
        case SampleUsers():
            drawn = np.array([_drawn(step, str(one)) for texts in rows.ids() for one in texts], dtype=bool)
            return (drawn[part.user] for part in rows.parts())


def _of_user(part: Rows) -> tuple[np.ndarray, np.ndarray]:
    """The user of each row as a number from 0, and how many rows of the block are theirs."""
    place = np.cumsum(np.diff(part.user, prepend=part.user[:1]) > 0)
    return place, np.bincount(place)[place] if len(place) else place


def _core(step: KCore, rows: AllRows) -> Iterator[np.ndarray]:
    """The largest part in which every user and every item counts enough: it is the same in whatever order rows go.

    Whether a row is left follows from its user and its item alone, so that nothing else is held.
    """
    user, item = np.ones(rows.users, dtype=bool), np.ones(rows.items, dtype=bool)
    while True:
        of_user, of_item = np.zeros(rows.users, dtype=np.int64), np.zeros(rows.items, dtype=np.int64)
        for part in rows.parts():
            counts = user[part.user] & item[part.item]
            if step.count == "positives":
                counts &= part.label == 1
            np.add.at(of_user, part.user[counts], 1)
            np.add.at(of_item, part.item[counts], 1)
        left_user, left_item = user & (of_user >= step.users), item & (of_item >= step.items)
        if np.array_equal(left_user, user) and np.array_equal(left_item, item):
            return (user[part.user] & item[part.item] for part in rows.parts())
        user, item = left_user, left_item


def _without_repeats(step: Repeats, part: Rows) -> np.ndarray:
    action = np.zeros_like(part.action) if step.any_action else part.action
    order = np.lexsort((np.arange(len(part.user)), action, part.item, part.user))
    again = np.zeros(len(order), dtype=bool)
    again[1:] = np.all([one[order][1:] == one[order][:-1] for one in (part.user, part.item, action)], axis=0)
    if step.within is not None:
        again[1:] &= np.diff(part.time[order]) <= step.within * 1000
    keep = np.empty(len(order), dtype=bool)
    keep[order] = ~again
    return keep


def _without_bots(step: Bots, part: Rows) -> np.ndarray:
    """A user is one if some row and the `events` - 1 before it lie within the span."""
    back, place = step.events - 1, _of_user(part)[0]
    bot = np.zeros(len(place), dtype=bool)
    if len(place) > back:
        fast = (place[back:] == place[:-back]) & (part.time[back:] - part.time[:-back] <= step.seconds * 1000)
        bot[place[back:][fast]] = True
    return ~bot[place]


def _drawn(step: SampleUsers, user: str) -> bool:
    digest = hashlib.sha256(f"{step.seed}\0{user}".encode()).digest()
    return int.from_bytes(digest[:8], "big") < step.share * 2**64
