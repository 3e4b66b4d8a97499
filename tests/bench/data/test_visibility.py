"""Visibility against its definition, event by event."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rankbench.bench.data.visibility import (
    Requests,
    frozen_intervals,
    logged_requests,
    visible_intervals,
    window_start,
    windowed_requests,
)

sequences = st.lists(st.lists(st.integers(0, 12), max_size=12).map(sorted), min_size=1, max_size=5)


def literal(users: list[list[int]], history_length: int, delay: int, window: int) -> list[tuple[int, int]]:
    intervals, begin = [], 0
    for times in users:
        for at, now in enumerate(times):
            start = now - now % window if window else now
            visible = [begin + j for j, then in enumerate(times[:at]) if then < start - delay]
            hi = begin + len(visible)
            assert visible == list(range(begin, hi)), "what is visible is an interval from the user's first event"
            intervals.append((max(begin, hi - history_length), hi))
        begin += len(times)
    return intervals


windows = st.sampled_from([0, 1, 3, 10])


def log_of(users: list[list[int]], shift: int = 0) -> tuple[np.ndarray, np.ndarray]:
    return np.cumsum([0, *map(len, users)]), np.array([t + shift for times in users for t in times], dtype=np.int64)


@given(sequences, st.integers(1, 6), st.sampled_from([0, 1, 4]), st.sampled_from([1, 10**12, 2**60]), windows)
def test_equals_the_definition(users: list[list[int]], history_length: int, delay: int, shift: int, window: int) -> None:
    shifted = [[t + shift for t in times] for times in users]
    offsets, time = log_of(shifted)
    requests = windowed_requests(offsets, time, window)
    lo, hi = visible_intervals(offsets, time, requests, history_length, delay)
    assert list(zip(lo[:].tolist(), hi[:].tolist(), strict=True)) == literal(shifted, history_length, delay, window)


@given(sequences, windows)
def test_a_request_is_what_one_user_did_in_one_window(users: list[list[int]], window: int) -> None:
    offsets, time = log_of(users)
    found = windowed_requests(offsets, time, window)
    keys = [(user, t // window if window else t) for user, times in enumerate(users) for t in times]
    assert found.first[:].tolist() == [keys.index(key) for key in keys]
    assert found.last(slice(0, len(time))).tolist() == [len(keys) - 1 - keys[::-1].index(key) for key in keys]
    assert (found.start <= time).all() and (time - found.start < max(window, 1)).all()


def test_windows_begin_at_local_midnight() -> None:
    day, hour = 86_400_000, 3_600_000
    times = np.array([0, 15 * hour, 16 * hour, day])
    assert window_start(times, day, utc_offset_hours=8).tolist() == [-8 * hour, -8 * hour, 16 * hour, 16 * hour]


@given(st.lists(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 3)), max_size=10).map(sorted), min_size=1, max_size=4))
def test_logged_requests_never_overlap_and_hold_all_events_of_an_id(users: list[list[tuple[int, int]]]) -> None:
    offsets = np.cumsum([0, *map(len, users)])
    events = [(user, time, number) for user, rows in enumerate(users) for time, number in rows]
    time, number = (np.array([event[at] for event in events], dtype=np.int64) for at in (1, 2))
    found: Requests = logged_requests(offsets, time, number)
    for (one, (user, _, of_one)), (two, (other, _, of_two)) in itertools.combinations(enumerate(events), 2):
        if user == other and of_one == of_two:
            assert found.first[one] == found.first[two]
        if user != other:
            assert found.first[one] != found.first[two]
    for event in range(len(events)):
        members = np.flatnonzero(found.first == found.first[event])
        assert (found.start[members] == time[members].min()).all() and (np.diff(members) == 1).all()
        before = [j for j in range(members[0]) if events[j][0] == events[event][0]]
        assert all(time[j] < found.start[event] for j in before), "whatever lies before a request is over when it starts"


def test_requests_one_after_the_other_stay_apart() -> None:
    found = logged_requests(np.array([0, 4, 6]), np.array([1, 1, 5, 6, 1, 2]), np.array([7, 7, 8, 8, 7, 7]))
    assert found.first[:].tolist() == [0, 0, 2, 2, 4, 4] and found.start[:].tolist() == [1, 1, 5, 5, 1, 1]


@given(sequences, st.integers(1, 6), windows)
def test_bounds_never_decrease_within_a_user_and_never_reach_the_request(
    users: list[list[int]], history_length: int, window: int
) -> None:
    offsets, time = log_of(users)
    requests = windowed_requests(offsets, time, window)
    lo, hi = visible_intervals(offsets, time, requests, history_length)
    lo, hi = lo[:], hi[:]
    assert (hi <= requests.first).all()
    assert (hi - lo <= history_length).all()
    for begin, end in itertools.pairwise(offsets):
        assert (np.diff(lo[begin:end]) >= 0).all() and (np.diff(hi[begin:end]) >= 0).all()


def test_events_of_one_timestamp_do_not_see_each_other() -> None:
    time = np.array([1, 2, 2, 2, 3])
    lo, hi = visible_intervals(np.array([0, 5]), time, windowed_requests(np.array([0, 5]), time, 0), history_length=3)
    assert hi[:].tolist() == [0, 1, 1, 1, 4]
    assert lo[:].tolist() == [0, 0, 0, 0, 1]


@pytest.mark.parametrize("span", [2**40, 2**61])
def test_wide_time_spans_do_not_overflow(span: int) -> None:
    users = [[0, span // 2, span]] * 7
    time = np.array(users, dtype=np.int64).ravel()
    offsets = np.arange(0, 22, 3)
    lo, hi = visible_intervals(offsets, time, windowed_requests(offsets, time, 0), history_length=9)
    assert (hi[:] - np.repeat(np.arange(0, 21, 3), 3)).tolist() == [0, 1, 2] * 7
    assert (lo == np.repeat(np.arange(0, 21, 3), 3)).all()


@given(sequences, st.integers(1, 6), st.lists(st.integers(0, 12), min_size=2, max_size=2).map(sorted))
def test_frozen_examples_see_no_event_of_their_own_role(users: list[list[int]], history_length: int, cuts: list[int]) -> None:
    offsets = np.cumsum([0, *map(len, users)])
    time = np.array([t for times in users for t in times], dtype=np.int64)
    role = 1 + np.searchsorted(cuts, time, side="right")
    _, hi = visible_intervals(offsets, time, windowed_requests(offsets, time, 0), history_length)
    frozen_lo, frozen_hi = frozen_intervals(hi, offsets, role, (2, 3), history_length)
    for event in range(len(time)):
        begin = offsets[np.searchsorted(offsets, event, side="right") - 1]
        earlier = [j for j in range(begin, hi[event]) if role[event] == 1 or role[j] < role[event]]
        assert list(range(frozen_lo[event], frozen_hi[event])) == earlier[-history_length:]
    for begin, end in itertools.pairwise(offsets):
        assert (np.diff(frozen_lo[begin:end]) >= 0).all() and (np.diff(frozen_hi[begin:end]) >= 0).all()
