"""DIN's inputs as one row, for rankers whose own part comes behind them: experts, towers, gates."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..bench.contract import DataSpec, PointwiseBatch, Sizes
from ..kernels.target_attention import weighted_sum
from ._inputs import EventConfig, EventInputs, example_of_event
from .din import ActivationUnit


@dataclass(frozen=True)
class AttendedConfig(EventConfig):
    """What a ranker can be told of inputs that are DIN's."""

    attention_hidden: Sizes = (80, 40)
    """Widths of the activation unit's hidden layers (DIN); at least one."""


class AttendedInputs(nn.Module):
    """The example's fields, and DIN's weighted sum of the events that it sees: PointwiseBatch -> [n, width]."""

    def __init__(self, config: AttendedConfig, spec: DataSpec) -> None:
        super().__init__()
        self.inputs = EventInputs(config, spec)
        self.unit = ActivationUnit(self.inputs.query_width, self.inputs.key_width, config.attention_hidden, "relu")
        self.width = self.inputs.example_width + self.inputs.key_width

    def forward(self, batch: PointwiseBatch) -> Tensor:
        example, query = self.inputs(batch)
        row, events = example_of_event(batch.history), self.inputs.events(batch.history)
        interest = weighted_sum(self.unit(query, events, batch.history.offsets), events, row, len(query))
        return torch.cat([example, interest], dim=1)
