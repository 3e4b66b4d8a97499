"""What another thread puts together ahead of whoever needs it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

AHEAD = 2
"""Batches that another thread assembles while an accelerator computes. On a CPU it would take the model's own time."""

Place = TypeVar("Place")
Made = TypeVar("Made")


def ahead(make: Callable[[Place], Made], places: Sequence[Place], count: int) -> Generator[Made, None, None]:
    """What `make` gives for each place, in their order, up to `count` of them made beforehand by another thread; 0: none is."""
    if count == 0:
        yield from map(make, places)
        return
    pool = ThreadPoolExecutor(1)
    try:
        waiting = deque(pool.submit(make, place) for place in places[:count])
        for at in range(len(places)):
            if at + count < len(places):
                waiting.append(pool.submit(make, places[at + count]))
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
