"""Ranks over data sets: against scipy, closed forms and published critical values."""

import numpy as np
import pytest
from scipy import stats

from rankbench.bench.errors import UserError
from rankbench.bench.evaluation.ranks import LEAST_DATASETS, nemenyi, rank


def table(values: np.ndarray) -> dict[str, dict[str, float]]:
    """[data sets, models] with names d0, d1 ... and m0, m1 ..."""
    return {f"d{at}": {f"m{j}": float(value) for j, value in enumerate(row)} for at, row in enumerate(values)}


def test_mean_ranks_and_friedman_are_the_closed_form() -> None:
    values = np.random.default_rng(0).normal(size=(9, 4)) + np.array([0, 0.3, 0.6, 2])
    found = rank(table(values))
    ranks = np.array([[1 + (row > value).sum() for value in row] for row in values])
    mean = dict(zip(("m0", "m1", "m2", "m3"), ranks.mean(axis=0), strict=True))
    assert dict(zip(found.models, found.mean_rank, strict=True)) == pytest.approx(mean)
    assert found.models[0] == "m3" and list(found.mean_rank) == sorted(found.mean_rank)
    n, k = values.shape
    chi_square = 12 * n / (k * (k + 1)) * (sum(value**2 for value in mean.values()) - k * (k + 1) ** 2 / 4)
    assert found.statistic == pytest.approx(chi_square)
    assert found.p_value == pytest.approx(stats.chi2.sf(chi_square, k - 1))


def test_tied_values_share_their_mean_rank() -> None:
    found = rank(table(np.tile([0.7, 0.7, 0.6, 0.5], (6, 1))))
    assert found.models == ("m0", "m1", "m2", "m3") and found.mean_rank == (1.5, 1.5, 3.0, 4.0)


@pytest.mark.parametrize(("models", "quantile"), [(2, 1.960), (3, 2.343), (5, 2.728), (10, 3.164)])
def test_critical_values_are_those_that_demsar_printed(models: int, quantile: float) -> None:
    assert nemenyi(models, 1) == pytest.approx(quantile * np.sqrt(models * (models + 1) / 6), abs=2e-3)


def test_groups_are_the_runs_that_do_not_differ() -> None:
    """Ten data sets agree on the order of four models: their ranks are 1 to 4, and 1.48 apart is too little."""
    found = rank(table(np.tile([0.9, 0.8, 0.7, 0.6], (10, 1))))
    assert found.critical_difference == pytest.approx(1.483, abs=1e-3)
    assert found.groups == (("m0", "m1"), ("m1", "m2"), ("m2", "m3"))
    close = rank(table(np.random.default_rng(1).normal(size=(6, 3))))
    assert close.groups == (close.models,)


def test_few_data_sets_or_models_are_refused_in_words() -> None:
    values = np.arange(15.0).reshape(5, 3)
    with pytest.raises(UserError, match="need 6 of them at least, there are 5: with fewer, no order"):
        rank(table(values))
    assert 2 * 0.5 ** (LEAST_DATASETS - 1) > 0.05 > 2 * 0.5**LEAST_DATASETS
    apart = table(np.arange(18.0).reshape(6, 3))
    del apart["d0"]["m1"]
    with pytest.raises(UserError, match="three models that all data sets have, there are 2"):
        rank(apart)
