"""HSTU, the Hierarchical Sequential Transduction Unit, as a ranker (Zhai et al. 2024, arXiv:2402.17152, sections 3 and 4).

A layer, for tokens x [T, D], H heads of size d (paper, equations 1-3; bias and constants as in the released code):

    u, v, q, k = split(SiLU(LN(x) W))            W: D -> 4 H d, no bias
    A_ij = SiLU(q_i . k_j + rab^p_ij + rab^t_ij) / n     for the keys j that i sees, and j = i
    x <- x + W_o dropout(u * LN(A v))            LN over all heads together, no affine weights

There is no softmax and no feed-forward block; the gate u takes its place.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn
from torch.nn import functional as F

from ..bench.contract import DataSpec, ModelInfo, Ranker, SequenceBatch
from ..kernels.hstu_attention import AttentionPlan, hstu_attention, plan_attention
from .heads import MLPHead
from .relative_bias import RelativeBias, RelativeBiasKind
from .tokens import InterleavedTokens


@dataclass(frozen=True)
class Config:
    """Hyper-parameters of HSTU."""

    embedding_dim: int = 16
    """Of every field's table; independent of the width."""
    width: int = 64
    """D"""
    layers: int = 2
    heads: int = 2
    dropout: float = 0.2
    """On the input tokens, on the gated attention output, and in the head."""
    relative_bias: RelativeBiasKind = "both"
    """Learned bias over position, time gaps, both or none (credited by arXiv:2412.00714; nearly all of it is the time part)."""
    divisor: Literal["max", "own"] = "max"
    """n: the largest possible number of visible tokens (the paper), or the number that a token sees."""
    head_hidden: int = 64


class HSTULayer(nn.Module):
    """One layer: tokens [T, D] -> tokens [T, D]."""

    def __init__(self, config: Config, spec: DataSpec) -> None:
        super().__init__()
        self.heads, self.size = config.heads, config.width // config.heads
        inner = self.heads * self.size
        self.uvqk = nn.Linear(config.width, 4 * inner, bias=False)
        self.out = nn.Linear(inner, config.width)
        self.bias = RelativeBias(config.relative_bias, spec, InterleavedTokens.TOKENS_PER_EVENT)
        self.dropout = nn.Dropout(config.dropout)
        nn.init.normal_(self.uvqk.weight, std=0.02)
        nn.init.xavier_uniform_(self.out.weight)

    def forward(self, x: Tensor, plan: AttentionPlan, divisor: Tensor | float) -> Tensor:
        normed = F.layer_norm(x, x.shape[1:], eps=1e-6)
        u, v, q, k = F.silu(self.uvqk(normed)).chunk(4, dim=1)
        position_bias, time_bias = self.bias.tables()
        attended = hstu_attention(
            q.unflatten(1, (self.heads, self.size)),
            k.unflatten(1, (self.heads, self.size)),
            v.unflatten(1, (self.heads, self.size)),
            plan,
            position_bias=position_bias,
            time_bias=time_bias,
            divisor=divisor,
        ).flatten(1)
        return x + self.out(self.dropout(u * F.layer_norm(attended, attended.shape[1:], eps=1e-6)))


class HSTU(Ranker):
    """Interleaved tokens, HSTU layers, an MLP head on the candidates' item tokens."""

    def __init__(self, config: Config, spec: DataSpec) -> None:
        super().__init__()
        self.config = config
        self.max_visible = InterleavedTokens.TOKENS_PER_EVENT * spec.history_length + 1
        self.tokens = InterleavedTokens(spec, config.embedding_dim, config.width)
        self.dropout = nn.Dropout(config.dropout)
        self.layers = nn.ModuleList(HSTULayer(config, spec) for _ in range(config.layers))
        self.head = MLPHead(config.width, config.head_hidden, config.dropout, spec.positive_rate)

    def forward(self, batch: SequenceBatch) -> Tensor:
        tokens = self.tokens(batch)
        plan = plan_attention(
            tokens.offsets, tokens.lo, tokens.hi, position=tokens.position, query_time=tokens.query_time, key_time=tokens.time
        )
        divisor: Tensor | float = float(self.max_visible)
        if self.config.divisor == "own":
            divisor = (tokens.hi - tokens.lo + 1).to(tokens.x.dtype)
        x = self.dropout(tokens.x)
        for layer in self.layers:
            x = layer(x, plan, divisor)
        return self.head(x.index_select(0, tokens.readout))


INFO = ModelInfo(
    name="hstu",
    family="generative",
    view="sequence",
    config=Config,
    build=HSTU,
    summary="HSTU with interleaved tokens, relative position and time bias, MLP head",
    paper="Zhai et al. 2024, arXiv:2402.17152",
    code="own",
    train={"batch_events": 1024},
    differs=(
        "field embeddings have their own size and are projected to the width; user and context fields join the item token",
        "time bias looks back from the request only if the data's time information is `request`; the released code always does",
        "the divisor is the largest number of visible tokens, not the padded length of a batch",
        "binary cross-entropy on an MLP head instead of sampled softmax",
    ),
)
