"""Where a metric of one more seed lies, from those of the seeds that there are.

If training makes normal deviations, a new value minus the mean of n others has the variance s^2 (1 + 1/n), of which s^2 is
measured with n - 1 degrees of freedom. So it lies within mean +- t s sqrt(1 + 1/n) as often as the quantile t says (the
prediction interval of a normal sample; Hahn & Meeker 1991, section 4.7). Test users play no part: they are the same for all.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

from scipy import special

from .stats import Estimate

LEVEL = 0.95
"""Of all metrics that are asked together."""


def new_seed(values: Sequence[float], metrics: int = 1, level: float = LEVEL) -> Estimate:
    """The mean of n seeds, and the interval in which a new one lies.

    Args:
        values: [n] a metric of each seed.
        metrics: how many metrics are asked of the same seed; each gets its share of the error (Bonferroni).

    Returns:
        NaN where a value is.

    Raises:
        ValueError: there is one seed or none.
    """
    if len(values) < 2:
        raise ValueError("one seed does not say how far another may lie from it")
    mean = statistics.fmean(values)
    if math.isnan(mean):
        return Estimate(mean, mean, mean)
    tail = (1 - level) / (2 * metrics)
    half = float(special.stdtrit(len(values) - 1, 1 - tail)) * statistics.stdev(values) * math.sqrt(1 + 1 / len(values))
    return Estimate(mean, mean - half, mean + half)


def new_best(values: Sequence[float], level: float) -> float:
    """What one more value exceeds with probability 1 - level, from those that there are: one-sided; inf for fewer than three."""
    if len(values) < 3:
        return math.inf
    half = float(special.stdtrit(len(values) - 1, level)) * statistics.stdev(values) * math.sqrt(1 + 1 / len(values))
    return statistics.fmean(values) + half
