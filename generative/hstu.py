"""HSTU, the Hierarchical Sequential Transduction Unit, as a ranker (Zhai et al. 2024, arXiv:2402.17152, sections 3 and 4).

A layer, for tokens x [T, D], H heads of size d (paper, equations 1-3; bias and constants as in the released code):

    u, v, q, k = split(SiLU(LN(x) W))            W: D -> 4 H d, no bias
    A_ij = SiLU(q_i . k_j + rab^p_ij + rab^t_ij) / n     for the keys j that i sees, and j = i
    x <- x + W_o dropout(u * LN(A v))            LN over all heads together, no affine weights

There is no softmax and no feed-forward block; the gate u takes its place.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from ..bench.contract import Choice, DataSpec, ModelInfo
from ..kernels.dropout import Dropout
from ..kernels.hstu_layer import hstu_layer
from ..kernels.linear import Linear
from .attention import Geometry, SelfAttention
from .config import GENERATIVE_SPACE, Attention, RelativeBiasKind, SequenceConfig
from .ranker import SequenceRanker


@dataclass(frozen=True)
class Config(SequenceConfig):
    """HSTU's published choices; the width and depth of the ML-1M retrieval setting are 50 and 2."""

    relative_bias: RelativeBiasKind = "both"
    attention: Attention = "silu"
    gate: bool = True
    """Without it, what attention gives is normalised and projected (the paper's u is a vector of ones)."""


class HSTULayer(nn.Module):
    """One layer: tokens [T, D] -> tokens [T, D]."""

    def __init__(self, config: SequenceConfig, spec: DataSpec) -> None:
        super().__init__()
        width = config.width
        self.clean = config.residual == "clean"
        self.uvqk = Linear(width, (4 if config.gate else 3) * width, bias=False)
        self.out = Linear(width, width)
        # A softmax needs logits of unit size; SiLU weights are not scaled in the released code.
        self.attention = SelfAttention(
            config, spec, alpha=(width // config.heads) ** -0.5 if config.attention == "softmax" else 1.0
        )
        self.dropout = Dropout(config.dropout)
        nn.init.normal_(self.uvqk.weight, std=0.02)
        nn.init.xavier_uniform_(self.out.weight)

    def forward(self, x: Tensor, geometry: Geometry) -> Tensor:
        return hstu_layer(
            x,
            self.uvqk.weight,
            self.out.weight,
            self.out.bias,
            geometry.plan,
            heads=self.attention.heads,
            alpha=self.attention.alpha,
            position_bias=self.attention.position_bias(),
            time_bias=self.attention.bias.time,
            activation=self.attention.kind,
            divisor=geometry.divisor,
            turn=geometry.turn,
            rate=self.dropout.rate if self.training else 0.0,
            clean=self.clean,
            cache=geometry.cache,
        )


def build(config: Config, spec: DataSpec) -> SequenceRanker:
    """HSTU layers in the common frame."""
    return SequenceRanker(config, spec, HSTULayer)


INFO = ModelInfo(
    name="hstu",
    family="generative",
    view="sequence",
    takes_padding=True,
    config=Config,
    build=build,
    summary="HSTU (gated SiLU attention, relative position and time bias) over interleaved tokens, MLP head",
    paper="Zhai et al. 2024, arXiv:2402.17152",
    code="own",
    checked="its layers against numbers of the authors' own, float64, outputs and gradients of inputs and parameters to "
    "1e-12; its block against the equations in loops to 1e-9",
    train={"batch_events": 1024},
    differs=(
        "an event's fields are embedded in 16 numbers each, side by side, and projected to the width; user and context fields "
        "join the item token. The released code has an embedding of the item alone, times sqrt(D), and adds learned positions "
        "(`token_start=scaled`, `absolute_position`)",
        "a candidate is scored at its own token and looks back from its own request; in the released code a row asks on "
        "behalf of the event after it and looks back from that event's time",
        "so a token stands at no time gap from itself, where the released code has the gap to the next event (`own_time=recency` "
        "has that to the latest one, which is what a row that is scored sees there)",
        "an action token carries its item and does not see the item's token",
        "events of one request see each other in neither direction and share a position; the released code is causal within a "
        "second",
        "time bias looks back from the request only if the data's time information is `request`; the released code always does",
        "the table of time gaps has 72 rows with exact borders in milliseconds; the released code has 129 rows, of which "
        "gaps below 80 years reach as many, and a logarithm of whole seconds in single precision",
        "the divisor is a constant in both: the largest number of visible tokens here, the longest sequence of the model there",
        "queries, keys and values of a head have width / heads numbers; the released code leaves their sizes free",
        "binary cross-entropy on a LayerNorm and an MLP instead of a sampled softmax over normalised dot products",
        "AdamW with betas .9 and .999, gradients clipped, 1,024 events a step, up to 20 epochs with early stopping; the authors' "
        "ML-1M retrieval has .9 and .98, no clipping, 25,600 positions a step and 101 epochs",
    ),
    defaults="two layers, dropout 0.2 and rate 1e-3 as in the authors' ML-1M retrieval; width 64 and two heads, not 50 "
    "and one. No user id, as there. `token_start` and `own_time` are not the authors': on validation of ml-100k and "
    "kuairand-pure, five seeds each, theirs was no better in either (docs/results/findings.md)",
    space={**GENERATIVE_SPACE, "own_time": Choice(("zero", "recency"))},
)
