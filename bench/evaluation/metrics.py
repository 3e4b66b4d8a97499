"""Ranking and calibration metrics: exact, float64, on the CPU, without a loop over users."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

EPSILON = 1e-15
"""Probabilities are clipped to [EPSILON, 1 - EPSILON] before a logarithm is taken."""

Slices = dict[str, dict[str, float | int | None]]


@dataclass(frozen=True)
class GroupedAuc:
    """GAUC and how much of the data it covers."""

    weighted: float
    """sum_u n_u AUC_u / sum_u n_u over users with both labels, n_u their examples (Zhou et al. 2018, DIN, equation 7)."""
    unweighted: float
    """Plain mean of AUC_u over the same users."""
    users: int
    users_dropped: int
    """Users with a single label value, for whom AUC does not exist."""
    rows_used: int


def auc(label: np.ndarray, score: np.ndarray) -> float:
    """Probability that a random positive scores above a random negative, ties counting half; NaN if one class is missing."""
    return float(user_auc(label, score, np.zeros(len(label), dtype=np.int64))[1][0]) if len(label) else float("nan")


def user_auc(label: np.ndarray, score: np.ndarray, user: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """AUC within each user.

    Returns:
        users [U] ascending; auc float64 [U], NaN where a user has one label value; examples int64 [U].
    """
    users, group, count = np.unique(user, return_inverse=True, return_counts=True)
    order = np.lexsort((score, group))
    group, label, score = group[order], np.asarray(label)[order].astype(np.float64), np.asarray(score)[order]
    # Average rank of every run of equal scores within a user (Mann & Whitney 1947).
    new = np.r_[True, (group[1:] != group[:-1]) | (score[1:] != score[:-1])]
    run = np.cumsum(new) - 1
    begin = np.flatnonzero(new)
    end = np.r_[begin[1:], len(label)]
    rank = ((begin + end + 1) / 2)[run] - (np.cumsum(count) - count)[group]
    positives = np.bincount(group, weights=label, minlength=len(users))
    negatives = count - positives
    rank_sum = np.bincount(group, weights=rank * label, minlength=len(users))
    with np.errstate(invalid="ignore", divide="ignore"):
        value = (rank_sum - positives * (positives + 1) / 2) / (positives * negatives)
    return users, np.where((positives > 0) & (negatives > 0), value, np.nan), count


def gauc(label: np.ndarray, score: np.ndarray, user: np.ndarray) -> GroupedAuc:
    """AUC within users, averaged; NaN if no user has both labels."""
    _, value, count = user_auc(label, score, user)
    used = ~np.isnan(value)
    rows = int(count[used].sum())
    return GroupedAuc(
        weighted=float((value[used] * count[used]).sum() / rows) if rows else float("nan"),
        unweighted=float(value[used].mean()) if rows else float("nan"),
        users=int(used.sum()),
        users_dropped=int((~used).sum()),
        rows_used=rows,
    )


def example_logloss(label: np.ndarray, probability: np.ndarray) -> np.ndarray:
    """Cross-entropy of each example, in nats."""
    p = np.clip(np.asarray(probability, dtype=np.float64), EPSILON, 1 - EPSILON)
    return -np.where(np.asarray(label) > 0, np.log(p), np.log1p(-p))


def logloss(label: np.ndarray, probability: np.ndarray) -> float:
    """Mean cross-entropy in nats; NaN without examples."""
    return float(example_logloss(label, probability).mean()) if len(label) else float("nan")


def normalized_entropy(label: np.ndarray, probability: np.ndarray) -> float:
    """Logloss over the entropy of the examples' own base rate (He et al. 2014): below 1 is better than a constant."""
    rate = float(np.mean(label)) if len(label) else float("nan")
    if not 0 < rate < 1:
        return float("nan")
    return logloss(label, probability) / -(rate * np.log(rate) + (1 - rate) * np.log(1 - rate))


def expected_calibration_error(label: np.ndarray, probability: np.ndarray, bins: int = 15) -> float:
    """Mean |predicted - observed rate| over bins of equally many examples in the order of their scores."""
    if not len(label):
        return float("nan")
    order = np.argsort(probability, kind="stable")
    gap = np.asarray(probability, dtype=np.float64)[order] - np.asarray(label)[order]
    edges = np.linspace(0, len(gap), min(bins, len(gap)) + 1).astype(int)
    return float(np.abs(np.add.reduceat(gap, edges[:-1])).sum() / len(gap))


def ndcg_at(label: np.ndarray, score: np.ndarray, user: np.ndarray, k: int = 10) -> tuple[float, int]:
    """Mean over users of NDCG@k with binary gains and discount 1 / log2(rank + 1).

    Ties share the mean of the discounts of their ranks: the expected value under a random order of the tied examples.

    Returns:
        value (NaN if there is none), and the users it is a mean of: those with at least one positive.
    """
    if not len(label):
        return float("nan"), 0
    _, group, count = np.unique(user, return_inverse=True, return_counts=True)
    order = np.lexsort((-np.asarray(score, dtype=np.float64), group))
    group, label, score = group[order], np.asarray(label)[order].astype(np.float64), np.asarray(score)[order]
    rank = np.arange(len(label)) - (np.cumsum(count) - count)[group]
    discount = np.where(rank < k, 1 / np.log2(rank + 2), 0.0)
    new = np.r_[True, (group[1:] != group[:-1]) | (score[1:] != score[:-1])]
    begin = np.flatnonzero(new)
    shared = (np.add.reduceat(discount, begin) / np.diff(np.r_[begin, len(label)]))[np.cumsum(new) - 1]
    gain = np.bincount(group, weights=shared * label, minlength=len(count))
    positives = np.bincount(group, weights=label, minlength=len(count)).astype(int)
    ideal = np.r_[0.0, np.cumsum(1 / np.log2(np.arange(k) + 2))][np.minimum(positives, k)]
    used = positives > 0
    return (float((gain[used] / ideal[used]).mean()) if used.any() else float("nan")), int(used.sum())


def evaluate(predictions: pd.DataFrame) -> Slices:
    """All metrics of all slices.

    Args:
        predictions: columns user, label, score (a probability), warm_user, warm_item; one row an example.

    Returns:
        Slice (all, warm_user, cold_user, warm_item, cold_item) -> metric -> value; None where undefined.
    """
    warm_user, warm_item = predictions["warm_user"].to_numpy(bool), predictions["warm_item"].to_numpy(bool)
    masks = {
        "all": np.ones(len(predictions), dtype=bool),
        "warm_user": warm_user,
        "cold_user": ~warm_user,
        "warm_item": warm_item,
        "cold_item": ~warm_item,
    }
    label, score, user = (predictions[name].to_numpy() for name in ("label", "score", "user"))
    return {name: _metrics(label[mask], score[mask], user[mask]) for name, mask in masks.items()}


def _metrics(label: np.ndarray, score: np.ndarray, user: np.ndarray) -> dict[str, float | int | None]:
    grouped = gauc(label, score, user)
    ndcg, ndcg_users = ndcg_at(label, score, user, 10)
    values = {
        "auc": auc(label, score),
        "gauc": grouped.weighted,
        "gauc_unweighted": grouped.unweighted,
        "logloss": logloss(label, score),
        "ne": normalized_entropy(label, score),
        "ece": expected_calibration_error(label, score),
        "ndcg@10": ndcg,
    }
    return {
        **{name: None if np.isnan(value) else value for name, value in values.items()},
        "gauc_users": grouped.users,
        "gauc_users_dropped": grouped.users_dropped,
        "ndcg_users": ndcg_users,
        "n": len(label),
        "positives": int(label.sum()),
    }
