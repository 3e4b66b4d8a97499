"""TransAct (Xia et al. 2023, arXiv:2306.00248): every past action knows the candidate before they attend to each other.

A token is a past event's fields, what the user did, and the candidate's fields (early fusion), side by side and projected.
Tokens pass a transformer encoder; there are no positions. The outputs of the latest `columns` events, one after the other, and
a linear map of the greatest output of all events join the example's fields in a DCN-V2: cross layers x <- x0 * (W x + b) + x,
then an MLP.

In training each step draws a time window, uniform from nothing to `window_hours`, and leaves out the events of that time before
the request, so that the model does not chase the last few actions.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..bench.contract import (
    Choice,
    DataSpec,
    History,
    ModelInfo,
    NotNegative,
    PointwiseBatch,
    Ranker,
    Rate,
    Size,
    Sizes,
    Whole,
)
from ..kernels.hstu_attention import plan_attention
from ..kernels.linear import Linear
from ..kernels.time_buckets import smallest_gaps
from ._encoder import EncoderBlock
from ._inputs import EventConfig, EventInputs, example_of_event, select_events
from ._layers import MLP, MLP_SPACE, output_layer


@dataclass(frozen=True)
class Config(EventConfig):
    """Hyper-parameters of TransAct."""

    early_fusion: bool = True
    """Tokens of past events know the candidate."""
    width: Size = 32
    """Of a token within the encoder; a multiple of `heads`."""
    heads: Size = 2
    blocks: Size = 2
    inner: Size = 32
    """Hidden width of a block's feed-forward network."""
    block_dropout: Rate = 0.1
    """Of the outputs of attention and feed-forward network."""
    columns: Size = 10
    """Latest events whose outputs are kept one by one."""
    window_hours: NotNegative = 1.0
    """Longest time before the request whose events are hidden in training; 0: none are."""
    cross_layers: Size = 2
    """Each has a square matrix over all inputs."""
    hidden: Sizes = (200, 80)
    """Widths of the MLP's hidden layers; at least one."""
    dropout: Rate = 0.2
    """After every hidden layer of the MLP."""

    def __post_init__(self) -> None:
        if self.width % self.heads:
            raise ValueError(f"width {self.width} cannot be divided among {self.heads} heads")


class RecentActions(nn.Module):
    """Candidates and their past events -> what an encoder over the events gives, [n, width]."""

    def __init__(self, config: Config, query: int, key: int) -> None:
        super().__init__()
        self.columns = config.columns
        self.event = Linear(key, config.width)
        self.candidate = Linear(query, config.width, bias=False) if config.early_fusion else None
        sizes = config.width, config.heads, config.inner, config.block_dropout
        self.blocks = nn.ModuleList(EncoderBlock(*sizes, torch.relu) for _ in range(config.blocks))
        self.greatest = Linear(config.width, config.width)
        self.width = (config.columns + 1) * config.width

    def forward(self, query: Tensor, key: Tensor, offsets: Tensor, row: Tensor) -> Tensor:
        """query [n, Q], keys [T, K] of packed events, offsets int64 [n + 1], row int64 [T]: event -> example.

        The greatest outputs, then the outputs of the latest event, of the one before and so on; zeros where there is none.
        """
        x = self.event(key)
        if self.candidate is not None:
            # The linear map of two vectors side by side, with the candidate's part computed once an example.
            x = x + self.candidate(query).index_select(0, row)
        begin, end = offsets[:-1], offsets[1:]
        plan = plan_attention(offsets, begin.index_select(0, row), end.index_select(0, row), torch.zeros_like(row))
        for block in self.blocks:
            x = block(x, plan)
        none = x.new_zeros(len(query), x.shape[1])
        seen = (end > begin).unsqueeze(1)
        peaks = torch.where(seen, torch.segment_reduce(x, "max", lengths=end - begin), none) if len(x) else none
        greatest = torch.where(seen, self.greatest(peaks), none)
        at = end.unsqueeze(1) - 1 - torch.arange(self.columns, device=end.device)
        # A row of zeros behind the last event stands for those that are not there.
        at = torch.where(at >= begin.unsqueeze(1), at, len(x))
        latest = torch.cat([x, x.new_zeros(1, x.shape[1])]).index_select(0, at.flatten()).view(len(query), -1)
        return torch.cat([greatest, latest], dim=1)


class TransAct(Ranker):
    """Encoder over past events that know the candidate, cross layers, MLP, one logit."""

    def __init__(self, config: Config, spec: DataSpec) -> None:
        super().__init__()
        self.window = config.window_hours * 3600
        self.inputs = EventInputs(config, spec)
        self.actions = RecentActions(config, self.inputs.query_width, self.inputs.key_width)
        width = self.inputs.example_width + self.actions.width
        self.crosses = nn.ModuleList(Linear(width, width) for _ in range(config.cross_layers))
        self.mlp = MLP(width, config.hidden, "relu", config.dropout)
        self.out = output_layer(self.mlp.width, spec)

    def forward(self, batch: PointwiseBatch) -> Tensor:
        example, query = self.inputs(batch)
        history = self.visible(batch.history)
        actions = self.actions(query, self.inputs.keys(history), history.offsets, example_of_event(history))
        x0 = x = torch.cat([example, actions], dim=1)
        for cross in self.crosses:
            x = x0 * cross(x) + x
        return self.out(self.mlp(x)).squeeze(1)

    def visible(self, history: History) -> History:
        """In training without the events of a random time before the request."""
        if not self.training or not self.window or history.gap is None:
            return history
        window = torch.rand((), device=history.gap.device) * self.window
        return select_events(history, smallest_gaps(window)[history.gap] >= window)


INFO = ModelInfo(
    name="transact",
    family="classical",
    view="pointwise",
    config=Config,
    build=TransAct,
    summary="transformer encoder over past events that know the candidate, then cross layers and an MLP",
    paper="Xia et al. 2023, arXiv:2306.00248",
    code="own",
    checked="its encoder against torch's own, one example at a time, float64, values and gradients to 1e-9",
    train={"lr": 5e-4},
    differs=(
        "a past event carries all fields of the item, the action, label, logged context and time gap, not only an item vector "
        "made elsewhere and the action",
        "tokens pass a linear map to the width of the encoder; the released code's width is that of all vectors side by side",
        "a hidden event is left out altogether; the released code hides it as a key alone, keeps its own output and never "
        "hides the latest event",
        "an event's time before the request is the smallest of its bucket of gaps; with the data's time information `history` it "
        "is the time before the latest event that is seen, and without time information nothing is hidden",
        "the greatest outputs are those of events that are there; the released code takes padding along",
        "no vectors of users that were made elsewhere from their long past",
        "the past is what `data.history_length` shows, the same for every model of a comparison; 100 actions in the "
        "released configuration",
    ),
    defaults="two blocks, two heads, inner width, ten columns and the window as in the released code; MLP of DIN, learning rate "
    "of BST. No user id, as for every classical ranker here that reads the past",
    space={
        **MLP_SPACE,
        "blocks": Whole(1, 4),
        "width": Choice((16, 32, 64, 128)),
        "inner": Choice((32, 64, 128, 256)),
        "columns": Choice((1, 5, 10, 20)),
        "cross_layers": Whole(1, 4),
        "window_hours": Choice((0.0, 1.0, 6.0, 24.0)),
    },
)
