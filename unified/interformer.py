"""InterFormer (Zeng et al. 2024, arXiv:2411.09852): fields and past events learn side by side and exchange gated summaries.

X are the example's F fields, S its past events, all of d numbers. A layer:

    X_sum = gate(W X)                       fields -> n_sum;  gate(Y) = Y * sigmoid(MLP(Y))
    S_sum = gate([S_CLS ; PMA(S) ; S_recent])
    X <- LN(X + MLP(interact([X ; S_sum])))
    S <- S + MHA(f(X_sum) RMS(S))           f: an MLP that makes a matrix d x d; rotary positions

Before the first layer X_sum is put in front of the events: these are the CLS tokens. PMA: learned queries that attend to S (Lee
et al. 2019). `interaction`: inner products of all pairs, DCN-V2's cross layers, or both added up (DHEN). Last fields and last
summary of the events make the logit through an MLP.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..baselines._inputs import EmbeddingConfig, EventInputs, example_of_event
from ..baselines._layers import MLP, output_layer
from ..bench.contract import SHARED_SPACE, Choice, DataSpec, ModelInfo, PointwiseBatch, Ranker, Rate, Size, Whole
from ..kernels.dropout import Dropout
from ..kernels.layers.rms_norm import RMSNorm
from ..kernels.layers.rotary import rotate, rotation
from ..kernels.linear import Linear
from ..kernels.segments import Padding, Segments, segment_attention, segment_product
from ._attention import CrossAttention
from ._inputs import past_of
from ._per_token import PerTokenLinear


@dataclass(frozen=True)
class Config(EmbeddingConfig):
    """Hyper-parameters of InterFormer."""

    width: Size = 32
    """d; a multiple of `heads`, and a head has an even number."""
    layers: Size = 2
    heads: Size = 2
    interaction: Literal["dot", "cross", "dhen"] = "dhen"
    """Inner products of all pairs, a cross layer, or both added up."""
    summaries: Size = 4
    """n_sum: summaries of the fields, and CLS tokens."""
    pooled: Size = 2
    """Learned queries of PMA."""
    recent: Size = 2
    """Latest events in the summary."""
    hidden: tuple[Size, ...] = (64,)
    """Widths of the hidden layers of the MLP behind the last layer."""
    dropout: Rate = 0.2
    """Of what a layer adds, and in the MLP."""

    def __post_init__(self) -> None:
        if self.width % (2 * self.heads):
            raise ValueError(f"width {self.width} cannot be divided among {self.heads} heads of an even number each")

    @property
    def summary(self) -> int:
        """Tokens that sum up the events."""
        return self.summaries + self.pooled + self.recent


class SelfGate(nn.Module):
    """y * sigmoid(W_2 SiLU(W_1 y)) over the last dimension."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.up, self.down = Linear(width, width), Linear(width, width)

    def forward(self, y: Tensor) -> Tensor:
        return y * torch.sigmoid(self.down(F.silu(self.up(y))))


class FieldSummary(nn.Module):
    """X [n, F, d] -> X_sum [n, n_sum, d]."""

    def __init__(self, config: Config, fields: int) -> None:
        super().__init__()
        self.compress, self.gate = Linear(fields, config.summaries), SelfGate(config.width)

    def forward(self, x: Tensor) -> Tensor:
        return self.gate(self.compress(x.transpose(1, 2)).transpose(1, 2))


@dataclass(frozen=True)
class Sequences:
    """How S of all n examples lies end to end: of each its CLS tokens, then its events, the latest first; T tokens together."""

    segments: Segments
    source: Tensor
    """int64 [T]: where a token stands among all CLS tokens and, behind them, all events."""
    ends: Padding
    """CLS tokens and the latest events of each example, [n, n_sum + recent]."""
    turn: Tensor
    """Rotary positions, as `rotation` makes them of T tokens."""


def sequences_of(config: Config, past: Segments, row: Tensor) -> Sequences:
    """CLS tokens in front of these events, of which `row`, int64, says the example of each."""
    n, cls, device = len(past.offsets) - 1, config.summaries, row.device
    begin = past.offsets + cls * torch.arange(n + 1, device=device)
    of_cls = begin[:-1].unsqueeze(1) + torch.arange(cls, device=device)
    # An example's last event is its latest.
    back = past.offsets[1:].index_select(0, row) - 1 - torch.arange(len(row), device=device)
    place = torch.cat([of_cls.flatten(), begin.index_select(0, row) + cls + back])
    source = torch.empty_like(place).index_copy_(0, place, torch.arange(len(place), device=device))
    position = torch.cat([torch.arange(cls, device=device).repeat(n), cls + back]).index_select(0, source)
    segments = Segments(begin, past.longest + cls)
    return Sequences(segments, source, segments.earliest(cls + config.recent), rotation(position, config.width // config.heads))


class EventSummary(nn.Module):
    """S [T, d] -> S_sum [n, summary, d]."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.summaries = config.summaries
        self.queries = nn.Parameter(torch.randn(config.pooled, config.width) * config.width**-0.5)
        self.pool, self.gate = CrossAttention(config.width, config.heads), SelfGate(config.width)

    def forward(self, s: Tensor, of: Sequences) -> Tensor:
        ends = of.ends.rows(s)
        # Copies: a view of a parameter is no input of a module that torch's counter of FLOPs bears.
        pooled = self.pool(self.queries.repeat(len(ends), 1, 1), self.pool.key_value(s), of.segments)
        return self.gate(torch.cat([ends[:, : self.summaries], pooled, ends[:, self.summaries :]], dim=1))


class FieldInteraction(nn.Module):
    """X [n, F, d], S_sum -> X of the next layer."""

    first: Tensor
    second: Tensor

    def __init__(self, config: Config, fields: int) -> None:
        super().__init__()
        tokens = fields + config.summary
        inputs, outputs = tokens * config.width, fields * config.width
        pairs = torch.triu_indices(tokens, tokens, offset=1)
        self.register_buffer("first", pairs[0], persistent=False)
        self.register_buffer("second", pairs[1], persistent=False)
        self.dot = Linear(pairs.shape[1], outputs) if config.interaction != "cross" else None
        self.cross = Linear(inputs, inputs) if config.interaction != "dot" else None
        self.after_cross = Linear(inputs, outputs) if config.interaction != "dot" else None
        self.down, self.norm, self.dropout = Linear(outputs, outputs), nn.LayerNorm(config.width), Dropout(config.dropout)

    def forward(self, x: Tensor, summary: Tensor) -> Tensor:
        tokens = torch.cat([x, summary], dim=1)
        found = []
        if self.dot is not None:
            products = (tokens @ tokens.transpose(1, 2)).flatten(1)
            found.append(self.dot(products.index_select(1, self.first * tokens.shape[1] + self.second)))
        if self.cross is not None and self.after_cross is not None:
            flat = tokens.flatten(1)
            found.append(self.after_cross(flat * self.cross(flat) + flat))
        hidden = self.down(self.dropout(F.relu(torch.stack(found).sum(0))))
        return self.norm(x + hidden.unflatten(1, x.shape[1:]))


class ContextAttention(nn.Module):
    """S [T, d] -> S of the next layer; X_sum makes the matrix that events are multiplied by before they see each other."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        width, self.heads = config.width, config.heads
        self.norm = RMSNorm(width)
        self.up, self.matrix = Linear(config.summaries * width, 2 * width), Linear(2 * width, width * width)
        self.qkv, self.out = Linear(width, 3 * width, bias=False), Linear(width, width, bias=False)
        self.dropout = Dropout(config.dropout)

    def forward(self, s: Tensor, of: Sequences, summary: Tensor) -> Tensor:
        matrix = self.matrix(F.silu(self.up(summary.flatten(1)))).unflatten(1, (s.shape[1], -1))
        qk, v = self.qkv(segment_product(self.norm(s), matrix, of.segments)).split((2 * s.shape[1], s.shape[1]), dim=1)
        q, k = rotate(qk.unflatten(1, (2 * self.heads, -1)), of.turn).flatten(1).chunk(2, dim=1)
        return s + self.dropout(self.out(segment_attention(q, torch.cat([k, v], dim=1), of.segments, self.heads)))


class InterFormerLayer(nn.Module):
    """One exchange of summaries."""

    def __init__(self, config: Config, fields: int) -> None:
        super().__init__()
        self.event_summary, self.interaction = EventSummary(config), FieldInteraction(config, fields)
        self.attention = ContextAttention(config)


class InterFormer(Ranker):
    """Fields, events, layers, an MLP over fields and summary of events, one logit."""

    def __init__(self, config: Config, spec: DataSpec) -> None:
        super().__init__()
        self.config, self.history, self.inputs = config, spec.history_length, EventInputs(config, spec)
        fields = len(self.inputs.example_slots)
        self.dim = config.embedding_dim
        self.field = PerTokenLinear(fields, config.embedding_dim, config.width)
        self.event = Linear(self.inputs.key_width, config.width)
        self.field_summaries = nn.ModuleList(FieldSummary(config, fields) for _ in range(config.layers))
        self.layers = nn.ModuleList(InterFormerLayer(config, fields) for _ in range(config.layers))
        self.event_summary = EventSummary(config)
        self.mlp = MLP((fields + config.summary) * config.width, config.hidden, "relu", config.dropout)
        self.out = output_layer(self.mlp.width, spec)

    def forward(self, batch: PointwiseBatch) -> Tensor:
        example, _ = self.inputs(batch)
        x = self.field(example.unflatten(1, (-1, self.dim)))
        cls, events = self.field_summaries[0](x), self.event(self.inputs.keys(batch.history))
        of = sequences_of(self.config, past_of(batch, self.history), example_of_event(batch.history))
        s = torch.cat([cls.flatten(0, 1), events]).index_select(0, of.source)
        for layer, field_summary in zip(self.layers, self.field_summaries, strict=True):
            assert isinstance(layer, InterFormerLayer)
            x_sum, s_sum = field_summary(x), layer.event_summary(s, of)
            x, s = layer.interaction(x, s_sum), layer.attention(s, of, x_sum)
        tokens = torch.cat([x, self.event_summary(s, of)], dim=1)
        return self.out(self.mlp(tokens.flatten(1))).squeeze(1)


INFO = ModelInfo(
    name="interformer",
    family="unified",
    view="pointwise",
    takes_padding=True,
    config=Config,
    build=InterFormer,
    summary="interactions of fields and attention among past events, which exchange gated summaries layer by layer",
    paper="Zeng et al. 2024, arXiv:2411.09852",
    code="own",
    checked="summaries, interactions and attention against the equations one example and token at a time, float64, outputs and "
    "gradients of inputs and parameters to 1e-9",
    differs=(
        "one sequence of past events, which carry action, label, logged context and time gap beside their item; so no MaskNet, "
        "which joins several",
        "a gate is y * sigmoid(MLP(y)); the paper prints sigma(y * MLP(y))",
        "skip connections around attention and interaction, with a norm in front of the first and behind the second; the paper "
        "prints none but within DHEN",
        "DHEN of one full-rank cross layer and the inner products of all pairs; the paper does not say of which modules",
        "the latest event stands first behind the CLS tokens, so that rotary positions do not depend on the length of the past",
        "a last summary of the events enters the MLP beside the fields; dropout",
    ),
    defaults="this project's: the paper gives no sizes but those of its searches. Interactions by DHEN as in its experiments. No "
    "user id, as for every ranker here that reads the past",
    space={
        **SHARED_SPACE,
        "layers": Whole(1, 4),
        "width": Choice((16, 32, 64)),
        "interaction": Choice(("dot", "cross", "dhen")),
        "summaries": Choice((1, 2, 4, 8)),
        "pooled": Choice((1, 2, 4)),
        "recent": Choice((1, 2, 4, 8)),
    },
)
