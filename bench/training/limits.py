"""What a command may take, in wall time and in memory: training stops at either with a checkpoint, and a record says so.

These limits are the command's, not the experiment's: no cell is another one by them, and what was stopped goes on when the same
command is given again. An experiment that shall train for so long and no longer has train.max_seconds.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import Literal

import psutil

TOGETHER = 16
"""Steps of a team between two looks: its processes have to agree on where they stop, and to ask each other takes time."""


@dataclass(frozen=True)
class Stop:
    """The limit that was reached."""

    limit: Literal["time", "memory"]
    why: str
    """One line."""


class Stopped(Exception):
    """A limit of the command ended training after a whole step, and its checkpoint is kept."""

    def __init__(self, stop: Stop) -> None:
        super().__init__(stop.why)
        self.stop = stop


@dataclass(frozen=True)
class Limits:
    """Of a command and of all processes that it starts."""

    hours: float | None = None
    """Wall time of the whole command, data and evaluation included."""
    memory_gb: float | None = None
    """GiB that a process which trains may have resident, data included."""
    end: float = math.inf
    """When the time is over, by `time.monotonic`: on Linux one clock for all processes of a machine."""

    @classmethod
    def from_now(cls, hours: float | None, memory_gb: float | None) -> Limits:
        return cls(hours, memory_gb, math.inf if hours is None else time.monotonic() + 3600 * hours)

    def __bool__(self) -> bool:
        """Whether there is any."""
        return self.hours is not None or self.memory_gb is not None

    @property
    def over(self) -> bool:
        """Whether the time is."""
        return time.monotonic() >= self.end

    def reached(self) -> Stop | None:
        """The limit that this process is at, if it is at one."""
        if self.over:
            return Stop("time", f"stopped by --max-hours {self.hours:g}")
        if self.memory_gb is None:
            return None
        held = psutil.Process().memory_info().rss / 2**30
        if held <= self.memory_gb:
            return None
        return Stop("memory", f"stopped by --max-memory {self.memory_gb:g}: the process held {held:.2f} GiB")


UNLIMITED = Limits()
