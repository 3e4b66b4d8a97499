"""Buckets against the formula they stand for."""

import math

import torch
from hypothesis import given
from hypothesis import strategies as st

from rankbench.kernels.time_buckets import GAP_BUCKETS, time_buckets


@given(st.integers(-(10**13), 10**13))
def test_equals_the_formula(gap_ms: int) -> None:
    exact = math.log(max(1.0, abs(gap_ms) / 1000)) / 0.301
    if abs(exact - round(exact)) < 1e-9:  # on a border floating point may fall on either side
        return
    assert time_buckets(torch.tensor(gap_ms)).item() == min(math.floor(exact), GAP_BUCKETS - 1)


def test_known_values_and_limits() -> None:
    gaps = torch.tensor([0, 999, 1000, 1351, 1352, 60_000, -60_000, 2**62])
    assert time_buckets(gaps).tolist() == [0, 0, 0, 0, 1, 13, 13, GAP_BUCKETS - 1]
