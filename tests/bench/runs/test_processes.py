"""Work in several processes: each job once, events of all, and one that dies takes its own job alone with it."""

from __future__ import annotations

import errno
import multiprocessing
import os
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any, ClassVar

import pytest

from rankbench.bench.errors import UserError
from rankbench.bench.runs import processes
from rankbench.bench.training.display import Display
from rankbench.bench.training.progress import CellId, Event
from support.jobs import work


class Heard(Display):
    """Keeps what is shown."""

    def __init__(self) -> None:
        super().__init__(quiet=True)
        self.names: list[str] = []

    def handle(self, cell: CellId, event: Event) -> None:
        self.names.append(cell.model)


def done(jobs: list[str], at_a_time: int = 2, display: Display | None = None) -> dict[str, Any]:
    return dict(processes.run(work, jobs, at_a_time, 1, display or Heard(), lambda job, how: (how, 0)))


@pytest.mark.long
def test_every_job_is_done_once_in_as_many_processes_as_were_asked_for() -> None:
    heard, jobs = Heard(), [f"job {number}" for number in range(6)]
    found = done(jobs, display=heard)
    assert sorted(found) == jobs and sorted(heard.names) == jobs
    places = {place for _, place in found.values()}
    assert len(places) == 2 and os.getpid() not in places


@pytest.mark.long
def test_a_process_that_dies_takes_its_own_job_alone_with_it() -> None:
    found = done(["a", "killed", "b", "ends", "c", "d"])
    assert [found[job][0] for job in "abcd"] == ["a", "b", "c", "d"]
    assert found["killed"][0] == "its process was killed by SIGKILL; where memory ran out, use fewer --jobs"
    assert found["ends"][0] == "its process ended with exit code 7"


@pytest.mark.long
@pytest.mark.parametrize(("job", "kind"), [("refused", UserError), ("broken", RuntimeError)])
def test_an_error_ends_the_rest_at_once_and_is_raised(job: str, kind: type[Exception]) -> None:
    began = time.monotonic()
    with pytest.raises(kind):
        done(["slow", job, "a"])
    assert time.monotonic() - began < 50, "whoever is at work is not waited for"


@pytest.mark.long
def test_whoever_asked_may_leave_before_the_end() -> None:
    results = processes.run(work, ["a", "slow", "slow"], 2, 1, Heard(), lambda job, how: (how, 0))
    assert next(results)[0] == "a"
    results.close()  # type: ignore[attr-defined]


class Hand:
    """Stands for a process; the second one cannot be started."""

    every: ClassVar[list[Hand]] = []
    failure: ClassVar[BaseException]

    def __init__(self, **_: object) -> None:
        self.pid: int | None = None
        self.exitcode, self.ended, self.joined = None, False, False
        self.every.append(self)

    def start(self) -> None:
        if len(self.every) == 2:
            raise self.failure
        self.pid = 2**22 + 1  # above all that the system gives

    def is_alive(self) -> bool:
        return self.pid is not None and not self.ended

    def terminate(self) -> None:
        assert self.pid is not None, "as that of an unstarted process fails"
        self.ended = True

    def join(self, timeout: float | None = None) -> None:
        assert self.pid is not None, "can only join a started process"
        self.joined = True


class Context:
    """Makes no process."""

    Process = Hand

    @staticmethod
    def Pipe(duplex: bool = True) -> tuple[Connection, Connection]:
        return multiprocessing.Pipe(duplex)


@pytest.mark.parametrize(
    ("failure", "raised", "said"),
    [
        (OSError(errno.EAGAIN, os.strerror(errno.EAGAIN)), UserError, r"no further process can be started .*unavailable.*--jobs"),
        (KeyboardInterrupt("pressed"), KeyboardInterrupt, "pressed"),
    ],
)
@pytest.mark.parametrize(
    "begin",
    [
        lambda: done(["a", "b", "c"]),
        lambda: processes.together(lambda job, send: None, "a", 3, 1, Heard()),
    ],
)
def test_a_process_that_cannot_be_started_is_one_line_and_the_others_are_ended(
    begin: Callable[[], object],
    failure: BaseException,
    raised: type[BaseException],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Hand, "every", [])
    monkeypatch.setattr(Hand, "failure", failure, raising=False)
    monkeypatch.setattr(multiprocessing, "get_context", lambda _: Context)
    with pytest.raises(raised, match=said):
        begin()
    first, second = Hand.every
    assert first.ended and first.joined and second.pid is None
