"""Ranking and calibration metrics: exact where they are counts, float64, on the CPU, without a loop over users.

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
from . import slices
from .calibration import calibration_floor, checked_probabilities, expected_calibration_error
from .pairs import checked_arrays, class_counts, wins_by_example, wins_by_group
from .ranking import ndcg, reciprocal_rank

EPSILON = 1e-15
"""Probabilities are clipped to [EPSILON, 1 - EPSILON] before a logarithm is taken; no example costs more than 34.54 nats."""

NDCG_AT = 10

Slices = dict[str, dict[str, float | int | None]]


@dataclass(frozen=True)
class GroupedAuc:
    """AUC within groups, and how much of the data it covers."""

    value: float
    """sum_g n_g AUC_g / sum_g n_g over groups with both labels, n_g their examples (Zhou et al. 2018, DIN: impressions)."""
    groups: int
    dropped: int
    """Groups with a single label value, for which AUC does not exist."""
    rows: int
    """Examples of the groups that are used."""


def auc(label: np.ndarray, score: np.ndarray) -> float:
    """Probability that a random positive scores above a random negative, ties counting half; NaN if one class is missing.

    Args:
        label, score: [n].
    """
    positive, score = checked_arrays(label, score)
    positives = int(positive.sum())
    pairs = positives * (len(score) - positives)
    return int(wins_by_example(positive, score)[positive].sum()) / (2 * pairs) if pairs else math.nan


def auc_by_group(label: np.ndarray, score: np.ndarray, group: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """AUC within each group.

    Args:
        label, score, group: [n].

    Returns:
        groups [G] ascending; AUC float64 [G], NaN where a group has a single label value; examples int64 [G].
    """
    positive, score = checked_arrays(label, score)
    if len(group) != len(score):
        raise ValueError(f"{len(group)} groups for {len(score)} scores")
    names, place, count = np.unique(group, return_inverse=True, return_counts=True)
    positives, negatives = class_counts(positive, place, len(count))
    with np.errstate(invalid="ignore"):
        return names, wins_by_group(positive, score, place, len(count)) / (2 * positives * negatives), count


def grouped_auc(label: np.ndarray, score: np.ndarray, group: np.ndarray) -> GroupedAuc:
    """AUC within groups, averaged by their examples; NaN if no group has both labels.

    Args:
        label, score: [n].
        group: [n]: users, or (user, request) groups, as numbers or names.
    """
    _, value, count = auc_by_group(label, score, group)
    used = ~np.isnan(value)
    rows = int(count[used].sum())
    weighted = float((value[used] * count[used]).sum() / rows) if rows else math.nan
    return GroupedAuc(weighted, int(used.sum()), int((~used).sum()), rows)


def pairs_within(label: np.ndarray, group: np.ndarray) -> float:
    """Share of the pairs of a positive and a negative, which AUC counts, that lie within one group; NaN if there is no pair.

    Args:
        label, group: [n].
    """
    positive = np.asarray(label) == 1
    names, place = np.unique(group, return_inverse=True)
    positives, negatives = class_counts(positive, place, len(names))
    pairs = int(positives.sum()) * int(negatives.sum())
    return int((positives * negatives).sum()) / pairs if pairs else math.nan


def example_logloss(label: np.ndarray, probability: np.ndarray) -> np.ndarray:
    """Cross-entropy of each example in nats: float64 [n]. Probabilities are clipped by EPSILON."""
    positive, probability = checked_probabilities(label, probability)
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
        predictions: columns user, request (the id of a (user, request) group), label (0 or 1), score (a probability),
            user_events, item_events, user_gap_days; one row an example.

    Returns:
        Slice of slices.py -> metric -> value; None where undefined.

    Raises:
        UserError: a column is missing, a label is not 0 or 1, or a score is not a probability.
    """
    check_predictions(predictions, ("user", "request", "label", "score", *slices.COLUMNS))
    columns = [predictions[name].to_numpy() for name in ("label", "score", "user", "request")]
    return {name: _metrics(*(column[mask] for column in columns)) for name, mask in slices.masks(predictions).items()}


def evaluate_labels(predictions: pd.DataFrame) -> dict[str, Slices]:
    """`evaluate` for every further label that the table holds as `label.<name>` and `score.<name>`."""
    names = [column.removeprefix("score.") for column in predictions if str(column).startswith("score.")]
    return {
        name: evaluate(predictions.assign(label=predictions[f"label.{name}"], score=predictions[f"score.{name}"]))
        for name in names
    }


def _metrics(label: np.ndarray, score: np.ndarray, user: np.ndarray, request: np.ndarray) -> dict[str, float | int | None]:
    within, by_user = grouped_auc(label, score, request), grouped_auc(label, score, user)
    values = {
        "request_gauc": within.value,
        "auc": auc(label, score),
        "auc_pairs_within_request": pairs_within(label, request),
        "auc_pairs_within_user": pairs_within(label, user),
        "user_gauc": by_user.value,
        "logloss": logloss(label, score),
        "ne": normalized_entropy(label, score),
        "ece": expected_calibration_error(label, score),
        "ece_floor": calibration_floor(score),
        f"request_ndcg@{NDCG_AT}": _mean(ndcg(label, score, request, NDCG_AT)),
        "request_mrr": _mean(reciprocal_rank(label, score, request)),
    }
    return {
        **{name: None if math.isnan(value) else value for name, value in values.items()},
        "request_groups": within.groups,
        "request_groups_dropped": within.dropped,
        "request_rows": within.rows,
        "user_gauc_users": by_user.groups,
        "user_gauc_users_dropped": by_user.dropped,
        "user_gauc_rows": by_user.rows,
        "n": len(label),
        "positives": int(label.sum()),
    }


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else math.nan
