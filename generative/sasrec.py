"""SASRec (Kang & McAuley 2018, arXiv:1808.09781) as a ranker: the causal Transformer of sequential recommendation.

A block as in the authors' code, where the skip connections carry the *normalised* input and keys and values are not normalised:

    q = LN(x);  x <- q + dropout(softmax(q W_q (x W_k)^T / sqrt(d)) x W_v)
    y = LN(x);  x <- y + dropout(W_2 dropout(ReLU(W_1 y)))
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn import functional as F

from ..bench.contract import DataSpec, ModelInfo, Size
from ..kernels.dropout import Dropout
from ..kernels.linear import Linear
from .attention import Geometry, SelfAttention
from .config import GENERATIVE_SPACE, Residual, SequenceConfig
from .ranker import SequenceRanker


@dataclass(frozen=True)
class Config(SequenceConfig):
    """SASRec's choices: one head, learned positions, no relative bias."""

    heads: Size = 1
    absolute_position: bool = True
    residual: Residual = "normalised"


class SASRecBlock(nn.Module):
    """One block: tokens [T, D] -> tokens [T, D]."""

    def __init__(self, config: SequenceConfig, spec: DataSpec) -> None:
        super().__init__()
        width = config.width
        self.clean = config.residual == "clean"
        self.attention_norm, self.feed_norm = nn.LayerNorm(width, eps=1e-8), nn.LayerNorm(width, eps=1e-8)
        self.query, self.key, self.value = Linear(width, width), Linear(width, width), Linear(width, width)
        self.gate = Linear(width, width, bias=False) if config.gate else None
        self.attention = SelfAttention(config, spec, alpha=(width // config.heads) ** -0.5)
        self.feed = nn.Sequential(
            Linear(width, width), nn.ReLU(), Dropout(config.dropout), Linear(width, width), Dropout(config.dropout)
        )
        self.dropout = Dropout(config.dropout)

    def forward(self, x: Tensor, geometry: Geometry) -> Tensor:
        normed = self.attention_norm(x)
        attended = self.attention(self.query(normed), self.key(x), self.value(x), geometry)
        if self.gate is not None:
            attended = F.silu(self.gate(normed)) * attended
        x = (x if self.clean else normed) + self.dropout(attended)
        normed = self.feed_norm(x)
        return (x if self.clean else normed) + self.feed(normed)


def build(config: Config, spec: DataSpec) -> SequenceRanker:
    """SASRec blocks in the common frame."""
    return SequenceRanker(config, spec, SASRecBlock)


INFO = ModelInfo(
    name="sasrec",
    family="generative",
    view="sequence",
    takes_padding=True,
    config=Config,
    build=build,
    summary="SASRec blocks as published (normalised skip, absolute positions) over interleaved tokens, MLP head",
    paper="Kang & McAuley 2018, arXiv:1808.09781",
    code="own",
    checked="its block against the equations in loops, float64, outputs and input gradients to 1e-9",
    train={"batch_events": 1024},
    differs=(
        "ranks a candidate with its own token and an MLP head instead of a dot product with the next item",
        "past actions are tokens of their own; the paper has items only",
        "field embeddings have their own size and are projected to the width; the paper scales item embeddings by sqrt(D) "
        "(`token_start=scaled`)",
        "positions count from the start of the segment and are shared by events that do not see each other",
        "a causal softmax over visible keys; the authors' code masks the same keys with a large negative number",
        "no dropout on attention weights",
        "AdamW with betas .9 and .999; the authors' code has Adam with .9 and .98",
    ),
    defaults="two blocks, one head, dropout 0.2, learning rate 1e-3 as in the paper on ML-1M; width 64 instead of 50. No user "
    "id, as there. `token_start` is not the authors': theirs was no better on validation of ml-100k and kuairand-pure, five "
    "seeds each (docs/results/findings.md)",
    space=GENERATIVE_SPACE,
)
