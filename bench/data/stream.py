"""Windows in which a log is gone through once: where each begins, and what is in it.

`stream-N` has N windows of about as many events each, for logs whose days differ widely or that hold few of them; `stream-days`
has the days of the log, by the clock of its zone. A day that would leave a window with one label, or with nothing to score, is
joined with what follows; what is left behind the last border, with what is before.

A request belongs to the window in which it begins. One that is still going on when the next window begins belongs to none: its
labels were not all there yet, and it is no part of what comes next either.
"""

from __future__ import annotations

import re

import numpy as np

from ..errors import UserError
from .columns import blocks
from .eventlog import EventLog
from .split_rows import AllRows, border_of

LEAST_WINDOWS = 3
"""To learn from, to validate by, to test."""
NAME = re.compile(r"stream-(?:(?P<days>days)|(?P<pieces>[1-9]\d{0,2}))")
_DAY_MS = 86_400_000
_HOUR_MS = 3_600_000


def edges_of(rows: AllRows, name: str) -> tuple[int, ...]:
    """Milliseconds at which the second and later windows begin, ascending.

    Raises:
        UserError: there would be fewer than LEAST_WINDOWS windows.
    """
    found = NAME.fullmatch(name)
    assert found is not None
    edges = _days(rows) if found["days"] else _pieces(rows, int(found["pieces"]))
    if len(edges) + 1 < LEAST_WINDOWS:
        raise UserError(
            f"split {name} leaves {len(edges) + 1} window(s) of {rows.log.meta.name}, and {LEAST_WINDOWS} are needed: one to "
            "learn from, one to validate by, one to test; choose another number of windows (stream-N), or a longer log"
        )
    return edges


def window_of(edges: tuple[int, ...], time: np.ndarray) -> np.ndarray:
    """int64 [n]: the window of each moment, from 0."""
    return np.searchsorted(np.array(edges, dtype=np.int64), time, side="right")


def check_labels(log: EventLog, name: str, edges: tuple[int, ...], used: np.ndarray) -> None:
    """Every window is learned from and all but the first are scored.

    Args:
        used: bool [events], of which a window is made.

    Raises:
        UserError: a window has no examples, or one label alone.
    """
    held = np.zeros((len(edges) + 1, 2), dtype=np.int64)
    for block in blocks(log.meta.events):
        event = block.start + np.flatnonzero(used[block] if log.asked is None else used[block] & log.asked[block])
        place = window_of(edges, log.time[event]) * 2 + log.label[event]
        held += np.bincount(place, minlength=held.size).reshape(held.shape)
    poor = ~held.all(1) if not log.positive_only else ~held.any(1)
    if poor.any():
        at = int(poor.argmax())
        raise UserError(
            f"split {name}: window {at + 1} of {len(held)} of {log.meta.name} has {held[at, 1]} positives and {held[at, 0]} "
            "negatives, and cannot be scored; choose fewer windows (stream-N)"
        )


def _pieces(rows: AllRows, pieces: int) -> tuple[int, ...]:
    return tuple(sorted({border_of(at / pieces, rows) for at in range(1, pieces)}))


def _days(rows: AllRows) -> tuple[int, ...]:
    offset = round(rows.log.meta.utc_offset_hours * _HOUR_MS)
    labels: dict[int, np.ndarray] = {}
    for events, part in rows.blocks():
        label = np.asarray(rows.log.label[events])
        if rows.log.asked is not None:
            label = label[rows.log.asked[events]]
        days, place = np.unique((part.start + offset) // _DAY_MS, return_inverse=True)
        counted = np.bincount(place * 2 + label, minlength=2 * len(days)).reshape(-1, 2)
        for day, count in zip(days.tolist(), counted, strict=True):
            labels[day] = labels.get(day, np.zeros(2, dtype=np.int64)) + count
    ends, held = [], np.zeros(2, dtype=np.int64)
    for day in sorted(labels):
        held = held + labels[day]
        if held.all() or (rows.log.positive_only and held.any()):
            ends.append(day + 1)
            held = np.zeros(2, dtype=np.int64)
    # The last window goes on to the end of the log.
    return tuple(day * _DAY_MS - offset for day in ends[:-1])
