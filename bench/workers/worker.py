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
from ..search import sweep, tuned
from ..search.claims import PAUSE
from ..search.order import ORDER, SearchOrder, order_of
from ..search.storage import open_storage
from ..signals import handled
from ..training.progress import Send
from .cells import RESULTS, CellWorker

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
        self.path = target.place.sweep_path(self.sweep.root, target.info.name)
        self.took_part = False

    def step(self) -> State:
        with dispatch.forced(dict(self.sweep.kernels)):
            state = self.worker.step()
        self.took_part |= state == "trained"
        # A record that is there may hold trials of a later search elsewhere: who changed nothing leaves it alone.
        if state == "done" and (self.took_part or not self.path.exists()):
            tuned.keep(self.sweep)
        return state


def work(station: Station, send: Send) -> None:
    """Do what is asked for in the storage until all of it is done, or this machine can do no more of it.

    Raises:
        UserError: something that is asked for cannot be done here; raised after everything else is done.
    """
    devices.keep_freed_memory()
    device, storage = devices.resolve(station.device), open_storage(station.storage)
    desks: dict[str, tuple[dict[str, Any], Desk]] = {}
    finished: dict[str, dict[str, Any]] = {}
    refused: dict[str, UserError] = {}
    busy = time.monotonic()
    with ending_politely():
        while True:
            states: list[State] = []
            for name, attributes in asked(storage).items():
                if name in refused or finished.get(name) == attributes:
                    continue
                try:
                    if name not in desks or desks[name][0] != attributes:
                        desks[name] = attributes, _desk(name, attributes, station, device, storage, send)
                    states.append(desks[name][1].step())
                except UserError as error:
                    refused[name] = error
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
    for name, error in refused.items():
        raise UserError(f"{name}: {error}")


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
