"""What an example may see: the interval [lo, hi) of its user's events. The only place where this is decided.

A *request* is the unit that is ranked: events of one user that were shown together. All of them look back from the same
moment, the request's start, so that no score within a request knows the outcome of another one. A log says which events
belong together (a column of request ids), or windows of time stand for it.

Of an event is kept how many events lie between it and the bounds that it sees, in 4 bytes; the rest follows from the log.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .columns import Column, Computed, blocks, positions, scratch, user_blocks

if TYPE_CHECKING:
    from .eventlog import EventLog

_HOUR_MS = 3_600_000


@dataclass(frozen=True)
class Requests:
    """Which events were asked for together, and from when they look back."""

    start: Column
    """int64 [events], milliseconds: the moment from which the request of each event looks back; never decreasing within a user,
    and never later than the event."""
    first: Column
    """int64 [events]: position of the first event of its request. Requests are contiguous in the log, so this names them."""

    def last(self, events: slice) -> np.ndarray:
        """int64 [n]: position of the last event of the request of each of the `events`, which are those of whole users."""
        first = self.first[events]
        begins = np.flatnonzero(np.diff(first, prepend=-1))
        ends = np.append(begins, len(first))[1:]
        return (ends + ((events.start or 0) - 1)).repeat(ends - begins)


@dataclass(frozen=True)
class HistoryPlaces:
    """The events that histories hold, where these are not all. Intervals then count places among them, and stay intervals."""

    event: np.ndarray
    """int64 [H], ascending: the event at each place."""
    before: np.ndarray
    """int64 [events + 1]: places whose events lie before a position of the log."""

    @staticmethod
    def of(events: int, held: Callable[[slice], np.ndarray], near: Path | None = None) -> HistoryPlaces:
        """
        Args:
            held: a block of events -> bool, which of them histories hold.
            near: where large scratch files go.
        """
        before = scratch(events + 1, np.int64, near)
        for block in blocks(events):
            before[block.start + 1 : block.stop + 1] = before[block.start] + np.cumsum(held(block))
        return HistoryPlaces(positions(events, held, near), before)

    def intervals(self, hi: Column, user_offsets: np.ndarray, history_length: int) -> tuple[Column, Column]:
        """Positions in the log, int64 [events], as places: what is seen up to hi, at most `history_length` of it."""
        end = Computed(len(hi), lambda event: self.before[hi[event]])
        return lows(end, user_offsets, history_length, self.before[user_offsets]), end


def window_start(time: np.ndarray, window_ms: int, utc_offset_hours: float = 0.0) -> np.ndarray:
    """Start of the window that holds each time: int64 milliseconds. Windows lie side by side from midnight of 1 January 1970
    in local time, the same for every user; a window of 0 holds its own millisecond alone."""
    time = np.asarray(time, dtype=np.int64)
    if window_ms == 0:
        return time
    offset = round(utc_offset_hours * _HOUR_MS)
    return (time + offset) // window_ms * window_ms - offset


def requests_of(log: EventLog, window: float | None) -> Requests:
    """The requests of a log.

    Args:
        window: seconds; None for those that the log itself names.
    """
    if window is None:
        assert log.request_id is not None, "settings are resolved when data are prepared"
        return logged_requests(log.user_offsets, log.time, log.request_id, log.near)
    return windowed_requests(log.user_offsets, log.time, round(window * 1000), log.meta.utc_offset_hours, log.near)


def windowed_requests(
    user_offsets: np.ndarray, time: np.ndarray, window_ms: int, utc_offset_hours: float = 0.0, near: Path | None = None
) -> Requests:
    """Requests as windows of time: the events of a user in one window belong together and look back from its start.

    Args:
        user_offsets: int64 [users + 1].
        time: int64 [events], milliseconds, never decreasing within a user.
        window_ms: 0 joins equal timestamps alone.
        near: where large scratch files go.
    """

    def begins(events: slice, offsets: np.ndarray) -> np.ndarray:
        start = window_start(time[events], window_ms, utc_offset_hours)
        return np.diff(start, prepend=start[:1]) != 0

    first = _firsts(user_offsets, len(time), begins, near)
    return Requests(Computed(len(time), lambda event: window_start(time[event], window_ms, utc_offset_hours)), first)


def logged_requests(user_offsets: np.ndarray, time: np.ndarray, request_id: np.ndarray, near: Path | None = None) -> Requests:
    """Requests as the log names them; each looks back from its first event.

    Requests of a user that overlap in time, or share their first moment with the end of another, become one: neither may
    see the other, and what an example sees must be an interval.

    Args:
        request_id: int [events], any numbers; the same number of two users means two requests.
        near: where large scratch files go.
    """

    def begins(events: slice, offsets: np.ndarray) -> np.ndarray:
        number, moment = np.asarray(request_id[events], dtype=np.int64), np.asarray(time[events])
        user = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
        _, group = np.unique(user * (int(number.max()) + 1) + number, return_inverse=True)
        at = np.arange(len(group))
        last = np.zeros(int(group.max()) + 1, dtype=np.int64)
        np.maximum.at(last, group, at)
        reach = np.maximum.accumulate(last[group])  # of users in turn: a user's reach never passes its own last event
        new = np.ones(len(group), dtype=bool)
        new[1:] = (at[1:] > reach[:-1]) & (moment[1:] != moment[:-1])
        return new

    first = _firsts(user_offsets, len(time), begins, near)
    return Requests(Computed(len(time), lambda event: np.asarray(time[first[event]], dtype=np.int64)), first)


def _firsts(
    user_offsets: np.ndarray, rows: int, begins: Callable[[slice, np.ndarray], np.ndarray], near: Path | None
) -> Computed:
    """int64 [events]: the latest position up to each event at which a user or a request begins.

    Args:
        begins: events of whole users, and their offsets among these -> bool, at which of them requests begin.
    """
    back = scratch(rows, np.int32, near)
    for users, events in user_blocks(user_offsets):
        if events.start == events.stop:
            continue
        offsets = np.asarray(user_offsets[users.start : users.stop + 1]) - events.start
        new = begins(events, offsets)
        starts = offsets[:-1]
        new[starts[starts < len(new)]] = True
        at = np.arange(len(new))
        back[events] = at - np.maximum.accumulate(np.where(new, at, 0))
    return _behind(back)


def _behind(back: np.ndarray) -> Computed:
    """int64 [events]: the position that lies so many events before each."""
    return Computed(len(back), lambda event: event - back[event])


def visible_intervals(
    user_offsets: np.ndarray,
    time: np.ndarray,
    requests: Requests,
    history_length: int,
    feedback_delay_ms: int = 0,
    near: Path | None = None,
) -> tuple[Column, Column]:
    """The visible history [lo_i, hi_i) of every event i, as positions in the event log.

    hi_i is the first event of the user that is not strictly earlier than the start of i's request (by `feedback_delay_ms` more
    if given): events of one request do not see each other. lo_i = max(first event of the user, hi_i - history_length).
    Both never decrease within a user, and hi_i <= i.

    Args:
        user_offsets: int64 [users + 1].
        time: int64 [events], milliseconds, never decreasing within a user.
        near: where large scratch files go.

    Returns:
        lo, hi: int64 [events].
    """
    if feedback_delay_ms == 0:  # what is earlier than a request's start is what comes before its first event
        return lows(requests.first, user_offsets, history_length), requests.first
    back = scratch(len(time), np.int32, near)
    for users, events in user_blocks(user_offsets):
        offsets = np.asarray(user_offsets[users.start : users.stop + 1]) - events.start
        moment, start = np.asarray(time[events]), requests.start[events] - feedback_delay_ms
        back[events] = np.arange(len(moment)) - _earlier(offsets, moment, start)
    hi = _behind(back)
    return lows(hi, user_offsets, history_length), hi


def _earlier(user_offsets: np.ndarray, time: np.ndarray, limit: np.ndarray) -> np.ndarray:
    """int64 [n]: the first event of each event's user that is not earlier than the event's limit."""
    found = np.empty(len(time), dtype=np.int64)
    if len(time) == 0:
        return found
    low = int(time.min())
    span = int(time.max()) - low + 1
    # One sorted key for many users at a time; blocks keep user * span within int64.
    block = max(1, min(len(user_offsets) - 1, (2**62) // span))
    for first in range(0, len(user_offsets) - 1, block):
        last = min(first + block, len(user_offsets) - 1)
        begin, end = int(user_offsets[first]), int(user_offsets[last])
        user = np.repeat(np.arange(last - first, dtype=np.int64), np.diff(user_offsets[first : last + 1]))
        key = user * span + (time[begin:end] - low)
        found[begin:end] = begin + np.searchsorted(key, user * span + np.maximum(limit[begin:end] - low, 0), side="left")
    return found


def lows(hi: Column, user_offsets: np.ndarray, history_length: int, begins: np.ndarray | None = None) -> Computed:
    """lo of every event, from hi.

    Args:
        begins: int64 [users + 1]: where the history of each user begins; None: at its first event.
    """
    begins = user_offsets if begins is None else begins

    def of(event: np.ndarray) -> np.ndarray:
        user = np.searchsorted(user_offsets, event, side="right") - 1
        return np.maximum(begins[user], hi[event] - history_length)

    return Computed(len(hi), of)


def frozen_intervals(
    hi: Column, user_offsets: np.ndarray, role: np.ndarray, roles: tuple[int, ...], history_length: int, near: Path | None = None
) -> tuple[Column, Column]:
    """The intervals when no example of `roles` sees an event of its own role: histories end where the role begins.

    Each bound moves back only, and stays in order within a user as long as the roles of a user follow each other in time.

    Args:
        hi: of `visible_intervals`.
        role: [events]; `roles`: those whose examples are frozen.
        near: where large scratch files go.
    """
    back = scratch(len(hi), np.int32, near)
    for users, events in user_blocks(user_offsets):
        at, bound, part = np.arange(events.start, events.stop), np.array(hi[events]), role[events]
        count = np.diff(user_offsets[users.start : users.stop + 1])
        user = np.repeat(np.arange(len(count)), count)
        for one in roles:
            mine = part == one
            first = np.full(len(count), len(hi))
            np.minimum.at(first, user[mine], at[mine])
            bound[mine] = np.minimum(bound[mine], first[user[mine]])
        back[events] = at - bound
    frozen = _behind(back)
    return lows(frozen, user_offsets, history_length), frozen
