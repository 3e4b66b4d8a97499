"""What files keep does not depend on the last digits of a sum."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rankbench.bench.records.rounded import DIGITS, rounded


class Pair(NamedTuple):
    one: float
    other: float


@dataclass(frozen=True)
class Deep:
    name: str
    values: dict[str, list[float]]
    pair: Pair
    count: int
    nothing: float | None


def test_every_float_is_rounded_wherever_it_stands() -> None:
    third = 1 / 3
    found = rounded([Deep("a", {"x": [third, 2 * third]}, Pair(third, -third), 7, None), (third, "text", True)])
    short = 0.3333333333
    assert found == [Deep("a", {"x": [short, 0.6666666667]}, Pair(short, -short), 7, None), (short, "text", True)]
    assert isinstance(found[0].pair, Pair) and found[1][2] is True


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        (0.1 + 0.2, 0.3), (123456.7891234, 123456.7891), (1e-11, 0.0), (-1e-17, 0.0), (2.5e11 + 0.25, 2.5e11),
        (1e-3 + 1e-16, 1e-3), (1e300, 1e300),
    ],
)  # fmt: skip
def test_ten_digits_are_kept(value: float, kept: float) -> None:
    assert repr(rounded(value)) == repr(kept)


def test_what_is_no_finite_number_stays() -> None:
    assert math.isnan(rounded(math.nan)) and rounded(math.inf) == math.inf
    assert rounded({"a": 10**15, "b": "0.1234567890123"}) == {"a": 10**15, "b": "0.1234567890123"}


@given(st.floats(-1e6, 1e6))
def test_rounding_twice_is_rounding_once_and_moves_little(value: float) -> None:
    once = rounded(value)
    assert rounded(once) == once
    assert abs(once - value) <= 0.5 * 10.0**-DIGITS * max(1.0, 10 * abs(value))


def test_sums_in_any_order_are_kept_alike() -> None:
    """A processor adds in its own order: the sums differ, what is kept does not."""
    values = np.random.default_rng(0).random(5000)
    sums = [float(sum(np.random.default_rng(at).permutation(values))) / 5000 for at in range(50)]
    assert len(set(sums)) > 1 and len(set(map(rounded, sums))) == 1
