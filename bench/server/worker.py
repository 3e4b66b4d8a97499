"""One thread that computes, and a queue before it that has an end.

Models are computed one request after the other: a pass uses the threads that the process was given, and two at a time would only
get in each other's way. Who comes to a full queue is sent away at once, with a moment to come back; who waits too long is
dropped from the queue, unless the computation has begun, which then ends for nobody.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

T = TypeVar("T")

_FORGETTING = 0.1
"""Weight of the latest request in the running mean of what a request takes."""


class Busy(Exception):
    """The queue is full."""

    def __init__(self, retry_after: int) -> None:
        super().__init__(f"too many requests are waiting; come back in {retry_after} s")
        self.retry_after = retry_after
        """Seconds, at least one."""


class Late(Exception):
    """There was no answer in time."""


class Worker:
    """To be used from one event loop."""

    def __init__(self, queue: int, prepare: Callable[[], object] = lambda: None) -> None:
        """
        Args:
            queue: requests that are computed or wait, at most.
            prepare: called once within the thread.
        """
        self.queue = queue
        self.pending = 0
        self.mean = 0.0
        """Seconds that a request took, running mean."""
        self._pool = ThreadPoolExecutor(1, "scores", prepare)

    async def run(self, work: Callable[[], T], timeout: float) -> T:
        """What `work` gives, computed in the thread.

        Raises:
            Busy: at once.
            Late: after `timeout` seconds.
        """
        if self.pending >= self.queue:
            raise Busy(max(1, math.ceil(self.pending * self.mean)))
        loop = asyncio.get_running_loop()
        self.pending += 1
        future = self._pool.submit(self._timed, work)
        future.add_done_callback(lambda done: self._ended(loop, done))
        try:
            return await asyncio.wait_for(asyncio.wrap_future(future), timeout)
        except TimeoutError:
            raise Late(f"no answer within {timeout:g} s") from None

    def close(self) -> None:
        """End the thread once it is idle."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _timed(self, work: Callable[[], T]) -> T:
        begin = time.perf_counter()
        try:
            return work()
        finally:
            took = time.perf_counter() - begin
            self.mean += (took - self.mean) * (_FORGETTING if self.mean else 1.0)

    def _ended(self, loop: asyncio.AbstractEventLoop, _: Future[Any]) -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(self._leave)

    def _leave(self) -> None:
        self.pending -= 1
