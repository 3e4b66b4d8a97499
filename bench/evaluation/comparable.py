"""How many test rows stand in a request that holds both labels: what ranking within a request can be judged on, by window.

A window that is too short leaves little to judge; one that is too long hides from every example what its user just did. Which
one a data set has is decided by this table and by what a request is there, before any model is looked at.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..data.eventlog import EventLog
from ..data.splits import make_split
from ..data.visibility import requests_of
from ..errors import UserError

WINDOWS = (0.0, 60.0, 600.0, 3600.0, 86_400.0)
"""Seconds: equal timestamps, a minute, ten minutes, an hour, a day."""


@dataclass(frozen=True)
class Comparable:
    """Of the test examples under one definition of a request."""

    window: float | None
    """Seconds; None for the requests that the log names."""
    test_rows: int
    rows: int
    """In requests with both labels."""
    requests: int
    """With both labels."""
    users: int
    """Of these requests."""
    hidden: float
    """Median over test rows of the earlier events of the user that the request hides, because they belong to it."""


def comparable(log: EventLog, split: str, window: float | None) -> Comparable:
    """Of the test examples of a split.

    Raises:
        UserError: the split does not exist or is impossible.
    """
    requests = requests_of(log, window)
    test = make_split(log, split, requests).examples("test")
    _, group, count = np.unique(requests.first[test], return_inverse=True, return_counts=True)
    positives = np.bincount(group, weights=log.label[test])
    mixed = (positives > 0) & (positives < count)
    chosen = mixed[group]
    return Comparable(
        window=window,
        test_rows=len(test),
        rows=int(chosen.sum()),
        requests=int(mixed.sum()),
        users=len(np.unique(log.user_of(test[chosen]))),
        hidden=float(np.median(test - requests.first[test])),
    )


def about_windows(log: EventLog, split: str) -> list[str]:
    """Lines for `data describe`: the data set's own definition of a request, then the usual windows."""
    own = log.defaults.request_window
    lines = ["test rows in requests with both labels, by what a request is (data.request_window; docs/ideas/requests.md):"]
    for window in dict.fromkeys((own, *WINDOWS)):
        name = "as logged" if window is None else "equal timestamps" if window == 0 else f"{window:,.0f} s"
        lines.append(f"  {name}{' (default)' if window == own else ''}: {_said(log, split, window)}")
    return lines


def _said(log: EventLog, split: str, window: float | None) -> str:
    try:
        found = comparable(log, split, window)
    except UserError as error:  # long windows can leave a short log without a split, which says nothing of the others
        return str(error)
    return (
        f"{found.rows:,} of {found.test_rows:,} rows in {found.requests:,} requests of {found.users:,} users; "
        f"{found.hidden:.0f} earlier events of the same request are hidden (median)"
    )
