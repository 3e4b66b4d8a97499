"""What an example may see: the interval [lo, hi) of its user's events. The only place where this is decided."""

from __future__ import annotations

import numpy as np


def visible_intervals(
    user_offsets: np.ndarray, time: np.ndarray, history_length: int, feedback_delay_ms: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """The visible history [lo_i, hi_i) of every event i, as positions in the event log.

    hi_i is the first event of the user that is not strictly earlier than i (by `feedback_delay_ms` more if given): events
    that share a timestamp do not see each other. lo_i = max(first event of the user, hi_i - history_length).
    Both never decrease within a user, and hi_i <= i.

    Args:
        user_offsets: int64 [users + 1].
        time: int64 [events], milliseconds, never decreasing within a user.

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
        since_low = np.asarray(time[begin:end]) - low
        key = user * span + since_low
        limit = user * span + np.maximum(since_low - feedback_delay_ms, 0)
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
