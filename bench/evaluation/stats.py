"""How sure a difference is: a paired bootstrap over test users, with the spread over seeds beside it.

Two uncertainties, kept apart. Seeds: how much training the same model again changes its number (`seed_sd`). Users: how much
another sample of test users would change it (all intervals). A model's value in a draw is the mean over its seeds.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from ..errors import UserError
from .metrics import example_logloss, user_auc

Metric = Literal["gauc", "auc", "logloss"]
IDENTITY = ("example", "user", "item", "time", "label")


@dataclass(frozen=True)
class ModelInterval:
    """One model's value and its difference to the best."""

    point: float
    """Mean over seeds on all test users."""
    low: float
    high: float
    """95% percentile interval over resampled users."""
    seed_sd: float | None
    """Sample standard deviation over seeds; None for one seed."""
    difference: float
    """This model minus the best."""
    difference_low: float
    difference_high: float
    """95% interval of the difference, simultaneous over all models (max-t)."""
    win_probability: float
    """Share of draws in which the best beats this model (ties count half)."""


@dataclass(frozen=True)
class BootstrapResult:
    """All models on the same resampled users."""

    metric: Metric
    best: str
    models: dict[str, ModelInterval]
    indistinguishable: frozenset[str]
    """The best and every model whose interval of the difference holds 0."""


def align(frames: dict[str, list[pd.DataFrame]]) -> tuple[np.ndarray, np.ndarray, dict[str, list[np.ndarray]]]:
    """Label [n], user [n] and the scores of each model's seeds, after checking that all tables score the same rows.

    Raises:
        UserError: two tables differ in an example, user, item, time or label.
    """
    first_name, first = next((name, tables[0]) for name, tables in frames.items())
    for name, tables in frames.items():
        for table in tables:
            if len(table) != len(first) or any((table[key].to_numpy() != first[key].to_numpy()).any() for key in IDENTITY):
                raise UserError(f"predictions of {name} and {first_name} are not about the same rows; run both on the same data again")
    scores = {name: [table["score"].to_numpy() for table in tables] for name, tables in frames.items()}
    return first["label"].to_numpy(), first["user"].to_numpy(), scores


def paired_bootstrap(
    label: np.ndarray, user: np.ndarray, scores: dict[str, list[np.ndarray]], metric: Metric, draws: int = 1000, seed: int = 0
) -> BootstrapResult:
    """Resample users with replacement, the same users for every model and seed.

    Args:
        label, user: [n].
        scores: model -> one array of probabilities [n] per seed.
        draws: bootstrap draws.
    """
    _, group = np.unique(user, return_inverse=True)
    users = int(group.max()) + 1
    counts = np.random.default_rng(seed).multinomial(users, np.full(users, 1 / users), size=draws)
    weights = np.vstack([np.ones(users, dtype=counts.dtype), counts])
    values: dict[str, np.ndarray] = {}
    seeds: dict[str, list[float]] = {}
    for name, arrays in scores.items():
        rows = np.stack([_values(label, group, array, metric, weights) for array in arrays])
        values[name], seeds[name] = rows.mean(0), rows[:, 0].tolist()
    sign = -1 if metric == "logloss" else 1
    best = max(values, key=lambda name: sign * values[name][0])
    difference = {name: value - values[best] for name, value in values.items()}
    error = {name: float(np.nanstd(d[1:], ddof=1)) for name, d in difference.items()}
    # One critical value for all comparisons: the largest standardised deviation of a draw, 95% quantile.
    deviations = [np.abs(d[1:] - d[0]) / error[name] for name, d in difference.items() if error[name] > 1e-12]
    critical = float(np.nanquantile(np.max(deviations, axis=0), 0.95)) if deviations else 0.0
    models = {}
    for name, value in values.items():
        half = critical * error[name] if error[name] > 1e-12 else 0.0
        low, high = np.nanquantile(value[1:], [0.025, 0.975])
        behind = sign * difference[name][1:]
        models[name] = ModelInterval(
            point=float(value[0]),
            low=float(low),
            high=float(high),
            seed_sd=statistics.stdev(seeds[name]) if len(seeds[name]) > 1 else None,
            difference=float(difference[name][0]),
            difference_low=float(difference[name][0] - half),
            difference_high=float(difference[name][0] + half),
            win_probability=float(np.mean(behind < 0) + np.mean(behind == 0) / 2),
        )
    tied = frozenset(name for name, model in models.items() if model.difference_low <= 0 <= model.difference_high)
    return BootstrapResult(metric, best, models, tied | {best})


def _values(label: np.ndarray, group: np.ndarray, score: np.ndarray, metric: Metric, weights: np.ndarray) -> np.ndarray:
    """The metric under each row of user weights [draws, users]."""
    if metric == "auc":
        return _weighted_auc(label, group, score, weights)
    if metric == "logloss":
        total = np.bincount(group, weights=example_logloss(label, score))
        return (weights @ total) / (weights @ np.bincount(group))
    _, value, count = user_auc(label, score, group)
    used = ~np.isnan(value)
    with np.errstate(invalid="ignore", divide="ignore"):
        return (weights[:, used] @ (value[used] * count[used])) / (weights[:, used] @ count[used])


def _weighted_auc(label: np.ndarray, group: np.ndarray, score: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """AUC in which an example counts as often as its user was drawn; exact, ties count half."""
    order = np.argsort(score, kind="stable")
    group, positive, score = group[order], np.asarray(label)[order] > 0, score[order]
    begin = np.flatnonzero(np.r_[True, score[1:] != score[:-1]])
    untied = len(begin) == len(score)
    result = np.empty(len(weights))
    step = max(1, 4_000_000 // len(score))
    for at in range(0, len(weights), step):
        drawn = weights[at : at + step, group].astype(np.float64)
        above = np.where(positive, drawn, 0.0)
        below = drawn - above
        positives, negatives = above.sum(1), below.sum(1)
        if not untied:
            above, below = np.add.reduceat(above, begin, axis=1), np.add.reduceat(below, begin, axis=1)
        lower = np.cumsum(below, axis=1)
        lower -= below / 2
        with np.errstate(invalid="ignore", divide="ignore"):
            result[at : at + step] = np.einsum("dr,dr->d", above, lower) / (positives * negatives)
    return result
