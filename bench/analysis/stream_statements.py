"""What a pass through time says, as values; part of statements.Statement."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ..evaluation.stats import Estimate
from ..typed import OrNaN


@dataclass(frozen=True)
class Work:
    """What was done up to a moment; of several seeds, means."""

    samples: float
    """Examples that were learned from."""
    seconds: float
    """Of training: CPU time on a CPU, wall time elsewhere."""
    flops: float
    """Of training; 0 for a model that only counts."""


@dataclass(frozen=True)
class ToTarget:
    """How much a row did until the next window had the AUC that was asked for."""

    row: str
    target: float
    seeds: int
    reached: int
    """Of them, those that did."""
    work: Work | None
    """Of those that did; None if nobody did."""
    samples: Estimate | None
    """Mean and interval over seeds; None unless all of several did."""
    best: float
    """The highest AUC of a window, mean over seeds."""
    kind: Literal["to target"] = "to target"


@dataclass(frozen=True)
class FloorsToTarget:
    """Floors that reach the target are what a model has to be held against, and not the target."""

    target: float
    floors: tuple[str, ...]
    """Rows of all of whose seeds one window or more has it."""
    kind: Literal["floors to target"] = "floors to target"


@dataclass(frozen=True)
class AboveFloors:
    """In how many windows a row is above every floor, by the mean over seeds."""

    row: str
    metric: Literal["auc", "request_gauc"]
    windows: int
    of: int
    last: OrNaN
    """Difference to the best floor in the last window, the test."""
    kind: Literal["above floors"] = "above floors"


@dataclass(frozen=True)
class BeyondEnvelope:
    """A seed that is better in a window than seeds of its row ever were: to be looked at for a leak."""

    row: str
    seed: int
    window: int
    """Counted from 1, as the table counts."""
    auc: float
    bound: float
    seeds: int
    """By which the envelope is known."""
    kind: Literal["beyond envelope"] = "beyond envelope"


@dataclass(frozen=True)
class Envelopes:
    """For which rows there was an alarm, and for which there was none to be had."""

    watched: tuple[str, ...]
    unknown: tuple[str, ...]
    """Rows with fewer than `least` other seeds."""
    least: int
    level: float
    kind: Literal["envelopes"] = "envelopes"


@dataclass(frozen=True)
class FirstWindow:
    """What is learned from without having been scored."""

    samples: int
    windows: int
    """That are scored."""
    kind: Literal["first window"] = "first window"
