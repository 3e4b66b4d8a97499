"""Work in several processes, each with its own share of the cores: the cells of a benchmark, the workers of a sweep."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from multiprocessing.connection import Connection
from multiprocessing.connection import wait as wait_for
from multiprocessing.process import BaseProcess
from typing import Any, TypeVar

import torch

from .. import registry
from ..errors import UserError
from ..training.progress import Display, Send

Job = TypeVar("Job")
Result = TypeVar("Result")

_send: Send | None = None
"""In a worker: how events reach the parent."""


def _start(threads: int, events: Any) -> None:
    global _send
    torch.set_num_threads(threads)
    _send = lambda name, event, values: events.put((name, event, values))  # noqa: E731
    _end_with_parent()
    registry.load_own()


def _end_with_parent() -> None:
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


def together(function: Callable[[Job, Send], None], job: Job, processes: int, threads: int, display: Display) -> int:
    """Call `function(job, send)` in several processes at once, which share the work by means of their own.

    One process: here. Several: fresh ones; one that dies leaves the others at work.

    Returns:
        How many died.

    Raises:
        UserError: one of them did.
    """
    if processes <= 1:
        for _ in run(function, [job], 1, threads, display):
            pass
        return 0
    context = multiprocessing.get_context("spawn")
    crew: dict[Connection, BaseProcess] = {}
    for number in range(processes):
        # A pipe each: one that is killed while it writes to a shared queue would block the others.
        here, there = context.Pipe(duplex=False)
        crew[here] = context.Process(target=_member, args=(function, job, threads, there), name=f"worker {number}", daemon=True)
        crew[here].start()
        there.close()
    everybody, refused, talking = list(crew.values()), None, dict(crew)
    try:
        while talking:
            for here in wait_for(list(talking)):
                assert isinstance(here, Connection)
                try:
                    message = here.recv()
                except (EOFError, OSError):
                    member = talking.pop(here)
                    member.join()
                    if member.exitcode:
                        display.line(f"{member.name} ended with exit code {member.exitcode}")
                    continue
                if isinstance(message, UserError):
                    refused = refused or message
                else:
                    display.handle(*message)
    finally:
        _dismiss(everybody)
    if refused is not None:
        raise refused
    return sum(bool(member.exitcode) for member in everybody)


def _member(function: Callable[[Job, Send], None], job: Job, threads: int, there: Connection) -> None:
    torch.set_num_threads(threads)
    _end_with_parent()
    try:
        registry.load_own()
        function(job, lambda name, event, values: there.send((name, event, values)))
    except UserError as error:
        there.send(error)
        os._exit(2)
    except KeyboardInterrupt:
        os._exit(130)
    except BaseException:
        traceback.print_exc()
        os._exit(1)


def _dismiss(members: list[BaseProcess]) -> None:
    """Let them end as after Ctrl-C, and then by force."""
    for member in members:
        if member.is_alive() and member.pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(member.pid, signal.SIGINT)
    for member in members:
        member.join(timeout=10)
        if member.is_alive():
            member.terminate()
            member.join()
