"""STU, the layer of HSTU's released ranking code (meta-recsys/generative-recommenders, modules/stu.py), as a ranker.

It differs from the layer of the paper and of the retrieval code: affine LayerNorms, a bias on the input projection, SiLU on
the gate alone, logits scaled by 1/sqrt(d), no relative bias, and a wider output:

    u, v, q, k = split(LN(x) W + b),  u <- SiLU(u)
    A_ij = SiLU(q_i . k_j / sqrt(d)) / n
    o = A v;  x <- x + W_o dropout([u, o, u * LN(o)])        W_o: 3 H d -> D, no bias

An event is one token (item + action) and a candidate a token with a masked action, as that code ships them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..bench.contract import DataSpec, ModelInfo
from ..kernels.dropout import Dropout
from ..kernels.linear import Linear
from .attention import Geometry, SelfAttention
from .config import DIVISOR, GENERATIVE_SPACE, Attention, Layout, SequenceConfig
from .ranker import SequenceRanker


@dataclass(frozen=True)
class Config(SequenceConfig):
    """The released ranking code's choices, at a size for public data."""

    idle: ClassVar[Mapping[str, str]] = {"gate": "what attention gives is always multiplied by u, and stands beside it as it is"}
    layout: Layout = "candidate"
    attention: Attention = "silu"
    absolute_position: bool = True
    head_norm: bool = False
    """What attention gives is normed head by head, with a weight and a bias a head, instead of all heads together."""


class STULayer(nn.Module):
    """One layer: tokens [T, D] -> tokens [T, D]."""

    def __init__(self, config: SequenceConfig, spec: DataSpec) -> None:
        super().__init__()
        assert isinstance(config, Config)
        width, self.heads = config.width, config.heads
        self.clean = config.residual == "clean"
        self.input_norm = nn.LayerNorm(width, eps=1e-6)
        self.output_norm = (
            nn.GroupNorm(config.heads, config.heads, eps=1e-6) if config.head_norm else nn.LayerNorm(width, eps=1e-6)
        )
        self.uvqk = Linear(width, 4 * width)
        self.attention = SelfAttention(config, spec, alpha=(width // config.heads) ** -0.5)
        self.out = Linear(3 * width, width, bias=False)
        self.dropout = Dropout(config.dropout)
        nn.init.xavier_uniform_(self.uvqk.weight)
        nn.init.xavier_uniform_(self.out.weight)
        nn.init.zeros_(self.uvqk.bias)

    def forward(self, x: Tensor, geometry: Geometry) -> Tensor:
        normed = self.input_norm(x)
        u, v, q, k = self.uvqk(normed).chunk(4, dim=1)
        u, attended = F.silu(u), self.attention(q, k, v, geometry)
        mixed = torch.cat([u, attended, u * self.normed(attended)], dim=1)
        return (x if self.clean else normed) + self.out(self.dropout(mixed))

    def normed(self, attended: Tensor) -> Tensor:
        """[T, D] -> [T, D]"""
        if isinstance(self.output_norm, nn.GroupNorm):
            return self.output_norm(attended.unflatten(1, (self.heads, -1))).flatten(1)
        return self.output_norm(attended)


def build(config: Config, spec: DataSpec) -> SequenceRanker:
    """STU layers in the common frame."""
    return SequenceRanker(config, spec, STULayer)


INFO = ModelInfo(
    name="stu",
    family="generative",
    view="sequence",
    takes_padding=True,
    config=Config,
    build=build,
    summary="the layer of HSTU's released ranking code (no relative bias), masked-action candidates, MLP head",
    paper="Zhai et al. 2024, arXiv:2402.17152, as in the released ranking code",
    code="own",
    checked="its layers against numbers of the authors' own, float64, outputs and gradients of parameters to 1e-12; its block "
    "against the equations in loops to 1e-9",
    train={"batch_events": 1024},
    differs=(
        "the divisor is the largest number of visible tokens; the released code divides by the longest sequence of the batch, so "
        "that a score depends on its batch mates",
        "the layer in the common frame; `dlrm-v3` is the released model as a whole, made of the switches named below",
        "positions count from the start of the segment; the released code counts back from the end (`layout=request`) and adds a "
        "time embedding (`time_embedding`)",
        "item and action are embedded by one linear layer instead of two MLPs (`token_network=mlp`); an MLP head over the state "
        "instead of two towers (`head=towers`)",
        "tokens are not multiplied by sqrt(D) before positions are added (`token_start=scaled`)",
        "user and context fields join every event's token; in the released code each contextual field is a token of its own "
        "before the history (`layout=request`), the user's id among them, and holds nothing for users with a short past",
        "hour and weekday are embedded fields of tokens; the released code joins them as sine and cosine after the last layer "
        "(`clock=state`)",
        "a combination of the user's actions is one id; the released code has a vector for each action (`action_encoding=bits`)",
        "one dropout of .2; the released code has .2 on its input (`input_dropout`) and .1 in its layers",
        "no group norm (`head_norm`) or stochastic depth (`stochastic_depth`) unless set; no L2 norm, and no attention window "
        "but the history length",
        "AdamW for all parameters in single precision; the released code has row-wise Adagrad for tables "
        "(`train.table_optimizer`), and bfloat16",
        "every training example is a candidate, not the last ten of a user (`--protocol dlrm-v3-last-10`)",
    ),
    defaults="size as for every backbone here; the released ranking code has 5 layers of width 512 and 4 "
    "heads, and the user's id as a token, which is left out here as for every backbone",
    space={**GENERATIVE_SPACE, "divisor": DIVISOR},
)
