"""FuXi-beta (Ye et al. 2025, arXiv:2508.10615) as a ranker: no queries, no keys; tokens mix by place and time alone.

A layer, for tokens x [T, D] and n = RMSNorm(x) without weights:

    u, v = split(SiLU(n W))                      u: 2 H d; v: H d
    position_i = sum_j P[p_i - p_j] v_j,  time_i = sum_j F(t_i - t_j) v_j
    h = x + W_0 dropout(u * RMSNorm([position, time]))
    m = dropout(RMSNorm(h));  x <- h + W_2 (SiLU(W_1 m) * W_3 m)

F is one function of the gap with two parameters a layer, a (1 + gap)^-b, where FuXi-alpha has a table over buckets of gaps. What
is left of attention are the channels of `fuxi` without the semantic one: the two together ask what queries and keys bring.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..bench.contract import Choice, DataSpec, ModelInfo, Positive
from ..kernels.dropout import Dropout
from ..kernels.hstu_attention import bias_mixing
from ..kernels.layers.feed_forward import SwiGLU
from ..kernels.linear import Linear
from ..kernels.time_buckets import smallest_gaps
from ._blocks import rms_norm
from .attention import Geometry
from .config import GENERATIVE_SPACE, SequenceConfig
from .ranker import SequenceRanker

NO_LOGITS = "there are no queries, keys and logits"


@dataclass(frozen=True)
class Config(SequenceConfig):
    """FuXi-beta's choices."""

    idle: ClassVar[Mapping[str, str]] = {
        "gate": "the channels are always multiplied by u",
        **dict.fromkeys(("relative_bias", "rope", "alibi", "attention", "divisor"), NO_LOGITS),
    }
    channels: Literal["position", "time", "both"] = "both"
    """By what tokens mix."""
    time_function: Literal["power", "exponential", "table"] = "power"
    """Of gaps in seconds. power: a (1 + gap)^-b. exponential: a exp(-e^b gap). table: a number for each bucket, as in `fuxi`."""
    feed_forward: Positive = 1.0
    """Hidden size of the SwiGLU over the width."""


class TimeFunction(nn.Module):
    """F as the table over buckets of gaps that the kernels read: its values at the smallest gap of each bucket, [buckets]."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind
        low, high = (0.4, 0.8) if kind == "power" else (-2.0, 0.0)
        self.scale = nn.Parameter(torch.empty(1).uniform_(-0.2, 0.2))
        self.decay = nn.Parameter(torch.empty(1).uniform_(low, high))

    def forward(self) -> Tensor:
        gap = smallest_gaps(self.scale)
        if self.kind == "power":
            return self.scale * torch.exp(-self.decay * torch.log1p(gap))
        return self.scale * torch.exp(-torch.exp(self.decay) * gap)


class TimeTable(nn.Module):
    """A number for each bucket of gaps."""

    def __init__(self, buckets: int) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.randn(buckets) * 0.02)

    def forward(self) -> Tensor:
        return self.table


class FuXiBetaLayer(nn.Module):
    """One layer: tokens [T, D] -> tokens [T, D]."""

    moving_shape = "bias_mixing has no program for a GPU, and torch's operations ask which positions a batch has"
    """See `Ranker.moving_shape`."""

    def __init__(self, config: SequenceConfig, spec: DataSpec) -> None:
        super().__init__()
        assert isinstance(config, Config)
        width, self.heads = config.width, config.heads
        self.clean = config.residual == "clean"
        positions = config.most_visible(spec) + config.tokens_per_event
        timed = config.channels != "position" and spec.time != "none"
        # Data without time information leave the place, whatever was asked for: a layer that mixes nothing is none.
        placed = config.channels != "time" or not timed
        self.position = nn.Parameter(torch.randn(positions) * 0.02) if placed else None
        self.time = None
        if timed:
            self.time = TimeTable(spec.gap_buckets) if config.time_function == "table" else TimeFunction(config.time_function)
        channels = int(placed) + int(timed)
        self.uv = Linear(width, (channels + 1) * width, bias=False)
        self.out = Linear(channels * width, width)
        self.feed = SwiGLU(width, round(width * config.feed_forward))
        self.dropout = Dropout(config.dropout)
        nn.init.normal_(self.uv.weight, std=0.02)
        nn.init.xavier_uniform_(self.out.weight)

    def forward(self, x: Tensor, geometry: Geometry) -> Tensor:
        normed = rms_norm(x)
        width = x.shape[1]
        u, v = F.silu(self.uv(normed)).split((self.out.in_features, width), dim=1)
        values = v.unflatten(1, (self.heads, -1))
        if geometry.cache is not None:
            _, values = geometry.cache.with_past(values[:, :, :0], values)
        mixed = []
        if self.position is not None:
            mixed.append(bias_mixing(values, geometry.plan, position_table=self.position))
        if self.time is not None:
            mixed.append(bias_mixing(values, geometry.plan, time_table=self.time()))
        # Head by head, as the authors: the channels of a head stand side by side.
        joined = torch.cat(mixed, dim=2).flatten(1)
        h = (x if self.clean else normed) + self.out(self.dropout(u * rms_norm(joined)))
        return h + self.feed(self.dropout(rms_norm(h)))


def build(config: Config, spec: DataSpec) -> SequenceRanker:
    """FuXi-beta layers in the common frame."""
    return SequenceRanker(config, spec, FuXiBetaLayer)


INFO = ModelInfo(
    name="fuxi-beta",
    family="generative",
    view="sequence",
    takes_padding=True,
    config=Config,
    build=build,
    summary="FuXi-beta (tokens mix by place and a function of time alone, no queries and keys) over interleaved tokens, MLP head",
    paper="Ye et al. 2025, arXiv:2508.10615",
    code="own",
    checked="its block against the equations in loops, float64, outputs and input gradients to 1e-9",
    train={"batch_events": 1024},
    differs=(
        "the function of time is taken at the smallest gap of each of 72 buckets, whose borders grow by a factor of 1.35; the "
        "released code takes it at every gap",
        "a token stands at no time gap from itself in the time channel, where the released code has the gap to the next event "
        "(`own_time=recency` has that to the latest one)",
        "time gaps look back from the request only if the data's time information is `request`; the released code always does",
        "the released settings for KuaiRand and KuaiRec have the exponential function (`time_function=exponential`), the paper "
        "the power",
        "binary cross-entropy on an MLP head instead of sampled softmax",
        "what `hstu` differs in of tokens, times and training: the released code is HSTU's with another layer",
    ),
    defaults="two blocks, width 64 and two heads, feed-forward of one width: those of `fuxi`. No user id, as there",
    space={**GENERATIVE_SPACE, "time_function": Choice(("power", "exponential", "table"))},
)
