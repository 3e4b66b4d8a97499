"""Critical values hold for all comparisons at once, and come out the same wherever they are computed."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy import stats as distributions

from rankbench.bench.evaluation import family
from rankbench.bench.evaluation.two_noises import Noise


def test_the_root_multiplies_to_the_covariance_even_if_it_is_singular() -> None:
    rng = np.random.default_rng(0)
    part = rng.normal(size=(6, 3))
    for covariance in (part @ part.T, part @ part.T + np.eye(6), np.zeros((2, 2))):
        lower = family.root(covariance)
        assert lower @ lower.T == pytest.approx(covariance, abs=1e-9) and np.allclose(np.triu(lower, 1), 0)


def test_all_pairs_of_independent_values_have_the_studentized_range() -> None:
    errors = family.normal_errors(np.eye(5))
    found = family.largest(errors, list(itertools.combinations(range(5), 2)))
    assert found == pytest.approx(distributions.studentized_range.ppf(0.95, 5, math.inf) / math.sqrt(2), abs=0.04)


def test_a_single_comparison_has_the_normal_quantile() -> None:
    errors = family.normal_errors(np.eye(3))
    assert family.largest(errors, [(0, 1)]) == family.SINGLE == pytest.approx(1.95996, abs=1e-5)
    assert family.largest(errors, [(0, 0), (1, 1)]) == family.SINGLE, "what has no error decides nothing"
    assert family.largest_ahead(errors, 0, [1]) == pytest.approx(1.645, abs=0.04)


def test_others_ahead_of_one_have_dunnetts_quantile() -> None:
    """Of four treatments and a control of equal error, 95% one-sided: 2.16 (Dunnett 1955, table 1a)."""
    assert family.largest_ahead(family.normal_errors(np.eye(5)), 0, [1, 2, 3, 4]) == pytest.approx(2.16, abs=0.04)


def test_a_quantile_of_t_is_at_the_same_probability() -> None:
    assert family.t_quantile(family.SINGLE, 4) == pytest.approx(2.776, abs=1e-3)
    assert family.t_quantile(2.5, math.inf) == 2.5


def test_two_noises_become_one_interval() -> None:
    users, both = Noise(4.0, 30, 0, 0, math.inf), Noise(4.0, 30, 5.0, 6.0, 2)
    assert (users.error, users.freedom) == (2, 30) and users.half_width() == pytest.approx(2 * 2.0423, rel=1e-3)
    assert both.error == 3 and both.freedom == pytest.approx(81 / (16 / 30 + 36 / 2))
    assert both.half_width() == pytest.approx(
        max(
            3 * distributions.t.ppf(0.975, both.freedom),
            math.sqrt(4 * distributions.t.ppf(0.975, 30) ** 2 + 5 * distributions.t.ppf(0.975, 2) ** 2),
        )
    )
    unknown = Noise(4.0, 30, math.nan, math.nan, 1)
    assert not unknown.known and math.isinf(unknown.error) and math.isinf(unknown.half_width())
