"""Attention with every switch that the literature credits: biases, rotary positions, ALiBi, SiLU or softmax, divisor."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from ..bench.contract import DataSpec
from ..kernels.hstu_attention import AttentionPlan, KVCache, LayerCache, continued, hstu_attention, plan_attention
from ..kernels.layers.rotary import rotate, rotation
from .config import Attention, RelativeBiasKind, SequenceConfig
from .tokens import Tokens


@dataclass(frozen=True)
class Geometry:
    """What the layers of a pass are told besides their tokens; all of them share everything but `cache`."""

    plan: AttentionPlan
    turn: Tensor | None
    """Rotation of queries and keys, see `kernels.rotary`; None without rope."""
    divisor: Tensor | float
    """Of SiLU weights."""
    kind: Tensor
    """int64 [T], see Tokens.kind."""
    cache: LayerCache | None = None
    """Keys and values that this layer keeps of a past; None in a pass that neither leaves nor reads any."""

    def of_layer(self, index: int, cache: KVCache | None) -> Geometry:
        """The geometry as one layer gets it."""
        return self if cache is None else replace(self, cache=cache.layers[index])


def make_geometry(config: SequenceConfig, spec: DataSpec, tokens: Tokens, past: KVCache | None = None) -> Geometry:
    """From the tokens of a batch, once for all layers; with `past`, tokens see that segment from their lo on and themselves."""
    own_time = _latest_seen(tokens, past) if config.own_time == "recency" else None
    times = {"query_time": tokens.query_time, "key_time": tokens.time, "own_time": own_time}
    if past is None:
        plan = plan_attention(tokens.offsets, tokens.lo, tokens.hi, position=tokens.position, **times)
    else:
        plan = continued(past.plan, tokens.lo, tokens.position, **times)
    turn = rotation(tokens.position, config.width // config.heads) if config.rope else None
    divisor: Tensor | float = float(config.most_visible(spec) + 1)
    if config.divisor == "own":
        divisor = (tokens.hi - tokens.lo + 1).to(tokens.x.dtype)
    return Geometry(plan, turn, divisor, tokens.kind)


def _latest_seen(tokens: Tokens, past: KVCache | None) -> Tensor | None:
    """int64 [T], milliseconds: of the latest event that a token sees; the time of its query, a gap of 0, if it sees none."""
    time = tokens.time if past is None else past.plan.key_time
    if time is None or tokens.query_time is None:
        return None
    if not len(time):
        return tokens.query_time
    return torch.where(tokens.hi > tokens.lo, time[(tokens.hi - 1).clamp(min=0)], tokens.query_time)


class RelativeBias(nn.Module):
    """Learned tables over relative position and over time gaps (HSTU: rab^p and rab^t), shared by the heads of a layer.

    Started at N(0, 0.02) as in HSTU's released code. Without time information in the data the time table does not exist.
    """

    def __init__(self, kind: RelativeBiasKind, config: SequenceConfig, spec: DataSpec) -> None:
        super().__init__()
        positions = config.most_visible(spec) + config.tokens_per_event
        timed = kind in ("time", "both") and spec.time != "none"
        self.position = nn.Parameter(torch.randn(positions) * 0.02) if kind in ("position", "both") else None
        self.time = nn.Parameter(torch.randn(spec.gap_buckets) * 0.02) if timed else None


class SelfAttention(nn.Module):
    """Queries, keys and values of all tokens -> what each token reads from those it sees. No projections of its own."""

    slopes: Tensor | None

    def __init__(self, config: SequenceConfig, spec: DataSpec, alpha: float) -> None:
        super().__init__()
        self.kind: Attention = config.attention
        self.alpha = alpha
        self.heads = config.heads
        self.bias = RelativeBias(config.relative_bias, config, spec)
        slopes = None
        if config.alibi:
            # Press et al. 2022: a geometric sequence from 2^(-8/H); distances in tokens.
            slope = 2.0 ** (-8.0 * torch.arange(1, config.heads + 1) / config.heads)
            slopes = -torch.arange(config.most_visible(spec) + config.tokens_per_event).unsqueeze(1) * slope
        self.register_buffer("slopes", slopes, persistent=False)

    def position_bias(self) -> Tensor | None:
        """[R], or [R, H] with slopes."""
        position = self.bias.position
        if self.slopes is None:
            return position
        return self.slopes if position is None else self.slopes + position.unsqueeze(1)

    def forward(self, q: Tensor, k: Tensor, v: Tensor, geometry: Geometry) -> Tensor:
        """q, k [T, H d], v [T, H dv] -> [T, H dv]"""
        return self.read(*self.by_head(q, k, v, geometry), geometry).flatten(1)

    def by_head(self, q: Tensor, k: Tensor, v: Tensor, geometry: Geometry) -> tuple[Tensor, Tensor, Tensor]:
        """q, k [T, H d], v [T, H dv] -> [T, H, ...]: turned, and keys and values with those of a past before them."""
        q, k, v = (x.unflatten(1, (self.heads, -1)) for x in (q, k, v))
        if geometry.turn is not None:
            q, k = rotate(q, geometry.turn), rotate(k, geometry.turn)
        if geometry.cache is not None:
            k, v = geometry.cache.with_past(k, v)
        return q, k, v

    def read(self, q: Tensor, k: Tensor, v: Tensor, geometry: Geometry) -> Tensor:
        """What `by_head` gives -> [T, H, dv]"""
        return hstu_attention(
            q,
            k,
            v,
            geometry.plan,
            alpha=self.alpha,
            position_bias=self.position_bias(),
            time_bias=self.bias.time,
            activation=self.kind,
            divisor=geometry.divisor,
        )
