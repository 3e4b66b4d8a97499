"""Steps that are recorded once a shape of batch and replayed: forward, loss and backward. Gradients are added up where they
always lie; the optimiser's step is no part of it, so that clipping, rates and the scaler of the loss stay as they are.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from ..recorded import Batch, Recorder, Recordings

Run = Callable[[Batch, None, Callable[[], None]], Tensor]
"""Batch, no lists, what makes gradients zero -> mean loss; gradients are left behind."""


class WholeSteps(Recordings):
    """Runs steps by their shapes: batch -> the mean loss over its examples, a scalar; gradients are left behind."""

    def __init__(self, run: Run, model: nn.Module, record: Recorder, device: torch.device) -> None:
        super().__init__(lambda batch: run(batch, None, self._zero), record, device, list(model.buffers()))
        self.parameters = list(model.parameters())

    def _zero(self) -> None:
        """In place: what is recorded adds to the memory in which gradients lie. Parameters that no batch reaches have no gradient
        and must not get one: a zero would move them by their momentum."""
        gradients = [parameter.grad for parameter in self.parameters if parameter.grad is not None]
        if gradients:
            torch._foreach_zero_(gradients)  # pyright: ignore[reportPrivateImportUsage]
