"""Critical values that hold for many comparisons at once, of estimates whose errors depend on each other.

Every comparison has its own degrees of freedom, so that a common multiple of the standard errors would be too small for some and
too large for others. What is common is the probability: c is the 95% quantile of the largest |normal deviate| over the
comparisons, from their covariance (max-t; Romano & Wolf 2005), and each comparison gets the quantile of its own t distribution at
the same probability. Deviates are drawn from one fixed seed, by sums of a fixed order: no library for products of matrices takes
part, and all numbers are the same on every processor.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy import special

DRAWS = 4000

ROUNDING = 1e-12
"""Differences of metrics, and standard errors, below this are rounding."""


SINGLE = float(special.ndtri(0.975))
"""Of a single comparison."""

ONE_SIDED = float(special.ndtri(0.95))
"""Of a single comparison whose sign is known."""

POWER = float(special.ndtri(0.8))
"""80% quantile of a normal variable."""


def root(covariance: np.ndarray) -> np.ndarray:
    """Lower triangular L with L L' = covariance [M, M], which may be singular: Cholesky's method without a library's sums."""
    rest, lower = np.array(covariance, dtype=np.float64), np.zeros_like(covariance, dtype=np.float64)
    least = 1e-12 * float(np.max(np.diag(rest), initial=0.0))
    for at in range(len(rest)):
        if rest[at, at] > least:
            lower[at:, at] = rest[at:, at] / math.sqrt(rest[at, at])
            rest -= np.outer(lower[:, at], lower[:, at])
    return lower


def normal_errors(covariance: np.ndarray, draws: int = DRAWS, seed: int = 0) -> np.ndarray:
    """[draws, M] with this covariance [M, M]."""
    lower = root(covariance)
    errors = np.zeros((draws, len(lower)))
    for at, deviate in enumerate(np.random.default_rng(seed).standard_normal((len(lower), draws))):
        errors += deviate[:, None] * lower[:, at]
    return errors


def largest(errors: np.ndarray, pairs: Sequence[tuple[int, int]]) -> float:
    """95% quantile of the largest |deviate| over differences of errors [draws, M]; SINGLE for one of them.

    Args:
        pairs: columns of the errors.
    """
    worst, found = np.zeros(len(errors)), 0
    for one, other in pairs:
        difference = errors[:, one] - errors[:, other]
        scale = math.sqrt(float((difference * difference).mean()))
        if scale > ROUNDING:
            np.maximum(worst, np.abs(difference) / scale, out=worst)
            found += 1
    # A quantile of draws is known to two digits: more would only carry the last digits of a sum.
    return round(float(np.quantile(worst, 0.95)), 4) if found > 1 else SINGLE


def largest_ahead(errors: np.ndarray, at: int, others: Sequence[int]) -> float:
    """95% quantile of the largest deviate, one-sided, of the differences of others to one: 1.64 for a single one.

    Args:
        errors: [draws, M]. at, others: columns of it.
    """
    worst, found = np.full(len(errors), -math.inf), False
    for other in others:
        difference = errors[:, other] - errors[:, at]
        scale = math.sqrt(float((difference * difference).mean()))
        if scale > ROUNDING:
            np.maximum(worst, difference / scale, out=worst)
            found = True
    return round(float(np.quantile(worst, 0.95)), 4) if found else SINGLE


def t_quantile(normal: float, freedom: float) -> float:
    """The quantile of a t distribution at the probability of a normal one."""
    return normal if math.isinf(freedom) else float(special.stdtrit(freedom, special.ndtr(normal)))
