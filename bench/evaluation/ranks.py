"""Several models on several data sets: mean ranks, and which of them differ (Demsar 2006).

Values of different data sets are never averaged: a point of AUC on one is not a point on another, an order is. Data sets, not
users or seeds, are what is sampled here, so that a few of them show nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy import stats as scipy_stats

from ..errors import UserError

LEAST_DATASETS = 6
"""Of fewer, no order of two models is significant at 5% even if it is the same on all: 2 x 0.5^5 is 0.0625."""


@dataclass(frozen=True)
class Ranking:
    """Of the models that every data set has."""

    datasets: tuple[str, ...]
    models: tuple[str, ...]
    """Best mean rank first."""
    mean_rank: tuple[float, ...]
    """1 is the best; tied values share their mean rank."""
    statistic: float
    """Friedman's chi-square, corrected for ties."""
    p_value: float
    """That all models are alike."""
    critical_difference: float
    """Nemenyi: mean ranks of two models that lie further apart differ at 5%, for all pairs at once."""

    @property
    def groups(self) -> tuple[tuple[str, ...], ...]:
        """Largest runs of models, in their order, whose first and last do not differ."""
        found: list[tuple[int, int]] = []
        for begin, low in enumerate(self.mean_rank):
            end = max(at for at, rank in enumerate(self.mean_rank) if rank - low <= self.critical_difference)
            if end > begin and (not found or end > found[-1][1]):
                found.append((begin, end))
        return tuple(self.models[begin : end + 1] for begin, end in found)


def rank(values: Mapping[str, Mapping[str, float]]) -> Ranking:
    """The ranking of the models that all data sets share.

    Args:
        values: data set -> model -> a metric of which more is better.

    Raises:
        UserError: fewer than LEAST_DATASETS data sets, or fewer than three models that all of them have.
    """
    if len(values) < LEAST_DATASETS:
        raise UserError(
            f"ranks over data sets need {LEAST_DATASETS} of them at least, there are {len(values)}: with fewer, no order of two "
            "models is significant at 5%, even one that all data sets agree on"
        )
    names = sorted(set.intersection(*(set(of) for of in values.values())))
    if len(names) < 3:
        raise UserError(f"ranks over data sets need three models that all data sets have, there are {len(names)}")
    table = np.array([[of[name] for name in names] for of in values.values()])
    ranks = scipy_stats.rankdata(-table, axis=1)
    friedman = scipy_stats.friedmanchisquare(*table.T)
    mean = ranks.mean(axis=0)
    order = sorted(range(len(names)), key=lambda at: (mean[at], names[at]))
    return Ranking(
        datasets=tuple(values),
        models=tuple(names[at] for at in order),
        mean_rank=tuple(float(mean[at]) for at in order),
        statistic=float(friedman.statistic),
        p_value=float(friedman.pvalue),
        critical_difference=nemenyi(len(names), len(values)),
    )


def nemenyi(models: int, datasets: int, level: float = 0.05) -> float:
    """The critical difference of mean ranks: q sqrt(k (k + 1) / 6 N), q the studentized range over sqrt 2."""
    quantile = scipy_stats.studentized_range.ppf(1 - level, models, math.inf) / math.sqrt(2)
    return float(quantile * math.sqrt(models * (models + 1) / (6 * datasets)))
