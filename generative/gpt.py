"""A GPT-2-style decoder as a ranker (Radford et al. 2019): LayerNorm before each part, GELU, biases, learned positions.

x <- x + dropout(W_o attention(LN(x)))
x <- x + dropout(W_2 GELU(W_1 LN(x)))         W_1: D -> 4 D
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from ..bench.contract import DataSpec, ModelInfo, Positive
from ..kernels.dropout import Dropout
from ..kernels.linear import Linear
from ._blocks import ProjectedAttention
from .attention import Geometry
from .config import FEED_FORWARD, GENERATIVE_SPACE, RelativeBiasKind, SequenceConfig
from .ranker import SequenceRanker


@dataclass(frozen=True)
class Config(SequenceConfig):
    """GPT-2's choices, with HSTU's time bias as in the other controls."""

    absolute_position: bool = True
    relative_bias: RelativeBiasKind = "time"
    """`time` gives it the same time information in the attention as HSTU has; GPT has none."""
    feed_forward: Positive = 4.0
    """Hidden size of the feed-forward layer over the width."""


class GPTBlock(nn.Module):
    """One block: tokens [T, D] -> tokens [T, D]."""

    def __init__(self, config: SequenceConfig, spec: DataSpec) -> None:
        super().__init__()
        assert isinstance(config, Config)
        width, hidden = config.width, round(config.width * config.feed_forward)
        self.clean = config.residual == "clean"
        self.attention_norm, self.feed_norm = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = ProjectedAttention(config, spec, bias=True)
        self.feed = nn.Sequential(Linear(width, hidden), nn.GELU(approximate="tanh"), Linear(hidden, width))
        self.dropout = Dropout(config.dropout)

    def forward(self, x: Tensor, geometry: Geometry) -> Tensor:
        normed = self.attention_norm(x)
        x = (x if self.clean else normed) + self.dropout(self.attention(normed, geometry))
        normed = self.feed_norm(x)
        return (x if self.clean else normed) + self.dropout(self.feed(normed))


def build(config: Config, spec: DataSpec) -> SequenceRanker:
    """GPT blocks in the common frame."""
    return SequenceRanker(config, spec, GPTBlock)


INFO = ModelInfo(
    name="gpt",
    family="generative",
    view="sequence",
    takes_padding=True,
    config=Config,
    build=build,
    summary="GPT-2 blocks (LayerNorm, GELU, learned positions) with HSTU's time bias over interleaved tokens, MLP head",
    paper="Radford et al. 2019; as a recommender: arXiv:2412.00714",
    code="own",
    checked="its block against the equations in loops, float64, outputs and input gradients to 1e-9",
    train={"batch_events": 1024},
    differs=(
        "a learned time bias in the attention by default, so that HSTU has no time information that this control lacks",
        "no dropout on attention weights; no norm after the last block: the head begins with one",
        "positions count from the start of the segment and are shared by events that do not see each other",
    ),
    defaults="feed-forward of 4 widths as in GPT-2; size as for every backbone here: no small ranker of this kind is "
    "published. No user id, as for all of them",
    space={**GENERATIVE_SPACE, "feed_forward": FEED_FORWARD},
)
