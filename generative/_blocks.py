"""Parts that several backbones share."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..bench.contract import DataSpec
from ..kernels.linear import Linear
from .attention import Geometry, SelfAttention
from .config import SequenceConfig


class ProjectedAttention(nn.Module):
    """W_o (gate * attention(W_q x, W_k x, W_v x)) with scaled logits: the attention of every Transformer here."""

    def __init__(self, config: SequenceConfig, spec: DataSpec, bias: bool) -> None:
        super().__init__()
        self.qkv = Linear(config.width, 3 * config.width, bias=bias)
        self.gate = Linear(config.width, config.width, bias=False) if config.gate else None
        self.attention = SelfAttention(config, spec, alpha=(config.width // config.heads) ** -0.5)
        self.out = Linear(config.width, config.width, bias=bias)

    def forward(self, x: Tensor, geometry: Geometry) -> Tensor:
        """x [T, D], normalised -> [T, D]"""
        attended = self.attention(*self.qkv(x).chunk(3, dim=1), geometry)
        if self.gate is not None:
            attended = F.silu(self.gate(x)) * attended
        return self.out(attended)


def rms_norm(x: Tensor) -> Tensor:
    """x / sqrt(mean(x^2) + 1e-6) over the last dimension, no weights."""
    return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-6)
