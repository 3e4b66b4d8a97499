"""Cells of a benchmark in several processes, each with its own share of the cores."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from typing import Any, TypeVar

import torch

from .training.progress import Display, Send

Job = TypeVar("Job")
Result = TypeVar("Result")

_send: Send | None = None
"""In a worker: how events reach the parent."""


def _start(threads: int, events: Any) -> None:
    global _send
    torch.set_num_threads(threads)
    _send = lambda name, event, values: events.put((name, event, values))  # noqa: E731
    parent = multiprocessing.parent_process()
    assert parent is not None

    def end_with_parent() -> None:
        parent.join()
        os._exit(1)

    # A killed parent must not leave workers behind that train on, beside those of the next start.
    threading.Thread(target=end_with_parent, daemon=True).start()


def _call(function: Callable[[Job, Send], Result], job: Job) -> Result:
    assert _send is not None
    return function(job, _send)


def run(
    function: Callable[[Job, Send], Result], jobs: list[Job], processes: int, threads: int, display: Display
) -> Iterator[tuple[Job, Result]]:
    """Call `function(job, send)` for every job and yield (job, result) as they end.

    One process: here, one after the other. Several: in fresh processes that share nothing; an exception of a job stops the
    rest and is raised here.
    """
    if processes <= 1 or len(jobs) <= 1:
        before = torch.get_num_threads()
        torch.set_num_threads(threads)
        try:
            for job in jobs:
                yield job, function(job, display.handle)
        finally:
            torch.set_num_threads(before)
        return
    context = multiprocessing.get_context("spawn")
    events = context.Queue()

    def listen() -> None:
        while (event := events.get()) is not None:
            display.handle(*event)

    listener = threading.Thread(target=listen, daemon=True)
    listener.start()
    pool = ProcessPoolExecutor(min(processes, len(jobs)), context, initializer=_start, initargs=(threads, events))
    try:
        running: dict[Future[Result], Job] = {pool.submit(_call, function, job): job for job in jobs}
        while running:
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                yield running.pop(future), future.result()
    except BaseException:
        for process in list((pool._processes or {}).values()):
            with contextlib.suppress(OSError):
                process.terminate()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
        events.put(None)
        listener.join(timeout=5)
