"""Whether intervals hold what they promise: by simulation, where the truth is known, and on real models against themselves.

Coverage: tests are drawn again and again, with other users and other seeds (made_up.py). 95% intervals of a model's value, and of
the difference of two models, must hold the truth in 93% to 97% of them, and the truly best model must be among those that cannot
be told from the best in 95% at least; all models are alike, which is the hardest case for that.

The truth of a value is its mean over tests of as many users: an interval says what other users and seeds would change. More of
the pairs of AUC lie within a user where users are few, and these are harder to rank, so that it is lower than AUC of very many
users; how far they lie apart is counted beside the shares (`Coverage.of_few`).

Self-comparison: three seeds of a real model against its two others are one model against itself; they must be called different in
5% of cases. The ten ways to part five seeds depend on each other, so that the share over a table of models scatters.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from .influence import LEAST_USERS, METRICS, Metric, influence, rows
from .made_up import World
from .predictions import Predictions
from .stats import Comparison, assemble
from .training_noise import SAME

SEEDS = (2, 3, 5)

MANY = 4000
"""Users of a test that stands for very many."""

WORLDS = tuple(World(users, training) for users in (30, 144) for training in (0.0, 0.01, 0.05))
"""ml-100k's number of users with both labels and a fifth of it; training noise from none over a third of that of users in a
difference to several times as much."""


@dataclass(frozen=True)
class Coverage:
    """Shares of the tests drawn from a world, in which an interval of a metric holds the truth."""

    users: int
    training: float
    seeds: int
    metric: str
    times: int
    of_few: float
    """The truth of the value less that of a test of very many users."""
    value: float
    """Of a model's value."""
    difference: float
    """Of the difference of two models, measured beside the others of their table."""
    alone: float
    """Of the same two models measured by themselves, without the noise of others to lean on."""
    best: float
    """The truly best is among the best."""
    among_best: float
    """Models that are, mean."""


@dataclass(frozen=True)
class SelfComparison:
    """How often real models are called different from themselves."""

    metric: str
    models: int
    """With five seeds or more whose scores are not all alike."""
    compared: int
    different: int
    worst: str
    """The model that was called different most often."""

    @property
    def share(self) -> float:
        return self.different / self.compared


Measured = dict[str, list[tuple[float, np.ndarray]]]
"""Model -> value and influence of each seed."""


def measured(predictions: Predictions, metric: Metric) -> tuple[Measured, int]:
    """Every seed of every model, and the users that the metric depends on."""
    asked = rows(predictions.label, predictions.user, predictions.request)
    found = {name: [influence(metric, asked, score) for score in seeds] for name, seeds in predictions.scores.items()}
    return found, asked.matter(metric)


def truth(world: World, users: int = 80_000) -> dict[Metric, float]:
    """The value of every metric in the mean over users and seeds, of tests of the world's size.

    Args:
        users: drawn in all; with 80,000 it is sure to .0005.
    """
    rng, values = np.random.default_rng(1), []
    for _ in range(max(1, users // world.users)):
        test = world.test(rng, 1)
        values.append([np.mean([seeds[0][0] for seeds in measured(test, metric)[0].values()]) for metric in METRICS])
    return dict(zip(METRICS, np.mean(values, axis=0).tolist(), strict=True))


def coverage(world: World, times: int, seed: int = 0) -> list[Coverage]:
    """Of every metric and number of seeds, over so many tests of a world."""
    rng, true = np.random.default_rng([seed, world.users, round(1000 * world.training)]), truth(world)
    of_many = truth(replace(world, users=MANY))
    hits: dict[tuple[int, Metric], list[tuple[float, float, float, float, float]]] = {}
    for _ in range(times):
        test = world.test(rng, max(SEEDS))
        for metric in METRICS:
            every, users = measured(test, metric)
            for seeds in SEEDS:
                some = {name: of[:seeds] for name, of in every.items()}
                hits.setdefault((seeds, metric), []).append(_hits(metric, some, users, true[metric]))
    return [
        Coverage(
            world.users,
            world.training,
            seeds,
            metric,
            times,
            true[metric] - of_many[metric],
            *map(float, np.mean(found, axis=0)),
        )
        for (seeds, metric), found in sorted(hits.items(), key=lambda item: (item[0][0], METRICS.index(item[0][1])))
    ]


def _hits(metric: Metric, models: Measured, users: int, true: float) -> tuple[float, float, float, float, float]:
    found = assemble(metric, models, users)
    names = list(models)
    values = [found.value(name) for name in names]
    pairs = list(zip(names[::2], names[1::2], strict=True))
    alone = [assemble(metric, {name: models[name] for name in pair}, users).difference(*pair) for pair in pairs]
    standing = found.standing()
    return (
        float(np.mean([one.low <= true <= one.high for one in values])),
        float(np.mean([found.difference(*pair).includes_zero for pair in pairs])),
        float(np.mean([one.includes_zero for one in alone])),
        float(np.mean([name in standing.among_best for name in names])),
        float(len(standing.among_best)),
    )


def self_comparison(predictions: Predictions, metric: Metric) -> SelfComparison | None:
    """Three of five seeds of every model against the two others, in all ten ways; None where there is nothing to compare.

    Both halves of every model stand in one table, as the rows of a board would.
    """
    every, users = measured(predictions, metric)
    five = {name: of[:5] for name, of in every.items() if len(of) >= 5 and np.ptp([value for value, _ in of[:5]]) > SAME}
    if not five or users < LEAST_USERS:
        return None
    different = dict.fromkeys(five, 0)
    for three in itertools.combinations(range(5), 3):
        table = _halves(metric, five, three, users)
        for name in five:
            different[name] += table.difference(f"{name} 3", f"{name} 2").shown
    worst = max(different, key=lambda name: different[name])
    said = f"{worst} ({different[worst]} of 10)" if different[worst] else "none"
    return SelfComparison(metric, len(five), 10 * len(five), sum(different.values()), said)


def _halves(
    metric: Metric, models: Mapping[str, Sequence[tuple[float, np.ndarray]]], three: tuple[int, ...], users: int
) -> Comparison:
    parts: Measured = {}
    for name, seeds in models.items():
        parts[f"{name} 3"] = [seeds[at] for at in three]
        parts[f"{name} 2"] = [seed for at, seed in enumerate(seeds) if at not in three]
    return assemble(metric, parts, users)
