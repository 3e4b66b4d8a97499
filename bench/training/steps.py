"""Where a cell is, counted over all of its epochs: what curves are drawn by."""

from __future__ import annotations

from .progress import EpochStarted, Stepped


class StepCount:
    """Of one cell, which may have gone on from a checkpoint."""

    def __init__(self) -> None:
        self._before = 0
        """Steps of the epochs before this one."""
        self._epoch: int | None = None
        """Steps of this epoch."""

    def epoch_started(self, event: EpochStarted) -> None:
        self._before += (event.epoch - 1) * event.steps if self._epoch is None else self._epoch
        self._epoch = event.steps

    def at(self, event: Stepped) -> int:
        return self._before + event.steps
