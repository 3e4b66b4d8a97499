"""How much training the same model again would change a metric: a variance over few seeds, made surer by that of other models.

Three seeds hardly tell a variance: it is off by a factor of two and more in half of the cases. The other models of the same table
help as far as they are alike: each variance is drawn towards a common one, by as much as the spread of the variances over models
is no larger than chance would make it (moderated variances, Smyth 2004, Stat. Appl. Genet. Mol. Biol. 3:3). Where models differ
much in their noise, each keeps nearly its own; where they do not, it leans on all. The common variance is itself measured, by all
seeds together, and what is borrowed from it is as unsure as that: two models that share it err together.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.special import digamma, polygamma

Known = Literal["measured", "none", "of others", "unknown"]
"""measured: from several seeds. none: all seeds agree to the last digit, training has no chance in it. of others: one seed, so
that its noise is taken to be that of the other models. unknown: one seed, and no other model has several."""

MOST_WORTH = 4.0
"""Degrees of freedom that the common variance is worth at most. Few seeds hardly show how unlike models are in their noise, and
real ones are: without a bound, those of much noise are called different from themselves in twice as many cases as they should
be."""

SAME = 1e-12
"""Values of a metric that lie closer are one."""


@dataclass(frozen=True)
class TrainingNoise:
    """Of several models, in their order."""

    variance: np.ndarray
    """[M], of a single seed's value; NaN where it is unknown."""
    freedom: np.ndarray
    """[M], degrees of freedom of the variance if the common one were certain; inf where there is no noise."""
    borrowed: np.ndarray
    """[M], what the common variance contributes to each."""
    pooled: float
    """Degrees of freedom of the common variance."""
    known: tuple[Known, ...]


def training_noise(values: Sequence[np.ndarray]) -> TrainingNoise:
    """Moderated variances over seeds.

    Args:
        values: by model, the metric of each seed on the same examples.
    """
    measured = [len(of) > 1 and float(np.ptp(of)) > SAME for of in values]
    own = np.array([of.var(ddof=1) for of, has in zip(values, measured, strict=True) if has])
    own_freedom = np.array([len(of) - 1.0 for of, has in zip(values, measured, strict=True) if has])
    common, worth = prior(own, own_freedom)
    variance, freedom, borrowed = np.zeros(len(values)), np.full(len(values), math.inf), np.zeros(len(values))
    known: list[Known] = []
    for at, of in enumerate(values):
        if len(of) > 1 and not measured[at]:
            known.append("none")
        elif len(of) == 1 and not worth > 0:
            variance[at] = freedom[at] = borrowed[at] = math.nan
            known.append("unknown")
        else:
            pull = worth / (worth + (len(of) - 1))
            borrowed[at] = pull * common
            variance[at] = borrowed[at] + ((1 - pull) * float(of.var(ddof=1)) if pull < 1 else 0.0)
            freedom[at] = worth + len(of) - 1
            known.append("measured" if len(of) > 1 else "of others")
    return TrainingNoise(variance, freedom, borrowed, float(own_freedom.sum()), tuple(known))


def prior(variance: np.ndarray, freedom: np.ndarray) -> tuple[float, float]:
    """The common variance, and how many degrees of freedom it is worth (Smyth 2004, section 6.2).

    Args:
        variance: [m], above zero. freedom: [m], of each.

    Returns:
        The variance and its worth: MOST_WORTH where the variances are hardly more unlike than chance makes them, and 0 with fewer
        than two.
    """
    if len(variance) < 2:
        return (float(variance[0]) if len(variance) else math.nan), 0.0
    # A variance that is almost zero by luck would decide alone by its logarithm.
    floor = 1e-5 * float(np.median(variance))
    level = np.log(np.maximum(variance, floor)) - digamma(freedom / 2) + np.log(freedom / 2)
    beyond = float(level.var(ddof=1) - polygamma(1, freedom / 2).mean())
    if beyond <= 0:
        return float((variance * freedom).sum() / freedom.sum()), MOST_WORTH
    worth = 2 * _inverse_trigamma(beyond)
    return float(np.exp(level.mean() + digamma(worth / 2) - math.log(worth / 2))), min(worth, MOST_WORTH)


def _inverse_trigamma(value: float) -> float:
    """y with trigamma(y) = value, by Newton's method on 1 / trigamma, which is convex (Smyth 2004, appendix)."""
    y = 0.5 + 1 / value
    for _ in range(50):
        trigamma = float(polygamma(1, y))
        step = trigamma * (1 - trigamma / value) / float(polygamma(2, y))
        y += step
        if -step < 1e-10 * y:
            break
    return y
