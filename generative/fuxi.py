"""FuXi-alpha (Ye et al. 2025, arXiv:2502.03036) as a ranker: position and time become channels of their own.

A layer, for tokens x [T, D] and n = RMSNorm(x) without weights:

    u, v, q, k = split(SiLU(n W))                u: 3 H d; v, q, k: H d
    semantic_i = sum_j SiLU(q_i . k_j) v_j / N,  position_i = sum_j P[p_i - p_j] v_j,  time_i = sum_j T[bucket_ij] v_j
    h = x + W_0 dropout(u * RMSNorm([semantic, position, time]))
    m = dropout(RMSNorm(h));  x <- h + W_2 (SiLU(W_1 m) * W_3 m)

What HSTU adds to the logits has its own weights here, neither squashed nor divided, and a SwiGLU returns.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..bench.contract import DataSpec, ModelInfo, Positive
from ..kernels.dropout import Dropout
from ..kernels.hstu_attention import bias_mixing
from ..kernels.layers.feed_forward import SwiGLU
from ..kernels.linear import Linear
from ._blocks import rms_norm
from .attention import Geometry, RelativeBias, SelfAttention
from .config import FEED_FORWARD, GENERATIVE_SPACE, Attention, RelativeBiasKind, SequenceConfig
from .ranker import SequenceRanker


@dataclass(frozen=True)
class Config(SequenceConfig):
    """FuXi-alpha's choices."""

    idle: ClassVar[Mapping[str, str]] = {"gate": "the channels are always multiplied by u"}
    attention: Attention = "silu"
    relative_bias: RelativeBiasKind = "none"
    """Of the semantic channel's logits; FuXi has none there, because it has the other channels."""
    channels: RelativeBiasKind = "both"
    """The channels beside the semantic one: position, time, both, or none."""
    feed_forward: Positive = 1.0
    """Hidden size of the SwiGLU over the width; the authors use 1 on ML-1M and 4 on ML-20M."""


class FuXiLayer(nn.Module):
    """One layer: tokens [T, D] -> tokens [T, D]."""

    moving_shape = "bias_mixing has no program for a GPU, and torch's operations ask which positions a batch has"
    """See `Ranker.moving_shape`."""

    def __init__(self, config: SequenceConfig, spec: DataSpec) -> None:
        super().__init__()
        assert isinstance(config, Config)
        width = config.width
        self.clean = config.residual == "clean"
        self.channels = RelativeBias(config.channels, config, spec)
        count = 1 + sum(table is not None for table in (self.channels.position, self.channels.time))
        self.gate_size = count * width
        self.uvqk = Linear(width, (count + 3) * width, bias=False)
        # Only a softmax needs logits of unit size; the authors do not scale.
        self.attention = SelfAttention(
            config, spec, alpha=(width // config.heads) ** -0.5 if config.attention == "softmax" else 1.0
        )
        self.out = Linear(count * width, width)
        self.feed = SwiGLU(width, round(width * config.feed_forward))
        self.dropout = Dropout(config.dropout)
        nn.init.normal_(self.uvqk.weight, std=0.02)
        nn.init.xavier_uniform_(self.out.weight)

    def forward(self, x: Tensor, geometry: Geometry) -> Tensor:
        normed = rms_norm(x)
        width = x.shape[1]
        u, v, q, k = F.silu(self.uvqk(normed)).split((self.gate_size, width, width, width), dim=1)
        q, k, values = self.attention.by_head(q, k, v, geometry)
        mixed = [self.attention.read(q, k, values, geometry)]
        position, time = self.channels.position, self.channels.time
        if position is not None:
            mixed.append(bias_mixing(values, geometry.plan, position_table=position))
        if time is not None:
            mixed.append(bias_mixing(values, geometry.plan, time_table=time))
        # Head by head, as the authors: the channels of a head stand side by side.
        joined = torch.cat(mixed, dim=2).flatten(1)
        h = (x if self.clean else normed) + self.out(self.dropout(u * rms_norm(joined)))
        return h + self.feed(self.dropout(rms_norm(h)))


def build(config: Config, spec: DataSpec) -> SequenceRanker:
    """FuXi-alpha layers in the common frame."""
    return SequenceRanker(config, spec, FuXiLayer)


INFO = ModelInfo(
    name="fuxi",
    family="generative",
    view="sequence",
    takes_padding=True,
    config=Config,
    build=build,
    summary="FuXi-alpha (semantic, position and time channels, SwiGLU) over interleaved tokens, MLP head",
    paper="Ye et al. 2025, arXiv:2502.03036",
    code="own",
    checked="its block against the equations in loops, float64, outputs and input gradients to 1e-9",
    train={"batch_events": 1024},
    differs=(
        "the semantic channel is divided by a constant in both: the largest number of visible tokens here, the longest "
        "sequence of the model there",
        "a token stands at no time gap from itself in the time channel, where the released code has the gap to the next event "
        "(`own_time=recency` has that to the latest one)",
        "time gaps look back from the request only if the data's time information is `request`; the released code always does",
        "binary cross-entropy on an MLP head instead of sampled softmax",
        "what `hstu` differs in of tokens, times and training: the released code is HSTU's with another layer",
    ),
    defaults="two blocks, feed-forward of one width as in the authors' ML-1M setting; width 64 and two heads, not 50 "
    "and one. No user id, as there",
    space={**GENERATIVE_SPACE, "feed_forward": FEED_FORWARD},
)
