"""DIEN (Zhou et al. 2019, arXiv:1809.03672): a recurrent network follows how the interest in the candidate evolves.

Extractor: a GRU over the past events, state h_t, taught by the auxiliary loss -log s(h_t, e_{t+1}) - log(1 - s(h_t, e'_{t+1}))
with s = sigmoid of an inner product, e the item of the next event, e' another item (section 4.2). Evolution: attention
a_t = softmax over t of (h_t W e_candidate), and a GRU over h_t whose update gate is scaled by it (AUGRU, equations 6 to 9):
h'_t = (1 - a_t u_t) h'_{t-1} + a_t u_t c_t. The last h' joins the example's fields in an MLP.

Both read tokens packed by time step, so that no step is spent on padding.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..bench.contract import Choice, DataSpec, History, ModelInfo, NotNegative, PointwiseBatch, Ranker, Rate, Size
from ..kernels.linear import Linear
from ..kernels.recurrence import recurrence
from ._inputs import EventConfig, EventInputs, example_of_event
from ._layers import MLP, MLP_SPACE, Activation, output_layer
from .din import segment_softmax


@dataclass(frozen=True)
class Config(EventConfig):
    """Hyper-parameters of DIEN."""

    state: Size = 48
    """Width of both recurrent states."""
    auxiliary: NotNegative = 0.1
    """Weight of the auxiliary loss; 0: none."""
    hidden: tuple[Size, ...] = (200, 80)
    """Widths of the hidden layers of the MLP."""
    activation: Activation = "dice"
    dropout: Rate = 0.2
    """After every hidden layer of the MLP."""


class Steps(NamedTuple):
    """The order in which a recurrent network reads jagged rows: all first tokens, all second tokens, ..."""

    token: Tensor
    """int64 [T]: which token stands at each packed place; within a step, rows with more tokens come first."""
    sizes: Tensor
    """int64 [steps] on the CPU: rows that have such a token, falling."""


def steps_of(offsets: Tensor, row: Tensor) -> Steps:
    """Packs rows offsets [n + 1], row int64 [T]: token -> row."""
    by_length = torch.argsort(offsets.diff(), descending=True, stable=True)
    rank = torch.empty_like(by_length).scatter_(0, by_length, torch.arange(len(by_length), device=row.device))
    step = torch.arange(len(row), device=row.device) - offsets.index_select(0, row)
    token = torch.argsort(step * len(by_length) + rank.index_select(0, row))
    return Steps(token, torch.bincount(step).cpu())


class Recurrent(nn.Module):
    """A GRU over rows that are packed by steps; with attention the paper's AUGRU."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.width = width
        self.input, self.state = Linear(inputs, 3 * width), Linear(width, 3 * width)
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -(width**-0.5), width**-0.5)

    def forward(self, x: Tensor, sizes: Tensor, attention: Tensor | None = None) -> Tensor:
        """x [T, inputs] and attention [T] packed by steps of `sizes` rows -> states [T, width]."""
        return recurrence(self.input(x), sizes, self.state.weight, self.state.bias, attention)


class DIEN(Ranker):
    """Extractor, attention, evolution, MLP, one logit."""

    def __init__(self, config: Config, spec: DataSpec) -> None:
        super().__init__()
        self.weight = config.auxiliary
        self.inputs = EventInputs(config, spec)
        self.item_width = len(spec.item) * config.embedding_dim
        self.extractor = Recurrent(self.inputs.key_width, config.state)
        self.attention = Linear(self.inputs.query_width, config.state, bias=False)
        self.evolution = Recurrent(config.state, config.state)
        self.next = Linear(config.state, self.item_width) if config.auxiliary > 0 else None
        self.mlp = MLP(self.inputs.example_width + config.state, config.hidden, config.activation, config.dropout)
        self.out = output_layer(self.mlp.width, spec)
        self.auxiliary: Tensor | None = None

    def forward(self, batch: PointwiseBatch) -> Tensor:
        example, query = self.inputs(batch)
        # Recurrent sums are kept in single precision: errors of half precision would add up over the steps.
        with torch.autocast(query.device.type, enabled=False):
            interest = self.interest(query, batch.history)
        return self.out(self.mlp(torch.cat([example, interest], dim=1))).squeeze(1)

    def auxiliary_loss(self) -> Tensor | None:
        loss, self.auxiliary = self.auxiliary, None
        return loss

    def interest(self, query: Tensor, history: History) -> Tensor:
        """query [n, Q] -> last state of the evolution [n, width]; zeros for an empty past."""
        row = example_of_event(history)
        last = query.new_zeros(len(query), self.evolution.width)
        if not len(row):
            return last
        steps = steps_of(history.offsets, row)
        key = self.inputs.keys(history)
        state = self.extractor(key.index_select(0, steps.token), steps.sizes)
        row = row.index_select(0, steps.token)
        score = (state * self.attention(query).index_select(0, row)).sum(1)
        attention = segment_softmax(score, row, len(query))
        evolved = self.evolution(state, steps.sizes, attention)
        if self.training and self.next is not None:
            self.auxiliary = self.weight * self.next_event_loss(state, key, history, steps)
        # In the order of the batch, where a row's last event is the one before the next row's first.
        place = torch.empty_like(steps.token).scatter_(0, steps.token, torch.arange(len(steps.token), device=row.device))
        full = history.offsets.diff().nonzero().squeeze(1)
        ends = place.index_select(0, history.offsets[1:].index_select(0, full) - 1)
        return last.index_copy(0, full, evolved.index_select(0, ends))

    def next_event_loss(self, state: Tensor, key: Tensor, history: History, steps: Steps) -> Tensor:
        """Mean over events that have a next one: is the next item told from that of a random past event of the batch?

        Args:
            state: of the extractor, packed [T, width].
            key: of the events, in the order of the batch [T, K]; its first columns are the item's.
        """
        assert self.next is not None
        row, item = example_of_event(history), history.fields["item"]
        assert isinstance(item, Tensor)
        guess = self.next(torch.empty_like(state).index_copy(0, steps.token, state))[:-1]
        other = torch.randint(len(row), (len(row) - 1,), device=row.device)
        vectors = key[:, : self.item_width]
        real, fake = (guess * vectors[1:]).sum(1), (guess * vectors.index_select(0, other)).sum(1)
        counted = ((row[1:] == row[:-1]) & (item.index_select(0, other) != item[1:])).to(real.dtype)
        return ((F.softplus(-real) + F.softplus(fake)) * counted).sum() / counted.sum().clamp(min=1)


INFO = ModelInfo(
    name="dien",
    family="classical",
    view="pointwise",
    config=Config,
    build=DIEN,
    summary="two GRUs, the second gated by the candidate's attention, and an MLP",
    paper="Zhou et al. 2019, arXiv:1809.03672",
    code="own",
    differs=(
        "a past event carries the action, label, logged context and time gap, not only the item",
        "past events of both outcomes, not clicks alone",
        "negatives of the auxiliary loss are items of random past events of the batch, so by popularity, with side information",
        "a linear map takes the state to the item's vectors for the auxiliary inner product",
        "bilinear attention as in the paper; the authors' code has DIN's activation unit",
        "a weight of 0.1 instead of 1 for the auxiliary loss by default",
    ),
    defaults="MLP 200-80 as in the authors' code, whose embedding is 18 and whose states have 36 units. No user id, as for every "
    "classical ranker here that reads the past; the authors' code embeds it",
    space={
        **MLP_SPACE,
        "state": Choice((16, 32, 48, 64, 96)),
        "auxiliary": Choice((0.0, 0.1, 0.3, 1.0)),
        "activation": Choice(("relu", "dice", "prelu")),
    },
)
