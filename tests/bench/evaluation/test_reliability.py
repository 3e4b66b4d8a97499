"""Reliability: bins, shares and intervals are what they say."""

import numpy as np
import pytest

from rankbench.bench.evaluation.calibration import expected_calibration_error
from rankbench.bench.evaluation.reliability import reliability


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
    right, wrong = (reliability(label, user, [score, score]) for score in (probability, probability / 2))
    inside = [low <= share <= high for low, share, high in zip(right.low, right.predicted, right.high, strict=True)]
    assert sum(inside) >= 8
    assert all(low > share for low, share in zip(wrong.low[1:], wrong.predicted[1:], strict=True))


def test_a_constant_is_a_single_bin_and_seeds_are_pooled() -> None:
    label, user, probability = world()
    one = reliability(label, user, [np.full(len(label), 0.4)])
    assert one.predicted == pytest.approx([0.4]) and one.count == (len(label),)
    twice, once = (reliability(label, user, [probability] * seeds) for seeds in (2, 1))
    assert twice.predicted == pytest.approx(once.predicted) and twice.observed == pytest.approx(once.observed)
    assert twice.count == once.count
    assert set(once.low) == {0.0} and set(once.high) == {1.0}, "of one seed, the training noise is unknown"


def test_rows_of_a_user_count_together() -> None:
    """Were examples independent, five copies of each would make intervals narrower."""
    label, user, probability = world()
    once = reliability(label, user, [probability] * 2)
    often = reliability(np.tile(label, 5), np.tile(user, 5), [np.tile(probability, 5)] * 2)
    assert often.low == pytest.approx(once.low) and often.high == pytest.approx(once.high)


def test_seeds_that_differ_make_intervals_wider() -> None:
    """Two seeds that say the same, and two of which one is too bold: the same share of a bin means another thing to each."""
    label, user, probability = world()
    bold = np.clip(0.5 + 2.5 * (probability - 0.5), 0, 1)
    alike, unlike = (reliability(label, user, [probability, other], bins=4) for other in (probability, bold))
    assert np.subtract(unlike.high, unlike.low).max() > 1.5 * np.subtract(alike.high, alike.low).max()


def test_a_bin_of_few_users_has_no_interval() -> None:
    label, user, probability = world(users=9)
    found = reliability(label, user, [probability] * 2)
    assert set(found.low) == {0.0} and set(found.high) == {1.0}
