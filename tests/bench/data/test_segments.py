"""The rule by which sequences are cut, and what the sizes of position tables follow from."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from rankbench.bench.data.segments import chunk_start, longest_segment


@given(length=st.integers(1, 300), user_start=st.integers(0, 1000), seen=st.integers(0, 5000))
def test_what_is_seen_ends_within_the_longest_segment(length: int, user_start: int, seen: int) -> None:
    hi = np.array([user_start + seen])
    start, chunk = chunk_start(length, np.array([user_start]), hi)
    assert user_start <= start[0] <= chunk[0] <= hi[0]
    assert start[0] <= max(hi[0] - length, user_start), "a whole history lies in the segment"
    assert hi[0] - start[0] < longest_segment(length)


def test_the_longest_segment_is_reached() -> None:
    """A smaller table would be too short."""
    for length in (1, 50, 200):
        hi = np.arange(20 * length + 2000)
        start, _ = chunk_start(length, np.zeros_like(hi), hi)
        assert (hi - start).max() == longest_segment(length) - 1
