"""Numbers that count rows which come later: of a user or an item in the whole log, or until some time after the row.

A number of a user or an item is held against what is counted of it in the whole log and in training; so is a number of events
that is the same in all rows of a user or an item. A number of events that changes is held against what had been counted before
each row, and against what would be counted until some time after it. Ranks are compared, in either direction, since the most
popular item may be number 1. Whether a count holds the row itself shows in how it changes from row to row.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import rankdata

from ..data.columns import Column, Computed, positions
from ..data.dataset import RankingData
from ..data.eventlog import EventLog, Multi, Owner
from ..data.sources.schema import Feature
from ..data.sources.values import as_numbers
from ..data.splits import TEST, TRAIN
from ..evaluation.metrics import auc
from .features import TELLS
from .finding import Fault
from .values import Values, counted, values_of

COUNTS, AHEAD = 0.95, 0.01
"""Rank correlation of a number of users or items with a count from which on it is that count; and how much more it must be with
the count of later rows than with that of earlier ones."""
NEARLY, NEARER, APART = 0.98, 4.0, 0.0001
"""The same where both correlations are high, because most rows come early, and for numbers that change from row to row: from
which correlation on; how much nearer to 1 than that with the earlier count; and what the two must differ by in any case."""
FEWEST = 30
"""Users or items that are seen both in training and later, at least, to say something of counts."""
SAME = 0.95
"""Share of the rows of users or items whose number never changes, from which on it is taken for a number of the user or item."""
ROWS = 500_000
"""Rows that numbers of events are looked at in: those of users or items drawn at random."""
_HOUR, _DAY = 3_600_000, 86_400_000
_AHEAD_DAYS = (1, 3, 7, 14, 30, 90, 365)
"""For how many days after a row counts may go on, as people choose such times."""


def counts(data: RankingData) -> Iterator[Fault]:
    """Numbers that count rows which come later."""
    log = data.log
    for ids in values_of(log, features=False):
        known = counted(ids, log, Computed(log.meta.events, lambda row: np.where(data.split.known[row], TRAIN, TEST)))
        rows = known[[TRAIN, TEST], :, 1:]
        drawn = None
        for owner, feature in log.meta.features:
            if owner not in (ids.owner, "context") or (values := numbers_of(log, feature)) is None:
                continue
            if owner == "context":
                drawn = drawn if drawn is not None else _draw(log, ids, rows)
                yield from _of_events(feature, values[drawn.event], drawn, ids.owner, rows)
            else:
                yield from _whole(f"{owner} feature {feature.column}", np.asarray(values[:]), rows, ids.owner)


def numbers_of(log: EventLog, feature: Feature) -> Column | None:
    """float [users, items or events]: a feature's numbers, NaN where there is none; None if it holds anything else.

    A category whose values are all numbers counts as one: a count may have been declared as such.
    """
    values = log.feature(feature.column)
    if isinstance(values, Multi):
        return None
    if feature.kind == "number":
        return values
    texts = log.dictionary(f"feature.{feature.column}")
    numbers = as_numbers(pd.Series(texts, dtype="str"))
    if not np.isfinite(numbers).any() or not np.isfinite(numbers[texts != ""]).all():
        return None
    return Computed(len(values), lambda row: numbers[values[row]])


def _whole(what: str, values: np.ndarray, rows: np.ndarray, owner: Owner) -> Iterator[Fault]:
    """
    Args:
        values: float [users or items].
        rows: int [2, 2, users or items], by label: those that training knows, and all the rest.
    """
    past, rest = rows
    whole = past + rest
    with np.errstate(invalid="ignore"):
        shares = [one[1] / one.sum(0) for one in (past, whole)]
    later = (past.sum(0) > 0) & (rest.sum(0) > 0)
    for counted_what, before, through, chosen in (
        ("a count of rows", past.sum(0), whole.sum(0), later),
        ("a count of positive rows", past[1], whole[1], later & (past[1] > 0) & (rest[1] > 0)),
        ("the share of positive rows", *shares, later),
    ):
        both = np.isfinite(values) & chosen
        if both.sum() < FEWEST or any(np.ptp(one[both]) == 0 for one in (values, through, before)):
            continue
        of_whole, of_past = _alike(values[both], through[both], before[both])
        if (of_whole >= COUNTS and of_whole > of_past + AHEAD) or _nearer(of_whole, of_past):
            yield Fault(
                "future",
                "serious",
                f"The {what} is {counted_what} of the whole log: rank correlation {of_whole:.3f} with that of each {owner}, "
                f"{of_past:.3f} with that of training alone.",
                f"Take it from before the first test row or leave it out: it says how often the {owner} will be met in the test, "
                "or with what outcome.",
            )
            return


def _nearer(of_later: float, of_past: float) -> bool:
    return of_later >= NEARLY and of_later > of_past + APART and NEARER * (1 - of_later) < 1 - of_past


def _alike(values: np.ndarray, *others: np.ndarray) -> list[float]:
    """Rank correlations of numbers with others, without their signs; 0 where all are equal."""
    ranks = rankdata(values)
    with warnings.catch_warnings(), np.errstate(invalid="ignore", divide="ignore"):
        warnings.simplefilter("ignore", RuntimeWarning)
        found = [abs(float(np.corrcoef(ranks, rankdata(other))[0, 1])) for other in others]
    return [0.0 if np.isnan(one) else one for one in found]


@dataclass(frozen=True)
class _Drawn:
    """All rows of some users or items, sorted by user or item and time."""

    event: np.ndarray
    """int64 [rows]: where they stand in the log."""
    owner: np.ndarray
    """int64 [rows]: 0.. of the users or items that were drawn, ascending."""
    code: np.ndarray
    """int64 [drawn]: their codes."""
    time: np.ndarray
    """int64 [rows], ms."""
    label: np.ndarray
    """int64 [rows]."""
    utc_offset_ms: int

    @property
    def begin(self) -> np.ndarray:
        """int64 [drawn + 1]: where the rows of each begin."""
        return np.searchsorted(self.owner, np.arange(len(self.code) + 1))

    def until(self, moment: np.ndarray) -> np.ndarray:
        """int64 [rows]: how many rows of its own user or item come before a moment.

        Args:
            moment: int64 [rows].
        """
        moments = np.unique(self.time)
        # One number for owner and time, in which the rows are ascending; times by their places: no date is too late for it.
        place = self.owner * (len(moments) + 1)
        rows = place + np.searchsorted(moments, self.time)
        return np.searchsorted(rows, place + np.searchsorted(moments, moment)) - self.begin[self.owner]

    def positive(self, rows: np.ndarray) -> np.ndarray:
        """int64 [rows]: how many of the first so many rows of its own user or item are positive."""
        total = np.append(0, np.cumsum(self.label))
        begin = self.begin[self.owner]
        return total[begin + rows] - total[begin]


def _draw(log: EventLog, ids: Values, rows: np.ndarray) -> _Drawn:
    """Users or items at random, as many as have ROWS rows at most, or those with the fewest rows, if these are too few; one in
    any case."""
    total = rows.sum((0, 1))
    order = np.random.default_rng(0).permutation(np.flatnonzero(total))
    fits = np.cumsum(total[order]) <= ROWS
    if fits.sum() < FEWEST:
        order = order[np.argsort(total[order], kind="stable")]
        fits = np.cumsum(total[order]) <= ROWS
    fits[0] = True
    chosen = np.zeros(len(total), dtype=bool)
    chosen[order[fits]] = True
    event = positions(log.meta.events, lambda block: chosen[ids.codes[block]], log.near)
    code, owner = np.unique(ids.codes[event], return_inverse=True)
    time = log.time[event]
    place = np.lexsort((time, owner))
    offset = round(log.meta.utc_offset_hours * _HOUR)
    return _Drawn(event[place], owner[place], code, time[place], log.label[event[place]].astype(np.int64), offset)


def _of_events(feature: Feature, values: np.ndarray, drawn: _Drawn, owner: Owner, rows: np.ndarray) -> Iterator[Fault]:
    """
    Args:
        values: float [rows drawn].
        rows: int [2, 2, users or items], as for `_whole`.
    """
    known = np.isfinite(values)
    if min(len(drawn.code), len(np.unique(drawn.owner[known]))) < FEWEST:
        return
    one = _constant(values, known, drawn)
    if one is not None:
        yield from _whole(f"context feature {feature.column}", one, rows[..., drawn.code], owner)
        return
    tells = _change_tells(values, known, drawn)
    if tells >= TELLS:
        yield Fault(
            "leak",
            "serious",
            f"The context feature {feature.column} holds the row's own outcome: how it changes from one row of the {owner} to "
            f"the next tells the label of the latter, with an AUC of {tells:.3f}.",
            "Count what had happened before the row.",
        )
        return
    of_later, of_past, counted_what = 0.0, 0.0, ""
    for what, past, later in _later(drawn):
        one, other = _alike(values[known], later[known], past[known])
        if one > of_later and _nearer(one, other):
            of_later, of_past, counted_what = one, other, what
    if counted_what:
        yield Fault(
            "future",
            "serious",
            f"The context feature {feature.column} counts {counted_what} of the {owner}: rank correlation {of_later:.4f} with "
            f"that count, {of_past:.4f} with the one before the row.",
            "Count what had happened before the row alone, or leave it out: it tells what comes after it.",
        )


def _change_tells(values: np.ndarray, known: np.ndarray, drawn: _Drawn) -> float:
    """AUC, of .5 or more, of the change since the row before of the same user or item as the score of a row's label."""
    follows = (np.diff(drawn.owner) == 0) & known[1:] & known[:-1]
    change, positive = np.diff(values)[follows], drawn.label[1:][follows] == 1
    if min(positive.sum(), (~positive).sum()) < FEWEST:
        return 0.5
    found = auc(positive, change)
    return max(found, 1 - found)


def _constant(values: np.ndarray, known: np.ndarray, drawn: _Drawn) -> np.ndarray | None:
    """float [drawn]: the number of each user or item, if it is the same in all rows of nearly all that have several."""
    size = len(drawn.code)
    least, most = np.full(size, np.inf), np.full(size, -np.inf)
    np.minimum.at(least, drawn.owner[known], values[known])
    np.maximum.at(most, drawn.owner[known], values[known])
    number = np.bincount(drawn.owner[known], minlength=size)
    several = number > 1
    same = several & (least == most)
    if not several.any() or number[same].sum() < SAME * number[several].sum():
        return None
    return np.where(least == most, least, np.nan)


def _later(drawn: _Drawn) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """What is counted, the count before each row, and one that knows what is later."""
    before, clock = drawn.until(drawn.time), drawn.time + drawn.utc_offset_ms
    positive = drawn.positive(before)
    ends = (
        ("in the whole log", None),
        ("until the end of the row's hour", (clock // _HOUR + 1) * _HOUR - drawn.utc_offset_ms),
        ("until the end of the row's day", (clock // _DAY + 1) * _DAY - drawn.utc_offset_ms),
        ("until the end of the row's day in UTC", (drawn.time // _DAY + 1) * _DAY),
        *((f"until {days} {'day' if days == 1 else 'days'} after the row", drawn.time + days * _DAY) for days in _AHEAD_DAYS),
    )
    for said, end in ends:
        through = np.diff(drawn.begin)[drawn.owner] if end is None else drawn.until(end)
        yield f"rows {said}", before, through
        yield f"positive rows {said}", positive, drawn.positive(through)
