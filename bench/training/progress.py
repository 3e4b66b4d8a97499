"""What a cell says while it trains: events, which may cross a process border."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from .limits import UNLIMITED, Limits
from .trainer import EpochPoint


@dataclass(frozen=True)
class CellStarted:
    """A run, or a trial of a search, that is trained from here on."""

    model: str
    dataset: str
    split: str
    config_hash: str
    """Of the experiment, as in the identity of a run."""
    seed: int
    settings: Mapping[str, Any]
    """Every setting of the resolved experiment, by dotted key."""


@dataclass(frozen=True)
class EpochStarted:
    epoch: int
    epochs: int
    steps: int
    """Of this epoch."""
    done: int
    """Steps of it that an interrupted run did before."""


@dataclass(frozen=True)
class Stepped:
    steps: int
    """Done of this epoch."""
    loss: float
    """Of the last step."""
    examples_per_second: float


@dataclass(frozen=True)
class EpochFinished:
    point: EpochPoint
    epochs: int
    examples_per_second: float


@dataclass(frozen=True)
class CellEnded:
    """A run, or a trial of a search."""

    status: Literal["ok", "failed", "pruned", "stopped"]
    """stopped: by a limit of the command, see limits.py."""
    seconds: float = 0.0
    """Of training."""
    role: Literal["test", "valid"] = "test"
    """What the metrics are of."""
    metrics: Mapping[str, float | None] | None = None
    """All that are known, by name; None of one without them."""
    best_epoch: int | None = None
    reason: str = ""
    """Why it failed or was stopped, in one line."""


Event: TypeAlias = CellStarted | EpochStarted | Stepped | EpochFinished | CellEnded
Send = Callable[[str, Event], None]
"""send(cell name, event)"""


class Quiet:
    """Says nothing, and lets training go on as long as the limits of the command do."""

    limits = UNLIMITED

    def __init__(self, limits: Limits = UNLIMITED) -> None:
        self.limits = limits

    def epoch_started(self, epoch: int, epochs: int, steps: int, done: int) -> None: ...
    def step(self, loss: float, examples: int) -> None: ...
    def epoch_finished(self, point: EpochPoint, epochs: int, examples_per_second: float) -> None: ...

    def enough(self, seconds: float) -> bool:
        return False


class Reporter(Quiet):
    """Sends a cell's events, steps at most four times per second."""

    def __init__(self, name: str, send: Send, limits: Limits = UNLIMITED) -> None:
        super().__init__(limits)
        self.name, self.send = name, send
        self.begin = self.last = 0.0
        self.steps = self.examples = 0

    def epoch_started(self, epoch: int, epochs: int, steps: int, done: int) -> None:
        self.begin = self.last = time.perf_counter()
        self.steps, self.examples = done, 0
        self.send(self.name, EpochStarted(epoch, epochs, steps, done))

    def step(self, loss: float, examples: int) -> None:
        self.steps, self.examples = self.steps + 1, self.examples + examples
        now = time.perf_counter()
        if now - self.last > 0.25:
            self.last = now
            self.send(self.name, Stepped(self.steps, loss, self.examples / (now - self.begin)))

    def epoch_finished(self, point: EpochPoint, epochs: int, examples_per_second: float) -> None:
        self.send(self.name, EpochFinished(point, epochs, examples_per_second))
