"""Each shape is recovered from its own points, and equals what another program finds by other means."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import nnls

from rankbench.bench.evaluation.shapes import EXPONENTS, PARAMETERS, Shape, fit, predict, residual_by_exponent

SIZES = np.geomspace(1e4, 1e6, 6)


@settings(deadline=None, max_examples=30)
@given(
    floor=st.floats(0.1, 1),
    share=st.floats(0.05, 1),
    exponent=st.floats(0.05, 1.5),
    begin=st.floats(0.1, 1e9),
    decades=st.floats(1.5, 4),
)
def test_a_power_law_is_found_again(floor: float, share: float, exponent: float, begin: float, decades: float) -> None:
    x = np.geomspace(begin, begin * 10**decades, 7)
    truth = np.array([[floor, share * begin**exponent, exponent]])
    found = fit("power law", x, predict("power law", truth, x), np.eye(7))
    assert found[0, [0, 2]] == pytest.approx(truth[0, [0, 2]], rel=1e-3, abs=1e-3)
    assert predict("power law", found, x)[0] == pytest.approx(predict("power law", truth, x)[0], abs=1e-5)


def test_a_line_is_that_of_polyfit_and_a_parabola_too() -> None:
    rng = np.random.default_rng(0)
    y, error = rng.random((5, 6)), rng.uniform(0.1, 2, 6)
    for shape, degree in (("constant", 0), ("log-linear", 1), ("parabola", 2)):
        found = fit(shape, SIZES, y, np.diag(1 / error))
        expected = np.polyfit(np.log(SIZES), y.T, degree, w=1 / error)[::-1].T
        assert found == pytest.approx(expected, rel=1e-6)


def test_correlated_errors_give_generalised_least_squares() -> None:
    rng = np.random.default_rng(1)
    root = rng.normal(size=(6, 6))
    covariance, y = root @ root.T + np.eye(6), rng.random(6)
    basis, inverse = np.column_stack([np.ones(6), np.log(SIZES)]), np.linalg.inv(covariance)
    expected = np.linalg.solve(basis.T @ inverse @ basis, basis.T @ inverse @ y)
    assert fit("log-linear", SIZES, y[None], np.linalg.inv(np.linalg.cholesky(covariance)))[0] == pytest.approx(expected)


@pytest.mark.parametrize("seed", range(20))
def test_the_projection_is_non_negative_least_squares(seed: int) -> None:
    """Curves that rise, fall and lie around zero, so that every bound is met."""
    rng = np.random.default_rng(seed)
    y = rng.normal(0, 1, 6) + rng.choice([-1, 0, 1]) * np.linspace(-2, 2, 6) + rng.choice([0, 2])
    whiten = np.tril(rng.normal(0, 0.3, (6, 6)), -1) + np.diag(rng.uniform(0.5, 2, 6))
    exponent = np.geomspace(0.05, 1, 7)
    found = residual_by_exponent(SIZES, y, whiten, exponent)
    unit = SIZES / np.exp(np.log(SIZES).mean())
    expected = [nnls(whiten @ np.column_stack([np.ones(6), unit**-a]), whiten @ y)[1] ** 2 for a in exponent]
    assert found == pytest.approx(expected, rel=1e-9)


def test_no_exponent_leaves_less_than_the_one_that_is_found() -> None:
    rng = np.random.default_rng(3)
    for _ in range(20):
        y = 0.5 + SIZES ** -rng.uniform(0.1, 1) + rng.normal(0, 0.002, 6)
        floor, scale, exponent = fit("power law", SIZES, y[None], np.eye(6))[0]
        left = ((y - floor - scale * SIZES**-exponent) ** 2).sum()
        assert floor >= 0 and scale >= 0 and EXPONENTS[0] <= exponent <= EXPONENTS[1]
        assert left <= residual_by_exponent(SIZES, y, np.eye(6), np.geomspace(*EXPONENTS, 2_000)).min() * (1 + 1e-6)


def test_a_loss_that_grows_gives_a_power_law_without_a_slope() -> None:
    floor, scale, _ = fit("power law", SIZES, np.linspace(0.5, 0.6, 6)[None], np.eye(6))[0]
    assert scale == 0 and floor == pytest.approx(0.55)


@pytest.mark.parametrize("shape", PARAMETERS)
def test_many_samples_are_fitted_as_each_of_them_alone(shape: Shape) -> None:
    y = 0.5 + np.random.default_rng(0).random((4, 6)) + SIZES**-0.3
    together = fit(shape, SIZES, y, np.eye(6))
    assert together.shape == (4, PARAMETERS[shape])
    assert together == pytest.approx(np.vstack([fit(shape, SIZES, row[None], np.eye(6)) for row in y]), rel=1e-9)
    assert predict(shape, together, SIZES[:3]).shape == (4, 3)
