"""Scores that protocols of others report (protocols.py), with the intervals that all metrics here have."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .influence import Rows, ratio, rows
from .metrics import auc_by_group
from .pairs import class_counts
from .predictions import Predictions
from .ranking import ndcg
from .stats import Comparison, assemble

NDCG_AT = 5


@dataclass(frozen=True)
class ProtocolScore:
    """A score and its parts, of several models on the same test examples."""

    whole: Comparison
    parts: dict[str, Comparison]
    """Name of a part -> the same of it."""


def gauc_ndcg5(predictions: Predictions) -> ProtocolScore:
    """The mean of two metrics over users, all examples of a user together.

    GAUC: AUC within users who have both labels, each counted as often as it has positives. NDCG@5: binary gains, over all users,
    0 for one without a positive. Tied examples get their expected value under a random order.
    """
    asked = rows(predictions.label, predictions.user, predictions.request)
    positives, negatives = class_counts(asked.label, asked.user, asked.users)
    measured = {name: [_parts(asked, positives, negatives, score) for score in of] for name, of in predictions.scores.items()}
    both = int(((positives > 0) & (negatives > 0)).sum())
    whole = {name: [_mean(*parts) for parts in seeds] for name, seeds in measured.items()}
    gauc = {name: [first for first, _ in seeds] for name, seeds in measured.items()}
    at_five = {name: [second for _, second in seeds] for name, seeds in measured.items()}
    # Each lies between 0 and 1 and is better where it is higher, as user_gauc is.
    return ProtocolScore(
        assemble("user_gauc", whole, both),
        {"GAUC": assemble("user_gauc", gauc, both), f"NDCG@{NDCG_AT}": assemble("user_gauc", at_five, asked.users)},
    )


Measure = tuple[float, np.ndarray]
"""Value and influence by user, as `influence` gives them."""


def _parts(asked: Rows, positives: np.ndarray, negatives: np.ndarray, score: np.ndarray) -> tuple[Measure, Measure]:
    both = (positives > 0) & (negatives > 0)
    weight = np.where(both, positives, 0)
    _, within, _ = auc_by_group(asked.label, score, asked.user)
    gain = np.where(positives > 0, 1.0, 0.0)  # of a user with one label
    gain[both] = ndcg(asked.label, score, asked.user, NDCG_AT)
    return ratio(np.nan_to_num(within) * weight, weight), ratio(gain, np.ones(asked.users))


def _mean(one: Measure, other: Measure) -> Measure:
    return (one[0] + other[0]) / 2, (one[1] + other[1]) / 2
