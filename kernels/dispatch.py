"""Which implementation of an operation runs: the first that the device, the dtype and the machine allow, unless one is forced.

An operation registers its implementations in order of preference. Whether one works here is asked once a process, before it is
first chosen; from then on an error inside it is an error and no reason to try another.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch


@dataclass(frozen=True)
class Implementation:
    """One way to compute an operation."""

    name: str
    run: Callable[..., Any]
    device: str | None = None
    """The only type of device on which it runs; None: any."""
    dtypes: tuple[torch.dtype, ...] | None = None
    """None: any."""
    probe: Callable[[], str | None] = lambda: None
    """None if this machine can run it, else why not; may take seconds."""
    automatic: bool = True
    """Chosen if nothing is forced; False for what is only there to be compared with."""
    what: str = ""
    """How it computes the operation, for those who choose among implementations; `rankbench ls kernels --markdown` shows it."""
    asks_device: bool = False
    """The host reads sizes of each batch from the device and decides by them, so that no recording can hold it."""
    parts: tuple[str, ...] = ()
    """Operations whose work it does itself; where one of them is forced, it is not chosen, so that the forced one runs."""

    def refusal(self, device: torch.device, dtype: torch.dtype | None = None) -> str | None:
        """Why it cannot run there; None if it can."""
        if self.device is not None and device.type != self.device:
            return f"it runs on {self.device} alone, not on {device.type}"
        if self.dtypes is not None and dtype is not None and dtype not in self.dtypes:
            return f"it does not take {str(dtype).removeprefix('torch.')}"
        return self.why_unavailable()

    def why_unavailable(self) -> str | None:
        """Why this machine cannot run it on its own device; None if it can."""
        return _probed(self)


@functools.cache
def _probed(implementation: Implementation) -> str | None:
    return implementation.probe()


OPERATIONS: dict[str, tuple[Implementation, ...]] = {}
"""Operation -> its implementations, the preferred one first."""

USERS: dict[str, str] = {}
"""Operation -> the models that call it, in words."""

_forced: dict[str, str] = {}
_watchers: list[dict[str, str]] = []


def register(operation: str, *implementations: Implementation, users: str) -> None:
    """Make an operation known.

    Args:
        users: the models that call it, in words.
    """
    OPERATIONS[operation] = implementations
    USERS[operation] = users


def find(operation: str, name: str) -> Implementation:
    """By name; KeyError for one that does not exist."""
    for implementation in OPERATIONS[operation]:
        if implementation.name == name:
            return implementation
    raise KeyError(f"{operation} has no implementation {name!r}; there are {', '.join(names(operation))}")


def names(operation: str) -> tuple[str, ...]:
    """The implementations of an operation."""
    return tuple(one.name for one in OPERATIONS[operation])


def choose(operation: str, device: torch.device, dtype: torch.dtype | None = None, name: str | None = None) -> Implementation:
    """The implementation for inputs of a dtype (None: the usual ones) on a device.

    Args:
        name: take this one, whatever else is forced.

    Raises:
        ValueError: the named or forced one cannot do it.
    """
    name = name or _forced.get(operation)
    if name is None:
        free = (one for one in OPERATIONS[operation] if one.automatic and not any(part in _forced for part in one.parts))
        chosen = next(one for one in free if one.refusal(device, dtype) is None)
    else:
        chosen = find(operation, name)
        if reason := chosen.refusal(device, dtype):
            raise ValueError(f"{operation}={name} is not available: {reason}")
    note(operation, chosen.name)
    return chosen


def note(operation: str, name: str) -> None:
    """Tell whoever watches that an implementation ran: it was chosen, or the chosen one left its work to it."""
    for ran in _watchers:
        # Both, if one model mixes dtypes.
        seen = ran.get(operation, name)
        ran[operation] = seen if name in seen.split(" and ") else f"{seen} and {name}"


def watched() -> dict[str, str]:
    """What whoever watches longest has seen so far: a checkpoint keeps it for the process that goes on from there."""
    return dict(_watchers[0]) if _watchers else {}


def seen_before(ran: Mapping[str, str]) -> None:
    """Tell whoever watches of what was chosen in the process from whose checkpoint this one goes on."""
    for operation, names in ran.items():
        for name in names.split(" and "):
            note(operation, name)


@contextlib.contextmanager
def forced(choices: Mapping[str, str]) -> Iterator[None]:
    """Operations -> implementations that are taken without asking what is best, in this process."""
    global _forced
    before, _forced = _forced, {**_forced, **choices}
    try:
        yield
    finally:
        _forced = before


@contextlib.contextmanager
def replaced(operation: str, run: Callable[..., Any]) -> Iterator[None]:
    """An operation that `run` computes meanwhile, in this process, whatever is chosen or forced."""
    before = OPERATIONS[operation]
    OPERATIONS[operation] = (Implementation("replaced", run),)
    try:
        with forced({operation: "replaced"}):
            yield
    finally:
        OPERATIONS[operation] = before


@contextlib.contextmanager
def watching() -> Iterator[dict[str, str]]:
    """Fills a dict, operation -> implementation, with what is chosen meanwhile, for run records."""
    ran: dict[str, str] = {}
    _watchers.append(ran)
    try:
        yield ran
    finally:
        _watchers[:] = [one for one in _watchers if one is not ran]


@contextlib.contextmanager
def unwatched() -> Iterator[None]:
    """What is chosen meanwhile is no part of a run, and no watcher hears of it."""
    before = _watchers[:]
    _watchers.clear()
    try:
        yield
    finally:
        _watchers[:] = before
