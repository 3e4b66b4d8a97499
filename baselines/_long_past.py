"""The frame of rankers of a long past: an interest of their own in all of it, DIN's attention over the latest events, an MLP."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..bench.contract import DataSpec, History, PointwiseBatch, Ranker, Rate, Size, Sizes
from ._inputs import EventConfig, EventInputs, example_of_event, latest, select_events
from ._layers import MLP, Activation, output_layer
from .din import ActivationUnit, pooled


@dataclass(frozen=True)
class LongPastConfig(EventConfig):
    """What such a ranker can be told of its latest events and its MLP."""

    recent: Size = 20
    """Latest events that are looked at besides."""
    attention_hidden: Sizes = (80, 40)
    """Widths of an activation unit's hidden layers; at least one."""
    attention_activation: Activation = "relu"
    attention_softmax: bool = False
    """Weights of an example's events, of those that an activation unit weighs, sum to 1."""
    hidden: tuple[Size, ...] = (200, 80)
    """Widths of the hidden layers of the MLP."""
    activation: Activation = "dice"
    dropout: Rate = 0.2
    """After every hidden layer of the MLP."""


class LongPast(Ranker):
    """One logit of the example's fields, the interest in the whole past and the attention over the latest events.

    Args:
        interest: (query [n, Q], events, row int64 [T]: event -> example) -> [n, K], zeros where there are no events.
    """

    def __init__(self, config: LongPastConfig, spec: DataSpec, inputs: EventInputs, interest: nn.Module) -> None:
        super().__init__()
        self.softmax, self.recent = config.attention_softmax, config.recent
        self.inputs, self.interest = inputs, interest
        query, key = inputs.query_width, inputs.key_width
        self.of_recent = ActivationUnit(query, key, config.attention_hidden, config.attention_activation)
        self.mlp = MLP(inputs.example_width + 2 * key, config.hidden, config.activation, config.dropout)
        self.out = output_layer(self.mlp.width, spec)

    def forward(self, batch: PointwiseBatch) -> Tensor:
        example, query = self.inputs(batch)
        history, row = batch.history, example_of_event(batch.history)
        interest = self.interest(query, self.inputs.events(history), row)
        recent = latest(torch.ones_like(row, dtype=torch.bool), history.offsets, row, self.recent)
        latest_interest = self.latest_interest(query, select_events(history, recent))
        return self.out(self.mlp(torch.cat([example, interest, latest_interest], dim=1))).squeeze(1)

    def latest_interest(self, query: Tensor, history: History) -> Tensor:
        """query [n, Q] -> weighted sum of the given events [n, K]; zeros where there are none."""
        row, events = example_of_event(history), self.inputs.events(history)
        return pooled(self.of_recent(query, events, history.offsets), events, row, len(query), self.softmax)
