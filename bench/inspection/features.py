"""Faults of features: those that tell the label alone, and those that know the future."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from scipy.stats import rankdata

from ..data.columns import Column, Computed, blocks, order_statistics
from ..data.dataset import RankingData
from ..data.eventlog import EventLog
from ..data.sources.schema import Feature
from ..data.splits import KNOWN, TEST, TRAIN, VALID
from .finding import Fault
from .values import Values, counted, values_of

TELLS = 0.95
"""AUC from which on a feature alone is a leak candidate."""
PRIOR = 2.0
"""Rows at the base rate that are added to those of a value."""
COUNTS, AHEAD = 0.95, 0.01
"""Rank correlation of a feature with a count from which on it is that count; and how much more it must be with the count of all
rows than with that of training."""
FEWEST = 30
"""Users or items that are seen both in training and later, at least, to say something of counts."""
FILLED = 0.2
"""Difference between the shares of missing values from which on it is told."""
_LATE = KNOWN + 1
"""Role of the later half of training, beside those of a split."""


def alone(fit: np.ndarray, asked: np.ndarray) -> float:
    """AUC of a column's own rates as scores; NaN if a label is missing among what is asked about, or nothing was learned.

    Args:
        fit, asked: int [2, values], rows by label and value: those that rates are learned on, and those that they are judged on.
    """
    if not fit.any():
        return math.nan
    score = (fit[1] + PRIOR * fit[1].sum() / fit.sum()) / (fit.sum(0) + PRIOR)
    place = np.unique(score, return_inverse=True)[1]
    negative, positive = (np.bincount(place, rows) for rows in asked)
    below = np.cumsum(negative) - negative
    pairs = positive.sum() * negative.sum()
    return float((positive * (below + negative / 2)).sum() / pairs) if pairs else math.nan


def leaks(data: RankingData) -> Iterator[Fault]:
    """Columns that tell the label of later rows alone."""
    if data.log.positive_only:
        return
    halves = _halves(data)
    for values in values_of(data.log):
        rows = counted(values, data.log, halves)
        later = alone(rows[TRAIN] + rows[_LATE], rows[VALID] + rows[TEST])
        # Within training too: a column may be filled in there alone.
        within = alone(rows[TRAIN], rows[_LATE])
        if np.nanmax([later, within, 0.0]) >= TELLS:
            what = f"The {values.owner}'s id" if values.owner == values.name else f"The {values.owner} feature {values.name}"
            in_training = "" if math.isnan(within) else f", {within:.3f} on later training rows"
            yield Fault(
                "leak",
                "serious",
                f"{what} alone tells the label: AUC {later:.3f} on validation and test{in_training}.",
                "If it is an outcome (what happened after the item was shown), list it under action, never among the features. "
                "If ids tell it, look at how rows without the outcome were made.",
            )


def _halves(data: RankingData) -> Column:
    """uint8 [events]: roles, the later half of training, by time, as _LATE."""
    log, role = data.log, data.split.role

    def training() -> Iterator[np.ndarray]:
        return (log.time[block][role[block] == TRAIN] for block in blocks(log.meta.events))

    middle = order_statistics(training, [sum(map(len, training())) // 2])[0]
    return Computed(log.meta.events, lambda row: np.where((role[row] == TRAIN) & (log.time[row] >= middle), _LATE, role[row]))


def futures(data: RankingData) -> Iterator[Fault]:
    """Columns that know what comes after training."""
    yield from _counts(data)
    yield from _filled_in(data)


def _counts(data: RankingData) -> Iterator[Fault]:
    """Numbers of users and items that are counts of all rows, the test included."""
    log = data.log
    for ids in values_of(log, features=False):
        rows = counted(ids, log, Computed(log.meta.events, lambda row: np.where(data.split.known[row], TRAIN, TEST)))[..., 1:]
        for owner, feature in log.meta.features:
            if owner == ids.owner and feature.kind == "number":
                yield from _is_count(log, ids, feature, rows)


def _is_count(log: EventLog, ids: Values, feature: Feature, rows: np.ndarray) -> Iterator[Fault]:
    """
    Args:
        rows: int [roles, 2, users or items], by label; training, and all the rest as the test.
    """
    values = log.column(f"feature.{feature.column}")
    for what, labels in (("rows", [0, 1]), ("positive rows", [1])):
        past = rows[TRAIN, labels].sum(0)
        whole = past + rows[TEST, labels].sum(0)
        both = np.isfinite(values) & (past > 0) & (whole > past)
        if both.sum() < FEWEST or any(np.ptp(one[both]) == 0 for one in (values, whole, past)):
            continue
        ranks = rankdata(values[both])
        of_whole, of_past = (float(np.corrcoef(ranks, rankdata(one[both]))[0, 1]) for one in (whole, past))
        if of_whole >= COUNTS and of_whole > of_past + AHEAD:
            yield Fault(
                "future",
                "serious",
                f"The {ids.owner} feature {feature.column} is a count of {what} of the whole log: rank correlation "
                f"{of_whole:.3f} with that count, {of_past:.3f} with that of training alone.",
                "Take the feature from before the first test row, or leave it out: it says how often the "
                f"{ids.owner} will be met in the test.",
            )
            return


def _filled_in(data: RankingData) -> Iterator[Fault]:
    """Columns that are missing in one period and there in another."""
    for values in values_of(data.log, ids=False):
        rows = counted(values, data.log, data.split.role).sum(1)
        before, after = (float(rows[role, 0] / rows[role].sum()) for role in (TRAIN, TEST))
        if abs(before - after) > FILLED:
            yield Fault(
                "future",
                "look",
                f"The {values.owner} feature {values.name} is missing in {before:.0%} of training and in {after:.0%} of the "
                "test.",
                "Find out when it is filled in: a value that comes after the event carries the future into the past, and one "
                "that stops coming cannot be learned from.",
            )
