"""Loads count what they say: percentiles, capacity, and under open load the time that a request waits."""

from __future__ import annotations

import pytest

from rankbench.bench.speed.load import LEAST, Latency, closed_load, open_load


class Clock:
    """Time that passes where it is told to."""

    def __init__(self) -> None:
        self.now = 100.0
        self.slept = 0

    def __call__(self) -> float:
        return self.now

    def pass_by(self, seconds: float) -> None:
        self.now += seconds

    def sleep(self, seconds: float) -> None:
        self.slept += 1
        self.now += seconds


def test_percentiles_are_values_that_occurred_and_none_of_too_few() -> None:
    hundred = Latency.of([one / 1000 for one in range(1, 101)])
    assert (hundred.requests, hundred.p50, hundred.p95, hundred.p99) == (100, 51, 96, 100)
    assert Latency.of([0.001] * 20).p95 == 1 and Latency.of([0.001] * 20).p99 is None
    few = Latency.of([0.003, 0.001, 0.002])
    assert (few.p50, few.p95, few.p99) == (2, None, None)


def test_one_stall_delays_all_who_arrive_meanwhile() -> None:
    """A load that waited for answers would count the stall once."""
    clock = Clock()

    def ask(number: int) -> None:
        clock.pass_by(5.0 if number == 0 else 0.001)

    found = open_load(ask, 0.5, 100.0, 4.0, 0, clock, clock.sleep)
    assert found.offered == 50 and found.wall.requests == 200
    assert found.wall.p50 > 2_000  # half of them arrived within the first two of the five seconds, and waited for the rest
    assert clock.slept == 1  # until the first arrival: after it somebody always waits


def test_requests_that_are_served_at_once_wait_for_nothing() -> None:
    clock = Clock()
    found = open_load(lambda _: clock.pass_by(0.001), 0.01, 1000.0, 20.0, 0, clock, clock.sleep)
    assert found.wall.p50 == pytest.approx(1.0, abs=1e-6) and found.answered == pytest.approx(10, rel=0.3)


def test_a_closed_load_asks_a_few_times_however_long_that_takes() -> None:
    numbers: list[int] = []
    found = closed_load(numbers.append, 0.0)
    assert numbers == list(range(LEAST)) and found.wall.requests == found.cpu.requests == LEAST
    assert found.per_second > 0
