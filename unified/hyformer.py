"""HyFormer (Huang et al. 2026, arXiv:2601.12681): queries of all fields read the past, then mix with the fields, layer by layer.

M tokens F are cut out of the example's fields; N queries Q_n = FFN_n([F_1 .. F_M ; mean of the events]). A layer:

    H <- encode(H);  K, V = RMS(H) W_K, RMS(H) W_V    H: the events, in the first layer as they are
    Q <- Q + attention(RMS(Q), K, V)                  query decoding
    X = [Q ; F];  X <- X + FFN_t(RMS(mix(X)))         query boosting, with RankMixer's mixing; Q and F go on to the next layer

`sequence` is what encodes the events: `full`, self-attention and SwiGLU; `longer`, the latest events alone, which attend to all
of them, and SwiGLU; `swiglu`, no attention. All tokens after the last layer make the logit through an MLP.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from ..baselines._inputs import EventInputs, example_of_event, select_events
from ..baselines._layers import MLP, output_layer
from ..bench.contract import Choice, DataSpec, History, ModelInfo, PointwiseBatch, Ranker, SearchSpace, Size
from ..kernels.dropout import Dropout
from ..kernels.elementwise import gelu
from ..kernels.hstu_attention import AttentionPlan, hstu_attention, plan_attention
from ..kernels.layers.feed_forward import SwiGLU
from ..kernels.layers.rms_norm import RMSNorm
from ..kernels.linear import Linear
from ..kernels.lookup import segment_mean
from ..kernels.segments import Padding, Segments
from ._attention import CrossAttention
from ._inputs import FieldTokens, Interest, latest, past_of
from ._per_token import PerTokenFeedForward, PerTokenLinear, mix
from .rankmixer import MIXER_SPACE, MixerConfig


@dataclass(frozen=True)
class Config(MixerConfig):
    """Hyper-parameters of HyFormer. `tokens` counts queries and tokens of fields together."""

    queries: Size = 2
    """N, for each sequence of events."""
    heads: Size = 2
    sequence: Literal["full", "longer", "swiglu"] = "swiglu"
    """How events are encoded. full: by self-attention. longer: the `recent` latest, which attend to all. swiglu: each alone."""
    recent: Size = 10
    """Events that sequence=longer keeps."""
    apart: bool = False
    """Events with label 0 and with label 1 are two sequences, each with queries and attention of its own."""
    hidden: tuple[Size, ...] = (64,)
    """Widths of the hidden layers of the MLP behind the last layer."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.width % self.heads:
            raise ValueError(f"width {self.width} cannot be divided among {self.heads} heads")
        if self.all_queries >= self.tokens:
            raise ValueError(f"of {self.tokens} tokens {self.all_queries} would be queries, which leaves none for the fields")
        if self.sequence != "longer" and self.recent != 10:
            raise ValueError(f"recent belongs to sequence=longer, not {self.sequence}")

    @property
    def sequences(self) -> int:
        """Of events."""
        return 2 if self.apart else 1

    @property
    def all_queries(self) -> int:
        """Of all sequences."""
        return self.queries * self.sequences


@dataclass(frozen=True)
class EventSequence:
    """One sequence of T past events of n examples."""

    x: Tensor
    """[T, D]"""
    segments: Segments
    latest: Padding | None
    """Those that sequence=longer keeps."""
    plan: AttentionPlan | None
    """Of self-attention among the events of an example."""


class EventEncoder(nn.Module):
    """One layer over the events: [T, D] -> [T, D], with `longer` [n, recent, D] -> [n, recent, D], the latest first."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        width, self.heads, self.sequence = config.width, config.heads, config.sequence
        self.feed_norm, self.feed = RMSNorm(width), SwiGLU(width, config.token_hidden)
        self.dropout = Dropout(config.dropout)
        if config.sequence != "swiglu":
            self.norm = RMSNorm(width)
            self.attention = CrossAttention(width, config.heads)

    def forward(self, h: Tensor, events: EventSequence) -> Tensor:
        if self.sequence == "full":
            h = h + self.dropout(self.self_attention(self.norm(h), events))
        elif self.sequence == "longer":
            key_value = self.attention.key_value(self.norm(events.x))
            h = h + self.dropout(self.attention(self.norm(h), key_value, events.segments))
        return h + self.dropout(self.feed(self.feed_norm(h)))

    def self_attention(self, x: Tensor, events: EventSequence) -> Tensor:
        """[T, D] -> [T, D]; events of an example see each other."""
        assert events.plan is not None
        q, (k, v) = self.attention.query(x), self.attention.key_value(x).chunk(2, dim=1)
        q, k, v = (part.unflatten(1, (self.heads, -1)) for part in (q, k, v))
        alpha = (x.shape[1] // self.heads) ** -0.5
        return self.attention.out(hstu_attention(q, k, v, events.plan, alpha=alpha, activation="softmax").flatten(1))


class QueryDecoder(nn.Module):
    """Encodes the events of a layer, and adds to the queries [n, N, D] what they read there."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.encoder = EventEncoder(config)
        self.query_norm, self.event_norm = (RMSNorm(config.width) for _ in range(2))
        self.attention = CrossAttention(config.width, config.heads)
        self.dropout = Dropout(config.dropout)

    def forward(self, queries: Tensor, h: Tensor, events: EventSequence) -> tuple[Tensor, Tensor]:
        """-> queries, events of the next layer."""
        h = self.encoder(h, events)
        asking, key_value = self.query_norm(queries), self.attention.key_value(self.event_norm(h))
        if events.latest is None:
            read = self.attention(asking, key_value, events.segments)
        else:
            read = self.attention.over_padded(asking, key_value, events.latest.visible.unsqueeze(1))
        return queries + self.dropout(read), h


class HyFormerLayer(nn.Module):
    """Query decoding for each sequence, then query boosting over queries and tokens of fields [n, T, D]."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.queries = config.all_queries
        self.decoders = nn.ModuleList(QueryDecoder(config) for _ in range(config.sequences))
        self.norm = RMSNorm(config.width)
        self.feed = PerTokenFeedForward(config.tokens, config.width, config.token_hidden, config.dropout)

    def forward(self, x: Tensor, encoded: list[Tensor], events: list[EventSequence]) -> tuple[Tensor, list[Tensor]]:
        queries, fields = x[:, : self.queries], x[:, self.queries :]
        own = queries.chunk(len(events), dim=1)
        read = [decode(q, h, e) for decode, q, h, e in zip(self.decoders, own, encoded, events, strict=True)]
        x = torch.cat([*(q for q, _ in read), fields], dim=1)
        return x + self.feed(self.norm(mix(x))), [h for _, h in read]


class HyFormer(Ranker):
    """Tokens of fields, queries, layers, an MLP over all tokens, one logit."""

    def __init__(self, config: Config, spec: DataSpec, interest: Callable[[EventInputs], Interest] | None = None) -> None:
        super().__init__()
        self.config, width = config, config.width
        self.inputs = EventInputs(config, spec)
        self.interest = None if interest is None else interest(self.inputs)
        row = self.inputs.example_width + (0 if self.interest is None else self.interest.width)
        fields = config.tokens - config.all_queries
        self.field_tokens = FieldTokens(row, fields, width)
        self.event_token = Linear(self.inputs.key_width, width)
        self.order = nn.Embedding(spec.history_length, width)
        nn.init.normal_(self.order.weight, std=0.02)
        info = (fields + config.sequences) * width
        self.query_up = PerTokenLinear(config.all_queries, info, config.token_hidden)
        self.query_down = PerTokenLinear(config.all_queries, config.token_hidden, width)
        self.layers = nn.ModuleList(HyFormerLayer(config) for _ in range(config.layers))
        self.norm = RMSNorm(width)
        self.mlp = MLP(config.tokens * width, config.hidden, "relu", config.dropout)
        self.out = output_layer(self.mlp.width, spec)

    def forward(self, batch: PointwiseBatch) -> Tensor:
        row, query = self.inputs(batch)
        if self.interest is not None:
            row = torch.cat([row, self.interest(self.inputs, query, batch.history)], dim=1)
        events = [self.events(batch, history) for history in self.histories(batch.history)]
        fields = self.field_tokens(row)
        x = torch.cat([self.generate_queries(fields, events), fields], dim=1)
        encoded = [one.x if one.latest is None else one.latest.rows(one.x) for one in events]
        for layer in self.layers:
            x, encoded = layer(x, encoded, events)
        return self.out(self.mlp(self.norm(x).flatten(1))).squeeze(1)

    def moving_shape(self) -> str:
        return "apart=true parts past events by their labels" if self.config.apart else ""

    def histories(self, history: History) -> list[History]:
        """The past, or of each label."""
        if not self.config.apart:
            return [history]
        return [select_events(history, history.label == label) for label in (0, 1)]

    def events(self, batch: PointwiseBatch, history: History) -> EventSequence:
        """Events as tokens [T, D]: what they carry, and how many events back."""
        row, offsets = example_of_event(history), history.offsets
        back = offsets[1:].index_select(0, row) - 1 - torch.arange(len(row), device=row.device)
        x = self.event_token(self.inputs.keys(history)) + self.order(back)
        past, plan = past_of(batch, self.order.num_embeddings, history), None
        if self.config.sequence == "full":
            lo, hi = offsets[:-1].index_select(0, row), offsets[1:].index_select(0, row)
            plan = plan_attention(offsets, lo, hi, torch.zeros_like(lo))
        return EventSequence(x, past, latest(past, self.config.recent) if self.config.sequence == "longer" else None, plan)

    def generate_queries(self, fields: Tensor, events: list[EventSequence]) -> Tensor:
        """FFN_n of all fields [n, M, D] and the mean of each sequence -> [n, N, D]."""
        means = [segment_mean(one.x, one.segments.offsets) for one in events]
        info = torch.cat([fields.flatten(1), *means], dim=1).unsqueeze(1).expand(-1, self.config.all_queries, -1)
        return self.query_down(gelu(self.query_up(info)))


def build(config: Config, spec: DataSpec) -> Ranker:
    """HyFormer over the example's fields and its past events."""
    return HyFormer(config, spec)


HYFORMER_SPACE: SearchSpace = {
    **MIXER_SPACE,
    "tokens": Choice((8, 16)),
    "queries": Choice((1, 2, 3)),
    "sequence": Choice(("full", "longer", "swiglu")),
}

DIFFERS = (
    "tokens of fields are equal pieces of all embeddings in the order of the fields, not groups by meaning",
    "a past event carries action, label, logged context and time gap beside its item, and a learned vector for how many events "
    "back it is",
    "skip connections with norms in front around decoding, encoding and boosting; the paper prints one, around boosting, and "
    "no norm",
    "events are encoded layer upon layer; with sequence=longer the latest events are, and what they attend to stays as it was",
    "boosted tokens of fields go on to the next layer beside the queries; the paper's equations put the first ones in again",
    "all tokens after the last layer, laid end to end, enter the MLP; dropout",
    "keys and values of events are computed for each candidate, not once a request",
)

INFO = ModelInfo(
    name="hyformer",
    family="unified",
    view="pointwise",
    takes_padding=True,
    config=Config,
    build=build,
    summary="queries made of all fields attend to past events, then mix with the fields as in RankMixer, layer by layer",
    paper="Huang et al. 2026, arXiv:2601.12681",
    code="own",
    checked="queries and layers with each of the three encoders, against the equations one example and token at a time, float64, "
    "outputs and gradients of inputs and parameters to 1e-9",
    differs=("one sequence of past events, or one for each label (`apart`)", *DIFFERS),
    defaults="the paper has 13 tokens of fields and a query for each of three sequences on Douyin's search; 6 and 2 of width "
    "64 here, and the encoder without attention, the cheapest of the three. No user id, as for every ranker here that reads "
    "the past",
    space=HYFORMER_SPACE,
)
