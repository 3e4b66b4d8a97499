"""How sure a number is, and a difference of two: one interval carries both noises, of test users and of training.

A model's value is the mean over its seeds. Its error has two parts. *Users*: other test users would change it; whole users count,
because the examples of one depend on each other, and all models are asked the same ones, so that what is hard for all cancels in
a difference (influence.py, the jackknife). *Training*: other seeds would change it (training_noise.py). Values of seeds also
scatter because each seed errs on other users; that part is already in the first; half of it is taken off the second (TAKEN_OFF).
The variances add up, and the half-width is their root times a quantile of Student's t: few users or few seeds make it wider
(two_noises.py). Users of very different size count as fewer: as many as their squared influences are worth.

A row of one seed says nothing of its training noise. It borrows that of the other rows where these have several seeds and are
alike; else its intervals are the metric's whole range, and nothing is told apart from it. A model that scores alike with every
seed has no training noise.

Nothing is drawn at random but the critical values of many comparisons at once (family.py), from a fixed seed. proof.py measures
by simulation, and on a project's own records, that the intervals hold what they promise.
"""

from __future__ import annotations

import functools
import itertools
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ..typed import OrNaN
from . import family
from .family import ROUNDING
from .influence import LEAST_USERS, LOWER_IS_BETTER, METRICS, Metric, influence, rows
from .metrics import EPSILON
from .predictions import Predictions
from .training_noise import Known, TrainingNoise, training_noise
from .two_noises import Noise

__all__ = ["LEAST_USERS", "LOWER_IS_BETTER", "METRICS", "Metric"]

LARGEST: dict[Metric, float] = {"request_gauc": 1.0, "auc": 1.0, "user_gauc": 1.0, "logloss": -math.log(EPSILON)}
"""Every metric lies between 0 and this."""

TAKEN_OFF = 0.5
"""Share of what users do to the spread over seeds that is taken off it. All of it is counted with the users; but the spread of a
few seeds is often smaller than it should be, and with all taken off, too often nothing is left. Half keeps to 95% best
(proof.py)."""

Verdict = Literal["better", "worse", "equivalent", "not settled"]


@dataclass(frozen=True)
class Estimate:
    """A number with its 95% interval over test users and seeds; NaN where it does not exist."""

    value: OrNaN
    low: OrNaN
    high: OrNaN

    @property
    def shown(self) -> bool:
        """Whether the interval excludes zero."""
        return self.low > 0 or self.high < 0

    @property
    def includes_zero(self) -> bool:
        return self.low <= 0 <= self.high


@dataclass(frozen=True)
class ModelInterval:
    """One model's value, and how far it lies from the best."""

    point: OrNaN
    """Mean over seeds on all test users."""
    low: OrNaN
    high: OrNaN
    """95% interval over test users and seeds."""
    seed_sd: OrNaN | None
    """Sample standard deviation over seeds, of these alone; None for one seed."""
    training: Known
    """How its training noise, a part of every interval, is known."""
    difference: OrNaN
    """This model minus the one with the best value."""
    difference_low: OrNaN
    difference_high: OrNaN
    """95% interval of the difference, for all pairs of models at once: so that the best may be chosen by the same numbers."""
    among_best: bool
    """Whether it is not distinguishable from the truly best, see Standing."""


@dataclass(frozen=True)
class Standing:
    """All models on the same test users."""

    metric: Metric
    best: str
    """With the best value."""
    models: dict[str, ModelInterval]
    among_best: frozenset[str]
    """The models that are not distinguishable from the best: with 95% confidence, the truly best is one of them."""
    users: int
    """Users that the metric depends on, see influence.Rows.matter."""


@dataclass(frozen=True)
class Resolution:
    """What a single comparison of two models of a table can show: medians over pairs of models whose training has noise, or over
    all pairs if there is none of those."""

    half_width: OrNaN
    """Of the 95% interval of a difference: a difference of this size is just shown."""
    detectable: OrNaN
    """The true difference that would be shown in 80% of samples: the half-width and 0.84 standard errors."""


def verdict(low: float, high: float, margin: float, lower_is_better: bool = False) -> Verdict:
    """One of four words for a difference, from its 95% interval.

    Args:
        low, high: ends of the interval of the first model minus the second; both may be NaN, where there is none.
        margin: a difference of at most this matters to nobody, in units of the metric; 0 or more.

    Returns:
        equivalent: the whole interval lies within -margin and +margin, even where it excludes zero. better, worse: it leaves
        out zero on that side. not settled: anything else; an end that is exactly zero includes zero.

    Raises:
        ValueError: the margin is negative or not a number, or the ends are in the wrong order.
    """
    if not margin >= 0 or low > high:
        raise ValueError(f"an interval from {low} to {high} with a margin of {margin}")
    if -margin <= low and high <= margin and margin > 0:
        return "equivalent"
    if low > 0 or high < 0:
        return "better" if (low > 0) != lower_is_better else "worse"
    return "not settled"


def seed_spread(values: Sequence[float]) -> tuple[float, float | None]:
    """Mean and sample standard deviation over seeds; None in place of the deviation of a single one, or of NaN."""
    if len(values) < 2 or any(map(math.isnan, values)):
        return statistics.fmean(values), None
    return statistics.fmean(values), statistics.stdev(values)


def compare(predictions: Predictions, metric: Metric) -> Comparison:
    """What all intervals of a metric rest on: values by seed, influence of users, noise of training.

    Models that are compared should be measured together: the training noise of each leans on that of all.

    Raises:
        ValueError: there are no examples or no models, arrays are not of one length, or hold what is no label or no score.
    """
    if not predictions.scores or not all(predictions.scores.values()):
        raise ValueError("a comparison needs models with at least one seed each")
    asked = rows(predictions.label, predictions.user, predictions.request)
    measured = {name: [influence(metric, asked, score) for score in seeds] for name, seeds in predictions.scores.items()}
    return assemble(metric, measured, asked.matter(metric))


def assemble(metric: Metric, measured: Mapping[str, Sequence[tuple[float, np.ndarray]]], users: int) -> Comparison:
    """A comparison from what `influence` said of each seed.

    Args:
        measured: model -> value and influence [U] of each seed, of the same users everywhere.
        users: those that the metric depends on.
    """
    values, means, beside = [], [], []
    for seeds in measured.values():
        by_seed = np.array([of for _, of in seeds])
        mean = by_seed.mean(axis=0)
        # What each seed does to users beside what all seeds of the model do: the variance of a single one.
        own = float(((by_seed - mean) ** 2).sum()) / max(1, len(seeds) - 1)
        values.append(np.array([value for value, _ in seeds]))
        means.append(mean)
        beside.append(own / pairs_of(len(mean)))
    return Comparison(
        metric, tuple(measured), tuple(values), np.column_stack(means), np.array(beside), training_noise(values), users
    )


@dataclass(frozen=True)
class Comparison:
    """A metric of several models on the same users: everything that is said of their differences follows from this."""

    metric: Metric
    names: tuple[str, ...]
    values: tuple[np.ndarray, ...]
    """By model, one value a seed; NaN where the metric does not exist."""
    influence: np.ndarray
    """[users, M], mean over seeds, see influence.py."""
    beside: np.ndarray
    """[M]: the part of the variance over seeds that comes from the users asked, not from training."""
    noise: TrainingNoise
    users: int
    """Users that the metric depends on."""

    @functools.cached_property
    def point(self) -> np.ndarray:
        """[M], means over seeds."""
        return np.array([statistics.fmean(of) for of in self.values])

    @property
    def trusted(self) -> bool:
        return self.users >= LEAST_USERS

    @functools.cached_property
    def training(self) -> np.ndarray:
        """[M]: variance of a model's mean over seeds that training gives; NaN where it is unknown."""
        seeds = np.array([len(of) for of in self.values])
        return np.maximum(0.0, self.noise.variance - TAKEN_OFF * self.beside) / seeds

    def place(self, name: str) -> int:
        return self.names.index(name)

    def users_covariance(self, chosen: Sequence[int]) -> np.ndarray:
        """Of the means over seeds of these models, [m, m]: what users give."""
        users = self.influence[:, list(chosen)]
        return np.einsum("ua,ub->ab", users, users) / pairs_of(len(users))

    def covariance(self, chosen: Sequence[int]) -> np.ndarray:
        """The same with what training gives; an unknown training noise counts as none."""
        return self.users_covariance(chosen) + np.diag(np.nan_to_num(self.training[list(chosen)]))

    def noise_of(self, first: int, second: int | None = None) -> Noise:
        """Of a model's value, or of the first minus the second model."""
        deviation = self.influence[:, first] - (0.0 if second is None else self.influence[:, second])
        squares, users = deviation * deviation, len(deviation)
        # 3 (sum d^2)^2 / sum d^4: of normal deviations of one size, their number.
        worth = 3 * float(squares.sum()) ** 2 / max(float((squares * squares).sum()), 1e-300)
        models = [(at, len(self.values[at])) for at in ([first] if second is None else [first, second])]
        whole = [float(self.noise.variance[at]) / seeds for at, seeds in models]
        doubt = sum(one**2 / float(self.noise.freedom[at]) for one, (at, _) in zip(whole, models, strict=True))
        # What two models borrow from a common variance is wrong in both of them together.
        borrowed = sum(float(self.noise.borrowed[at]) / seeds for at, seeds in models)
        doubt += borrowed**2 / self.noise.pooled if borrowed > 0 else 0.0
        return Noise(
            users=float(squares.sum()) / pairs_of(users),
            users_freedom=max(1.0, min(worth, users - 1.0)),
            training=sum(float(self.training[at]) for at, _ in models),
            training_whole=sum(whole),
            training_freedom=sum(whole) ** 2 / doubt if doubt > 0 else math.inf,
        )

    def value(self, name: str) -> Estimate:
        """A model's value, on its own; the interval stays within the metric's range."""
        point, half, most = float(self.point[self.place(name)]), self.half_width(name), LARGEST[self.metric]
        if math.isnan(point):
            return Estimate(point, point, point)
        return Estimate(point, max(0.0, point - half) if half < most else 0.0, min(most, point + half))

    def half_width(self, name: str) -> float:
        """Of the interval of a model's value on its own."""
        return self._half_width(self.noise_of(self.place(name)))

    def differences(self, pairs: Sequence[tuple[str, str]]) -> list[Estimate]:
        """Of the first minus the second model of each pair, with intervals that hold for all of these pairs at once.

        Fewer comparisons, chosen before the numbers were seen, have narrower intervals than all pairs of models. One pair has the
        interval of a single comparison.

        Args:
            pairs: of names; none gives none.
        """
        first, second = ([self.place(pair[side]) for pair in pairs] for side in (0, 1))
        chosen = sorted({*first, *second})
        critical = family.SINGLE
        if len(pairs) > 1 and self.trusted:
            column = {at: place for place, at in enumerate(chosen)}
            errors = family.normal_errors(self.covariance(chosen))
            critical = family.largest(errors, [(column[a], column[b]) for a, b in zip(first, second, strict=True)])
        return [self._difference(a, b, critical) for a, b in zip(first, second, strict=True)]

    def difference(self, one: str, other: str) -> Estimate:
        """The first minus the second, as a single comparison."""
        return self.differences([(one, other)])[0]

    def standing(self) -> Standing:
        """Which models may be the best, and how far all lie from the one with the best value.

        The best is chosen by the same numbers as it is compared by. So differences to it hold for all pairs of models at once.
        Which models may be the best is asked by multiple comparisons with the best (Hsu 1996, section 4.1): model k is left out
        if any other is ahead of it by more than chance allows the largest of all differences to k, one-sided, in 95% of samples.
        This asks less than all pairs do and leaves out more models: every one whose difference to the best excludes zero, and
        some of which it does not.
        """
        names, point, count = self.names, self.point, len(self.names)
        sign = -1 if self.metric in LOWER_IS_BETTER else 1
        best = int(np.argmax(np.nan_to_num(sign * point, nan=-math.inf)))
        every = list(itertools.combinations(range(count), 2))
        errors = family.normal_errors(self.covariance(range(count))) if self.trusted and count > 1 else None
        critical = family.SINGLE if errors is None else family.largest(errors, every)
        models = {}
        for at, name in enumerate(names):
            own, apart = self.value(name), Estimate(0.0, 0.0, 0.0)
            if at != best:
                apart = self._difference(at, best, critical)
            models[name] = ModelInterval(
                point=own.value,
                low=own.low,
                high=own.high,
                seed_sd=seed_spread(self.values[at].tolist())[1],
                training=self.noise.known[at],
                difference=apart.value,
                difference_low=apart.low,
                difference_high=apart.high,
                among_best=at == best or self._may_be_best(at, sign, errors, critical),
            )
        chosen = frozenset(name for name, model in models.items() if model.among_best)
        return Standing(self.metric, names[best], models, chosen, self.users)

    def _may_be_best(self, at: int, sign: int, errors: np.ndarray | None, widest: float) -> bool:
        """Args: widest: the critical value of all pairs, which none of these comparisons needs to exceed."""
        if errors is None:
            return True
        others = [other for other in range(len(self.names)) if other != at]
        ahead = [(sign * float(self.point[other] - self.point[at]), self.noise_of(other, at)) for other in others]
        if any(lead > self._half_width(noise, widest) for lead, noise in ahead):
            return False
        if not any(lead > self._half_width(noise, family.ONE_SIDED) for lead, noise in ahead):
            return True
        critical = family.largest_ahead(errors, at, others)
        return not any(lead > self._half_width(noise, critical) for lead, noise in ahead)

    def resolution(self) -> Resolution:
        """The smallest differences that a single comparison of two typical models could show; NaN for a single model, and the
        whole range where no interval is trusted."""
        count = len(self.names)
        noisy = [at for at in range(count) if self.noise.known[at] != "none"]
        chosen = noisy if len(noisy) > 1 else list(range(count))
        found = [self.noise_of(one, other) for one, other in itertools.combinations(chosen, 2)]
        if not found or np.isnan(self.point).any():
            return Resolution(math.nan, math.nan)
        widths, powers = [], []
        for noise in found:
            half = self._half_width(noise)
            widths.append(half)
            powers.append(
                half + noise.error * family.t_quantile(family.POWER, noise.freedom) if half < LARGEST[self.metric] else half
            )
        return Resolution(statistics.median(widths), statistics.median(powers))

    def _difference(self, one: int, other: int, critical: float) -> Estimate:
        value = float(self.point[one] - self.point[other])
        half = self._half_width(self.noise_of(one, other), critical)
        return Estimate(value, value - half, value + half)

    def _half_width(self, noise: Noise, critical: float = family.SINGLE) -> float:
        if not self.trusted:
            return LARGEST[self.metric]
        return min(LARGEST[self.metric], max(noise.half_width(critical), ROUNDING))


def pairs_of(users: int) -> int:
    """What squared influences of so many users are divided by: see `influence`."""
    return max(1, users * (users - 1))
