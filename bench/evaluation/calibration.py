"""Calibration error, and the floor under it: what the probabilities would show if every one of them were right."""

from __future__ import annotations

import math

import numpy as np

from .pairs import checked_arrays, tied_runs

BINS = 15

EXACT = 64
"""Examples of a bin up to which its floor is computed exactly."""

RARE = 4.0
"""Variance of a larger bin's positives below which they are taken as Poisson."""


def checked_probabilities(label: np.ndarray, probability: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Labels as bool [n] and probabilities as float64 [n].

    Raises:
        ValueError: as `checked_arrays`, or a probability lies outside [0, 1].
    """
    positive, probability = checked_arrays(label, probability)
    if len(probability) and not 0 <= probability.min() <= probability.max() <= 1:
        raise ValueError(f"probabilities must be in [0, 1], not {probability.min()} to {probability.max()}")
    return positive, probability


def quantile_bins(score: np.ndarray, bins: int = BINS) -> tuple[np.ndarray, np.ndarray]:
    """Bins of equally many examples by their score, equal scores in one bin: that of their middle.

    So a bin does not depend on the order of the rows, bins are equal up to ties, and a constant score is a single bin.

    Args:
        score: [n].

    Returns:
        int64 [n] that sorts the scores, and int64 [n] with the bin (0 to bins - 1) of each in that order.
    """
    order = np.argsort(score, kind="stable")
    run, begin, end = tied_runs(np.zeros(len(order), dtype=np.int64), score[order])
    return order, (bins * (begin + end) // (2 * len(order)))[run] if len(order) else run


def expected_calibration_error(label: np.ndarray, probability: np.ndarray, bins: int = BINS) -> float:
    """Mean |mean prediction - observed rate| over `quantile_bins`, weighted by examples; NaN without examples."""
    positive, probability = checked_probabilities(label, probability)
    if not len(probability):
        return math.nan
    order, place = quantile_bins(probability, bins)
    # Equal scores may stand in any order, their labels not: labels are counted, and only scores are summed.
    gaps = np.bincount(place, weights=probability[order]) - np.bincount(place, weights=positive[order])
    return float(np.abs(gaps).sum() / len(order))


def calibration_floor(probability: np.ndarray, bins: int = BINS) -> float:
    """Expected `expected_calibration_error` if each label were drawn with exactly its predicted probability, independently.

    It is not zero: of n examples, a bin's observed rate scatters around its mean prediction. With v the sum of p (1 - p) over a
    bin, E|S - mean| of its sum of labels S is exact for bins of up to EXACT examples (by recursion). Above, it is that of a
    Poisson variable where v is below RARE, too large by a share of at most the bin's mean p (or 1 - p), and else that of a normal
    one, sqrt(2 v / pi), within a share of 1 / (8 v).

    Args:
        probability: [n].

    Returns:
        NaN without examples.
    """
    probability = np.asarray(probability, dtype=np.float64)
    if not len(probability):
        return math.nan
    order, place = quantile_bins(probability, bins)
    ordered = probability[order]
    variance = np.bincount(place, weights=ordered * (1 - ordered), minlength=bins)
    count = np.bincount(place, minlength=bins)
    mean = np.bincount(place, weights=ordered, minlength=bins)
    expected = np.sqrt(2 / math.pi * variance)
    ends = np.cumsum(count)
    for at in np.flatnonzero((count > 0) & ((count <= EXACT) | (variance < RARE))):
        if count[at] <= EXACT:
            expected[at] = _mean_deviation(ordered[ends[at] - count[at] : ends[at]])
        else:
            expected[at] = _poisson_deviation(max(0.0, float(min(mean[at], count[at] - mean[at]))))
    return float(expected.sum() / len(ordered))


def _mean_deviation(probability: np.ndarray) -> float:
    """E|S - E S| of a sum S of independent Bernoulli variables with these probabilities."""
    chance = np.zeros(len(probability) + 1)
    chance[0] = 1.0
    for one in probability:
        chance[1:] = chance[1:] * (1 - one) + chance[:-1] * one
        chance[0] *= 1 - one
    return float((chance * np.abs(np.arange(len(chance)) - probability.sum())).sum())


def _poisson_deviation(mean: float) -> float:
    """E|N - mean| of a Poisson variable (Crow 1958): 2 e^-m m^(k + 1) / k! with k the whole part of m."""
    whole = math.floor(mean)
    return 2 * math.exp((whole + 1) * math.log(mean) - mean - math.lgamma(whole + 1)) if mean > 0 else 0.0
