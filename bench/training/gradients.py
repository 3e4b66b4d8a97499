"""Forward, loss and backward of one batch: as they come, or over padded batches recorded once a shape and replayed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from .. import device as devices
from ..config import TrainConfig
from ..contract import Ranker
from ..errors import UserError
from ..recorded import Batch, CudaGraphs
from .losses import Lists, main_loss
from .recompute import recomputed
from .team import Team
from .whole_step import WholeSteps


class Gradients:
    """Fills the gradients of a model's parameters."""

    def __init__(
        self,
        model: Ranker,
        config: TrainConfig,
        device: torch.device,
        scaler: Any | None,
        zero_grad: Callable[[], None],
        team: Team,
    ) -> None:
        """
        Raises:
            UserError: `train.whole_step=graph` where nothing can be recorded.
        """
        self.model, self.config, self.device, self.scaler, self.zero_grad = model, config, device, scaler, zero_grad
        if config.recompute:
            recomputed(model)
        self.whole: WholeSteps | None = None
        if config.whole_step == "graph":
            if reason := self._why_not_recorded(team):
                raise UserError(f"train.whole_step=graph does not work here: {reason}; use padded or off")
            self.whole = WholeSteps(self.descend, model, CudaGraphs(device), device)

    def _why_not_recorded(self, team: Team) -> str:
        if self.device.type != "cuda":
            return f"CUDA graphs are recorded on an NVIDIA GPU, not on {self.device.type}"
        if team.size > 1:
            return "processes that train together sum their gradients up between the two halves of a step"
        if self.config.recompute:
            return (
                "layers that are recomputed (train.recompute) ask for the state of random numbers, and no recording allows that"
            )
        return self.model.moving_shape()

    def release(self) -> None:
        """After the last step."""
        if self.whole is not None:
            self.whole.forget()

    def __call__(self, batch: Batch, lists: Lists | None) -> Tensor:
        """The mean loss of the main label over the examples of a batch, a scalar; gradients of the whole loss are left behind."""
        self.model.train()
        if self.whole is not None:
            return self.whole(batch)
        return self.descend(batch, lists, self.zero_grad)

    def descend(self, batch: Batch, lists: Lists | None, zero_grad: Callable[[], None]) -> Tensor:
        """`zero_grad`: called between the passes."""
        with devices.autocast(self.device, self.config.precision):
            logits = self.model(batch)
            auxiliary = self.model.auxiliary_loss()
        main, further = (logits[:, 0], logits[:, 1:]) if logits.dim() == 2 else (logits, None)
        if batch.weight is None:
            loss = main_loss(self.config, main.float(), batch.label, lists)
        else:
            loss = _weighted(main.float(), batch.label, batch.weight)
        total = loss if auxiliary is None else loss + auxiliary.float()
        if further is not None and batch.further is not None:  # each label has bce, and weighs the same
            if batch.weight is None:
                own = F.binary_cross_entropy_with_logits(further.float(), batch.further)
            else:
                own = _weighted(further.float(), batch.further, batch.weight.unsqueeze(1).expand_as(further))
            total = total + own * further.shape[1]
        zero_grad()
        (total if self.scaler is None else self.scaler.scale(total)).backward()
        return loss


def _weighted(logit: Tensor, label: Tensor, weight: Tensor) -> Tensor:
    """The mean of bce over what has the weight 1."""
    return F.binary_cross_entropy_with_logits(logit, label, weight, reduction="sum") / weight.sum()
