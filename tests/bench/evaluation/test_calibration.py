"""Calibration error is that of its definition, and its floor that of simulated labels."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom

from rankbench.bench.evaluation.calibration import EXACT, RARE, calibration_floor, expected_calibration_error


def test_calibration_error_of_equal_bins() -> None:
    """Without ties: the slow definition, bins of n / 15 rows in the order of their scores."""
    label, score = made(1500)
    order = np.argsort(score)
    bins = zip(np.split(label[order], 15), np.split(score[order], 15), strict=True)
    expected = np.mean([abs(ones.mean() - ps.mean()) for ones, ps in bins])
    assert expected_calibration_error(label, score) == pytest.approx(expected, abs=1e-12)


def test_calibration_error_keeps_ties_together() -> None:
    label, _ = made(1000)
    rate = label.mean()
    for constant in (rate, 0.9):
        found = expected_calibration_error(label, np.full(1000, constant))
        assert found == pytest.approx(abs(constant - rate), abs=1e-12)


def test_calibration_error_tells_calibrated_from_shifted() -> None:
    rng = np.random.default_rng(0)
    truth = rng.uniform(0.1, 0.9, 60_000)
    label = (rng.random(60_000) < truth).astype(int)
    assert expected_calibration_error(label, truth) < 0.01
    assert expected_calibration_error(label, truth + 0.1) == pytest.approx(0.1, abs=0.01)


def made(n: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    label = (rng.random(n) < 0.3).astype(int)
    return label, 1 / (1 + np.exp(-(label - 1 + rng.normal(size=n))))


def simulated(probability: np.ndarray, times: int = 1500) -> float:
    rng = np.random.default_rng(1)
    errors = [
        expected_calibration_error((rng.random(len(probability)) < probability).astype(int), probability) for _ in range(times)
    ]
    return float(np.mean(errors))


@pytest.mark.parametrize("rows", [40, 15 * EXACT - 30, 15 * EXACT + 300])
@pytest.mark.parametrize("rate", [0.02, 0.4])
def test_the_floor_is_what_true_probabilities_show(rows: int, rate: float) -> None:
    probability = np.random.default_rng(rows).beta(5 * rate, 5 * (1 - rate), rows)
    assert calibration_floor(probability) == pytest.approx(simulated(probability), rel=0.04)


@pytest.mark.parametrize(("rows", "p"), [(100, 0.01), (100, 0.03), (100, 0.97), (100, 0.05), (300, 0.3), (5000, 0.002)])
def test_the_approximations_are_as_good_as_they_say(rows: int, p: float) -> None:
    """A constant prediction is a single bin, whose positives are binomial."""
    places = np.arange(rows + 1)
    exact = float((np.abs(places - rows * p) * binom.pmf(places, rows, p)).sum()) / rows
    variance = rows * p * (1 - p)
    allowed = min(p, 1 - p) if variance < RARE else 1 / (8 * variance)
    assert abs(calibration_floor(np.full(rows, p)) / exact - 1) < allowed


def test_the_floor_of_certain_predictions_is_zero_and_of_none_is_nothing() -> None:
    assert calibration_floor(np.array([0.0, 1.0, 1.0])) == 0
    assert np.isnan(calibration_floor(np.array([])))
