"""A Llama-style decoder as a ranker (Touvron et al. 2023, arXiv:2302.13971): the control for every claim about HSTU.

A block: pre-norm RMSNorm, rotary positions, softmax attention, SwiGLU, no biases, clean residual stream.

    x <- x + dropout(W_o attention(rope(W_q n), rope(W_k n), W_v n)),  n = RMSNorm(x)
    x <- x + dropout(W_2 (SiLU(W_1 n) * W_3 n)),                       n = RMSNorm(x)
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from ..bench.contract import DataSpec, ModelInfo, Positive
from ..kernels.dropout import Dropout
from ..kernels.layers.feed_forward import SwiGLU
from ..kernels.layers.rms_norm import RMSNorm
from ._blocks import ProjectedAttention
from .attention import Geometry
from .config import FEED_FORWARD, GENERATIVE_SPACE, RelativeBiasKind, SequenceConfig
from .ranker import SequenceRanker


@dataclass(frozen=True)
class Config(SequenceConfig):
    """Llama's choices, with HSTU's time bias."""

    rope: bool = True
    relative_bias: RelativeBiasKind = "time"
    """On top of rotary positions. `time` gives it the same time information in the attention as HSTU has; Llama has none."""
    feed_forward: Positive = 8 / 3
    """Hidden size of SwiGLU over the width."""


class LlamaBlock(nn.Module):
    """One block: tokens [T, D] -> tokens [T, D]."""

    def __init__(self, config: SequenceConfig, spec: DataSpec) -> None:
        super().__init__()
        assert isinstance(config, Config)
        self.clean = config.residual == "clean"
        self.attention_norm, self.feed_norm = RMSNorm(config.width), RMSNorm(config.width)
        self.attention = ProjectedAttention(config, spec, bias=False)
        self.feed = SwiGLU(config.width, round(config.width * config.feed_forward))
        self.dropout = Dropout(config.dropout)

    def forward(self, x: Tensor, geometry: Geometry) -> Tensor:
        normed = self.attention_norm(x)
        x = (x if self.clean else normed) + self.dropout(self.attention(normed, geometry))
        normed = self.feed_norm(x)
        return (x if self.clean else normed) + self.dropout(self.feed(normed))


def build(config: Config, spec: DataSpec) -> SequenceRanker:
    """Llama blocks in the common frame."""
    return SequenceRanker(config, spec, LlamaBlock)


INFO = ModelInfo(
    name="llama",
    family="generative",
    view="sequence",
    takes_padding=True,
    config=Config,
    build=build,
    summary="Llama blocks (RMSNorm, RoPE, SwiGLU) with HSTU's time bias over interleaved tokens, MLP head",
    paper="Touvron et al. 2023, arXiv:2302.13971; as a recommender: arXiv:2412.00714",
    code="own",
    checked="its block against the equations in loops, float64, outputs and input gradients to 1e-9",
    train={"batch_events": 1024},
    differs=(
        "dropout on the residual branches; Llama has none",
        "a learned time bias in the attention by default, so that HSTU has no time information that this control lacks",
        "rotary positions are shared by events that do not see each other",
        "no norm after the last block: the head begins with one",
    ),
    defaults="feed-forward of 8/3 widths as in Llama; size as for every backbone here: no small ranker of this kind is "
    "published. No user id, as for all of them",
    space={**GENERATIVE_SPACE, "feed_forward": FEED_FORWARD},
)
