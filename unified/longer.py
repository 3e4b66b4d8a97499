"""LONGER (Chai et al. 2025, arXiv:2505.04421): a long past, merged to few tokens, of which the latest ones read all others.

K neighbouring events of d numbers are merged to one token of D = K d; before that they may see each other (InnerTrans). Global
tokens, for the candidate, for the example's fields and one that is learned, stand in front of the merged tokens, of which the
latest is the first. Every token sees itself and those behind it, which are older: events never see a global token.

    first layer    queries: global tokens and the `recent` latest merged ones; keys: global tokens and all merged ones
    N more         the same queries among themselves

A layer: O <- O + MHA(RMS(O), RMS(R)), O <- O + FFN(RMS(O)) with GELU. Outputs at the global tokens join the example's fields in
an MLP.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..baselines._inputs import EmbeddingConfig, EventInputs, example_of_event
from ..baselines._layers import MLP, output_layer
from ..bench.contract import (
    SHARED_SPACE,
    Choice,
    DataSpec,
    History,
    ModelInfo,
    PointwiseBatch,
    Positive,
    Ranker,
    Rate,
    Size,
    Whole,
)
from ..kernels.dropout import Dropout
from ..kernels.elementwise import gelu
from ..kernels.layers.rms_norm import RMSNorm
from ..kernels.linear import Linear
from ..kernels.segments import Segments
from ._attention import CrossAttention
from ._inputs import past_of

GLOBAL = 3
"""Global tokens: candidate, fields, learned."""


@dataclass(frozen=True)
class Config(EmbeddingConfig):
    """Hyper-parameters of LONGER."""

    width: Size = 64
    """D, of a merged token; a multiple of `heads` and of `merge`."""
    layers: Size = 1
    """N, behind the first layer, in which queries read the whole past."""
    heads: Size = 2
    merge: Size = 4
    """K, events in a token."""
    inner: bool = True
    """Events of a token see each other before they are merged, in one Transformer layer."""
    recent: Size = 5
    """Merged tokens that ask."""
    expansion: Positive = 2.0
    """Hidden numbers of a feed-forward network over its width."""
    hidden: tuple[Size, ...] = (200, 80)
    """Widths of the hidden layers of the MLP."""
    dropout: Rate = 0.2
    """Of what a layer adds, and in the MLP."""

    def __post_init__(self) -> None:
        for name, parts in (("heads", self.heads), ("merge", self.merge)):
            if self.width % parts:
                raise ValueError(f"width {self.width} is no multiple of {name} {parts}")


class ReadingLayer(nn.Module):
    """Queries [n, N, width] read keys [n, L, width], then a feed-forward network; skip connections, norms in front."""

    def __init__(self, width: int, heads: int, config: Config) -> None:
        super().__init__()
        self.norm, self.feed_norm = RMSNorm(width), RMSNorm(width)
        self.attention = CrossAttention(width, heads)
        hidden = round(width * config.expansion)
        self.up, self.down = Linear(width, hidden), Linear(hidden, width)
        self.dropout = Dropout(config.dropout)

    def forward(self, x: Tensor, keys: Tensor, seen: Segments, behind: bool = True) -> Tensor:
        """x [n, N, width] or, a query of each key, [T, width]; keys [T, width]; see `segment_attention`."""
        key_value = self.attention.key_value(self.norm(keys))
        return self.fed(x + self.dropout(self.attention(self.norm(x), key_value, seen, behind)))

    def among(self, x: Tensor, visible: Tensor) -> Tensor:
        """The first Q of rows of one length [n, N, width] read all of them -> [n, Q, width]; visible: bool [n, Q, N]."""
        queries, normed = visible.shape[1], self.norm(x)
        read = self.attention.over_padded(normed[:, :queries], self.attention.key_value(normed), visible)
        return self.fed(x[:, :queries] + self.dropout(read))

    def fed(self, x: Tensor) -> Tensor:
        """The feed-forward network with its skip connection."""
        return x + self.dropout(self.down(gelu(self.up(self.feed_norm(x)))))


@dataclass(frozen=True)
class Merging:
    """Which of T events make which of G merged tokens, and how those stand behind the global tokens of their examples, n of them.

    G is known without a look at the pasts; tokens that hold no event stand behind all others and belong to nobody.
    """

    source: Tensor
    """int64 [T]: the events example by example, the latest first."""
    order: Tensor
    """int64 [T]: how many events back each of them is."""
    groups: Segments
    """Those that are merged to each of the G tokens."""
    slot: Tensor
    """int64 [T]: place of each of them, if every token had K."""
    keys: Segments
    """Global and merged tokens of each example."""
    key_source: Tensor
    """int64 [n * GLOBAL + G]: where a key stands among all global tokens and, behind them, all merged ones."""

    def merged(self, x: Tensor) -> Tensor:
        """Events in the order of `source` [T, d] -> [G, K d]; one that is not there is zeros."""
        tokens, merge = len(self.groups.offsets) - 1, self.groups.longest
        return x.new_zeros(tokens * merge, x.shape[1]).index_copy(0, self.slot, x).view(tokens, merge * x.shape[1])


def merging_of(merge: int, past: Segments, row: Tensor) -> Merging:
    """Of events of which `row`, int64, says the example of each."""
    n, device, events = len(past.offsets) - 1, row.device, torch.arange(len(row), device=row.device)
    back = past.offsets[1:].index_select(0, row) - 1 - events
    source = torch.empty_like(row).index_copy_(0, past.offsets.index_select(0, row) + back, events)
    order = back.index_select(0, source)
    first = F.pad(((past.lengths + merge - 1) // merge).cumsum(0), (1, 0))  # merged token of an example
    slot = merge * first.index_select(0, row) + order
    count = (len(row) + (merge - 1) * n) // merge
    merged, globals_ = torch.arange(count, device=device), torch.arange(GLOBAL, device=device)
    owner = torch.searchsorted(first[1:].contiguous(), merged, right=True)  # n: nobody
    # What belongs to nobody begins and ends behind the last event, and stands behind all global tokens.
    begin = past.offsets.index_select(0, owner) + merge * (merged - first.index_select(0, owner))
    groups = Segments(torch.cat([torch.minimum(begin, past.offsets[-1]), past.offsets[-1:]]), merge)
    in_front = GLOBAL * torch.arange(n + 1, device=device)  # global tokens before an example's
    keys = Segments(first + in_front, -(-past.longest // merge) + GLOBAL)
    behind = torch.cat([in_front[1:], in_front[-1:]]).index_select(0, owner)
    place = torch.cat([(keys.offsets[:-1].unsqueeze(1) + globals_).flatten(), merged + behind])
    key_source = torch.empty_like(place).index_copy_(0, place, torch.arange(len(place), device=device))
    return Merging(source, order, groups, slot, keys, key_source)


class LONGER(Ranker):
    """Events, merged tokens, global tokens, layers, MLP, one logit."""

    def __init__(self, config: Config, spec: DataSpec) -> None:
        super().__init__()
        self.config, self.inputs = config, EventInputs(config, spec)
        inner = config.width // config.merge
        self.event = Linear(self.inputs.key_width, inner)
        self.order = nn.Embedding(spec.history_length, inner)
        self.inner = ReadingLayer(inner, 1, config) if config.inner and config.merge > 1 else None
        self.candidate = Linear(self.inputs.query_width, config.width)
        self.fields = Linear(self.inputs.example_width, config.width)
        self.learned = nn.Parameter(torch.randn(config.width) * 0.02)
        nn.init.normal_(self.order.weight, std=0.02)
        self.layers = nn.ModuleList(ReadingLayer(config.width, config.heads, config) for _ in range(1 + config.layers))
        self.norm = RMSNorm(config.width)
        inputs = GLOBAL * config.width + self.inputs.example_width
        self.mlp = MLP(inputs, config.hidden, "relu", config.dropout)
        self.out = output_layer(self.mlp.width, spec)

    def forward(self, batch: PointwiseBatch) -> Tensor:
        example, query = self.inputs(batch)
        past = past_of(batch, self.order.num_embeddings)
        of = merging_of(self.config.merge, past, example_of_event(batch.history))
        others = torch.stack([self.candidate(query), self.fields(example), self.learned.expand(len(example), -1)], dim=1)
        keys = torch.cat([others.flatten(0, 1), self.merged(batch.history, of)]).index_select(0, of.key_source)
        # Behind a token stand those that it sees: of the global ones the later, of the merged ones the older.
        asking = min(GLOBAL + self.config.recent, of.keys.longest)
        first = of.keys.earliest(asking)
        visible = first.visible.unsqueeze(1) & torch.ones(asking, asking, dtype=torch.bool, device=keys.device).triu()
        x = self.layers[0](first.rows(keys), keys, of.keys)
        for layer in self.layers[1:]:
            assert isinstance(layer, ReadingLayer)
            # Of the last layer nothing but the global tokens is read.
            x = layer.among(x, visible[:, :GLOBAL] if layer is self.layers[-1] else visible)
        return self.out(self.mlp(torch.cat([self.norm(x[:, :GLOBAL]).flatten(1), example], dim=1))).squeeze(1)

    def merged(self, history: History, of: Merging) -> Tensor:
        """Merged tokens [G, D]."""
        x = self.event(self.inputs.keys(history)).index_select(0, of.source) + self.order(of.order)
        if self.inner is not None:
            x = self.inner(x, x, of.groups, behind=False)
        return of.merged(x)


INFO = ModelInfo(
    name="longer",
    family="unified",
    view="pointwise",
    takes_padding=True,
    config=Config,
    build=LONGER,
    summary="neighbouring past events merged to tokens; the latest of them and global tokens read all, then each other",
    paper="Chai et al. 2025, arXiv:2505.04421",
    code="own",
    checked="merging and layers against the equations one example and token at a time, float64, outputs and gradients of inputs "
    "and parameters to 1e-9",
    differs=(
        "past events of both outcomes with action, label and logged context; time since an event is a logarithmic bucket",
        "events are merged from the latest backwards, so that the oldest token may hold fewer",
        "three global tokens: the item with the logged context, all fields of the example, and a learned one",
        "RMS norms in front, GELU, and the same order for global tokens as for events, in which the candidate stands first and "
        "sees the others: the paper leaves these open",
        "the MLP also reads the example's fields; dropout",
        "the past is what `data.history_length` shows, and nothing of it is kept between candidates",
    ),
    defaults="merge of 4 as in the paper, where 100 of 250 to 500 merged tokens ask and tokens have 4 to 8 times 32 numbers, on "
    "pasts of 2,000 events; here 5 of 13. MLP of DIN. No user id, as for every ranker here that reads the past",
    space={
        **SHARED_SPACE,
        "layers": Whole(1, 4),
        "width": Choice((32, 64, 128, 256)),
        "merge": Choice((1, 2, 4, 8)),
        "inner": Choice((False, True)),
        "recent": Choice((2, 5, 10, 25)),
        "hidden": Choice(((64,), (200, 80), (400, 400))),
    },
)
