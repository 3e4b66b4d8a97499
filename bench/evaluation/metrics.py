"""Ranking and calibration metrics: exact, float64, on the CPU, without a loop over users.

Functions over arrays raise ValueError for labels other than 0 and 1, scores that are not numbers, probabilities outside
[0, 1] and arrays of different lengths; a metric that does not exist (an AUC of one class) is NaN. `evaluate` takes a
table, refuses a broken one as UserError and says None instead of NaN, as JSON needs it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ..errors import UserError

EPSILON = 1e-15
"""Probabilities are clipped to [EPSILON, 1 - EPSILON] before a logarithm is taken; no example costs more than 34.54 nats."""

Slices = dict[str, dict[str, float | int | None]]


@dataclass(frozen=True)
class GroupedAuc:
    """GAUC and how much of the data it covers."""

    weighted: float
    """sum_u n_u AUC_u / sum_u n_u over users with both labels, n_u their examples (Zhou et al. 2018, DIN: impressions)."""
    unweighted: float
    """Plain mean of AUC_u over the same users."""
    users: int
    users_dropped: int
    """Users with a single label value, for whom AUC does not exist."""
    rows_used: int


def checked_arrays(label: np.ndarray, score: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Labels as bool [n] and scores as float64 [n].

    Raises:
        ValueError: lengths differ, a label is not 0 or 1, or a score is NaN.
    """
    label, score = np.asarray(label), np.asarray(score, dtype=np.float64)
    if label.shape != score.shape or label.ndim != 1:
        raise ValueError(f"labels {label.shape} and scores {score.shape} must be two arrays of one length")
    positive = label == 1
    if not (positive | (label == 0)).all():
        raise ValueError("labels must be 0 or 1")
    if np.isnan(score).any():
        raise ValueError("scores must be numbers, not NaN")
    return positive, score


def _checked_probability(label: np.ndarray, probability: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    positive, probability = checked_arrays(label, probability)
    if len(probability) and not 0 <= probability.min() <= probability.max() <= 1:
        raise ValueError(f"probabilities must be in [0, 1], not {probability.min()} to {probability.max()}")
    return positive, probability


def _tied_runs(group: np.ndarray, score: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Runs of equal scores within a group, for rows sorted by (group, score): run of each row, begin and end of each run."""
    new = np.ones(len(score), dtype=bool)
    new[1:] = (group[1:] != group[:-1]) | (score[1:] != score[:-1])
    begin = np.flatnonzero(new)
    return np.cumsum(new) - 1, begin, np.append(begin, len(score))[1:]


def _auc_by_group(positive: np.ndarray, score: np.ndarray, group: np.ndarray, count: np.ndarray) -> np.ndarray:
    """AUC of each group by rank sums (Mann & Whitney 1947), tied scores sharing their mean rank; NaN for one class.

    Args:
        group: [n] in 0 .. G - 1.
        count: [G] rows of each group.
    """
    order = np.lexsort((score, group))
    group, positive = group[order], positive[order]
    run, begin, end = _tied_runs(group, score[order])
    rank = ((begin + end + 1) / 2)[run] - (np.cumsum(count) - count)[group]
    positives = np.bincount(group, weights=positive, minlength=len(count))
    rank_sum = np.bincount(group, weights=rank * positive, minlength=len(count))
    with np.errstate(invalid="ignore"):
        return (rank_sum - positives * (positives + 1) / 2) / (positives * (count - positives))


def auc(label: np.ndarray, score: np.ndarray) -> float:
    """Probability that a random positive scores above a random negative, ties counting half; NaN if one class is missing.

    Args:
        label, score: [n].
    """
    positive, score = checked_arrays(label, score)
    return float(_auc_by_group(positive, score, np.zeros(len(score), dtype=np.int64), np.array([len(score)]))[0])


def user_auc(label: np.ndarray, score: np.ndarray, user: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """AUC within each user.

    Args:
        label, score, user: [n].

    Returns:
        users [U] ascending; AUC float64 [U], NaN where a user has a single label value; examples int64 [U].
    """
    positive, score = checked_arrays(label, score)
    if len(user) != len(score):
        raise ValueError(f"{len(user)} users for {len(score)} scores")
    users, group, count = np.unique(user, return_inverse=True, return_counts=True)
    return users, _auc_by_group(positive, score, group, count), count


def gauc(label: np.ndarray, score: np.ndarray, user: np.ndarray) -> GroupedAuc:
    """AUC within users, averaged; NaN if no user has both labels.

    Args:
        label, score, user: [n].
    """
    _, value, count = user_auc(label, score, user)
    used = ~np.isnan(value)
    rows = int(count[used].sum())
    return GroupedAuc(
        weighted=float(value[used] @ count[used] / rows) if rows else math.nan,
        unweighted=float(value[used].mean()) if rows else math.nan,
        users=int(used.sum()),
        users_dropped=int((~used).sum()),
        rows_used=rows,
    )


def example_logloss(label: np.ndarray, probability: np.ndarray) -> np.ndarray:
    """Cross-entropy of each example in nats: float64 [n]. Probabilities are clipped by EPSILON."""
    positive, probability = _checked_probability(label, probability)
    clipped = np.clip(probability, EPSILON, 1 - EPSILON)
    return -np.where(positive, np.log(clipped), np.log1p(-clipped))


def logloss(label: np.ndarray, probability: np.ndarray) -> float:
    """Mean cross-entropy in nats, probabilities clipped by EPSILON; NaN without examples."""
    losses = example_logloss(label, probability)
    return float(losses.mean()) if len(losses) else math.nan


def normalized_entropy(label: np.ndarray, probability: np.ndarray) -> float:
    """Logloss over the entropy of the examples' own base rate (He et al. 2014): below 1 is better than a constant.

    NaN if one class is missing: a base rate of 0 or 1 has no entropy.
    """
    loss, positives, n = logloss(label, probability), float(np.sum(label)), len(label)
    if not 0 < positives < n:
        return math.nan
    rate = positives / n
    return loss / -(rate * math.log(rate) + (1 - rate) * math.log1p(-rate))


def expected_calibration_error(label: np.ndarray, probability: np.ndarray, bins: int = 15) -> float:
    """Mean |mean prediction - observed rate| over bins of equally many examples by predicted value, weighted by examples.

    Equal predictions share a bin, that of their middle: so the value does not depend on the order of the rows, bins are
    equal up to ties, and a constant prediction is a single bin. NaN without examples.
    """
    positive, probability = _checked_probability(label, probability)
    if not len(probability):
        return math.nan
    order, place = quantile_bins(probability, bins)
    gaps = np.bincount(place, weights=probability[order] - positive[order])
    return float(np.abs(gaps).sum() / len(order))


def quantile_bins(score: np.ndarray, bins: int) -> tuple[np.ndarray, np.ndarray]:
    """Bins of equally many examples by their score, equal scores in one bin: that of their middle.

    Args:
        score: [n].

    Returns:
        int64 [n] that sorts the scores, and int64 [n] with the bin (0 to bins - 1) of each in that order.
    """
    order = np.argsort(score)
    run, begin, end = _tied_runs(np.zeros(len(order), dtype=np.int64), score[order])
    return order, (bins * (begin + end) // (2 * len(order)))[run]


def ndcg_at(label: np.ndarray, score: np.ndarray, user: np.ndarray, k: int = 10) -> tuple[float, int]:
    """Mean over users of NDCG@k with binary gains and discount 1 / log2(rank + 1) (Jarvelin & Kekalainen 2002).

    Tied examples share the mean discount of their ranks: the expected value under a random order of the tied
    (McSherry & Najork 2008). A user all of whose examples are positive has 1.

    Args:
        label, score, user: [n].

    Returns:
        The value (NaN if there is none), and the number of users it is a mean of: those with at least one positive.
    """
    positive, score = checked_arrays(label, score)
    _, group, count = np.unique(user, return_inverse=True, return_counts=True)
    order = np.lexsort((-score, group))
    group, positive = group[order], positive[order]
    run, begin, end = _tied_runs(group, score[order])
    rank = np.arange(len(order)) - (np.cumsum(count) - count)[group]
    discount = np.where(rank < k, 1 / np.log2(rank + 2), 0.0)
    shared = np.bincount(run, weights=discount) / (end - begin)
    gain = np.bincount(group, weights=shared[run] * positive, minlength=len(count))
    positives = np.bincount(group[positive], minlength=len(count))
    used = positives > 0
    ideal = np.cumsum(1 / np.log2(np.arange(k) + 2))[np.minimum(positives[used], k) - 1]
    return (float((gain[used] / ideal).mean()) if used.any() else math.nan), int(used.sum())


def check_predictions(predictions: pd.DataFrame, columns: tuple[str, ...], name: str = "predictions") -> None:
    """Refuse a table whose rows cannot be scored.

    Raises:
        UserError: one of `columns` is missing, a label is not 0 or 1, or a score is not a probability.
    """
    if missing := [column for column in columns if column not in predictions]:
        raise UserError(f"{name} lack the columns {', '.join(missing)}; make them again")
    for column, what in (("label", "0 or 1"), ("score", "a probability from 0 to 1")):
        values = predictions[column]
        wrong = np.flatnonzero(~(values.isin([0, 1]) if column == "label" else values.between(0, 1)))
        if len(wrong):
            raise UserError(f"{name}: {column} of row {wrong[0]} is {values.iloc[wrong[0]]}, not {what}; make them again")


def evaluate(predictions: pd.DataFrame) -> Slices:
    """All metrics of all slices.

    Args:
        predictions: columns user, label (0 or 1), score (a probability), warm_user, warm_item (bool); one row an example.

    Returns:
        Slice (all, warm_user, cold_user, warm_item, cold_item) -> metric -> value; None where undefined.

    Raises:
        UserError: a column is missing, a label is not 0 or 1, or a score is not a probability.
    """
    check_predictions(predictions, ("user", "label", "score", "warm_user", "warm_item"))
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


def evaluate_labels(predictions: pd.DataFrame) -> dict[str, Slices]:
    """`evaluate` for every further label that the table holds as `label.<name>` and `score.<name>`."""
    names = [column.removeprefix("score.") for column in predictions if str(column).startswith("score.")]
    return {
        name: evaluate(predictions.assign(label=predictions[f"label.{name}"], score=predictions[f"score.{name}"]))
        for name in names
    }


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
        **{name: None if math.isnan(value) else value for name, value in values.items()},
        "gauc_users": grouped.users,
        "gauc_users_dropped": grouped.users_dropped,
        "ndcg_users": ndcg_users,
        "n": len(label),
        "positives": int(label.sum()),
    }
