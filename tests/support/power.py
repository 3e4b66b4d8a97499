"""The power going off in the middle of training."""

from __future__ import annotations

from rankbench.bench.training.progress import Quiet


class PowerOff(BaseException):
    """Nothing catches it."""


class OffAt(Quiet):
    """At a step."""

    def __init__(self, step: int) -> None:
        self.left = step

    def step(self, loss: float, examples: int) -> None:
        self.left -= 1
        if self.left == 0:
            raise PowerOff
