"""MTGR-style HSTU (Meituan 2025, arXiv:2505.18654) as a ranker: HSTU layers, candidate tokens, norms of their own for each kind.

A layer is that of `hstu` but for group layer norm: tokens that carry an outcome (the history) and tokens that ask for one (the
candidates) have their own affine weights, so that the two kinds can live in one stream. Candidate tokens keep the user and
context fields of their request; the paper credits these cross features with most of its gain.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..bench.contract import Choice, DataSpec, ModelInfo
from ..kernels.dropout import Dropout
from ..kernels.gating import silu_split
from ..kernels.linear import Linear
from .attention import Geometry, SelfAttention
from .config import GENERATIVE_SPACE, Attention, Layout, RelativeBiasKind, SequenceConfig
from .ranker import SequenceRanker


@dataclass(frozen=True)
class Config(SequenceConfig):
    """MTGR's choices."""

    layout: Layout = "candidate"
    attention: Attention = "silu"
    relative_bias: RelativeBiasKind = "both"
    gate: bool = True
    group_norm: bool = True
    """Affine weights for each kind of token; the paper loses .0025 CTR AUC without it."""


class GroupLayerNorm(nn.Module):
    """LayerNorm with weights [kinds, D] chosen by each token's kind."""

    def __init__(self, width: int, kinds: int) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(kinds, width)), nn.Parameter(torch.zeros(kinds, width))

    def forward(self, x: Tensor, kind: Tensor) -> Tensor:
        """x [T, D], kind int64 [T] -> [T, D]"""
        kind = kind.clamp(max=len(self.weight) - 1)
        return F.layer_norm(x, x.shape[1:], eps=1e-6) * self.weight[kind] + self.bias[kind]


class MTGRLayer(nn.Module):
    """One layer: tokens [T, D] -> tokens [T, D]."""

    def __init__(self, config: SequenceConfig, spec: DataSpec) -> None:
        super().__init__()
        assert isinstance(config, Config)
        width, kinds = config.width, 2 if config.group_norm else 1
        self.gate, self.clean = config.gate, config.residual == "clean"
        self.input_norm, self.output_norm = GroupLayerNorm(width, kinds), GroupLayerNorm(width, kinds)
        self.uvqk = Linear(width, (4 if config.gate else 3) * width, bias=False)
        self.attention = SelfAttention(
            config, spec, alpha=(width // config.heads) ** -0.5 if config.attention == "softmax" else 1.0
        )
        self.out = Linear(width, width)
        self.dropout = Dropout(config.dropout)
        nn.init.normal_(self.uvqk.weight, std=0.02)
        nn.init.xavier_uniform_(self.out.weight)

    def forward(self, x: Tensor, geometry: Geometry) -> Tensor:
        normed = self.input_norm(x, geometry.kind)
        *gate, v, q, k = silu_split(self.uvqk(normed), 4 if self.gate else 3)
        attended = self.output_norm(self.attention(q, k, v, geometry), geometry.kind)
        if gate:
            attended = gate[0] * attended
        return (x if self.clean else normed) + self.out(self.dropout(attended))


def build(config: Config, spec: DataSpec) -> SequenceRanker:
    """MTGR layers in the common frame."""
    return SequenceRanker(config, spec, MTGRLayer)


INFO = ModelInfo(
    name="mtgr",
    family="generative",
    view="sequence",
    takes_padding=True,
    config=Config,
    build=build,
    summary="HSTU layers with group layer norm, item-and-action tokens, candidates that keep cross features, MLP head",
    paper="arXiv:2505.18654",
    code="own",
    checked="its block against the equations in loops, float64, outputs and input gradients to 1e-9",
    train={"batch_events": 1024},
    differs=(
        "user fields join the tokens of their requests instead of a visible prefix of user tokens",
        "cross features are the data set's context fields; no counts are added",
        "candidates see the history before their own request, not a static sequence that ends before all of them",
    ),
    defaults="size as for every backbone here; the paper's are of industrial scale. No user id, as for all of them",
    space={**GENERATIVE_SPACE, "group_norm": Choice((False, True))},
)
