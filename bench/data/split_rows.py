"""What splits are made of: the events of a log that can be examples, in blocks of whole users, and moments that cut them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from .columns import order_statistics, user_blocks
from .eventlog import EventLog
from .sources.schema import HISTORY
from .visibility import Requests

UNUSED, TRAIN, VALID, TEST, KNOWN = 0, 1, 2, 3, 4
ROLES = {"train": TRAIN, "valid": VALID, "test": TEST}


@dataclass(frozen=True)
class UserRows:
    """What splits are made of: all events of some users, or those of them that can be examples."""

    events: int
    users: int
    first_user: int
    user_offsets: np.ndarray
    time: np.ndarray
    user: np.ndarray
    item: np.ndarray
    declared: np.ndarray | None
    start: np.ndarray
    first: np.ndarray
    """As in Requests, positions among these rows."""
    last: np.ndarray


Roles = Callable[[UserRows], np.ndarray]
"""uint8 [rows]: roles of the rows of some users, once a strategy has looked at all of them."""


@dataclass(frozen=True)
class AllRows:
    """The rows of a log, in blocks of whole users each time that they are gone through."""

    log: EventLog
    requests: Requests

    def __iter__(self) -> Iterator[UserRows]:
        return (part for _, part in self.blocks())

    def blocks(self) -> Iterator[tuple[slice, UserRows]]:
        """The events of each block, and the rows among them."""
        for users, events in user_blocks(self.log.user_offsets):
            yield events, self.of(users, events)

    def of(self, users: slice, events: slice) -> UserRows:
        log, requests = self.log, self.requests
        first, last = requests.first[events] - events.start, requests.last(events) - events.start
        offsets = np.asarray(log.user_offsets[users.start : users.stop + 1]) - events.start
        chosen = slice(None)
        if log.declared is not None and not (kept := log.declared[events] != HISTORY).all():
            # Requests are contiguous, so that what is left of one goes from the first that is left to the last.
            place = np.cumsum(kept)
            first, last = (place - kept)[first[kept]], place[last[kept]] - 1
            offsets, chosen = np.append(0, place)[offsets], kept
        user = np.repeat(np.arange(users.start, users.stop), np.diff(offsets))
        time, item = np.asarray(log.time[events])[chosen], np.asarray(log.item[events])[chosen]
        declared = None if log.declared is None else np.asarray(log.declared[events])[chosen]
        start = requests.start[events][chosen]
        return UserRows(len(time), len(offsets) - 1, users.start, offsets, time, user, item, declared, start, first, last)


def _every(part: UserRows) -> np.ndarray:
    return np.ones(part.events, dtype=bool)


def border_of(share: float, rows: AllRows, chosen: Callable[[UserRows], np.ndarray] = _every) -> int:
    """The moment before which lies a share of the chosen events. If the requests under way then began together, which those of
    one window did, the border moves to where they begin or end: to the one with the nearer share."""
    count = sum(int(chosen(part).sum()) for part in rows)
    place = int(np.ceil((count - 1) * share))
    border = order_statistics(lambda: (part.time[chosen(part)] for part in rows), [place])[0]
    begins, ends = [], []
    for part in rows:
        which = chosen(part)
        begin, end = part.start[which], part.time[part.last][which]
        under_way = (begin < border) & (end >= border)
        if under_way.any():
            begins += [int(begin[under_way].min()), int(begin[under_way].max())]
            ends.append(int(end[under_way].max()))
    if not begins or min(begins) < max(begins):
        return border
    back, on = min(begins), max(ends) + 1
    before_back = sum(int((part.time[chosen(part)] < back).sum()) for part in rows)
    before_on = sum(int((part.time[chosen(part)] < on).sum()) for part in rows)
    wanted = share * count
    return back if wanted - before_back <= before_on - wanted else on
