"""FuXi-Linear (Ye et al. 2026, arXiv:2602.23671) as a ranker: three linear attentions, of what, when and where, in linear time.

A layer, for tokens x [T, D] and n = LayerNorm(x) without weights:

    u, v, q, k = split(SiLU(n W))                u: 3 D; v, q, k: D, in H heads
    semantic_i = sum_j exp(-r_h (p_i - p_j + 1)) (q_i . k_j) v_j
    time_i     = a_h sum_j g_h^(w (t_i - t_j)) s(w (t_i - t_j)) (n_j W_t) + b_h n_i W_t,      w = 2 pi / period, s: sine or cosine
    position_i = a sum_j 2 (e[p_i] . e[p_j]) / E (n_j W_p) + b n_i W_p
    h = x + W_0 dropout(u * [LayerNorm(semantic), LayerNorm(time), LayerNorm(position)])
    m = dropout(RMSNorm(h));  x <- h + W_2 (SiLU(W_1 m) * W_3 m)

Semantic rates r_1 > r_2 > ... are learned; so are the decays g of the time channel, each with a period of its own, and the
vectors e of positions, which start as sines. As sines and cosines of differences are products, and decays too, each channel is a
recurrence with a state of fixed size (kernels/decayed_attention.py): a token costs the same, however long its past.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..bench.contract import Choice, DataSpec, ModelInfo, Positive, Size
from ..kernels.decayed_attention import decayed_attention
from ..kernels.dropout import Dropout
from ..kernels.hstu_attention import AttentionPlan
from ..kernels.layers.feed_forward import SwiGLU
from ..kernels.layers.rotary import rotate
from ..kernels.linear import Linear
from ._blocks import rms_norm
from .attention import Geometry
from .config import GENERATIVE_SPACE, RelativeBiasKind, SequenceConfig
from .ranker import SequenceRanker

NO_LOGITS = "there is no softmax, and weights are not divided"

LONGEST_PERIOD = 2**62 // 1000
"""Seconds that milliseconds can count."""


@dataclass(frozen=True)
class Config(SequenceConfig):
    """FuXi-Linear's choices."""

    idle: ClassVar[Mapping[str, str]] = {
        "gate": "the channels are always multiplied by u",
        **dict.fromkeys(("relative_bias", "alibi", "attention", "divisor"), NO_LOGITS),
    }
    channels: RelativeBiasKind = "both"
    """The channels beside the semantic one: position, time, both, or none."""
    periods: Size = 8
    """Of the time channel, each with a head of sines and one of cosines."""
    shortest_period: Size = 1024
    """Seconds."""
    period_factor: Size = 8
    """Of a period over the one before; 1024 s times 8^7 are 68 years."""
    position_dim: Size = 32
    """E, of the vectors of positions; even."""
    feed_forward: Positive = 1.0
    """Hidden size of the SwiGLU over the width."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.position_dim % 2:
            raise ValueError(f"position_dim is {self.position_dim}, but sines and cosines come in pairs; choose an even number")
        if self.width % (2 * self.periods):
            raise ValueError(f"width {self.width} cannot be divided among sines and cosines of {self.periods} periods")
        if self.shortest_period * self.period_factor ** (self.periods - 1) > LONGEST_PERIOD:
            raise ValueError("the longest period is beyond what milliseconds can count; choose fewer periods or smaller ones")


class TimeChannel(nn.Module):
    """Values [T, D] mixed by decaying waves of the time between."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.seconds = [config.shortest_period * config.period_factor**at for at in range(config.periods)]
        self.decay = nn.Parameter(torch.randn(config.periods) * 0.02)
        self.mixed = nn.Parameter(torch.randn(2 * config.periods, 1) * 0.02)
        self.kept = nn.Parameter(torch.ones(2 * config.periods, 1))

    def forward(self, values: Tensor, plan: AttentionPlan) -> Tensor:
        """[T, D] of all tokens -> [T - past, D] of those that ask."""
        assert plan.query_time is not None and plan.key_time is not None
        heads = values.unflatten(1, (2 * len(self.seconds), -1))
        asked = plan.query_time[plan.past :]
        queries = self.phase(asked, values)
        own = queries if plan.own_time is None else self.phase(plan.own_time[plan.past :], values)
        sines = torch.stack([queries[..., 1], -queries[..., 0]], dim=2)
        # g^w = sigmoid(decay)^w = exp(-softplus(-decay) w)
        period = torch.tensor(self.seconds, dtype=self.decay.dtype, device=values.device)
        rate = F.softplus(-self.decay) * (2 * math.pi / period)
        keys = self.phase(plan.key_time, values).repeat(1, 2, 1)
        read = decayed_attention(torch.cat([sines, queries], dim=1), keys, heads, own.repeat(1, 2, 1), plan, "time", rate)
        return (read * self.mixed + heads[plan.past :] * self.kept).flatten(1)

    def phase(self, time: Tensor, like: Tensor) -> Tensor:
        """int64 [n], milliseconds -> cosine and sine of their place in each period [n, periods, 2]."""
        period = torch.tensor(self.seconds, device=time.device) * 1000
        # The remainder is taken of whole numbers: a float has no milliseconds of a date, and half precision no period.
        kind = self.decay.dtype
        angle = (time.unsqueeze(1) % period).to(kind) / period.to(kind) * (2 * math.pi)
        return torch.stack([angle.cos(), angle.sin()], dim=2).to(like.dtype)


class PositionChannel(nn.Module):
    """Values [T, D] mixed by products of vectors of positions."""

    def __init__(self, config: Config, spec: DataSpec) -> None:
        super().__init__()
        half = config.position_dim // 2
        positions = torch.arange(config.tokens_per_event * (spec.longest_segment + 1)).unsqueeze(1)
        angle = positions * 10_000.0 ** (-torch.arange(half) / half)
        self.vectors = nn.Parameter(torch.cat([angle.sin(), angle.cos()], dim=1))
        self.mixed, self.kept = nn.Parameter(torch.randn(1) * 0.02), nn.Parameter(torch.ones(1))

    def forward(self, values: Tensor, plan: AttentionPlan) -> Tensor:
        """[T, D] of all tokens -> [T - past, D] of those that ask."""
        vectors = self.vectors.index_select(0, plan.position).unsqueeze(1)
        keys = vectors * (2 / vectors.shape[2])
        read = decayed_attention(vectors[plan.past :], keys, values.unsqueeze(1), keys[plan.past :], plan)
        return read.squeeze(1) * self.mixed + values[plan.past :] * self.kept


class FuXiLinearLayer(nn.Module):
    """One layer: tokens [T, D] -> tokens [T, D]."""

    moving_shape = "decayed attention cuts segments into as many chunks as they happen to fill"
    """See `Ranker.moving_shape`."""

    def __init__(self, config: SequenceConfig, spec: DataSpec) -> None:
        super().__init__()
        assert isinstance(config, Config)
        width, self.heads = config.width, config.heads
        self.clean = config.residual == "clean"
        timed = config.channels in ("time", "both") and spec.time != "none"
        self.time = TimeChannel(config) if timed else None
        self.position = PositionChannel(config, spec) if config.channels in ("position", "both") else None
        self.others = [channel for channel in (self.time, self.position) if channel is not None]
        self.uvqk = Linear(width, (len(self.others) + 4) * width, bias=False)
        self.values = Linear(width, len(self.others) * width, bias=False) if self.others else None
        self.rates = nn.Parameter(torch.randn(config.heads) * 0.02)
        self.out = Linear((len(self.others) + 1) * width, width, bias=False)
        self.feed = SwiGLU(width, round(width * config.feed_forward))
        self.dropout = Dropout(config.dropout)
        for layer in (self.uvqk, self.out):
            nn.init.normal_(layer.weight, std=0.02)

    def forward(self, x: Tensor, geometry: Geometry) -> Tensor:
        plan, width = geometry.plan, x.shape[1]
        normed = F.layer_norm(x, (width,), eps=1e-6)
        u, v, q, k = F.silu(self.uvqk(normed)).split((self.out.in_features, width, width, width), dim=1)
        values = v if self.values is None else torch.cat([v, self.values(normed)], dim=1)
        q, k, values = q.unflatten(1, (self.heads, -1)), k.unflatten(1, (self.heads, -1)), values.unsqueeze(1)
        if geometry.turn is not None:
            q, k = rotate(q, geometry.turn), rotate(k, geometry.turn)
        if geometry.cache is not None:
            k, values = geometry.cache.with_past(k, values)
        v, *others = values.flatten(1).split(width, dim=1)
        rate = torch.exp(-F.softplus(self.rates).cumsum(0))
        semantic = decayed_attention(
            q * torch.exp(-rate).unsqueeze(1), k, v.unflatten(1, (self.heads, -1)), k[plan.past :], plan, "position", rate
        )
        mixed = [semantic.flatten(1), *(channel(own, plan) for channel, own in zip(self.others, others, strict=True))]
        joined = torch.cat([F.layer_norm(channel, (width,), eps=1e-6) for channel in mixed], dim=1)
        h = (x if self.clean else normed) + self.out(self.dropout(u * joined))
        return h + self.feed(self.dropout(rms_norm(h)))


def build(config: Config, spec: DataSpec) -> SequenceRanker:
    """FuXi-Linear layers in the common frame."""
    return SequenceRanker(config, spec, FuXiLinearLayer)


INFO = ModelInfo(
    name="fuxi-linear",
    family="generative",
    view="sequence",
    takes_padding=True,
    config=Config,
    build=build,
    summary="FuXi-Linear (linear attentions by content, waves of time and position, SwiGLU) over interleaved tokens, MLP head",
    paper="Ye et al. 2026, arXiv:2602.23671",
    code="own",
    checked="its block against the equations in loops, float64, outputs and input gradients to 1e-9",
    train={"batch_events": 1024},
    differs=(
        "a token reads the events that it sees, those of a window before its own request, as the difference of two states; in "
        "the released code it reads everything before it",
        "decays of the time channel are learned in each layer; the released code learns those of the first and shares them, or "
        "none",
        "a token stands at no time gap from itself in the time channel, where the released code has the gap to the next event "
        "(`own_time=recency` has that to the latest one)",
        "time gaps look back from the request only if the data's time information is `request`; the released code always does",
        "positions, also those of the semantic channel's decays, count from the start of a segment, and events of one request "
        "share one",
        "binary cross-entropy on an MLP head instead of sampled softmax",
        "what `hstu` differs in of tokens, times and training: the released code is HSTU's with another layer",
    ),
    defaults="periods, vectors of positions and feed-forward as in the authors' settings for KuaiRand-27K; two blocks, width 64 "
    "and two heads as in `fuxi`, not four, 128 and four. No user id, as there",
    space={**GENERATIVE_SPACE, "shortest_period": Choice((1, 60, 1024))},
)
