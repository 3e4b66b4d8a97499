"""How sure a difference is: a paired bootstrap over test users, with the spread over seeds beside it.

Two uncertainties, kept apart.

- Users: how much another sample of test users would change a number. Every interval and win probability here is of this
  kind. Whole users are drawn, because the examples of one user depend on each other; every model and seed is scored on the
  same draw, so that what is hard for all of them cancels in a difference. Items, and the trained models, are held fixed.
- Seeds: how much training the same model again would change a number. `seed_sd` alone is of this kind.

A model's value, also in a draw, is the mean over its seeds.

The size of an effect is the difference itself, in units of the metric, beside both noises. A standardised one (Cohen's d) is not
given: three to five seeds hardly tell a standard deviation, and dividing by it makes small differences look large.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits

from ..errors import UserError
from ..typed import OrNaN
from .metrics import EPSILON, check_predictions, checked_arrays, example_logloss, user_auc
from .weighted_auc import Statistic, weighted_auc

Metric = Literal["gauc", "auc", "logloss"]
IDENTITY = ("example", "user", "item", "time", "label")

LARGEST: dict[Metric, float] = {"gauc": 1.0, "auc": 1.0, "logloss": -math.log(EPSILON)}
"""Every metric lies between 0 and this."""

LEAST_USERS = 10
"""Of fewer users, a bootstrap's 95% interval holds the truth in under 90% of samples: it is replaced by the metric's whole
range, so that all models tie."""

_ROUNDING = 1e-12
"""Differences of metrics below this are rounding."""

_BLOCK = 4_000_000
"""Numbers in a block of drawn users: 32 MB."""


class Predictions(NamedTuple):
    """What several models say about the same examples."""

    label: np.ndarray
    """[n], 0 or 1"""
    user: np.ndarray
    """[n]"""
    scores: dict[str, list[np.ndarray]]
    """Model -> one array of probabilities [n] per seed."""


@dataclass(frozen=True)
class ModelInterval:
    """One model's value and its difference to the best."""

    point: OrNaN
    """Mean over seeds on all test users."""
    low: OrNaN
    high: OrNaN
    """95% percentile interval over resampled users."""
    seed_sd: OrNaN | None
    """Sample standard deviation over seeds; None for one seed."""
    difference: OrNaN
    """This model minus the best."""
    difference_low: OrNaN
    difference_high: OrNaN
    """95% interval of the difference over resampled users, simultaneous over all pairs of models (max-t)."""
    win_probability: OrNaN
    """Share of draws in which the best beats this model (ties count half)."""


class Difference(NamedTuple):
    """A metric of one model minus that of another."""

    value: float
    low: OrNaN
    high: OrNaN
    """95% interval over resampled users, for all differences that were asked for together."""

    @property
    def shown(self) -> bool:
        """Whether the interval leaves out zero."""
        return self.low > 0 or self.high < 0


class Drawn(NamedTuple):
    """A metric of several models on the same resampled users."""

    values: dict[str, np.ndarray]
    """Model -> [1 + draws, seeds]: on all users in the first row, on drawn ones in the others; NaN where it does not exist."""
    users: int
    """As in BootstrapResult."""


@dataclass(frozen=True)
class BootstrapResult:
    """All models on the same resampled users."""

    metric: Metric
    best: str
    models: dict[str, ModelInterval]
    indistinguishable: frozenset[str]
    """The best and every model whose interval of the difference holds 0."""
    users: int = 0
    """Users the metric depends on. gauc: with both labels; auc: with a positive or with a negative, the fewer; logloss: all."""
    critical: float = math.nan
    """Half-widths of differences in units of their standard error; 1.96 would hold for one comparison of many users."""


def seed_spread(values: Sequence[float]) -> tuple[float, float | None]:
    """Mean and sample standard deviation over seeds; None in place of the deviation of a single one."""
    return statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None


def align(frames: dict[str, list[pd.DataFrame]]) -> Predictions:
    """The predictions of each model's seeds side by side, after checking that all tables are about the same rows.

    Raises:
        UserError: there is no table, a table is broken, or two tables differ in an example, user, item, time or label.
    """
    if not frames or not all(frames.values()):
        raise UserError("there are no predictions to compare; run the models first")
    first_name, first = next((name, tables[0]) for name, tables in frames.items())
    for name, tables in frames.items():
        for table in tables:
            check_predictions(table, (*IDENTITY, "score"), f"predictions of {name}")
            if len(table) != len(first):
                what = f"{len(table)} and {len(first)} rows"
            else:
                what = ", ".join(key for key in IDENTITY if not np.array_equal(table[key].to_numpy(), first[key].to_numpy()))
            if what:
                both = f"predictions of {name} and {first_name}"
                raise UserError(f"{both} are not about the same rows ({what}); run both on the same data again")
    scores = {name: [table["score"].to_numpy(np.float64) for table in tables] for name, tables in frames.items()}
    return Predictions(first["label"].to_numpy(), first["user"].to_numpy(), scores)


def paired_bootstrap(
    label: np.ndarray, user: np.ndarray, scores: dict[str, list[np.ndarray]], metric: Metric, draws: int = 1000, seed: int = 0
) -> BootstrapResult:
    """Resample users with replacement, the same users for every model and seed.

    The interval of a difference is d +- c se(d), with se over the draws and c the 95% quantile over draws of the largest
    |d* - d| / se(d) (max-t; Romano & Wolf 2005). The largest over all pairs of models, not only those with the best: the
    best was chosen by looking at the same numbers, and models that are equal in truth would else be told apart in more
    than 5% of the cases.

    Args:
        label, user: [n].
        scores: model -> one array of probabilities [n] per seed.
        draws: bootstrap draws, 2 at least. Draws in which the metric does not exist are left out.

    Returns:
        Points are NaN if the metric does not exist. With fewer than LEAST_USERS users that matter, nothing is told apart and
        a win probability is 0.5.

    Raises:
        ValueError: there is nothing to draw from, arrays are not of one length, or hold what is no label or no score.
    """
    names = list(scores)
    by_seed, point, drawn, users = _drawn(label, user, scores, metric, draws, seed)
    sign = -1 if metric == "logloss" else 1
    best = int(np.argmax(np.nan_to_num(sign * point, nan=-math.inf)))
    trusted = users >= LEAST_USERS and len(drawn) > 1
    critical = _critical_value(point, drawn) if trusted else math.nan
    models = {}
    for at, name in enumerate(names):
        ahead = sign * (drawn[:, best] - drawn[:, at])
        if trusted:
            low, high = np.quantile(drawn[:, at], [0.025, 0.975])
            half = max(critical * float(ahead.std(ddof=1)), _ROUNDING)
            wins = np.mean(ahead > _ROUNDING) + np.mean(np.abs(ahead) <= _ROUNDING) / 2
        else:
            low, high, half, wins = 0.0, LARGEST[metric], LARGEST[metric], 0.5
        difference = float(point[at] - point[best])
        models[name] = ModelInterval(
            point=float(point[at]),
            low=float(low),
            high=float(high),
            seed_sd=seed_spread(by_seed[at][0].tolist())[1],
            difference=difference,
            difference_low=difference - half if at != best else 0.0,
            difference_high=difference + half if at != best else 0.0,
            win_probability=float(wins),
        )
    apart = {name for name, model in models.items() if model.difference_low > 0 or model.difference_high < 0}
    return BootstrapResult(metric, names[best], models, frozenset(models.keys() - apart), users, critical)


def differences(
    label: np.ndarray,
    user: np.ndarray,
    scores: dict[str, list[np.ndarray]],
    pairs: Sequence[tuple[str, str]],
    metric: Metric,
    draws: int = 1000,
    seed: int = 0,
) -> list[Difference]:
    """Of the first minus the second model of each pair, on the users that `paired_bootstrap` draws.

    Intervals are as there, but c is the quantile of the largest deviation over these pairs alone, so that they hold for all
    of them at once: fewer comparisons, chosen beforehand, have narrower intervals than all pairs of models. One pair has the
    interval of a single comparison.

    Args:
        pairs: names of `scores`; at least one.

    Raises:
        ValueError: as `paired_bootstrap`.
    """
    place = {name: at for at, name in enumerate(scores)}
    first, second = (np.array([place[pair[side]] for pair in pairs]) for side in (0, 1))
    _, point, drawn, users = _drawn(label, user, scores, metric, draws, seed)
    value, resampled = point[first] - point[second], drawn[:, first] - drawn[:, second]
    if users < LEAST_USERS or len(drawn) < 2:
        half = np.full(len(pairs), LARGEST[metric])
    else:
        critical = float(np.quantile(_largest_deviation(value, resampled), 0.95))
        half = np.maximum(critical * resampled.std(axis=0, ddof=1), _ROUNDING)
    return [Difference(float(v), float(v - h), float(v + h)) for v, h in zip(value, half, strict=True)]


def draw(
    label: np.ndarray, user: np.ndarray, scores: dict[str, list[np.ndarray]], metric: Metric, draws: int = 1000, seed: int = 0
) -> Drawn:
    """What `paired_bootstrap` rests on: every model and seed on the same resampled users.

    Raises:
        ValueError: as `paired_bootstrap`.
    """
    if draws < 2 or not scores or not all(scores.values()) or not len(label):
        raise ValueError("a bootstrap needs examples, models with at least one seed each, and 2 draws or more")
    if len(user) != len(label):
        raise ValueError(f"{len(user)} users for {len(label)} labels")
    label = np.asarray(label)
    arrays = [checked_arrays(label, array)[1] for seeds in scores.values() for array in seeds]
    _, group = np.unique(user, return_inverse=True)
    values = _values(label, group, arrays, metric, draws, seed)
    by_seed = np.split(values, np.cumsum([len(seeds) for seeds in scores.values()])[:-1], axis=1)
    return Drawn(dict(zip(scores, by_seed, strict=True)), _users_that_matter(label, group, metric))


def _drawn(
    label: np.ndarray, user: np.ndarray, scores: dict[str, list[np.ndarray]], metric: Metric, draws: int, seed: int
) -> tuple[list[np.ndarray], np.ndarray, np.ndarray, int]:
    """By model its seeds' values [1 + draws, seeds]; means over seeds on all users [M] and on drawn ones [draws, M], without
    the draws in which the metric does not exist; the number of users that matter."""
    values, users = draw(label, user, scores, metric, draws, seed)
    by_model = np.column_stack([value.mean(axis=1) for value in values.values()])
    drawn = by_model[1:][~np.isnan(by_model[1:]).any(axis=1)]
    return list(values.values()), by_model[0], drawn, users


def _values(label: np.ndarray, group: np.ndarray, arrays: list[np.ndarray], metric: Metric, draws: int, seed: int) -> np.ndarray:
    """The metric [1 + draws, arrays]: of all users in the first row, of drawn users in the others; NaN where undefined."""
    users = int(group.max()) + 1
    with threadpool_limits(1, "blas"):  # sums of products in one order, so that a board has the same bytes everywhere
        blocks = [
            np.concatenate([statistic(drawn) for drawn in resamples(users, draws, seed)])
            for statistic in _statistics(label, group, arrays, metric)
        ]
    return np.concatenate(blocks, axis=1)


def resamples(users: int, draws: int, seed: int) -> Iterator[np.ndarray]:
    """How often each user is drawn, float64 [rows, users] block by block: first everyone once, then `draws` random rows."""
    yield np.ones((1, users))
    rng = np.random.default_rng(seed)
    step = max(1, _BLOCK // users)
    for begin in range(0, draws, step):
        block = np.empty((min(step, draws - begin), users))
        for row in block:
            row[:] = np.bincount(rng.integers(users, size=users), minlength=users)
        yield block


def _statistics(label: np.ndarray, group: np.ndarray, arrays: list[np.ndarray], metric: Metric) -> Iterator[Statistic]:
    """What computes the metric of all arrays, in their order. AUC comes one by one: its parts are as long as the data."""
    if metric == "auc":
        yield from (weighted_auc(label == 1, group, array) for array in arrays)
        return
    size = np.bincount(group).astype(np.float64)
    if metric == "logloss":
        totals = np.column_stack([np.bincount(group, weights=example_logloss(label, array)) for array in arrays])
    else:
        value = np.column_stack([user_auc(label, array, group)[1] for array in arrays])
        # Whether a user has both labels does not depend on the scores: all arrays leave out the same users.
        size[np.isnan(value[:, 0])] = 0
        totals = np.nan_to_num(value) * size[:, None]

    def statistic(drawn: np.ndarray) -> np.ndarray:
        with np.errstate(invalid="ignore"):
            return (drawn @ totals) / (drawn @ size)[:, None]

    yield statistic


def _users_that_matter(label: np.ndarray, group: np.ndarray, metric: Metric) -> int:
    count = np.bincount(group)
    positives = np.bincount(group, weights=label == 1)
    if metric == "gauc":
        return int(((positives > 0) & (positives < count)).sum())
    if metric == "auc":
        return int(min((positives > 0).sum(), (positives < count).sum()))
    return len(count)


def _critical_value(point: np.ndarray, drawn: np.ndarray) -> float:
    """95% quantile over draws of the largest standardised deviation of any difference of two models; 0 if none varies.

    Args:
        point: [M] values on all users.
        drawn: [draws, M] values on the drawn users.
    """
    largest = np.zeros(len(drawn))
    for at in range(len(point) - 1):
        found = _largest_deviation(point[at + 1 :] - point[at], drawn[:, at + 1 :] - drawn[:, [at]])
        largest = np.maximum(largest, found)
    return float(np.quantile(largest, 0.95))


def _largest_deviation(value: np.ndarray, drawn: np.ndarray) -> np.ndarray:
    """[draws]: in each draw the largest |d* - d| / se(d) over differences d [P], drawn [draws, P]; 0 where none varies."""
    error = drawn.std(axis=0, ddof=1)
    varies = error > _ROUNDING
    if not varies.any():
        return np.zeros(len(drawn))
    return (np.abs(drawn - value)[:, varies] / error[varies]).max(axis=1)
