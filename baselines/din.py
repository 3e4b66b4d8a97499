"""DIN, the Deep Interest Network (Zhou et al. 2018, arXiv:1706.06978): the candidate weighs each past event.

A small network, the activation unit, scores each (candidate q, past event k) from q, k, q - k and q * k; the weighted sum
of the events joins the example's fields in an MLP. Weights are not normalised by default (paper, section 4.3), so that the
sum keeps how much interest there was.

History is jagged: tokens end to end, no padding anywhere. The unit's first layer is linear in its four inputs, so
W [q; k; q - k; q * k] = W_q q + W_k k + W_p (q * k); the first term is computed once an example, the others in one operation
(kernels/target_attention).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..bench.contract import Choice, DataSpec, ModelInfo, PointwiseBatch, Ranker, Rate, Size, Sizes
from ..kernels.linear import Linear
from ..kernels.target_attention import Events, Layers, activation_unit, event_layer, weighted_sum
from ._inputs import EventConfig, EventInputs, example_of_event
from ._layers import MLP, MLP_SPACE, UNIT_SPACE, Activation, activated, make_activation, output_layer


@dataclass(frozen=True)
class Config(EventConfig):
    """Hyper-parameters of DIN."""

    attention_hidden: Sizes = (80, 40)
    """Widths of the activation unit's hidden layers; at least one."""
    attention_activation: Activation = "relu"
    """ReLU as in the tuned DIN of the BARS benchmark; Dice, as in the paper, makes several more passes over every past event."""
    attention_softmax: bool = False
    """Weights of an example's events sum to 1; off in the paper."""
    negative_history: bool = False
    """Past events with label 0 are pooled apart from those with label 1 (and normalised apart, with softmax)."""
    hidden: tuple[Size, ...] = (200, 80)
    """Widths of the hidden layers of the MLP."""
    activation: Activation = "dice"
    dropout: Rate = 0.2
    """After every hidden layer of the MLP."""


class ActivationUnit(nn.Module):
    """Weight of each past event for its example's candidate."""

    def __init__(self, query: int, event: int, hidden: tuple[int, ...], activation: Activation) -> None:
        super().__init__()
        first, *rest = hidden
        self.query = Linear(query, first)
        self.event = Linear(event + query, first, bias=False)
        self.activation = make_activation(activation, first)
        self.rest = MLP(first, tuple(rest), activation, dropout=0.0)
        self.out = Linear(self.rest.width, 1)
        self.one_operation = activation == "relu" and len(hidden) <= 2

    def layers(self) -> Layers:
        """The weights behind the query's, for `activation_unit`."""
        second = next((module for module in self.rest if isinstance(module, nn.Linear)), None)
        hidden = (None, None) if second is None else (second.weight, second.bias)
        return Layers(self.event.weight, *hidden, self.out.weight, self.out.bias)

    def forward(self, query: Tensor, events: Events, offsets: Tensor, real: Tensor | None = None) -> Tensor:
        """query [n, Q], T events whose keys match it, offsets int64 [n + 1] of the events; weights [T]. real float32 [T]: 0 where
        an event fills a batch up."""
        start = self.query(query)
        if self.one_operation:
            return activation_unit(query, events, offsets, start, self.layers())
        first = event_layer(query, events, offsets, start, self.event.weight)
        return self.out(self.rest(activated(self.activation, first, real), real)).squeeze(1)


class DIN(Ranker):
    """Activation unit over the visible past, weighted sum, MLP, one logit."""

    def __init__(self, config: Config, spec: DataSpec) -> None:
        super().__init__()
        self.softmax, self.pools = config.attention_softmax, 2 if config.negative_history else 1
        self.inputs = EventInputs(config, spec)
        query, key = self.inputs.query_width, self.inputs.key_width
        self.unit = ActivationUnit(query, key, config.attention_hidden, config.attention_activation)
        inputs = self.inputs.example_width + self.pools * key
        self.mlp = MLP(inputs, config.hidden, config.activation, config.dropout)
        self.out = output_layer(self.mlp.width, spec)

    def forward(self, batch: PointwiseBatch) -> Tensor:
        example, query = self.inputs(batch)
        return self.out(self.mlp(torch.cat([example, self.interest(query, batch)], dim=1), batch.weight)).squeeze(1)

    def interest(self, query: Tensor, batch: PointwiseBatch) -> Tensor:
        """query [n, Q] -> weighted sums of each example's past events [n, pools * K]; zeros for an empty pool."""
        history, row = batch.history, example_of_event(batch.history)
        events = self.inputs.events(history)
        real = None if batch.weight is None else batch.weight.index_select(0, row)
        weight = self.unit(query, events, history.offsets, real)
        # An event's vector holds the label, so that each pool has weights of its own.
        pool = row if self.pools == 1 else 2 * row + history.label.long()
        return pooled(weight, events, pool, self.pools * len(query), self.softmax).view(len(query), -1)


def pooled(weight: Tensor, events: Events, row: Tensor, rows: int, softmax: bool) -> Tensor:
    """Sums of weight [T] times event over the events of each row [rows, K]; `softmax` normalises the weights of a row."""
    return weighted_sum(segment_softmax(weight, row, rows) if softmax else weight, events, row, rows)


def segment_softmax(score: Tensor, row: Tensor, rows: int) -> Tensor:
    """Softmax of score [T] among the tokens of the same row; row int64 [T] with values below `rows`."""
    peak = score.new_zeros(rows).scatter_reduce(0, row, score.detach(), "amax", include_self=False)
    power = (score - peak.index_select(0, row)).exp()
    return power / power.new_zeros(rows).index_add_(0, row, power).index_select(0, row)


INFO = ModelInfo(
    name="din",
    family="classical",
    view="pointwise",
    takes_padding=True,
    config=Config,
    build=DIN,
    summary="attention of the candidate over each past event, without softmax, and an MLP",
    paper="Zhou et al. 2018, arXiv:1706.06978",
    code="own",
    differs=(
        "a past event carries the action, label, logged context and time gap, not only the item, in key and value",
        "past events of both outcomes, not clicks alone",
        "q - k is folded into the weights of q and k, which are the same function",
        "ReLU instead of Dice in the activation unit by default",
        "Dice's statistics leave out padding, since there is none",
        "no mini-batch aware regularisation: `train.embedding_decay` instead",
    ),
    defaults="MLP 200-80 as in the paper on Alibaba's data, unit 80-40 as in the authors' code; the rest is this project's. "
    "No user id, as in the paper's table of features, which knows users by their profile and their past",
    space={
        **MLP_SPACE,
        "attention_hidden": UNIT_SPACE,
        "attention_activation": Choice(("relu", "dice", "sigmoid")),
        "attention_softmax": Choice((False, True)),
        "negative_history": Choice((False, True)),
    },
)
