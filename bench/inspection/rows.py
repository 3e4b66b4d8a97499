"""Faults of rows: times, ties, repeats, requests that are cut, users of a single label."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import numpy as np

from ..data.columns import blocks, user_blocks
from ..data.dataset import RankingData
from ..data.sources.schema import HISTORY
from ..data.splits import TEST, TRAIN, UNUSED, VALID
from ..data.times import EARLIEST_MS, LATEST_MS
from .finding import Fault

TIED, REPEATED, CONFLICTING, AGAIN = 0.1, 0.001, 0.01, 0.01
"""Shares of the rows from which on ties, repeats, contradictions and rows logged again are told."""
AGAIN_MS = 10_000
"""A row of the same user, item and action within this time is taken for the same event."""
NEAR_MS, NEAR = 60_000, 0.05
"""A test row so soon after a training row of its user, and the share of such rows from which on they are told."""
FEW = 5
"""Rows of a user from which on a single label says something."""
ONE_LABEL, NEARLY_ALL = 0.5, 0.9
"""Shares of users: one label is told, one label is serious."""
_HOUR_MS, _DAY_MS = 3_600_000, 86_400_000


def wrong_times(data: RankingData) -> Iterator[Fault]:
    """Times that cannot be."""
    log = data.log
    first, last, outside = int(log.time.min()), int(log.time.max()), 0
    if log.meta.calendar:
        times = (log.time[block] for block in blocks(log.meta.events))
        outside = sum(int(((time < EARLIEST_MS) | (time > LATEST_MS)).sum()) for time in times)
    if outside:
        shown = datetime.fromtimestamp((first if first < EARLIEST_MS else last) / 1000, UTC).strftime("%Y-%m-%d %H:%M")
        yield Fault(
            "time",
            "serious",
            f"{outside:,} of {log.meta.events:,} rows lie before 1990 or after 2050, one at {shown} UTC.",
            "Look at these rows: a date of 1970 is a missing time or a wrong time_unit. Drop them, or mend time_unit or "
            "time_format.",
        )
    if last - first > 60 * 365 * _DAY_MS:
        years = (last - first) / (365 * _DAY_MS)
        yield Fault("time", "serious", f"The log spans {years:,.0f} years.", "Times have a larger unit than time_unit says.")
    elif last - first < _HOUR_MS and log.meta.events > 1000:
        minutes = (last - first) / 60_000
        yield Fault(
            "time",
            "serious",
            f"All {log.meta.events:,} rows lie within {minutes:.1f} minutes.",
            "Times have a smaller unit than time_unit says, such as seconds read as ms.",
        )


def ties(data: RankingData) -> Iterator[Fault]:
    """Events of one user at one moment."""
    log = data.log
    tied, frozen, several, odd, first = 0, 0, 0, 0, int(log.time[0])
    for users, events in user_blocks(log.user_offsets):
        time, offsets = np.asarray(log.time[events]), log.user_offsets[users.start : users.stop + 1] - events.start
        same = np.diff(time) == 0
        same[offsets[1:-1] - 1] = False
        # Rows that the log says were shown together are tied on purpose.
        apart = same if log.request_id is None else same & (np.diff(log.request_id[events]) != 0)
        tied += int(np.count_nonzero(np.append(apart, False) | np.insert(apart, 0, False)))
        moments = np.diff(np.insert(np.cumsum(np.insert(~same, 0, True)), 0, 0)[offsets])
        more = np.diff(offsets) > 1
        several += int(more.sum())
        frozen += int((moments[more] == 1).sum())
        odd += int(np.count_nonzero((time - first) % _DAY_MS))
    single, whole_days = frozen / max(several, 1), odd == 0
    days = " All times are whole days." if whole_days else ""
    if single > 0.5:
        yield Fault(
            "ties",
            "serious",
            f"{single:.0%} of the users with several rows have a single time: they have no history.{days}",
            "Find a finer time, or a column that says what came first; without one, rank without histories.",
        )
    elif tied > TIED * log.meta.events:
        yield Fault(
            "ties",
            "look",
            f"{tied / log.meta.events:.0%} of the rows share user and time with another one.{days} They do not see each "
            "other; in later histories they stand in the order of their items.",
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
    again = 0
    for events, user in log.users_of_blocks():
        time, told = log.time[events], (user, log.item[events], log.action[events])
        order = np.lexsort((np.arange(len(time)), *told[::-1]))
        same = np.all([np.diff(one[order]) == 0 for one in told], axis=0)
        again += int((same & (np.diff(time[order]) <= AGAIN_MS)).sum())
    if again > AGAIN * log.meta.events:
        yield Fault(
            "repeats",
            "look",
            f"{again / log.meta.events:.1%} of the rows come within {AGAIN_MS // 1000} seconds of one of the same user, item and "
            "action.",
            f"If this is one event logged again: steps: [{{step: repeats, within: {AGAIN_MS // 1000}}}].",
        )


def both_sides(data: RankingData) -> Iterator[Fault]:
    """Requests of which a part is trained on and another one judged."""
    yield from _cut_requests(data)
    log, split = data.log, data.split
    tests, near = 0, 0
    for events, user in log.users_of_blocks():
        role, time = split.role[events], log.time[events]
        trained = np.maximum.accumulate(np.where((role == TRAIN) | (role == VALID), np.arange(len(role)), -1))
        test = np.flatnonzero(role == TEST)
        latest = trained[test]
        same = (latest >= 0) & (user[np.maximum(latest, 0)] == user[test])
        tests += len(test)
        near += int((same & (time[test] - time[np.maximum(latest, 0)] <= NEAR_MS)).sum())
    if near > NEAR * tests:
        yield Fault(
            "both sides",
            "look",
            f"{near / tests:.0%} of the test rows come within a minute of a row of the same user that is trained or validated "
            "on, in another request: the split may cut through what was one page.",
            "Set request_window to how long a page is looked at, or name a request column; or split by time for all users.",
        )


def _cut_requests(data: RankingData) -> Iterator[Fault]:
    """Requests that the source's own split cuts through."""
    log = data.log
    if log.declared is None:
        return
    requests, rows, lost, tests = 0, 0, 0, 0
    for _, events in user_blocks(log.user_offsets):
        declared, request = np.asarray(log.declared[events]), data.request[events] - events.start
        known = (declared != UNUSED) & (declared != HISTORY)
        low, high = np.full(len(declared), 255, dtype=np.uint8), np.zeros(len(declared), dtype=np.uint8)
        np.minimum.at(low, request[known], declared[known])
        np.maximum.at(high, request[known], declared[known])
        cut = known & (low[request] != high[request])
        requests += len(np.unique(request[cut]))
        rows += int(cut.sum())
        tests += int((declared == TEST).sum())
        lost += int((cut & (declared == TEST)).sum())
    if rows:
        share = lost / max(tests, 1)
        yield Fault(
            "both sides",
            "serious" if share > 0.01 else "look",
            f"The source's own split cuts through {requests:,} requests of {rows:,} rows, {share:.1%} of its test: "
            "what one part of a request got tells what the rest got. They are left out of every role here.",
            "Split by whole requests, or do not compare with numbers that others report on this split.",
        )


def one_label(data: RankingData) -> Iterator[Fault]:
    """Users of a single label."""
    log = data.log
    if log.positive_only:
        return
    rows, positive = np.zeros(log.meta.users, dtype=np.int64), np.zeros(log.meta.users, dtype=np.int64)
    for events, user in log.users_of_blocks():
        asked = slice(None) if log.asked is None else log.asked[events]
        np.add.at(rows, user[asked], 1)
        np.add.at(positive, user[asked], log.label[events][asked])
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
