"""Steps that are recorded once a shape of batch and replayed: forward, loss and backward. Gradients are added up where they
always lie; the optimiser's step is no part of it, so that clipping, rates and the scaler of the loss stay as they are.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from ...kernels.dispatch import find, watching
from ..errors import UserError
from ..recorded import Batch, Recorder, Recordings

Run = Callable[[Batch, None, Callable[[], None]], Tensor]
"""Batch, no lists, what makes gradients zero -> mean loss; gradients are left behind."""


def refused(reason: str) -> UserError:
    """What is raised where steps cannot be recorded."""
    return UserError(f"train.whole_step=graph does not work here: {reason}; use padded or off")


class WholeSteps(Recordings):
    """Runs steps by their shapes: batch -> the mean loss over its examples, a scalar; gradients are left behind."""

    def __init__(self, run: Run, model: nn.Module, record: Recorder, device: torch.device) -> None:
        super().__init__(lambda batch: run(batch, None, self._zero), record, device, list(model.buffers()))
        self.parameters = list(model.parameters())

    def __call__(self, batch: Batch) -> Tensor:
        """
        Raises:
            UserError: an operation is computed in a way that no recording can hold, found before anything is recorded.
        """
        if self.met:
            return super().__call__(batch)
        with watching() as ran:
            loss = super().__call__(batch)
        asking = [
            f"{operation}={name}" for operation, names in ran.items() for name in names.split(" and ") if _asks(operation, name)
        ]
        if asking:
            raise refused(f"{', '.join(asking)} asks the device for sizes of each batch")
        return loss

    def _zero(self) -> None:
        """In place: what is recorded adds to the memory in which gradients lie. Parameters that no batch reaches have no gradient
        and must not get one: a zero would move them by their momentum."""
        gradients = [parameter.grad for parameter in self.parameters if parameter.grad is not None]
        if gradients:
            torch._foreach_zero_(gradients)  # pyright: ignore[reportPrivateImportUsage]


def _asks(operation: str, name: str) -> bool:
    return name != "replaced" and find(operation, name).asks_device
