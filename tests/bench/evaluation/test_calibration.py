"""Reliability: bins, shares and intervals are what they say."""

import numpy as np
import pytest

from rankbench.bench.evaluation.calibration import reliability
from rankbench.bench.evaluation.metrics import expected_calibration_error


def world(users: int = 50, rows: int = 40) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Label, user and the probability that the label was drawn with."""
    rng = np.random.default_rng(0)
    probability = rng.beta(2, 3, users * rows)
    label = (rng.random(users * rows) < probability).astype(int)
    return label, np.repeat(np.arange(users), rows), probability


def test_bins_hold_equally_many_and_lie_in_order() -> None:
    label, user, probability = world()
    found = reliability(label, user, [probability], bins=8)
    assert found.count == (250.0,) * 8
    ordered = np.sort(probability).reshape(8, 250)
    assert found.predicted == pytest.approx(ordered.mean(axis=1), rel=1e-12)
    assert found.observed == pytest.approx(label[np.argsort(probability)].reshape(8, 250).mean(axis=1), rel=1e-12)


def test_the_gaps_are_those_of_the_calibration_error() -> None:
    label, user, probability = world()
    skewed = np.round(probability**2, 2)
    found = reliability(label, user, [skewed], bins=15)
    gaps = np.abs(np.subtract(found.predicted, found.observed))
    assert gaps @ np.array(found.count) / len(label) == pytest.approx(expected_calibration_error(label, skewed, 15), rel=1e-12)


def test_true_probabilities_lie_within_the_intervals_and_wrong_ones_do_not() -> None:
    label, user, probability = world(200)
    right, wrong = (reliability(label, user, [score]) for score in (probability, probability / 2))
    inside = [low <= share <= high for low, share, high in zip(right.low, right.predicted, right.high, strict=True)]
    assert sum(inside) >= 8
    assert all(low > share for low, share in zip(wrong.low[1:], wrong.predicted[1:], strict=True))


def test_a_constant_is_a_single_bin_and_seeds_are_pooled() -> None:
    label, user, probability = world()
    one = reliability(label, user, [np.full(len(label), 0.4)])
    assert one.predicted == pytest.approx([0.4]) and one.count == (len(label),)
    twice, once = reliability(label, user, [probability, probability]), reliability(label, user, [probability])
    assert twice.predicted == pytest.approx(once.predicted) and twice.low == pytest.approx(once.low)
    assert twice.count == once.count


def test_rows_of_a_user_count_together() -> None:
    """Were examples independent, five copies of each would make intervals narrower."""
    label, user, probability = world()
    once = reliability(label, user, [probability])
    often = reliability(np.tile(label, 5), np.tile(user, 5), [np.tile(probability, 5)])
    assert often.low == pytest.approx(once.low) and often.high == pytest.approx(once.high)
