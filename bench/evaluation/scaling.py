"""Whether and how a loss falls with size: shapes are compared, intervals cover seeds and users, and "no" is an answer.

Scaling is claimed where a straight line in ln x has a slope whose interval excludes zero and a constant is not as good by
AICc. Which law: among the shapes within 2 of the smallest AICc, the one with fewest parameters, unless another beats it both
in AICc and in predicting the largest sizes, which neither was fitted to; and none if it does not fit to within the errors.
R^2 decides nothing: it rises with every parameter and with the range of x.

All sizes are tested on the same users. What is hard for all of them moves them together and says nothing about the shape: every
shape has a free level. So fits and AICc weigh a size by its seeds and by what users do to it beside what they do to all.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import stats as distributions

from .family import normal_errors
from .influence import LOWER_IS_BETTER
from .shapes import EXPONENTS, PARAMETERS, Shape, fit, predict, residual_by_exponent
from .stats import Comparison, Estimate

Outcome = Literal["no scaling shown", "not identified", "law"]

LEAST_SIZES: dict[Shape, int] = {"constant": 1, "log-linear": 3, "power law": 6, "parabola": 6}
"""Different sizes that a shape needs before it is tried: with fewer, three numbers fit anything."""

CLOSE = 2.0
"""Difference of AICc below which two shapes are as good as each other (Burnham & Anderson 2002, section 2.6)."""

MISFIT = 0.01
"""Probability of worse residuals below which a shape does not fit."""

DRAWS = 1000

_GRID = 400
"""Exponents of the profile."""


@dataclass(frozen=True)
class HeldOut:
    """The largest size, and what the best shape says of it when it is fitted without the largest sizes."""

    x: float
    predicted: float
    observed: float
    error: Estimate
    """Predicted minus observed."""


@dataclass(frozen=True)
class Fit:
    """One shape."""

    shape: Shape
    parameters: tuple[Estimate, ...]
    """In the order of shapes.py."""
    aicc: float
    """inf if there are too few runs for it, or one seed alone: the error of a run is then unknown."""
    fit_probability: float
    """Of residuals that are worse, if the shape is true; NaN if no size or spread is left to test by."""
    held_out_error: float
    """Root of the mean square over the held-out sizes; inf if the others are too few to fit."""
    drawn: np.ndarray
    """Parameters [draws, p]."""


@dataclass(frozen=True)
class Scaling:
    """What is known of a loss over sizes."""

    x: np.ndarray
    """[n], ascending"""
    y: np.ndarray
    """[n], mean over seeds on all users"""
    drawn: np.ndarray
    """[draws, n]: the same of drawn seeds and users."""
    outcome: Outcome
    reason: str
    """Why it is not a law; empty for one."""
    slope: Estimate | None
    """Of a line in ln x, for every tenfold size; None with fewer than three sizes."""
    fits: dict[Shape, Fit]
    shape: Shape
    """The best; `constant` where nothing else could be tried."""
    held_out: HeldOut | None
    """Of the best shape."""
    exponent: tuple[float, float] | None
    """95% profile interval of the power law's exponent, within EXPONENTS."""

    def band(self, shape: Shape, x: np.ndarray, shift: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """A shape at x [k] with its pointwise 95% band; `shift` [draws] is taken off each draw."""
        found = self.fits[shape]
        middle = predict(shape, np.array([[one.value for one in found.parameters]]), x)[0]
        low, high = np.quantile(predict(shape, found.drawn, x) - shift[:, None], [0.025, 0.975], axis=0)
        return middle, low, high


@dataclass(frozen=True)
class Means:
    """A loss of several runs of many sizes, means over seeds, and how sure they are."""

    names: tuple[str, ...]
    y: np.ndarray
    """[n]"""
    drawn: np.ndarray
    """[draws, n]: what other users and seeds might have given."""
    influence: np.ndarray
    """[users, n], see influence.py."""
    training: np.ndarray
    """[n]: variance of the mean over seeds that training gives; 0 where it is unknown."""
    seeds: np.ndarray
    """[n]"""

    def part(self, names: Sequence[str]) -> Means:
        """Those of these names, in their order: with the same draws."""
        at = [self.names.index(name) for name in names]
        return Means(tuple(names), self.y[at], self.drawn[:, at], self.influence[:, at], self.training[at], self.seeds[at])


def means(comparison: Comparison, draws: int = DRAWS, seed: int = 0) -> Means:
    """The loss that belongs to a comparison: logloss itself, or what another metric leaves to 1.

    Errors of users are normal, and the same for all sizes as far as users move them together; those of training follow t
    distributions of as many degrees of freedom as its variance is known by.
    """
    every = list(range(len(comparison.names)))
    training, freedom = np.nan_to_num(comparison.training), np.nan_to_num(comparison.noise.freedom, nan=math.inf)
    rng = np.random.default_rng(seed + 1)
    errors = normal_errors(comparison.users_covariance(every), draws, seed)
    for at in every:
        heavy = 1.0 if math.isinf(freedom[at]) else np.sqrt(freedom[at] / rng.chisquare(freedom[at], draws))
        errors[:, at] += math.sqrt(training[at]) * rng.standard_normal(draws) * heavy
    y = comparison.point if comparison.metric in LOWER_IS_BETTER else 1 - comparison.point
    seeds = np.array([len(of) for of in comparison.values])
    return Means(comparison.names, y, y + errors, comparison.influence, training, seeds)


def study(x: Sequence[float], found: Means) -> Scaling:
    """Fit all shapes that the number of sizes allows, choose, and say what is shown.

    Args:
        x: sizes [n], above 0, in any order.
        found: the loss by size.

    Raises:
        ValueError: there is no size, or one that is not a positive number.
    """
    if not len(x) or not all(math.isfinite(size) and size > 0 for size in x):
        raise ValueError(f"sizes must be positive numbers, not {list(x)}")
    order = np.argsort(np.asarray(x, np.float64), kind="stable")
    ascending = found.part([found.names[at] for at in order])
    data = _Data(
        x=np.asarray(x, np.float64)[order],
        y=ascending.y,
        drawn=ascending.drawn,
        covariance=_covariance(ascending),
        runs=int(ascending.seeds.sum()),
        freedom=int((ascending.seeds - 1).sum()),
    )
    fits: dict[Shape, Fit] = {shape: _fit(shape, data) for shape in PARAMETERS if data.sizes >= LEAST_SIZES[shape]}
    shape = _best(fits)
    slope = None
    if (line := fits.get("log-linear")) is not None:
        slope = _estimate(math.log(10) * line.parameters[1].value, math.log(10) * line.drawn[:, 1])
    outcome, reason = _verdict(fits, shape, slope, data)
    return Scaling(
        x=data.x,
        y=data.y,
        drawn=data.drawn,
        outcome=outcome,
        reason=reason,
        slope=slope,
        fits=fits,
        shape=shape,
        held_out=_held_out(shape, data),
        exponent=_profile(data) if "power law" in fits else None,
    )


@dataclass(frozen=True)
class _Data:
    """By size, ascending."""

    x: np.ndarray
    y: np.ndarray
    drawn: np.ndarray
    covariance: np.ndarray
    runs: int
    """Of all sizes together."""
    freedom: int
    """Runs beyond the first of each size: what the spread over seeds is measured by."""

    @property
    def sizes(self) -> int:
        return len(np.unique(self.x))

    @property
    def kept(self) -> np.ndarray:
        """bool [n]: not held out. Of eight sizes and more, the two largest are."""
        return self.x < np.unique(self.x)[-2 if self.sizes >= 8 else -1]


def _covariance(found: Means) -> np.ndarray:
    """[n, n], diagonal: variances of the sizes' means over seeds, and over users beside what these do to all sizes.

    The full covariance would weigh better if it were known; as it is measured, it can draw a curve past all of its points.
    """
    count, users = len(found.y), len(found.influence)
    beside = found.influence - found.influence.mean(axis=1, keepdims=True)
    of_users = (beside * beside).sum(axis=0) / max(1, users * (users - 1)) * count / max(1, count - 1)
    variance = of_users + found.training
    # Runs that score alike leave nothing to weigh by.
    return np.diag(variance + max(1e-6 * float(variance.max()), 1e-18))


def _whiten(covariance: np.ndarray) -> np.ndarray:
    return np.linalg.inv(np.linalg.cholesky(covariance))


def _fit(shape: Shape, data: _Data) -> Fit:
    whiten = _whiten(data.covariance)
    both = fit(shape, data.x, np.vstack([data.y, data.drawn]), whiten)
    parameters = tuple(_estimate(float(value), drawn) for value, drawn in zip(both[0], both[1:].T, strict=True))
    residual = float(((whiten @ (data.y - predict(shape, both[:1], data.x)[0])) ** 2).sum())
    left = len(data.x) - PARAMETERS[shape]
    probability = math.nan
    if left > 0 and data.freedom:
        # The covariance is itself measured, the share of seeds in it by few runs.
        probability = float(distributions.f.sf(residual / left, left, data.freedom))
    return Fit(shape, parameters, _aicc(shape, data, residual), probability, _held_out_error(shape, data), both[1:])


def _aicc(shape: Shape, data: _Data, residual: float) -> float:
    """Of Gaussian errors of known covariance (Burnham & Anderson 2002, section 2.4), every run an observation."""
    free = PARAMETERS[shape]
    if data.runs <= free + 1 or not data.freedom:
        return math.inf
    return residual + 2 * free + 2 * free * (free + 1) / (data.runs - free - 1)


def _without_largest(shape: Shape, data: _Data, y: np.ndarray) -> np.ndarray | None:
    """At the held-out sizes [m, h], the shape fitted to y [m, n] of the others; None if these are too few."""
    kept = data.kept
    if len(np.unique(data.x[kept])) < PARAMETERS[shape]:
        return None
    whiten = _whiten(data.covariance[np.ix_(kept, kept)])
    return predict(shape, fit(shape, data.x[kept], y[:, kept], whiten), data.x[~kept])


def _held_out_error(shape: Shape, data: _Data) -> float:
    predicted = _without_largest(shape, data, data.y[None])
    return math.inf if predicted is None else float(np.sqrt(((predicted[0] - data.y[~data.kept]) ** 2).mean()))


def _held_out(shape: Shape, data: _Data) -> HeldOut | None:
    predicted = _without_largest(shape, data, np.vstack([data.y, data.drawn]))
    if predicted is None:
        return None
    last = predicted[:, -1]
    return HeldOut(
        x=float(data.x[-1]),
        predicted=float(last[0]),
        observed=float(data.y[-1]),
        error=_estimate(float(last[0] - data.y[-1]), last[1:] - data.drawn[:, -1]),
    )


def _best(fits: dict[Shape, Fit]) -> Shape:
    least = min(found.aicc for found in fits.values())
    close = [found for found in fits.values() if found.aicc <= least + CLOSE]
    close.sort(key=lambda found: (PARAMETERS[found.shape], found.held_out_error))
    best = close[0]
    for other in close[1:]:
        if other.aicc < best.aicc and other.held_out_error < best.held_out_error:
            best = other
    return best.shape


def _verdict(fits: dict[Shape, Fit], shape: Shape, slope: Estimate | None, data: _Data) -> tuple[Outcome, str]:
    law, best = LEAST_SIZES["power law"], fits[shape]
    if slope is None:
        return "not identified", f"{data.sizes} different sizes, and a trend needs {LEAST_SIZES['log-linear']}, a law {law}"
    if slope.includes_zero:
        return "no scaling shown", "the interval of the slope includes zero"
    if best.aicc == math.inf:
        return "not identified", "one seed a size, so that the noise of training is unknown"
    if fits["constant"].aicc <= min(found.aicc for found in fits.values()) + CLOSE:
        return "no scaling shown", "a constant is as good by AICc"
    if data.sizes < law:
        return "not identified", f"{data.sizes} sizes, and a law needs {law}"
    if shape == "power law":
        floor, _, exponent = (one.value for one in best.parameters)
        if floor == 0:
            return "not identified", "the floor E of the power law is on its bound, 0"
        if not EXPONENTS[0] < exponent < EXPONENTS[1]:
            return "not identified", f"the exponent of the power law is at the edge of what was tried, {exponent:g}"
    if best.fit_probability < MISFIT:
        return "not identified", "no shape fits to within the errors"
    return "law", ""


def _profile(data: _Data) -> tuple[float, float]:
    """Exponents that a likelihood ratio test does not refuse."""
    exponent = np.geomspace(*EXPONENTS, _GRID)
    residual = residual_by_exponent(data.x, data.y, _whiten(data.covariance), exponent)
    accepted = exponent[residual <= residual.min() + distributions.chi2.ppf(0.95, 1)]
    return float(accepted[0]), float(accepted[-1])


def _estimate(value: float, drawn: np.ndarray) -> Estimate:
    low, high = np.quantile(drawn, [0.025, 0.975])
    return Estimate(value, float(low), float(high))
