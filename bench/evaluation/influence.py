"""The value of a metric and what each user does to it: the metric again without that user, for all users at once.

What a metric owes to its users is measured by the delete-one jackknife (Efron & Stein 1981): whole users are left out, because
the examples of one user depend on each other. It needs no random draws, and AUC without a user is as exact as AUC itself: pairs
are counted once, and those of the user are taken off.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from .metrics import example_logloss
from .pairs import checked_arrays, class_counts, wins_by_example, wins_by_group

Metric = Literal["request_gauc", "auc", "user_gauc", "logloss"]

METRICS: tuple[Metric, ...] = ("request_gauc", "auc", "user_gauc", "logloss")
"""With intervals; the headline first."""

LOWER_IS_BETTER: frozenset[Metric] = frozenset({"logloss"})


LEAST_USERS = 10
"""Of fewer users, no 95% interval is trusted: it is replaced by the metric's whole range, so that nothing is told apart."""


@dataclass(frozen=True)
class Rows:
    """Examples with their groups counted from 0."""

    label: np.ndarray
    """bool [n]"""
    user: np.ndarray
    """int64 [n]"""
    request: np.ndarray
    """int64 [n]"""
    user_of_request: np.ndarray
    """int64 [requests]"""
    users: int

    @property
    def requests(self) -> int:
        return len(self.user_of_request)

    @property
    def headline(self) -> Literal["request_gauc", "auc"]:
        """What models are judged by first: ranking within a request, where there are enough requests to judge it by."""
        return "request_gauc" if self.matter("request_gauc") >= LEAST_USERS else "auc"

    def matter(self, metric: Metric) -> int:
        """Users that the metric depends on. request_gauc: with a request of both labels; user_gauc: with both labels; auc: with a
        positive or with a negative, the fewer; logloss: all."""
        positives, negatives = class_counts(self.label, self.user, self.users)
        if metric == "request_gauc":
            return len(np.unique(self.user_of_request[np.minimum(*class_counts(self.label, self.request, self.requests)) > 0]))
        if metric == "user_gauc":
            return int(((positives > 0) & (negatives > 0)).sum())
        if metric == "auc":
            return int(min((positives > 0).sum(), (negatives > 0).sum()))
        return self.users


def rows(label: np.ndarray, user: np.ndarray, request: np.ndarray) -> Rows:
    """Examples ready to be measured.

    Args:
        label: 0 or 1, [n]. user: [n]. request: [n], the id of a (user, request) group.

    Raises:
        ValueError: lengths differ, there is no example, a label is not 0 or 1, or a request has two users.
    """
    label = checked_arrays(label, np.zeros(len(label)))[0]
    if not len(label) or not len(user) == len(request) == len(label):
        raise ValueError(f"{len(label)} labels, {len(user)} users and {len(request)} requests must be as many, and some")
    names, user = np.unique(user, return_inverse=True)
    _, first, request = np.unique(request, return_index=True, return_inverse=True)
    if not np.array_equal(user[first][request], user):
        raise ValueError("a request has two users")
    return Rows(label, user, request, user[first], len(names))


def influence(metric: Metric, rows: Rows, score: np.ndarray) -> tuple[float, np.ndarray]:
    """A metric, and (U - 1) times what it loses without each of its U users, less the mean over them.

    Args:
        score: probabilities [n].

    Returns:
        The value, NaN where it does not exist; float64 [U], whose squares sum to U (U - 1) times the jackknife's variance.

    Raises:
        ValueError: a score is not a number or, for logloss, not a probability, or there are too few or too many.
    """
    _, score = checked_arrays(rows.label, score)
    if metric == "auc":
        return _auc(rows, score)
    if metric == "logloss":
        size = np.bincount(rows.user, minlength=rows.users)
        return ratio(np.bincount(rows.user, weights=example_logloss(rows.label, score), minlength=rows.users), size)
    if metric == "user_gauc":
        return ratio(*_weighted_auc(rows.label, score, rows.user, rows.users))
    value, size = _weighted_auc(rows.label, score, rows.request, rows.requests)
    return ratio(*(np.bincount(rows.user_of_request, weights=one, minlength=rows.users) for one in (value, size)))


def ratio(above: np.ndarray, below: np.ndarray) -> tuple[float, np.ndarray]:
    """sum(above) / sum(below) as `influence`.

    Args:
        above, below: by user, [U].
    """
    total = below.sum()
    if not total:
        return math.nan, np.full(len(above), math.nan)
    value = float(above.sum() / total)
    with np.errstate(invalid="ignore", divide="ignore"):
        return value, _centred((len(above) - 1) * (above - value * below) / (total - below))


def _weighted_auc(label: np.ndarray, score: np.ndarray, group: np.ndarray, groups: int) -> tuple[np.ndarray, np.ndarray]:
    """AUC times examples, and examples, of each group; 0 and 0 where it has one label."""
    positives, negatives = class_counts(label, group, groups)
    size = np.where((positives > 0) & (negatives > 0), positives + negatives, 0)
    wins = wins_by_group(label, score, group, groups)
    return wins * size / np.maximum(2 * positives * negatives, 1), size


def _auc(rows: Rows, score: np.ndarray) -> tuple[float, np.ndarray]:
    positives, negatives = class_counts(rows.label, rows.user, rows.users)
    pairs = int(positives.sum()) * int(negatives.sum())
    if not pairs:
        return math.nan, np.full(rows.users, math.nan)
    by_example = wins_by_example(rows.label, score)
    total = int(by_example[rows.label].sum())
    # Pairs within the user are among those of its positives and again among those of its negatives.
    lost = np.bincount(rows.user, weights=by_example, minlength=rows.users) - wins_by_group(
        rows.label, score, rows.user, rows.users
    )
    left = (positives.sum() - positives) * (negatives.sum() - negatives)
    with np.errstate(invalid="ignore", divide="ignore"):
        without = (total - lost) / (2 * left)
    value = total / (2 * pairs)
    return value, _centred((rows.users - 1) * (value - without))


def _centred(values: np.ndarray) -> np.ndarray:
    return values - values.mean()
