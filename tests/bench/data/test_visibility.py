"""Visibility against its definition, event by event."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rankbench.bench.data.visibility import frozen_intervals, visible_intervals

sequences = st.lists(st.lists(st.integers(0, 12), max_size=12).map(sorted), min_size=1, max_size=5)


def literal(users: list[list[int]], history_length: int, delay: int) -> list[tuple[int, int]]:
    intervals, begin = [], 0
    for times in users:
        for at, now in enumerate(times):
            visible = [begin + j for j, then in enumerate(times[:at]) if then < now - delay]
            hi = begin + len(visible)
            assert visible == list(range(begin, hi)), "what is visible is an interval from the user's first event"
            intervals.append((max(begin, hi - history_length), hi))
        begin += len(times)
    return intervals


@given(sequences, st.integers(1, 6), st.sampled_from([0, 1, 4]), st.sampled_from([1, 10**12, 2**60]))
def test_equals_the_definition(users: list[list[int]], history_length: int, delay: int, offset: int) -> None:
    offsets = np.cumsum([0, *map(len, users)])
    time = np.array([t + offset for times in users for t in times], dtype=np.int64)
    lo, hi = visible_intervals(offsets, time, history_length, delay)
    assert list(zip(lo.tolist(), hi.tolist(), strict=True)) == literal(users, history_length, delay)


@given(sequences, st.integers(1, 6))
def test_bounds_never_decrease_within_a_user_and_never_reach_the_event(users: list[list[int]], history_length: int) -> None:
    offsets = np.cumsum([0, *map(len, users)])
    time = np.array([t for times in users for t in times], dtype=np.int64)
    lo, hi = visible_intervals(offsets, time, history_length)
    assert (hi <= np.arange(len(time))).all()
    assert (hi - lo <= history_length).all()
    for begin, end in itertools.pairwise(offsets):
        assert (np.diff(lo[begin:end]) >= 0).all() and (np.diff(hi[begin:end]) >= 0).all()


def test_events_of_one_timestamp_do_not_see_each_other() -> None:
    lo, hi = visible_intervals(np.array([0, 5]), np.array([1, 2, 2, 2, 3]), history_length=3)
    assert hi.tolist() == [0, 1, 1, 1, 4]
    assert lo.tolist() == [0, 0, 0, 0, 1]


@pytest.mark.parametrize("span", [2**40, 2**61])
def test_wide_time_spans_do_not_overflow(span: int) -> None:
    users = [[0, span // 2, span]] * 7
    lo, hi = visible_intervals(np.arange(0, 22, 3), np.array(users, dtype=np.int64).ravel(), history_length=9)
    assert (hi - np.repeat(np.arange(0, 21, 3), 3)).tolist() == [0, 1, 2] * 7
    assert (lo == np.repeat(np.arange(0, 21, 3), 3)).all()


@given(sequences, st.integers(1, 6), st.lists(st.integers(0, 12), min_size=2, max_size=2).map(sorted))
def test_frozen_examples_see_no_event_of_their_own_role(users: list[list[int]], history_length: int, cuts: list[int]) -> None:
    offsets = np.cumsum([0, *map(len, users)])
    time = np.array([t for times in users for t in times], dtype=np.int64)
    role = 1 + np.searchsorted(cuts, time, side="right")
    _, hi = visible_intervals(offsets, time, history_length)
    frozen_lo, frozen_hi = frozen_intervals(hi, offsets, role, (2, 3), history_length)
    for event in range(len(time)):
        begin = offsets[np.searchsorted(offsets, event, side="right") - 1]
        earlier = [j for j in range(begin, hi[event]) if role[event] == 1 or role[j] < role[event]]
        assert list(range(frozen_lo[event], frozen_hi[event])) == earlier[-history_length:]
    for begin, end in itertools.pairwise(offsets):
        assert (np.diff(frozen_lo[begin:end]) >= 0).all() and (np.diff(frozen_hi[begin:end]) >= 0).all()
