"""How long requests take under load, and how many are answered.

Closed load: one caller, who asks again as soon as an answer is there. It says what a request costs and how many a worker can
answer at all: its capacity. Open load: requests arrive at random moments (Poisson), whoever is being served, at a share of the
capacity, and wait in one queue. A latency counts from the moment at which a request arrives and not from when the worker
gets to it: a load that waited for answers would ask least where the server is slowest, and so hide the queue (Tene calls that
coordinated omission).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

LEAST = 5
"""Requests of a measurement, however long they take."""

ENOUGH = {95: 20, 99: 100}
"""Percentile -> requests from which it is not simply the slowest one."""

Ask = Callable[[int], object]
"""Ask for request number 0, 1, ... and wait for the answer."""


@dataclass(frozen=True)
class Latency:
    """Milliseconds of the requests of one measurement."""

    requests: int
    p50: float
    p95: float | None
    """None of fewer than 20 requests."""
    p99: float | None
    """None of fewer than 100 requests."""

    @classmethod
    def of(cls, seconds: Sequence[float]) -> Latency:
        """Percentiles are values that occurred, the next higher one between two."""

        def percentile(rank: int) -> float:
            return 1e3 * float(np.percentile(seconds, rank, method="higher"))

        p95, p99 = (percentile(rank) if len(seconds) >= least else None for rank, least in ENOUGH.items())
        return cls(len(seconds), percentile(50), p95, p99)


@dataclass(frozen=True)
class ClosedLoad:
    """One caller, back to back."""

    wall: Latency
    cpu: Latency
    """CPU time, all threads of the process."""
    per_second: float
    """Requests by the wall clock: the capacity."""


@dataclass(frozen=True)
class OpenLoad:
    """Poisson arrivals before one worker."""

    share: float
    """Of the capacity that the closed load of the same round found."""
    offered: float
    """Requests that arrive in a second, by the rate of the process."""
    answered: float
    """Requests a second, from the first arrival to the last answer."""
    wall: Latency
    """From arrival to answer."""


def closed_load(ask: Ask, seconds: float) -> ClosedLoad:
    """Ask back to back for some seconds."""
    wall: list[float] = []
    cpu: list[float] = []
    begin = time.perf_counter()
    while len(wall) < LEAST or time.perf_counter() - begin < seconds:
        start, start_cpu = time.perf_counter(), time.process_time()
        ask(len(wall))
        wall.append(time.perf_counter() - start)
        cpu.append(time.process_time() - start_cpu)
    return ClosedLoad(Latency.of(wall), Latency.of(cpu), len(wall) / (time.perf_counter() - begin))


def open_load(
    ask: Ask,
    share: float,
    capacity: float,
    seconds: float,
    seed: int,
    clock: Callable[[], float] = time.perf_counter,
    sleep: Callable[[float], None] = time.sleep,
) -> OpenLoad:
    """Let requests arrive at share * capacity in a second, for some seconds.

    Args:
        capacity: requests a second that a closed load got answered.
        seed: of the moments of arrival.
    """
    rate = share * capacity
    count = max(LEAST, round(rate * seconds))
    arrival = np.cumsum(np.random.default_rng(seed).exponential(1 / rate, count)).tolist()
    begin, wall = clock(), []
    for at, moment in enumerate(arrival):
        early = moment - (clock() - begin)
        if early > 0:
            sleep(early)
        ask(at)
        wall.append(clock() - begin - moment)
    return OpenLoad(share, rate, count / (clock() - begin - arrival[0]), Latency.of(wall))
