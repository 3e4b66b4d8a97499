"""Faults of rows: times, ties, repeats, requests that are cut, users of a single label."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import numpy as np

from ..data.dataset import RankingData
from ..data.sources.schema import HISTORY
from ..data.splits import TEST, TRAIN, VALID
from ..data.times import EARLIEST_MS, LATEST_MS
from .finding import Fault

TIED, REPEATED, CONFLICTING, AGAIN = 0.1, 0.001, 0.01, 0.01
"""Shares of the rows from which on ties, repeats, contradictions and rows logged again are told."""
AGAIN_MS = 10_000
"""A row of the same user and item within this time is taken for the same event."""
NEAR_MS, NEAR = 60_000, 0.05
"""A test row so soon after a training row of its user, and the share of such rows from which on they are told."""
FEW = 5
"""Rows of a user from which on a single label says something."""
ONE_LABEL, NEARLY_ALL = 0.5, 0.9
"""Shares of users: one label is told, one label is serious."""
_HOUR_MS, _DAY_MS = 3_600_000, 86_400_000


def times(data: RankingData) -> Iterator[Fault]:
    """Times that cannot be."""
    log = data.log
    time = np.asarray(log.time)
    first, last = int(time.min()), int(time.max())
    outside = int(((time < EARLIEST_MS) | (time > LATEST_MS)).sum()) if log.meta.calendar else 0
    if outside:
        shown = datetime.fromtimestamp((first if first < EARLIEST_MS else last) / 1000, UTC).strftime("%Y-%m-%d %H:%M")
        yield Fault(
            "time",
            "serious",
            f"{outside:,} of {len(time):,} rows lie before 1990 or after 2050, one at {shown} UTC.",
            "Look at these rows: a date of 1970 is a missing time or a wrong time_unit. Drop them, or mend time_unit or "
            "time_format.",
        )
    if last - first > 60 * 365 * _DAY_MS:
        years = (last - first) / (365 * _DAY_MS)
        yield Fault("time", "serious", f"The log spans {years:,.0f} years.", "Times have a larger unit than time_unit says.")
    elif last - first < _HOUR_MS and len(time) > 1000:
        minutes = (last - first) / 60_000
        yield Fault(
            "time",
            "serious",
            f"All {len(time):,} rows lie within {minutes:.1f} minutes.",
            "Times have a smaller unit than time_unit says, such as seconds read as ms.",
        )


def ties(data: RankingData) -> Iterator[Fault]:
    """Events of one user at one moment."""
    log = data.log
    same = np.diff(log.time) == 0
    same[np.asarray(log.user_offsets[1:-1]) - 1] = False
    # Rows that the log says were shown together are tied on purpose.
    apart = same if log.request_id is None else same & (np.diff(log.request_id) != 0)
    tied = np.zeros(log.meta.events, dtype=bool)
    tied[1:] |= apart
    tied[:-1] |= apart
    distinct = np.diff(np.concatenate([[0], np.cumsum(np.concatenate([[True], ~same]))])[log.user_offsets])
    several = np.diff(log.user_offsets) > 1
    frozen = float((distinct[several] == 1).mean()) if several.any() else 0.0
    whole_days = bool((np.asarray(log.time) % _DAY_MS == np.asarray(log.time[:1]) % _DAY_MS).all())
    days = " All times are whole days." if whole_days else ""
    if frozen > 0.5:
        yield Fault(
            "ties",
            "serious",
            f"{frozen:.0%} of the users with several rows have a single time: they have no history.{days}",
            "Find a finer time, or a column that says what came first; without one, rank without histories.",
        )
    elif tied.mean() > TIED:
        yield Fault(
            "ties",
            "look",
            f"{tied.mean():.0%} of the rows share user and time with another one.{days} They do not see each other; in later "
            "histories they stand in the order of their items.",
            "Use a finer time if there is one. What was shown together is a request: name its column, or set request_window to "
            "how long a page is looked at.",
        )


def repeats(data: RankingData) -> Iterator[Fault]:
    """Rows that say the same, or the contrary, twice."""
    log, report = data.log, data.log.meta.cleaning
    if report.conflicting > CONFLICTING * report.rows_read:
        yield Fault(
            "repeats",
            "serious",
            f"{report.conflicting:,} of {report.rows_read:,} rows have the user, item, time and request of another one and a "
            "different outcome; kept is the one with the positive label.",
            "Find out which of them is right: join outcomes to what was shown before conversion.",
        )
    if report.repeated > REPEATED * report.rows_read:
        yield Fault(
            "repeats",
            "look",
            f"{report.repeated:,} of {report.rows_read:,} rows are equal to another one, and were dropped.",
            "Find out why: a join that multiplies rows, or a file that is listed twice in other names.",
        )
    user, item, time = log.user[:], np.asarray(log.item), np.asarray(log.time)
    order = np.lexsort((np.arange(len(time)), item, user))
    again = (np.diff(user[order]) == 0) & (np.diff(item[order]) == 0) & (np.diff(time[order]) <= AGAIN_MS)
    if again.sum() > AGAIN * len(time):
        yield Fault(
            "repeats",
            "look",
            f"{again.mean():.1%} of the rows come within {AGAIN_MS // 1000} seconds of one of the same user and item.",
            f"If this is one event logged again: steps: [{{step: repeats, within: {AGAIN_MS // 1000}}}].",
        )


def both_sides(data: RankingData) -> Iterator[Fault]:
    """Requests of which a part is trained on and another one judged."""
    log, split = data.log, data.split
    if log.declared is not None:
        declared = np.asarray(log.declared)
        known = (declared != 0) & (declared != HISTORY)
        low, high = np.full(log.meta.events, 255, dtype=np.uint8), np.zeros(log.meta.events, dtype=np.uint8)
        np.minimum.at(low, data.request[known], declared[known])
        np.maximum.at(high, data.request[known], declared[known])
        request = data.request[:]
        cut = known & (low[request] != high[request])
        tests = int((declared == TEST).sum())
        if cut.any():
            requests = len(np.unique(data.request[cut]))
            share = int((cut & (declared == TEST)).sum()) / max(tests, 1)
            yield Fault(
                "both sides",
                "serious" if share > 0.01 else "look",
                f"The source's own split cuts through {requests:,} requests of {int(cut.sum()):,} rows, {share:.1%} of its test: "
                "what one part of a request got tells what the rest got. They are left out of every role here.",
                "Split by whole requests, or do not compare with numbers that others report on this split.",
            )
    test = split.examples("test")
    trained = np.where((split.role == TRAIN) | (split.role == VALID), np.arange(log.meta.events), -1)
    latest = np.maximum.accumulate(trained)[test]
    begin = np.asarray(log.user_offsets)[log.user_of(test)]
    near = (latest >= begin) & (log.time[test] - log.time[np.maximum(latest, 0)] <= NEAR_MS)
    if near.mean() > NEAR:
        yield Fault(
            "both sides",
            "look",
            f"{near.mean():.0%} of the test rows come within a minute of a row of the same user that is trained or validated on, "
            "in another request: the split may cut through what was one page.",
            "Set request_window to how long a page is looked at, or name a request column; or split by time for all users.",
        )


def one_label(data: RankingData) -> Iterator[Fault]:
    """Users of a single label."""
    log = data.log
    if log.positive_only:
        return
    asked = np.ones(log.meta.events, dtype=bool) if log.asked is None else log.asked[:]
    rows = np.bincount(log.user[asked], minlength=log.meta.users)
    positive = np.bincount(log.user[asked & (log.label == 1)], minlength=log.meta.users)
    several = rows >= FEW
    single = several & ((positive == 0) | (positive == rows))
    share = single.sum() / max(several.sum(), 1)
    if share > ONE_LABEL:
        yield Fault(
            "one label",
            "serious" if share > NEARLY_ALL else "look",
            f"{share:.0%} of the users with {FEW} rows or more have a single label, {int(single.sum()):,} users.",
            "Look at the label rule and at what is logged: rows of what was shown and not taken are missing if it is always 1. "
            "Metrics within a user or request leave these users out.",
        )
