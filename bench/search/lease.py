"""Who trains a trial, and whether that worker is still alive.

A worker writes its machine, process and a growing number into the trial that it trains. Others on the same machine look
whether the process exists; others elsewhere whether the number still grows, by their own clock: machines' clocks differ.
"""

from __future__ import annotations

import hashlib
import os
import socket
import threading
import time
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import Any

import psutil
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial

from .budget import LEASE, SECONDS

BEAT = 10.0
"""Seconds between two signs of life."""
STALE = 60.0
"""Seconds without one after which a worker on another machine is taken for dead."""


def _machine() -> str:
    """This machine, or container: where process numbers mean the same. Host names alone are not unique."""
    parts = [socket.gethostname()]
    for path in ("/proc/sys/kernel/random/boot_id", "/proc/self/ns/pid"):
        try:
            parts.append(os.readlink(path) if Path(path).is_symlink() else Path(path).read_text().strip())
        except OSError:
            continue
    return f"{parts[0]}-{hashlib.sha256(' '.join(parts).encode()).hexdigest()[:8]}"


MACHINE = _machine()


def _alive(pid: int, started: float) -> bool:
    """Whether the process is there; one that took over the number of a dead one began later."""
    try:
        process = psutil.Process(pid)
        return abs(process.create_time() - started) < 2 and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


class Lost(BaseException):
    """Others took this worker for dead and its trial over. No error of what is trained, which `except Exception` would record."""


class Lease:
    """Keeps a trial while the block runs, with a sign of life every few seconds from a thread."""

    def __init__(self, storage: BaseStorage, trial_id: int, limit: Callable[[float], float]) -> None:
        """`limit`: seconds of training so far -> seconds of training allowed, asked for at every beat."""
        self._storage, self._trial_id, self._limit = storage, trial_id, limit
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._keep, daemon=True)
        self._beat = 0
        self._lost = False
        self._own = {"machine": MACHINE, "pid": os.getpid(), "started": psutil.Process().create_time()}
        self.seconds = 0.0
        """Of training so far, as TrainState.budget_seconds counts; set by who trains."""
        self.allowed = 0.0

    def __enter__(self) -> Lease:
        self._sign()
        self._thread.start()
        return self

    def __exit__(self, *failure: object) -> None:
        self._end.set()
        self._thread.join()

    def enough(self, seconds: float) -> bool:
        """Note how long training took so far; whether that is all it may take.

        Raises:
            Lost: the trial is somebody else's by now.
        """
        self.seconds = seconds
        if self._lost:
            raise Lost
        return seconds >= self.allowed

    def _sign(self) -> None:
        self._beat += 1
        sign: dict[str, Any] = {**self._own, "beat": self._beat, SECONDS: round(self.seconds, 3)}
        try:
            self._storage.set_trial_user_attr(self._trial_id, LEASE, sign)
        except UpdateFinishedTrialError:
            self._lost = True
        self.allowed = self._limit(self.seconds)

    def _keep(self) -> None:
        while not self._lost and not self._end.wait(BEAT):
            try:
                self._sign()
            except Exception:  # a database that is away for a moment costs a beat, not the trial
                continue


class Watch:
    """Notices what does not change any more."""

    def __init__(self, stale: float | None = None) -> None:
        """`stale`: seconds without a change that mean death; None: STALE."""
        self._stale = STALE if stale is None else stale
        self._seen: dict[Hashable, tuple[Any, float]] = {}

    def dead(self, trial: FrozenTrial) -> bool:
        """Whether nobody trains a running trial any more."""
        lease = trial.user_attrs.get(LEASE)
        if lease is not None and lease["machine"] == MACHINE:
            return not _alive(lease["pid"], lease["started"])
        return self.unchanged(trial.number, lease)

    def unchanged(self, what: Hashable, value: Any) -> bool:
        """Whether `what` has had this value for so long that nobody is at work on it."""
        before, since = self._seen.get(what, (None, 0.0))
        if what not in self._seen or before != value:
            self._seen[what] = value, time.monotonic()
            return False
        return time.monotonic() - since > self._stale
