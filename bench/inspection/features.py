"""Faults of features: those that tell the label alone, and those that are filled in later."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from ..data.columns import Column, Computed, blocks, order_statistics
from ..data.dataset import RankingData
from ..data.splits import KNOWN, TEST, TRAIN, VALID
from .finding import Fault
from .values import counted, values_of

TELLS = 0.95
"""AUC from which on a feature alone is a leak candidate."""
PRIOR = 2.0
"""Rows at the base rate that are added to those of a value."""
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


def filled_in(data: RankingData) -> Iterator[Fault]:
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
