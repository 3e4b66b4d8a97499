"""How far validation is from the test: epochs and settings are chosen by the first and judged by the second."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from .columns import Column
from .eventlog import EventLog
from .splits import Split
from .visibility import Requests

DAY_MS = 86_400_000

USER_EVENTS = {"0": (0, 0), "1-19": (1, 19), "20-49": (20, 49), "50+": (50, np.iinfo(np.int64).max)}
"""Parts of the rows by the training events of their user."""


@dataclass(frozen=True)
class RoleFacts:
    """Of the logged events of validation or test, each as one row. Days have 24 hours."""

    rows: int
    user_events: dict[str, float]
    """Part by training events of the user (0, 1-19, 20-49, 50+) -> its share of the rows."""
    user_gap_days: float | None
    """Median days from the user's last training event to the request, over rows whose user has one; 0 where training goes on
    after the request; null without such rows."""
    newest_days: float | None
    """Median age of the newest event that a row sees, over rows that see one; null without such rows."""
    older_30_days: float
    """Share of the rows whose middle visible event (the later of two) is older than 30 days."""
    older_180_days: float
    """The same for 180 days."""


@dataclass(frozen=True)
class ValidationMismatch:
    """The same facts of both: where they differ, what validation chooses need not be what the test would."""

    valid: RoleFacts
    test: RoleFacts

    def lines(self) -> Iterator[str]:
        """For people: what is compared, then validation, then test."""
        yield "is validation like the test? rows by training events of their user, and how old what they know is:"
        for name, facts in (("valid", self.valid), ("test", self.test)):
            shares = ", ".join(f"{part}: {share:.0%}" for part, share in facts.user_events.items())
            yield (
                f"  {name}: {shares}; median days since the user's last training event {_days(facts.user_gap_days)}, "
                f"since the newest visible event {_days(facts.newest_days)}; the middle visible event is older than 30 days in "
                f"{facts.older_30_days:.1%}, than 180 in {facts.older_180_days:.1%}"
            )


def mismatch(
    log: EventLog, split: Split, requests: Requests, lo: Column, hi: Column, time: Column | None = None
) -> ValidationMismatch:
    """Of a split of a log.

    Args:
        lo, hi: int64 [events], what each event sees.
        time: int64 [places], milliseconds, of the events that lo and hi count; None: of all.
    """
    time = log.time if time is None else time
    return ValidationMismatch(*(_facts(log, split, requests, lo, hi, time, role) for role in ("valid", "test")))


def _facts(log: EventLog, split: Split, requests: Requests, lo: Column, hi: Column, time: Column, role: str) -> RoleFacts:
    event = split.examples(role)
    user, start = log.user_of(event), requests.start[event]
    events, seen = split.user_events[user], hi[event] > lo[event]
    known, looking = events > 0, event[seen]
    gap = np.maximum(start[known] - split.user_last[user[known]], 0) / DAY_MS
    newest = (requests.start[looking] - time[hi[looking] - 1]) / DAY_MS
    middle = (requests.start[looking] - time[(lo[looking] + hi[looking]) // 2]) / DAY_MS
    return RoleFacts(
        rows=len(event),
        user_events={part: float(((low <= events) & (events <= high)).mean()) for part, (low, high) in USER_EVENTS.items()},
        user_gap_days=_median(gap),
        newest_days=_median(newest),
        older_30_days=float((middle > 30).sum() / len(event)),
        older_180_days=float((middle > 180).sum() / len(event)),
    )


def _median(values: np.ndarray) -> float | None:
    return round(float(np.median(values)), 6) if len(values) else None


def _days(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"
