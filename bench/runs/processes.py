"""Work in several processes, each with its own share of the cores: the cells of a benchmark, the workers of a sweep."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.connection import wait as wait_for
from multiprocessing.process import BaseProcess
from typing import Any, TypeVar

import torch

from .. import registry
from ..errors import UserError, of_machine, why
from ..training.display import Display
from ..training.progress import CellId, Event, Send

Job = TypeVar("Job")
Result = TypeVar("Result")


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None

    def end_with_parent() -> None:
        parent.join()
        os._exit(1)

    # A killed parent must not leave workers behind that train on, beside those of the next start.
    threading.Thread(target=end_with_parent, daemon=True).start()


@contextlib.contextmanager
def _threads(threads: int) -> Iterator[None]:
    """In this process, as workers have them."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def run(
    function: Callable[[Job, Send], Result],
    jobs: Sequence[Job],
    processes: int,
    threads: int,
    display: Display,
    lost: Callable[[Job, str], Result],
) -> Iterator[tuple[Job, Result]]:
    """Call `function(job, send)` for every job and yield (job, result) as they end.

    One process: here, one after the other. Several: in fresh processes that share nothing; an exception of a job stops the rest
    and is raised here. A process that dies, for example because the machine has no memory left, takes its one job with it: its
    result is what `lost(job, how it died)` makes of it.
    """
    if processes <= 1 or len(jobs) <= 1:
        with _threads(threads):
            for job in jobs:
                yield job, function(job, display.handle)
        return
    waiting, busy, hands = list(reversed(jobs)), dict[Connection, Job](), dict[Connection, BaseProcess]()

    def give(here: Connection) -> None:
        """The next job, or none: then it ends. One that died before it got the job leaves it to others."""
        with contextlib.suppress(OSError):
            here.send(waiting[-1] if waiting else None)
            if waiting:
                busy[here] = waiting.pop()

    try:
        while waiting or busy:
            while waiting and len(busy) < processes:
                hand, here = _hire(function, threads)
                hands[here] = hand
                give(here)
            for here in wait_for(list(busy)):
                assert isinstance(here, Connection)
                try:
                    said: _Said = here.recv()
                except (EOFError, OSError):
                    hands[here].join()
                    job = busy.pop(here)
                    yield job, lost(job, _death(hands[here].exitcode))
                    continue
                if said.event is not None:
                    display.handle(*said.event)
                elif said.error is not None:
                    raise said.error
                else:
                    job = busy.pop(here)
                    give(here)
                    yield job, said.result
    except BaseException:
        for hand in hands.values():
            hand.terminate()
        raise
    finally:
        for hand in hands.values():
            hand.join()


@dataclass(frozen=True)
class _Said:
    """What a process tells the one that started it: one of three."""

    event: tuple[CellId, Event] | None = None
    error: BaseException | None = None
    result: Any = None


def _hire(function: Callable[[Job, Send], Result], threads: int) -> tuple[BaseProcess, Connection]:
    """A process that waits for jobs. It does not hear Ctrl-C, which the terminal sends to all: it is ended by this one."""
    context = multiprocessing.get_context("spawn")
    # A pipe each: one that is killed while it writes to a shared queue would block the others.
    here, there = context.Pipe()
    hand = context.Process(target=_serve, args=(function, threads, there))
    try:
        _start(hand)
    except KeyboardInterrupt:
        if hand.pid is not None:
            hand.terminate()
        raise
    there.close()
    return hand, here


def _start(process: BaseProcess) -> None:
    """Start a process that does not hear Ctrl-C, unless it asks to.

    Raises:
        UserError: the system gives no further one.
    """
    try:
        with _deaf():
            process.start()
    except OSError as error:
        raise UserError(f"no further process can be started ({why(error)}); end other programs, or use fewer --jobs") from None


@contextlib.contextmanager
def _deaf() -> Iterator[None]:
    """What is started here does not hear Ctrl-C, unless it asks to; this process hears it at the end.

    Only the main thread can wait for that.
    """
    ignored = signal.getsignal(signal.SIGINT) == signal.SIG_IGN  # as under nohup: what is started ignores it too
    if ignored or threading.current_thread() is not threading.main_thread():
        yield
        return
    heard: list[int] = []
    resource_tracker.ensure_running()  # it comes with the first process, and undoes the mask below
    before = signal.signal(signal.SIGINT, lambda number, _: heard.append(number))
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # a fresh process has the mask of who starts it
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        signal.signal(signal.SIGINT, before)
    if heard:
        raise KeyboardInterrupt


def _serve(function: Callable[[Job, Send], Result], threads: int, there: Connection) -> None:
    torch.set_num_threads(threads)
    _end_with_parent()
    registry.load_own()
    while (job := there.recv()) is not None:
        try:
            said = _Said(result=function(job, lambda cell, event: there.send(_Said(event=(cell, event)))))
        except UserError as error:
            said = _Said(error=error)
        except BaseException as error:
            lacking = of_machine(error)
            if lacking is None:
                traceback.print_exc()
            said = _Said(error=lacking or RuntimeError(repr(error)))
        there.send(said)


def _death(exitcode: int | None) -> str:
    """How a process ended that gave no result."""
    if exitcode is not None and exitcode < 0:
        name = signal.Signals(-exitcode).name if -exitcode in set(signal.Signals) else str(-exitcode)
        hint = "; where memory ran out, use fewer --jobs" if -exitcode == signal.SIGKILL else ""
        return f"its process was killed by {name}{hint}"
    return f"its process ended with exit code {exitcode}"


def together(function: Callable[[Job, Send], None], job: Job, processes: int, threads: int, display: Display) -> int:
    """Call `function(job, send)` in several processes at once, which share the work by means of their own.

    One process: here. Several: fresh ones; one that dies leaves the others at work.

    Returns:
        How many died.

    Raises:
        UserError: one of them did.
    """
    if processes <= 1:
        with _threads(threads):
            function(job, display.handle)
        return 0
    context = multiprocessing.get_context("spawn")
    crew: dict[Connection, BaseProcess] = {}
    refused: UserError | None = None
    try:
        for number in range(processes):
            # A pipe each: one that is killed while it writes to a shared queue would block the others.
            here, there = context.Pipe(duplex=False)
            crew[here] = context.Process(
                target=_member, args=(function, job, threads, there), name=f"worker {number}", daemon=True
            )
            _start(crew[here])  # it hears Ctrl-C once it can end in one line
            there.close()
        talking = dict(crew)
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
        _dismiss(list(crew.values()))
    if refused is not None:
        raise refused
    return sum(bool(member.exitcode) for member in crew.values())


def _member(function: Callable[[Job, Send], None], job: Job, threads: int, there: Connection) -> None:
    torch.set_num_threads(threads)
    _end_with_parent()
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        registry.load_own()
        function(job, lambda cell, event: there.send((cell, event)))
    except UserError as error:
        there.send(error)
        os._exit(2)
    except KeyboardInterrupt:
        os._exit(130)
    except BaseException as error:
        if (lacking := of_machine(error)) is not None:
            there.send(lacking)
            os._exit(2)
        traceback.print_exc()
        os._exit(1)


def _dismiss(members: list[BaseProcess]) -> None:
    """Let them end as after Ctrl-C, and then by force; the last one may never have been started."""
    started = [member for member in members if member.pid is not None]
    for member in started:
        if member.is_alive() and member.pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(member.pid, signal.SIGINT)
    for member in started:
        member.join(timeout=10)
        if member.is_alive():
            member.terminate()
            member.join()
