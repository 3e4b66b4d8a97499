"""OneTrans (Zhang et al. 2025, arXiv:2510.26104): past events and fields as tokens of one causal Transformer.

S-tokens are the past events in order of time; N NS-tokens are cut out of one linear map of all fields of the example, the
candidate among them, and stand behind the events. A block, in which all S-tokens share weights and each NS-token has its own:

    Z = X + W_o softmax(q k^T / sqrt(d) + bias) v,  q, k, v = W RMS(X)     S sees earlier S; NS_i sees S and NS_1 .. NS_i
    X <- Z + FFN(RMS(Z))                                                   GELU

Pyramid: from layer to layer fewer of the latest events are seen. The NS-tokens after the last layer make the logit.

S-tokens do not know who asks about them. In training they are computed once for all of a user's examples; keys and values of a
past are kept for further candidates and requests (`remember`).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..baselines._inputs import EmbeddingConfig, event_fields, example_fields, names
from ..baselines._layers import output_layer
from ..bench.contract import (
    SHARED_SPACE,
    UNKNOWN,
    Choice,
    DataSpec,
    Field,
    ModelInfo,
    Positive,
    Ranker,
    Rate,
    SequenceBatch,
    Size,
)
from ..kernels.dropout import Dropout
from ..kernels.elementwise import gelu
from ..kernels.hstu_attention import AttentionPlan, hstu_attention, plan_attention
from ..kernels.layers.embedding import FieldEmbeddings
from ..kernels.layers.rms_norm import RMSNorm
from ..kernels.linear import Linear
from ..kernels.padded_attention import padded_attention
from ..kernels.segments import Padding
from ..kernels.time_buckets import time_buckets
from ._inputs import latest_first, longest_of
from ._per_token import PerTokenFeedForward, PerTokenLinear


@dataclass(frozen=True)
class Config(EmbeddingConfig):
    """Hyper-parameters of OneTrans."""

    width: Size = 64
    """Of a token; a multiple of `heads`."""
    layers: Size = 2
    heads: Size = 2
    tokens: Size = 4
    """NS-tokens."""
    own_weights: bool = True
    """Each NS-token has weights of its own; without, all of them share one set."""
    pyramid: bool = True
    """The number of latest events that are seen falls evenly, from the whole history in the first layer towards `tokens`."""
    expansion: Positive = 2.0
    """Hidden numbers of a feed-forward network over the width."""
    dropout: Rate = 0.2
    """Of what attention and feed-forward network add."""

    def __post_init__(self) -> None:
        if self.width % self.heads:
            raise ValueError(f"width {self.width} cannot be divided among {self.heads} heads")

    def seen(self, layer: int, history: int) -> int:
        """Events that a token sees in a layer (0: the first) at most."""
        if not self.pyramid or self.tokens >= history:
            return history
        return round(history + (self.tokens - history) * layer / self.layers)


@dataclass(frozen=True)
class RememberedPast:
    """S-tokens of one or more users, end to end, as NS-tokens see them: nothing in it depends on a candidate."""

    keys_values: list[tuple[Tensor, Tensor]]
    """Of each layer, [T, D] twice."""
    position: Tensor
    """int64 [T]: events of the segment that an S-token's request saw."""
    time: Tensor | None
    """int64 [T], milliseconds."""


class TokenBias(nn.Module):
    """Learned tables over distance and time gap of a layer, for S- and NS-tokens alike."""

    def __init__(self, spec: DataSpec) -> None:
        super().__init__()
        self.position = nn.Parameter(torch.randn(spec.history_length + 1) * 0.02)
        self.time = nn.Parameter(torch.randn(spec.gap_buckets) * 0.02) if spec.time != "none" else None

    def forward(self, distance: Tensor, bucket: Tensor | None) -> Tensor:
        """int64 [n, L] twice -> [n, L]"""
        bias = self.position[distance.clamp(max=len(self.position) - 1)]
        return bias if self.time is None or bucket is None else bias + self.time[bucket]


class EventLayer(nn.Module):
    """A block over S-tokens [T, D]; the last one has nothing but keys and values, because nobody reads what it would give."""

    def __init__(self, config: Config, last: bool) -> None:
        super().__init__()
        width = config.width
        self.heads, self.last = config.heads, last
        self.attention_norm = RMSNorm(width)
        self.qkv = Linear(width, (2 if last else 3) * width, bias=False)
        if not last:
            self.out, self.feed_norm = Linear(width, width, bias=False), RMSNorm(width)
            self.up, self.down = Linear(width, round(width * config.expansion)), Linear(round(width * config.expansion), width)
            self.dropout = Dropout(config.dropout)

    def forward(self, x: Tensor, plan: AttentionPlan, bias: TokenBias) -> tuple[Tensor, Tensor, Tensor]:
        """x -> x of the next layer, keys and values, [T, D] each."""
        projected = self.qkv(self.attention_norm(x))
        if self.last:
            k, v = projected.chunk(2, dim=1)
            return x, k, v
        q, k, v = projected.chunk(3, dim=1)
        attended = hstu_attention(
            *(q.unflatten(1, (self.heads, -1)), k.unflatten(1, (self.heads, -1)), v.unflatten(1, (self.heads, -1))),
            plan,
            alpha=(x.shape[1] // self.heads) ** -0.5,
            position_bias=bias.position,
            time_bias=bias.time,
            activation="softmax",
        )
        x = x + self.dropout(self.out(attended.flatten(1)))
        return x + self.dropout(self.down(gelu(self.up(self.feed_norm(x))))), k, v


class RequestLayer(nn.Module):
    """A block over NS-tokens [n, N, D], which see S-tokens and the NS-tokens up to themselves."""

    before: Tensor

    def __init__(self, config: Config) -> None:
        super().__init__()
        width, self.heads = config.width, config.heads
        sets = config.tokens if config.own_weights else 1
        self.attention_norm, self.feed_norm = RMSNorm(width), RMSNorm(width)
        self.qkv, self.out = PerTokenLinear(sets, width, 3 * width, bias=False), PerTokenLinear(sets, width, width, bias=False)
        self.feed = PerTokenFeedForward(sets, width, round(width * config.expansion), 0.0)
        self.dropout = Dropout(config.dropout)
        self.register_buffer("before", torch.ones(config.tokens, config.tokens, dtype=torch.bool).tril(), persistent=False)

    def forward(self, x: Tensor, k: Tensor, v: Tensor, visible: Tensor, bias: Tensor) -> Tensor:
        """
        Args:
            k, v: of the S-tokens, [n, L, D].
            visible, bias: [n, L].
        """
        n, tokens = x.shape[:2]
        q, own_k, own_v = self.each_token(self.qkv, self.attention_norm(x)).chunk(3, dim=2)
        k, v = torch.cat([k, own_k], dim=1), torch.cat([v, own_v], dim=1)
        sees = torch.cat([visible.unsqueeze(1).expand(n, tokens, -1), self.before.expand(n, -1, -1)], dim=2)
        q, k, v = (part.unflatten(2, (self.heads, -1)) for part in (q, k, v))
        attended = padded_attention(q, k, v, sees, F.pad(bias, (0, tokens)).unsqueeze(1)).flatten(2)
        x = x + self.dropout(self.each_token(self.out, attended))
        return x + self.dropout(self.each_token(self.feed, self.feed_norm(x)))

    def each_token(self, layer: nn.Module, x: Tensor) -> Tensor:
        """With one set of weights, tokens are rows of it."""
        if x.shape[1] == self.qkv.tokens:
            return layer(x)
        return layer(x.flatten(0, 1).unsqueeze(1)).squeeze(1).unflatten(0, x.shape[:2])


class OneTrans(Ranker):
    """S-tokens and NS-tokens through the layers, then a logit of all NS-tokens."""

    shared: Tensor
    """Which of an event's fields its S-token has."""

    def __init__(self, config: Config, spec: DataSpec) -> None:
        super().__init__()
        self.config, self.history = config, spec.history_length
        fields, dim, width = example_fields(spec, config.user_id), config.embedding_dim, config.width
        self.names = names(fields)
        shared = [self.names.index(name) for name in names(event_fields(spec))]
        self.register_buffer("shared", torch.tensor(shared), persistent=False)
        self.embeddings = FieldEmbeddings(fields, dim)
        self.outcomes = FieldEmbeddings((Field("action", spec.action.size), Field("label", UNKNOWN + 3)), dim)
        self.event_token = Linear((len(shared) + 1) * dim, width)
        self.request_tokens = Linear(len(fields) * dim, config.tokens * width)
        self.bias = nn.ModuleList(TokenBias(spec) for _ in range(config.layers))
        self.event_layers = nn.ModuleList(EventLayer(config, at == config.layers - 1) for at in range(config.layers))
        self.request_layers = nn.ModuleList(RequestLayer(config) for _ in range(config.layers))
        self.norm = RMSNorm(width)
        self.out = output_layer(config.tokens * width, spec)

    def forward(self, batch: SequenceBatch) -> Tensor:
        vectors = self.embeddings(batch.fields, self.names)
        before = F.pad(batch.observed.long().cumsum(0), (1, 0))  # S-tokens before each event
        lo, hi = before[batch.lo], before[batch.hi]
        start = torch.repeat_interleave(before[batch.offsets[:-1]], batch.offsets.diff(), output_size=len(lo))
        past = self.past(batch, vectors, lo, hi, start, before[batch.offsets])
        asked = batch.target
        now = None if batch.query_time is None else batch.query_time[asked]
        fixed = batch.weight is not None
        return self.score(vectors[asked], past, lo[asked], hi[asked], (hi - start)[asked], now, fixed)

    def remember(self, past: SequenceBatch) -> RememberedPast:
        start = torch.zeros_like(past.lo)
        return self.past(past, self.embeddings(past.fields, self.names), past.lo, past.hi, start, past.offsets)

    def forward_after(self, memory: RememberedPast, seen_from: int, batch: SequenceBatch) -> Tensor:
        end = torch.full_like(batch.target, len(memory.position))
        lo, asked = torch.full_like(end, seen_from), batch.target
        now = None if batch.query_time is None else batch.query_time[asked]
        return self.score(self.embeddings(batch.fields, self.names)[asked], memory, lo, end, end, now)

    def past(
        self, batch: SequenceBatch, vectors: Tensor, lo: Tensor, hi: Tensor, start: Tensor, offsets: Tensor
    ) -> RememberedPast:
        """S-tokens of all observed events through all layers.

        Args:
            vectors: [E, fields, dim] of all events.
            lo, hi, start: int64 [E]: what an event's request sees and where its segment begins, in S-tokens.
            offsets: int64 [segments + 1], in S-tokens.
        """
        seen = batch.seen()
        label = batch.past_label[seen].long() + UNKNOWN + 1
        outcome = self.outcomes.lookup("action", batch.action[seen]) + self.outcomes.lookup("label", label)
        x = self.event_token(torch.cat([vectors[seen].index_select(1, self.shared).flatten(1), outcome], dim=1))
        lo, hi, position = lo[seen], hi[seen], (hi - start)[seen]
        time = None if batch.time is None else batch.time[seen]
        asked = None if batch.query_time is None else batch.query_time[seen]
        plans: dict[int, AttentionPlan] = {}
        keys_values = []
        for at, (layer, bias) in enumerate(zip(self.event_layers, self.bias, strict=True)):
            window = self.config.seen(at, self.history)
            if window not in plans:
                plans[window] = plan_attention(offsets, torch.maximum(lo, hi - window), hi, position, asked, time)
            x, k, v = layer(x, plans[window], bias)
            keys_values.append((k, v))
        return RememberedPast(keys_values, position, time)

    def score(
        self,
        vectors: Tensor,
        past: RememberedPast,
        lo: Tensor,
        hi: Tensor,
        position: Tensor,
        now: Tensor | None,
        fixed: bool = False,
    ) -> Tensor:
        """Logits of n examples that see the S-tokens [lo, hi) of a past from `position`, at a time; `fixed`: no shape depends on
        what they see."""
        x = self.request_tokens(vectors.flatten(1)).unflatten(1, (self.config.tokens, -1))
        padding = latest_first(hi, hi - lo, longest_of(hi - lo, self.history, fixed))
        place = padding.place
        distance = (position.unsqueeze(1) - _at(past.position, place)).clamp(min=0)
        bucket = None
        if past.time is not None and now is not None:
            gap = torch.where(padding.visible, now.unsqueeze(1) - _at(past.time, place), 0)
            bucket = time_buckets(gap)
        for at, (layer, bias) in enumerate(zip(self.request_layers, self.bias, strict=True)):
            window = self.config.seen(at, self.history)
            latest = Padding(place[:, :window], padding.visible[:, :window])
            k, v = (latest.rows(part) for part in past.keys_values[at])
            near = None if bucket is None else bucket[:, :window]
            x = layer(x, k, v, latest.visible, bias(distance[:, :window], near))
        return self.out(self.norm(x).flatten(1)).squeeze(1)


def _at(values: Tensor, place: Tensor) -> Tensor:
    """values [T] at places [n, L] as Padding counts them; 0 where there is none."""
    return F.pad(values, (1, 0))[place]


INFO = ModelInfo(
    name="onetrans",
    family="unified",
    view="sequence",
    takes_padding=True,
    config=Config,
    build=OneTrans,
    summary="one causal Transformer over past events, which share weights, and tokens of fields, which have their own",
    paper="Zhang et al. 2025, arXiv:2510.26104",
    code="own",
    checked="both kinds of layers, against the equations token by token over single examples, float64, outputs and gradients of "
    "inputs and parameters to 1e-9; kept keys and values against one pass",
    train={"batch_events": 1024},
    differs=(
        "past events of one sequence with what the user did, in order of time; no type of sequence, no separators",
        "events of one request see each other in neither direction",
        "the pyramid is a window: each S-token sees its own latest events, which in the paper are those of the request that is "
        "scored; so an S-token is the same for every request, and deeper layers reach further back",
        "the number of events falls evenly over the layers without rounding to multiples of 32, and the last layer's S-tokens "
        "ask nothing, because nobody reads them",
        "learned biases of attention over distance and time gap, which the paper does not have: without them the time between "
        "events would not be known",
        "NS-tokens from one linear map; GELU; all NS-tokens laid end to end make the logit: the paper leaves these open",
        "without `own_weights` the NS-tokens share one set of weights, apart from that of the S-tokens; the paper's ablation has "
        "one set for all tokens",
        "dropout on what attention and feed-forward network add",
        "AdamW for all parameters; the paper has Adagrad for tables and RMSProp, on a stream that is read once",
    ),
    defaults="the paper's smaller model has 6 layers of width 256, 4 heads and 12 NS-tokens on industrial data; size as for "
    "every backbone of generative rankers here. No user id, as for all of them",
    space={
        **SHARED_SPACE,
        "layers": Choice((1, 2, 3, 4, 6, 8)),
        "width": Choice((32, 64, 128, 256)),
        "heads": Choice((1, 2, 4)),
        "tokens": Choice((2, 4, 8, 16)),
        "own_weights": Choice((False, True)),
        "pyramid": Choice((False, True)),
        "expansion": Choice((1.0, 2.0, 4.0)),
    },
)
