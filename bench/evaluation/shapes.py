"""Shapes that a loss y may take over a size x, fitted by least squares to many samples of y at once.

- constant: y = a
- log-linear: y = a + b ln x
- power law: y = E + A x^-a with E, A >= 0 and a in EXPONENTS, which saturates at E
- parabola: y = a + b ln x + c (ln x)^2, with an optimum between where quality first rises and then falls

Errors of different sizes may be correlated: `whiten` [n, n] makes them independent and of size 1. With sqrt(weight) on its
diagonal it is weighted least squares.

The power law is fitted by variable projection (Golub & Pereyra 1973): for a given exponent, E and A are a linear problem with a
closed form, so that one number is left to search. A descent in all three depends on where it starts and stops, which is
what made published intervals too narrow (Besiroglu et al. 2024, arXiv:2404.10102).
"""

from __future__ import annotations

from typing import Literal

import numpy as np

Shape = Literal["constant", "log-linear", "power law", "parabola"]

PARAMETERS: dict[Shape, int] = {"constant": 1, "log-linear": 2, "power law": 3, "parabola": 3}
"""Numbers that are fitted."""

EXPONENTS = (0.02, 2.0)
"""Where the exponent of a power law is looked for. Below, it is not distinguishable from log-linear; above, from a step."""

_GRID = 80
_ZOOM, _ROUNDS = 9, 7
"""Points around the best one, each time four times closer to it."""


def fit(shape: Shape, x: np.ndarray, y: np.ndarray, whiten: np.ndarray) -> np.ndarray:
    """Parameters [m, p] of m samples.

    Args:
        x: [n], above 0; at least as many different values as the shape has parameters.
        y: [m, n]
        whiten: [n, n], W with W' W the inverse of the errors' covariance, or proportional to it.

    Returns:
        In the order of the formulas above; of the power law (E, A, exponent).
    """
    if shape == "power law":
        return _power_law(x, y, whiten)
    return np.linalg.lstsq(whiten @ _basis(shape, x), whiten @ y.T, rcond=None)[0].T


def predict(shape: Shape, parameters: np.ndarray, x: np.ndarray) -> np.ndarray:
    """y [m, k] of shapes with parameters [m, p] at x [k]."""
    if shape == "power law":
        floor, scale, exponent = parameters.T[:, :, None]
        return floor + scale * x**-exponent
    return parameters @ _basis(shape, x).T


def residual_by_exponent(x: np.ndarray, y: np.ndarray, whiten: np.ndarray, exponent: np.ndarray) -> np.ndarray:
    """Sums of squared whitened errors [g] that the best E and A leave of y [n] for each exponent [g]: the power law's profile."""
    return _project(x / _middle(x), y[None], whiten, exponent[None])[0][0]


def _basis(shape: Shape, x: np.ndarray) -> np.ndarray:
    return np.log(x)[:, None] ** np.arange(PARAMETERS[shape])


def _middle(x: np.ndarray) -> float:
    return float(np.exp(np.log(x).mean()))


def _power_law(x: np.ndarray, y: np.ndarray, whiten: np.ndarray) -> np.ndarray:
    # In units of the middle size, x^-a is near 1 for every exponent, and E and A are of the size of y.
    middle, (low, high) = _middle(x), EXPONENTS
    exponent = np.broadcast_to(np.geomspace(low, high, _GRID), (len(y), _GRID))
    reach, rows = (high / low) ** (1 / (_GRID - 1)), np.arange(len(y))
    for _ in range(_ROUNDS):
        residual, floor, scale = _project(x / middle, y, whiten, exponent)
        best = rows, residual.argmin(axis=1)
        found = exponent[best]
        around = np.clip(found[:, None] * np.geomspace(1 / reach, reach, _ZOOM), low, high)
        exponent, reach = around, reach**0.25
    return np.column_stack([floor[best], scale[best] * middle**found, found])


def _project(x: np.ndarray, y: np.ndarray, whiten: np.ndarray, exponent: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """For exponents [m or 1, g]: the sum of squares, E >= 0 and A >= 0, each [m, g].

    Two numbers that must not be negative: where the free solution has one that is, the answer lies on one of the two bounds.
    """
    one, power, y = whiten.sum(axis=1), x ** -exponent[:, :, None] @ whiten.T, y @ whiten.T
    oo, op, pp = one @ one, power @ one, (power**2).sum(axis=2)
    oy, py = (y @ one)[:, None], (power * y[:, None]).sum(axis=2)
    spread = oo * pp - op**2
    with np.errstate(divide="ignore", invalid="ignore"):
        scale = (oo * py - op * oy) / spread
        floor = (oy - scale * op) / oo
    free = (scale >= 0) & (floor >= 0) & (spread > 1e-14 * oo * pp)
    level, alone, nothing = np.maximum(oy / oo, 0), np.maximum(py / pp, 0), np.zeros_like(py)

    def left(floor: np.ndarray, scale: np.ndarray) -> np.ndarray:
        # From the residuals themselves: sums of products would lose half the digits.
        return ((y[:, None] - floor[:, :, None] * one - scale[:, :, None] * power) ** 2).sum(axis=2)

    no_floor = left(nothing, alone) < left(level, nothing)
    floor = np.where(free, floor, np.where(no_floor, 0, level))
    scale = np.where(free, scale, np.where(no_floor, alone, 0))
    return left(floor, scale), floor, scale
