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
from ..recorded import Batch, Graphs, Recorder
from .losses import Lists, main_loss
from .recompute import recomputed
from .team import Team
from .whole_step import WholeSteps, refused


class Gradients:
    """Fills the gradients of a model's parameters."""

    def __init__(
        self,
        model: Ranker,
        config: TrainConfig,
        device: torch.device,
        scaler: Any | None,
        zero_grad: Callable[[], None],
        record: Recorder | None = None,
    ) -> None:
        """
        Args:
            record: how steps are recorded, as `recorder_of` finds it; None: they are done as they come.
        """
        self.model, self.config, self.device, self.scaler, self.zero_grad = model, config, device, scaler, zero_grad
        if config.recompute:
            recomputed(model)
        self.whole = None if record is None else WholeSteps(self.descend, model, record, device)

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


def recorder_of(model: Ranker, config: TrainConfig, device: torch.device, team: Team) -> Recorder | None:
    """How steps are recorded where `train.whole_step=graph`; None elsewhere.

    Raises:
        UserError: nothing can be recorded.
    """
    if config.whole_step != "graph":
        return None
    if reason := _why_not_recorded(model, config, device, team):
        raise refused(reason)
    return Graphs(device)


def _why_not_recorded(model: Ranker, config: TrainConfig, device: torch.device, team: Team) -> str:
    if reason := devices.why_no_graphs(device):
        return reason
    if team.size > 1:
        return "processes that train together sum their gradients up between the two halves of a step"
    if config.recompute:
        return "layers that are recomputed (train.recompute) ask for the state of random numbers, and no recording allows that"
    return model.moving_shape()


def _weighted(logit: Tensor, label: Tensor, weight: Tensor) -> Tensor:
    """The mean of bce over what has the weight 1."""
    return F.binary_cross_entropy_with_logits(logit, label, weight, reduction="sum") / weight.sum()
