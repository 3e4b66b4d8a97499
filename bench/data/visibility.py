"""What an example may see: the interval [lo, hi) of its user's events. The only place where this is decided.

A *request* is the unit that is ranked: events of one user that were shown together. All of them look back from the same
moment, the request's start, so that no score within a request knows the outcome of another one. A log says which events
belong together (a column of request ids), or windows of time stand for it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_HOUR_MS = 3_600_000


@dataclass(frozen=True)
class Requests:
    """Which events were asked for together, and from when they look back."""

    start: np.ndarray
    """int64 [events], milliseconds: the moment from which the request of each event looks back; never decreasing within a user,
    and never later than the event."""
    first: np.ndarray
    """int64 [events]: position of the first event of its request. Requests are contiguous in the log, so this names them."""

    @property
    def last(self) -> np.ndarray:
        """int64 [events]: position of the last event of each event's request."""
        begins = np.flatnonzero(np.diff(self.first, prepend=-1))
        return (np.append(begins, len(self.first))[1:] - 1).repeat(np.diff(np.append(begins, len(self.first))))


@dataclass(frozen=True)
class HistoryPlaces:
    """The events that histories hold, where these are not all. Intervals then count places among them, and stay intervals."""

    event: np.ndarray
    """int64 [H], ascending: the event at each place."""
    before: np.ndarray
    """int64 [events + 1]: places whose events lie before a position of the log."""

    @staticmethod
    def of(held: np.ndarray) -> HistoryPlaces:
        """held: bool [events]."""
        return HistoryPlaces(np.flatnonzero(held), np.concatenate([[0], np.cumsum(held)]))

    def intervals(self, hi: np.ndarray, user_start: np.ndarray, history_length: int) -> tuple[np.ndarray, np.ndarray]:
        """Positions in the log, int64 [events], as places: what is seen up to hi, at most `history_length` of it."""
        end = self.before[hi]
        return np.maximum(self.before[user_start], end - history_length), end


def window_start(time: np.ndarray, window_ms: int, utc_offset_hours: float = 0.0) -> np.ndarray:
    """Start of the window that holds each time: int64 milliseconds. Windows lie side by side from midnight of 1 January 1970
    in local time, the same for every user; a window of 0 holds its own millisecond alone."""
    time = np.asarray(time, dtype=np.int64)
    if window_ms == 0:
        return time
    offset = round(utc_offset_hours * _HOUR_MS)
    return (time + offset) // window_ms * window_ms - offset


def windowed_requests(user_offsets: np.ndarray, time: np.ndarray, window_ms: int, utc_offset_hours: float = 0.0) -> Requests:
    """Requests as windows of time: the events of a user in one window belong together and look back from its start.

    Args:
        user_offsets: int64 [users + 1].
        time: int64 [events], milliseconds, never decreasing within a user.
        window_ms: 0 joins equal timestamps alone.
    """
    start = window_start(time, window_ms, utc_offset_hours)
    return Requests(start, _firsts(user_offsets, np.diff(start, prepend=start[:1]) != 0))


def logged_requests(user_offsets: np.ndarray, time: np.ndarray, request_id: np.ndarray) -> Requests:
    """Requests as the log names them; each looks back from its first event.

    Requests of a user that overlap in time, or share their first moment with the end of another, become one: neither may
    see the other, and what an example sees must be an interval.

    Args:
        request_id: int [events], any numbers; the same number of two users means two requests.
    """
    events = len(time)
    if events == 0:
        return Requests(np.empty(0, np.int64), np.empty(0, np.int64))
    user = np.repeat(np.arange(len(user_offsets) - 1), np.diff(user_offsets))
    pair = user * (int(request_id.max()) + 1) + request_id
    _, group = np.unique(pair, return_inverse=True)
    last = np.zeros(int(group.max()) + 1, dtype=np.int64)
    np.maximum.at(last, group, np.arange(events))
    reach = np.maximum.accumulate(last[group])  # of users in turn: a user's reach never passes its own last event
    time = np.asarray(time, dtype=np.int64)
    new = np.ones(events, dtype=bool)
    new[1:] = (np.arange(1, events) > reach[:-1]) & (time[1:] != time[:-1])
    first = _firsts(user_offsets, new)
    return Requests(time[first], first)


def _firsts(user_offsets: np.ndarray, new: np.ndarray) -> np.ndarray:
    """int64 [events]: the latest position up to each event at which a user or, by `new`, a request begins."""
    new = new.copy()
    begins = np.asarray(user_offsets[:-1])
    new[begins[begins < len(new)]] = True
    return np.maximum.accumulate(np.where(new, np.arange(len(new)), 0))


def visible_intervals(
    user_offsets: np.ndarray, time: np.ndarray, start: np.ndarray, history_length: int, feedback_delay_ms: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """The visible history [lo_i, hi_i) of every event i, as positions in the event log.

    hi_i is the first event of the user that is not strictly earlier than the start of i's request (by `feedback_delay_ms` more
    if given): events of one request do not see each other. lo_i = max(first event of the user, hi_i - history_length).
    Both never decrease within a user, and hi_i <= i.

    Args:
        user_offsets: int64 [users + 1].
        time: int64 [events], milliseconds, never decreasing within a user.
        start: int64 [events], of `Requests`.

    Returns:
        lo, hi: int64 [events].
    """
    lo, hi = np.empty(len(time), dtype=np.int64), np.empty(len(time), dtype=np.int64)
    if len(time) == 0:
        return lo, hi
    low = int(time.min())
    span = int(time.max()) - low + 1
    # One sorted key for many users at a time; blocks keep user * span within int64.
    block = max(1, min(len(user_offsets) - 1, (2**62) // span))
    for first in range(0, len(user_offsets) - 1, block):
        last = min(first + block, len(user_offsets) - 1)
        begin, end = int(user_offsets[first]), int(user_offsets[last])
        user = np.repeat(np.arange(last - first, dtype=np.int64), np.diff(user_offsets[first : last + 1]))
        key = user * span + (np.asarray(time[begin:end]) - low)
        limit = user * span + np.maximum(np.asarray(start[begin:end]) - low - feedback_delay_ms, 0)
        hi[begin:end] = begin + np.searchsorted(key, limit, side="left")
        lo[begin:end] = np.maximum(user_offsets[first:last][user], hi[begin:end] - history_length)
    return lo, hi


def frozen_intervals(
    hi: np.ndarray, user_offsets: np.ndarray, role: np.ndarray, roles: tuple[int, ...], history_length: int
) -> tuple[np.ndarray, np.ndarray]:
    """The intervals when no example of `roles` sees an event of its own role: histories end where the role begins.

    Each bound moves back only, and stays in order within a user as long as the roles of a user follow each other in time.

    Args:
        hi: of `visible_intervals`.
        role: [events]; `roles`: those whose examples are frozen.
    """
    event = np.arange(len(hi))
    user = np.repeat(np.arange(len(user_offsets) - 1), np.diff(user_offsets))
    hi = hi.copy()
    for one in roles:
        mine = role == one
        first = np.full(len(user_offsets) - 1, len(hi))
        np.minimum.at(first, user[mine], event[mine])
        hi[mine] = np.minimum(hi[mine], first[user[mine]])
    return np.maximum(np.asarray(user_offsets)[user], hi - history_length), hi
