"""A run whose cells are shared with other machines: handed out in a storage, then trained by whoever is there."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from .. import device as devices
from ..data.sources.schema import DataRoots
from ..errors import UserError
from ..records.schema import RunRecord
from ..runs import processes
from ..runs.run import Done, Job, lost
from ..search.claims import PAUSE
from ..search.storage import open_storage
from ..training.display import Display
from ..training.fitting import forget
from ..training.progress import Send
from .cells import CellWorker, hand_out, key_of, outcome


@dataclass(frozen=True)
class Shared:
    """Carries out the cells of a run, see `schedule.Options.carry_out`."""

    storage: str
    """A URL or the path of a journal."""
    take_part: bool = True
    """Else the cells are handed out and left to others."""

    def __call__(self, jobs: Sequence[Job], at_a_time: int, threads: int, display: Display) -> Iterator[tuple[Job, Done | None]]:
        """
        Raises:
            UserError: the storage cannot be opened, all processes of this command died, or a record is not where it must be.
        """
        if not jobs:
            return
        root, storage = jobs[0].store.root, open_storage(self.storage)
        for job in jobs:
            if not job.resume:
                forget(job.checkpoint)
        new = hand_out(jobs, root, storage)
        display.line(f"{new} cells are handed out; {len(jobs) - new} were before")
        if not self.take_part:
            return
        first = jobs[0]
        task = _Task(self.storage, root, first.device, first.roots, frozenset(map(key_of, jobs)))
        hands = min(at_a_time, len(jobs))
        if processes.together(_work, task, hands, threads, display) == hands:
            raise UserError("every process that trained here died; the same command goes on with what is left")
        for job in jobs:
            found = outcome(job, root, storage)
            yield job, Done(found) if isinstance(found, RunRecord) else lost(job, found)


@dataclass(frozen=True)
class _Task:
    """What a process that trains cells of this run needs to know."""

    storage: str
    root: Path
    device: str
    roots: DataRoots
    wanted: frozenset[str]


def _work(task: _Task, send: Send) -> None:
    """Until all of these cells are done, here or elsewhere."""
    devices.keep_freed_memory()
    worker = CellWorker(task.root, open_storage(task.storage), devices.resolve(task.device), task.roots, send, task.wanted)
    while (state := worker.step()) != "done":
        if state == "waiting":
            time.sleep(PAUSE)
