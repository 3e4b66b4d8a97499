"""What each step keeps: a function of rows in the order of the log, of nothing random and of no order of the source."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np

from .declared import Bots, KCore, Repeats, SampleUsers, ShortHistories, Step


@dataclass(frozen=True)
class Rows:
    """The n rows that a step looks at, by user and time."""

    user: np.ndarray
    """int [n]: codes, never decreasing."""
    item: np.ndarray
    """int [n]: codes."""
    time: np.ndarray
    """int64 [n], milliseconds, never decreasing within a user."""
    label: np.ndarray
    """uint8 [n]"""
    ids: np.ndarray
    """str [users]: ids by code."""


def kept(step: Step, rows: Rows) -> np.ndarray:
    """bool [n]: which rows a step keeps."""
    match step:
        case KCore():
            return _core(step, rows)
        case Repeats():
            return _without_repeats(step, rows)
        case Bots():
            return _without_bots(step, rows)
        case ShortHistories():
            return np.bincount(rows.user, minlength=len(rows.ids))[rows.user] >= step.events
        case SampleUsers():
            return np.array([_drawn(step, str(one)) for one in rows.ids])[rows.user]


def _core(step: KCore, rows: Rows) -> np.ndarray:
    """The largest part in which every user and every item counts enough: it is the same in whatever order rows go."""
    counted = np.ones(len(rows.user)) if step.count == "all" else rows.label.astype(np.float64)
    keep = np.ones(len(rows.user), dtype=bool)
    while True:
        of_user = np.bincount(rows.user[keep], counted[keep], minlength=len(rows.ids))
        of_item = np.bincount(rows.item[keep], counted[keep], minlength=int(rows.item.max(initial=-1)) + 1)
        left = keep & (of_user[rows.user] >= step.users) & (of_item[rows.item] >= step.items)
        if left.sum() == keep.sum():
            return keep
        keep = left


def _without_repeats(step: Repeats, rows: Rows) -> np.ndarray:
    order = np.lexsort((np.arange(len(rows.user)), rows.item, rows.user))
    user, item, time = rows.user[order], rows.item[order], rows.time[order]
    again = np.zeros(len(order), dtype=bool)
    again[1:] = (user[1:] == user[:-1]) & (item[1:] == item[:-1])
    if step.within is not None:
        again[1:] &= np.diff(time) <= step.within * 1000
    keep = np.empty(len(order), dtype=bool)
    keep[order] = ~again
    return keep


def _without_bots(step: Bots, rows: Rows) -> np.ndarray:
    """A user is one if some row and the `events` - 1 before it lie within the span."""
    back = step.events - 1
    bot = np.zeros(len(rows.ids), dtype=bool)
    if len(rows.user) > back:
        fast = (rows.user[back:] == rows.user[:-back]) & (rows.time[back:] - rows.time[:-back] <= step.seconds * 1000)
        bot[rows.user[back:][fast]] = True
    return ~bot[rows.user]


def _drawn(step: SampleUsers, user: str) -> bool:
    digest = hashlib.sha256(f"{step.seed}\0{user}".encode()).digest()
    return int.from_bytes(digest[:8], "big") < step.share * 2**64
