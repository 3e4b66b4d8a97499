"""Mean losses of steps, which stay on the device for a while: whoever reads one makes the host wait for all that it started."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

EVERY = 16
"""Steps of an accelerator between two readings: its work queues up meanwhile, and a loss that is no number is found soon."""


class Total(NamedTuple):
    """Over some steps."""

    loss: float
    """Sum of the losses of examples."""
    examples: int


class StepLosses:
    """Of the current epoch, not read yet."""

    def __init__(self, device: torch.device, processes: int = 1) -> None:
        """
        Args:
            processes: that train together; what they exchange is read at every step, and all of them must find a fault at once.
        """
        self.most = 1 if device.type == "cpu" or processes > 1 else EVERY
        self.waiting: list[tuple[Tensor, int, int]] = []
        """Loss, examples, and the step of the epoch, from 1."""

    def add(self, loss: Tensor, examples: int, step: int) -> None:
        """
        Args:
            loss: a scalar, which nobody overwrites.
        """
        self.waiting.append((loss, examples, step))

    @property
    def due(self) -> bool:
        """So many wait that they should be read."""
        return len(self.waiting) >= self.most

    def read(self, epoch: int, before: Total) -> Total:
        """`before`, and all that waited.

        Raises:
            FloatingPointError: a loss is no number; `epoch`, from 1, is named.
        """
        if not self.waiting:
            return before
        loss, seen = before
        values = torch.stack([one.detach() for one, _, _ in self.waiting]).tolist()
        waiting, self.waiting = self.waiting, []
        for value, (_, examples, step) in zip(values, waiting, strict=True):
            if not math.isfinite(value):
                raise FloatingPointError(f"loss became {value} at epoch {epoch}, step {step}; lower train.lr")
            loss, seen = loss + value * examples, seen + examples
        return Total(loss, seen)
