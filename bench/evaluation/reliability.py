"""Reliability: how often what is predicted with a probability happens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .calibration import quantile_bins
from .influence import ratio
from .pairs import checked_arrays
from .stats import LEAST_USERS, assemble

BINS = 10


@dataclass(frozen=True)
class Reliability:
    """By bin of predictions, lowest first."""

    predicted: tuple[float, ...]
    """Mean prediction."""
    observed: tuple[float, ...]
    """Share of positives."""
    low: tuple[float, ...]
    high: tuple[float, ...]
    """95% interval of the share over test users and seeds; the whole range in a bin of too few users."""
    count: tuple[float, ...]
    """Test examples; a mean over seeds."""


def reliability(label: np.ndarray, user: np.ndarray, scores: Sequence[np.ndarray], bins: int = BINS) -> Reliability:
    """Predictions of all seeds together, in bins of equally many up to ties.

    Args:
        label, user: [n].
        scores: probabilities [n] of each seed.

    Raises:
        ValueError: arrays are not of one length, or hold what is no label or no score.
    """
    positive = np.concatenate([checked_arrays(label, score)[0] for score in scores])
    score = np.concatenate([np.asarray(one, dtype=np.float64) for one in scores])
    names, group = np.unique(user, return_inverse=True)
    order, in_order = quantile_bins(score, bins)
    place = np.empty(len(score), dtype=np.int64)
    place[order] = in_order
    used, place = np.unique(place, return_inverse=True)
    # [seeds, users, bins], whole numbers
    shape = (len(scores), len(names), len(used))
    cell = (np.repeat(np.arange(len(scores)), len(label)) * len(names) + np.tile(group, len(scores))) * len(used) + place
    count, positives = (np.bincount(of, minlength=int(np.prod(shape))).reshape(shape) for of in (cell, cell[positive]))
    found = assemble(
        "auc",
        {
            str(at): [ratio(up[:, at], down[:, at]) for up, down in zip(positives, count, strict=True) if down[:, at].any()]
            for at in range(len(used))
        },
        len(names),
    )
    total, observed = count.sum(axis=(0, 1)), positives.sum(axis=(0, 1)) / count.sum(axis=(0, 1))
    trusted = (count.sum(axis=0) > 0).sum(axis=0) >= LEAST_USERS
    half = np.array([found.half_width(str(at)) for at in range(len(used))])
    return Reliability(
        predicted=tuple((np.bincount(place, weights=score) / total).tolist()),
        observed=tuple(observed.tolist()),
        low=tuple(np.where(trusted, np.maximum(observed - half, 0.0), 0.0).tolist()),
        high=tuple(np.where(trusted, np.minimum(observed + half, 1.0), 1.0).tolist()),
        count=tuple((total / len(scores)).tolist()),
    )
