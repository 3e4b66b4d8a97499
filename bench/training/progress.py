"""What a cell says while it trains: events, which may cross a process border."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from .limits import UNLIMITED, Limits
from .trainer import EpochPoint


@dataclass(frozen=True)
class CellId:
    """Which run, or which trial of a search: no two that are trained at once are equal."""

    model: str
    dataset: str
    split: str
    config_hash: str
    """Of the experiment, as in the identity of a run."""
    data_hash: str
    """Of content and split together, as in the identity of a run."""
    seed: int
    results: str
    """The absolute path of the results folder."""
    trial: int | None = None
    """Its number in its search; None of a run."""

    @property
    def name(self) -> str:
        """For people; cells with other settings or other data have the same."""
        return f"{self.model} seed {self.seed}" if self.trial is None else f"{self.model} trial {self.trial}"


@dataclass(frozen=True)
class CellStarted:
    """It is trained from here on; again if whoever trained it before is dead."""

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
    """The epoch's mean so far; of an accelerator, some steps ago."""
    examples_per_second: float


@dataclass(frozen=True)
class EpochFinished:
    point: EpochPoint
    epochs: int
    examples_per_second: float


@dataclass(frozen=True)
class CellEnded:
    """A run, or a trial of a search."""

    status: Literal["ok", "elsewhere", "failed", "pruned", "stopped"]
    """elsewhere: another command finished the run meanwhile, with these seconds, metrics and epoch. stopped: by a limit of the
    command, see limits.py."""
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
Send = Callable[[CellId, Event], None]
"""send(cell, event)"""


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

    def __init__(self, cell: CellId, send: Send, limits: Limits = UNLIMITED) -> None:
        super().__init__(limits)
        self.cell, self.send = cell, send
        self.begin = self.last = 0.0
        self.steps = self.examples = 0

    def epoch_started(self, epoch: int, epochs: int, steps: int, done: int) -> None:
        self.begin = self.last = time.perf_counter()
        self.steps, self.examples = done, 0
        self.send(self.cell, EpochStarted(epoch, epochs, steps, done))

    def step(self, loss: float, examples: int) -> None:
        self.steps, self.examples = self.steps + 1, self.examples + examples
        now = time.perf_counter()
        if now - self.last > 0.25:
            self.last = now
            self.send(self.cell, Stepped(self.steps, loss, self.examples / (now - self.begin)))

    def epoch_finished(self, point: EpochPoint, epochs: int, examples_per_second: float) -> None:
        self.send(self.cell, EpochFinished(point, epochs, examples_per_second))
