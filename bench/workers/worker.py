"""`rankbench worker`: whatever a storage holds that is not done yet, trials of searches and cells of runs, on any machine."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NoReturn, Protocol

import torch
from optuna.storages import BaseStorage

from ...kernels import dispatch
from .. import device as devices
from .. import registry
from ..data.sources.schema import DataRoots
from ..errors import UserError
from ..records import sweeps
from ..search import sweep, tuned
from ..search.claims import PAUSE
from ..search.order import ORDER, SearchOrder, order_of
from ..search.storage import open_storage
from ..search.trial_records import lost, recorded
from ..signals import handled
from ..training.progress import Send
from .cells import RESULTS, CellWorker, NotHere

State = Literal["trained", "waiting", "done"]


@dataclass(frozen=True)
class Station:
    """What a machine brings to the work."""

    storage: str
    """A URL or the path of a journal."""
    device: str
    roots: DataRoots
    wait: float = 0.0
    """Seconds without anything to do after which a worker ends."""


class Desk(Protocol):
    """Where one study is worked on."""

    def step(self) -> State:
        """Do one piece of work, if there is one; `done`: none is left, and none can come back."""
        ...


class SearchDesk:
    """The search of one model."""

    def __init__(self, name: str, attributes: dict[str, Any], station: Station, storage: BaseStorage, send: Send) -> None:
        order = order_of(SearchOrder, attributes[ORDER], f"study {name}")
        _check_shared(order.results, name)
        for path in order.files:
            registry.load(Path(path))
        self.sweep, data = sweep.rejoin(order, name, station.storage, station.device, station.roots)
        (target,) = self.sweep.targets
        self.worker = sweep.Worker(target, self.sweep, data, torch.device(self.sweep.device), storage, send)
        self.study, self.space = self.worker.study, target.space
        self.record, self.tuned = (
            path(self.sweep.root, target.info.name) for path in (target.place.sweep_path, target.place.tuned_path)
        )
        self.took_part = False

    def step(self) -> State:
        with dispatch.forced(dict(self.sweep.kernels)):
            state = self.worker.step()
        self.took_part |= state == "trained"
        if state == "done" and (self.took_part or self._stale()):
            tuned.keep(self.sweep)
        return state

    def _stale(self) -> bool:
        """Whether the files lack what the storage holds, because whoever trained it was ended before it wrote them. A record with
        trials that the storage does not know is of another search, and left alone."""
        if not self.record.exists():
            return True
        kept, now = sweeps.load(self.record), recorded(self.study.get_trials(deepcopy=False), self.space)
        behind = len(kept.trials) < len(now) or (kept.best is not None and not self.tuned.exists())
        return behind and lost(kept.trials, now) == 0


def work(station: Station, send: Send) -> None:
    """Do what is asked for in the storage until all of it is done, or this machine can do no more of it.

    Raises:
        UserError: a search or cells that are asked for cannot be done here; raised after everything else is done.
    """
    devices.keep_freed_memory()
    device, storage = devices.resolve(station.device), open_storage(station.storage)
    desks: dict[str, tuple[dict[str, Any], Desk]] = {}
    finished: dict[str, dict[str, Any]] = {}
    refused: list[str] = []
    given_up: set[str] = set()
    busy = time.monotonic()
    with ending_politely():
        while True:
            states: list[State] = []
            for name, attributes in asked(storage).items():
                if name in given_up or finished.get(name) == attributes:
                    continue
                try:
                    if name not in desks or desks[name][0] != attributes:
                        desks[name] = attributes, _desk(name, attributes, station, device, storage, send)
                    states.append(desks[name][1].step())
                except NotHere as error:
                    refused.append(f"{name}: {error}")
                    states.append("trained")  # the desk leaves out that cell from now on, and has others
                except UserError as error:
                    refused.append(f"{name}: {error}")
                    given_up.add(name)
                    continue
                if states[-1] == "done" and RESULTS not in attributes:  # cells may be asked for at any time
                    finished[name] = attributes
                    del desks[name]
            if any(state != "done" for state in states):
                busy = time.monotonic()
            elif time.monotonic() - busy >= station.wait:
                break
            if "trained" not in states:
                time.sleep(PAUSE)
    if refused:
        more = f" (and {len(refused) - 1} more that cannot be done here)" if len(refused) > 1 else ""
        raise UserError(refused[0] + more)


def asked(storage: BaseStorage) -> dict[str, dict[str, Any]]:
    """The attributes of the studies that say what is asked for, by name."""
    studies = {study.study_name: study.user_attrs for study in storage.get_all_studies()}
    return {name: studies[name] for name in sorted(studies) if studies[name].keys() & {ORDER, RESULTS}}


def _desk(
    name: str, attributes: dict[str, Any], station: Station, device: torch.device, storage: BaseStorage, send: Send
) -> Desk:
    if RESULTS not in attributes:
        return SearchDesk(name, attributes, station, storage, send)
    _check_shared(attributes[RESULTS], name)
    return CellWorker(Path(attributes[RESULTS]), storage, device, station.roots, send)


def _check_shared(results: str, name: str) -> None:
    """Raises UserError: the results folder is not there, where what is trained here would be lost to the others."""
    if not Path(results).is_dir():
        raise UserError(f"the results folder {results} of {name} is not on this machine; share it under the same path")


@contextlib.contextmanager
def ending_politely() -> Iterator[None]:
    """SIGTERM, by which SLURM and Kubernetes take a machine back, hands on what is under way as Ctrl-C does."""

    def interrupt(number: int, frame: object) -> NoReturn:
        raise KeyboardInterrupt

    with handled(interrupt, signal.SIGTERM):
        yield
