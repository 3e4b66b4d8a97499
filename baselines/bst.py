"""BST, the behaviour sequence transformer (Chen et al. 2019, arXiv:1905.06874): candidate and past attend to each other.

A token is the event's fields beside a position, the time between event and request (equation 1); the candidate is the last
token. Blocks are a transformer encoder's with a leaky ReLU (equations 2 to 5). The candidate's output and the mean of the past
events' outputs join the example's fields in an MLP.

The paper lays all outputs end to end, for which every history must have one length; the mean needs no padding to say nothing,
and the candidate's own output is kept apart in both.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..bench.contract import Choice, DataSpec, Field, History, ModelInfo, PointwiseBatch, Ranker, Rate, Real, Size, Whole
from ..kernels.hstu_attention import plan_attention
from ..kernels.layers.embedding import FieldEmbeddings
from ..kernels.linear import Linear
from ..kernels.lookup import segment_mean
from ._encoder import EncoderBlock
from ._inputs import EventConfig, EventInputs, example_of_event
from ._layers import MLP, MLP_SPACE, Activation, output_layer


@dataclass(frozen=True)
class Config(EventConfig):
    """Hyper-parameters of BST."""

    width: Size = 32
    """Of a token within the blocks; a multiple of `heads`."""
    heads: Size = 4
    blocks: Size = 1
    """One is best in the paper."""
    inner: Size = 64
    """Hidden width of a block's feed-forward network."""
    block_dropout: Rate = 0.1
    """Of the outputs of attention and feed-forward network."""
    hidden: tuple[Size, ...] = (200, 80)
    """Widths of the hidden layers of the MLP."""
    activation: Activation = "relu"
    dropout: Rate = 0.2
    """After every hidden layer of the MLP."""

    def __post_init__(self) -> None:
        if self.width % self.heads:
            raise ValueError(f"width {self.width} cannot be divided among {self.heads} heads")


class BST(Ranker):
    """Tokens, transformer blocks, pooled outputs, MLP, one logit."""

    def __init__(self, config: Config, spec: DataSpec) -> None:
        super().__init__()
        self.inputs = EventInputs(config, spec)
        order = Field("order", spec.history_length + 2)
        """Without time information: how many events back, 2 for the latest; the gap says it otherwise."""
        self.order = FieldEmbeddings((order,), config.embedding_dim) if spec.time == "none" else None
        width = self.inputs.key_width + (config.embedding_dim if self.order is not None else 0)
        self.token = Linear(width, config.width)
        self.blocks = nn.ModuleList(
            EncoderBlock(config.width, config.heads, config.inner, config.block_dropout, F.leaky_relu)
            for _ in range(config.blocks)
        )
        self.mlp = MLP(self.inputs.example_width + 2 * config.width, config.hidden, config.activation, config.dropout)
        self.out = output_layer(self.mlp.width, spec)

    def forward(self, batch: PointwiseBatch) -> Tensor:
        example, query = self.inputs(batch)
        return self.out(self.mlp(torch.cat([example, self.interest(query, batch.history)], dim=1), batch.weight)).squeeze(1)

    def interest(self, query: Tensor, history: History) -> Tensor:
        """query [n, Q] -> output of the candidate's token and mean output of the past events, [n, 2 * width]."""
        row, n = example_of_event(history), len(query)
        candidate = self.token(F.pad(query, (0, self.token.in_features - query.shape[1])))
        past = self.token(self.tokens(history, row))
        # A segment is an example's past with the candidate behind it.
        examples = torch.arange(n, device=row.device)
        at_past, at_candidate = torch.arange(len(row), device=row.device) + row, history.offsets[1:] + examples
        place = torch.cat([at_past, at_candidate])
        x = torch.cat([past, candidate])
        x = torch.empty_like(x).index_copy(0, place, x)
        offsets = torch.cat([history.offsets[:1], at_candidate + 1])
        lo, hi = (torch.repeat_interleave(bound, offsets.diff(), output_size=len(x)) for bound in (offsets[:-1], offsets[1:]))
        plan = plan_attention(offsets, lo, hi, torch.zeros_like(lo))
        for block in self.blocks:
            x = block(x, plan)
        mean = segment_mean(x.index_select(0, at_past), history.offsets)
        return torch.cat([x.index_select(0, at_candidate), mean], dim=1)

    def tokens(self, history: History, row: Tensor) -> Tensor:
        """[T, width of a key and its position]"""
        key = self.inputs.keys(history)
        if self.order is None:
            return key
        back = history.offsets[1:].index_select(0, row) + 1 - torch.arange(len(row), device=row.device)
        return torch.cat([key, self.order.lookup("order", back)], dim=1)


INFO = ModelInfo(
    name="bst",
    family="classical",
    view="pointwise",
    takes_padding=True,
    config=Config,
    build=BST,
    summary="transformer block over candidate and past events, and an MLP",
    paper="Chen et al. 2019, arXiv:1905.06874",
    code="own",
    differs=(
        "a past event carries the action, label and logged context, not only the item",
        "past events of both outcomes, not clicks alone",
        "the past events' outputs are averaged instead of laid end to end; the candidate's output is apart",
        "a position is a logarithmic bucket of the time gap; without time information, how many events back",
        "tokens pass a linear map to the width of the blocks",
    ),
    train={"lr": 5e-4},
    defaults="one block as in the paper, which has 8 heads, an MLP of 1024-512-256 and learning rate 0.01 on Taobao. No user id, "
    "as in the paper's table of features",
    space={
        **MLP_SPACE,
        "blocks": Whole(1, 4),
        "width": Choice((16, 32, 64, 128)),
        "heads": Choice((1, 2, 4, 8)),
        "inner": Choice((32, 64, 128, 256)),
        "block_dropout": Real(0.0, 0.5),
        "activation": Choice(("relu", "dice", "prelu")),
    },
)
