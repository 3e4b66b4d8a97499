"""Variances over few seeds lean on each other as far as they are alike, and no further."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.special import polygamma

from rankbench.bench.evaluation import training_noise as noise
from rankbench.bench.evaluation.training_noise import prior, training_noise


def seeds(deviations: np.ndarray, count: int, rng: np.random.Generator) -> list[np.ndarray]:
    return [rng.normal(0.7, deviation, count) for deviation in deviations]


def test_models_that_are_alike_lean_on_each_other() -> None:
    """Of three seeds each: the moderated variances scatter far less, and as many more degrees of freedom are claimed."""
    found, own = [], []
    for at in range(200):
        values = seeds(np.full(12, 0.01), 3, np.random.default_rng(at))
        found.append(training_noise(values))
        own.append([of.var(ddof=1) for of in values])
    moderated = np.array([one.variance for one in found])
    assert moderated.mean() == pytest.approx(1e-4, rel=0.2)
    assert moderated.std() < 0.6 * np.std(own)
    assert all((one.freedom <= 2 + noise.MOST_WORTH).all() and one.pooled == 24 for one in found)
    assert sum((one.freedom == 2 + noise.MOST_WORTH).all() for one in found) > 60
    assert all((one.borrowed < one.variance).all() for one in found)


def test_models_that_differ_keep_their_own() -> None:
    values = seeds(np.geomspace(1e-4, 1e-1, 12), 5, np.random.default_rng(0))
    found = training_noise(values)
    own = np.array([of.var(ddof=1) for of in values])
    moved = np.log(found.variance / own)
    assert np.median(np.abs(moved)) < 0.2 and moved.min() > -0.3, "only a variance that is small by luck moves far, upwards"
    assert (found.freedom < 6).all() and (found.borrowed < found.variance).all()


def test_the_common_variance_and_its_worth_are_found_again() -> None:
    """Variances drawn from the model that the method assumes: scaled inverse chi-square with 3 degrees of freedom."""
    rng = np.random.default_rng(0)
    true = 3 * 4.0 / rng.chisquare(3, 4000)
    common, worth = prior(true * rng.chisquare(2, 4000) / 2, np.full(4000, 2.0))
    assert common == pytest.approx(4, rel=0.1) and worth == pytest.approx(3, rel=0.2)
    assert prior(rng.chisquare(2, 4000) / 2, np.full(4000, 2.0))[1] == noise.MOST_WORTH


def test_a_model_that_scores_alike_with_every_seed_has_none() -> None:
    rng = np.random.default_rng(0)
    found = training_noise([np.full(3, 0.6), *seeds(np.full(4, 0.01), 3, rng)])
    assert found.known[0] == "none" and found.variance[0] == found.borrowed[0] == 0 and math.isinf(found.freedom[0])
    others = training_noise(seeds(np.full(4, 0.01), 3, np.random.default_rng(0)))
    assert found.variance[1:] == pytest.approx(others.variance), "and it does not lower that of others"


def test_one_seed_borrows_from_others_that_are_alike_and_else_is_unknown() -> None:
    rng = np.random.default_rng(2)
    alike = training_noise([np.array([0.5]), *seeds(np.full(8, 0.01), 3, rng)])
    assert alike.known[0] == "of others" and alike.variance[0] == pytest.approx(1e-4, rel=0.7)
    assert training_noise([np.array([0.5]), np.full(3, 0.6)]).known == ("unknown", "none")
    alone = training_noise([np.array([0.5]), np.array([0.6])])
    assert alone.known == ("unknown", "unknown") and np.isnan(alone.variance).all()
    two = training_noise([np.array([0.5]), rng.normal(0, 1, 3)])
    assert two.known == ("unknown", "measured"), "one other model says nothing of how models differ"


def test_the_inverse_of_trigamma_inverts_it() -> None:
    for value in (1e-3, 0.1, 1.0, 30.0):
        assert float(polygamma(1, noise._inverse_trigamma(value))) == pytest.approx(value, rel=1e-8)
