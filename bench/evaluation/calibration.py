"""Reliability: how often what is predicted with a probability happens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .metrics import checked_arrays, quantile_bins
from .stats import resamples


@dataclass(frozen=True)
class Reliability:
    """By bin of predictions, lowest first."""

    predicted: tuple[float, ...]
    """Mean prediction."""
    observed: tuple[float, ...]
    """Share of positives."""
    low: tuple[float, ...]
    high: tuple[float, ...]
    """95% percentile interval of the share over resampled users; the whole range where no draw has an example."""
    count: tuple[float, ...]
    """Test examples; a mean over seeds."""


def reliability(
    label: np.ndarray, user: np.ndarray, scores: Sequence[np.ndarray], bins: int = 10, draws: int = 200, seed: int = 0
) -> Reliability:
    """Predictions of all seeds together, in bins of equally many up to ties.

    Args:
        label, user: [n].
        scores: probabilities [n] of each seed.

    Raises:
        ValueError: arrays are not of one length, or hold what is no label or no score.
    """
    stacked = [checked_arrays(label, score) for score in scores]
    positive = np.concatenate([one for one, _ in stacked])
    score = np.concatenate([one for _, one in stacked])
    _, group = np.unique(user, return_inverse=True)
    group = np.tile(group, len(scores))
    order, bin_in_order = quantile_bins(score, bins)
    place = np.empty(len(score), dtype=np.int64)
    place[order] = bin_in_order
    used, place = np.unique(place, return_inverse=True)
    cell = group * len(used) + place
    shape = (int(group.max()) + 1, len(used))
    count = np.bincount(cell, minlength=shape[0] * shape[1]).reshape(shape).astype(np.float64)
    positives = np.bincount(cell, weights=positive, minlength=shape[0] * shape[1]).reshape(shape)
    total = count.sum(axis=0)
    with np.errstate(invalid="ignore"):
        drawn = np.concatenate([(weight @ positives) / (weight @ count) for weight in resamples(shape[0], draws, seed)])
    low, high = np.nanquantile(drawn[1:], [0.025, 0.975], axis=0)
    return Reliability(
        predicted=tuple((np.bincount(place, weights=score) / total).tolist()),
        observed=tuple(drawn[0].tolist()),
        low=tuple(np.nan_to_num(low, nan=0.0).tolist()),
        high=tuple(np.nan_to_num(high, nan=1.0).tolist()),
        count=tuple((total / len(scores)).tolist()),
    )
