"""Where a new seed lies: as often as is promised, by the textbook's numbers."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rankbench.bench.evaluation.new_seed import new_best, new_seed

VALUES = st.lists(st.floats(0, 1), min_size=2, max_size=9)


def test_three_values_by_hand() -> None:
    """t of 2 degrees of freedom is 4.3027; mean 2, s 1."""
    found = new_seed([1.0, 2.0, 3.0])
    assert found.value == 2.0
    assert found.high - 2.0 == pytest.approx(4.302652729696 * math.sqrt(4 / 3), rel=1e-9)
    assert new_best([1.0, 2.0, 3.0], 0.95) == pytest.approx(2 + 2.919985580355 * math.sqrt(4 / 3), rel=1e-9)


@pytest.mark.parametrize("seeds", [3, 5])
def test_a_new_seed_of_the_same_training_lies_inside_in_95_of_100_cases(seeds: int) -> None:
    draws = np.random.default_rng(1).normal(0.7, 0.002, (4000, seeds + 1))
    inside = [(found := new_seed(list(row[:-1]))).low <= row[-1] <= found.high for row in draws]
    assert abs(np.mean(inside) - 0.95) < 0.015


def test_two_metrics_together_are_refused_in_at_most_one_of_twenty_cases() -> None:
    draws = np.random.default_rng(2).normal(0.7, 0.002, (4000, 2, 6))

    def inside(row: np.ndarray) -> bool:
        found = new_seed(list(row[:-1]), metrics=2)
        return found.low <= row[-1] <= found.high

    assert np.mean([inside(both[0]) and inside(both[1]) for both in draws]) > 0.94


@given(VALUES, st.floats(-1, 1))
def test_the_interval_moves_with_the_values_and_holds_their_mean(values: list[float], shift: float) -> None:
    found, moved = new_seed(values), new_seed([value + shift for value in values])
    assert found.low <= found.value <= found.high
    assert moved.low == pytest.approx(found.low + shift, abs=1e-9) and moved.high == pytest.approx(found.high + shift, abs=1e-9)


@given(VALUES)
def test_more_metrics_at_once_allow_more(values: list[float]) -> None:
    assert new_seed(values, 2).high >= new_seed(values, 1).high


def test_one_seed_says_nothing_and_two_models_are_no_family() -> None:
    with pytest.raises(ValueError, match="one seed does not say"):
        new_seed([0.7])
    assert new_best([0.7, 0.8], 0.99) == math.inf
    assert math.isnan(new_seed([0.7, math.nan]).high)
