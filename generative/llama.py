"""A Llama-style decoder as a ranker (Touvron et al. 2023, arXiv:2302.13971): the control for every claim about HSTU.

A block: pre-norm RMSNorm, rotary positions, softmax attention, SwiGLU, no biases, clean residual stream.

    x <- x + dropout(W_o attention(rope(W_q n), rope(W_k n), W_v n)),  n = RMSNorm(x)
    x <- x + dropout(W_2 (SiLU(W_1 n) * W_3 n)),                       n = RMSNorm(x)
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..bench.contract import DataSpec, ModelInfo, Ranker, SequenceBatch
from ..kernels.hstu_attention import AttentionPlan, hstu_attention, plan_attention
from .heads import MLPHead
from .relative_bias import RelativeBias, RelativeBiasKind
from .tokens import InterleavedTokens


@dataclass(frozen=True)
class Config:
    """Hyper-parameters of the Llama-style ranker."""

    embedding_dim: int = 16
    width: int = 64
    layers: int = 2
    heads: int = 2
    dropout: float = 0.2
    feed_forward: float = 8 / 3
    """Hidden size of SwiGLU over the width."""
    rope_base: float = 10_000.0
    relative_bias: RelativeBiasKind = "time"
    """On top of rotary positions. `time` gives it the same time information in the attention as HSTU has; Llama has none."""
    head_hidden: int = 64


def rotation(position: Tensor, size: int, base: float) -> Tensor:
    """Rotary position embedding (Su et al. 2021, arXiv:2104.09864): cos and sin [2, T, 1, size / 2] of positions [T]."""
    frequency = base ** (-torch.arange(size // 2, device=position.device, dtype=torch.float32) / (size // 2))
    angle = position.float().unsqueeze(1) * frequency
    return torch.stack([angle.cos(), angle.sin()]).unsqueeze(2)


def rotate(x: Tensor, turn: Tensor) -> Tensor:
    """x [T, H, d] turned by `rotation`, in pairs (i, i + d/2)."""
    cos, sin = turn.to(x.dtype)
    first, second = x.chunk(2, dim=2)
    return torch.cat([first * cos - second * sin, first * sin + second * cos], dim=2)


class LlamaBlock(nn.Module):
    """One block: tokens [T, D] -> tokens [T, D]."""

    def __init__(self, config: Config, spec: DataSpec) -> None:
        super().__init__()
        width, hidden = config.width, round(config.width * config.feed_forward)
        self.heads, self.size = config.heads, width // config.heads
        self.attention_norm, self.feed_norm = nn.RMSNorm(width, eps=1e-6), nn.RMSNorm(width, eps=1e-6)
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.gate_up = nn.Linear(width, 2 * hidden, bias=False)
        self.down = nn.Linear(hidden, width, bias=False)
        self.bias = RelativeBias(config.relative_bias, spec, InterleavedTokens.TOKENS_PER_EVENT)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor, plan: AttentionPlan, turn: Tensor) -> Tensor:
        q, k, v = self.qkv(self.attention_norm(x)).unflatten(1, (3 * self.heads, self.size)).chunk(3, dim=1)
        position_bias, time_bias = self.bias.tables()
        attended = hstu_attention(
            rotate(q, turn),
            rotate(k, turn),
            v,
            plan,
            alpha=self.size**-0.5,
            position_bias=position_bias,
            time_bias=time_bias,
            activation="softmax",
        )
        x = x + self.dropout(self.out(attended.flatten(1)))
        gate, up = self.gate_up(self.feed_norm(x)).chunk(2, dim=1)
        return x + self.dropout(self.down(F.silu(gate) * up))


class Llama(Ranker):
    """Interleaved tokens, Llama blocks, an MLP head on the candidates' item tokens."""

    def __init__(self, config: Config, spec: DataSpec) -> None:
        super().__init__()
        self.config = config
        self.tokens = InterleavedTokens(spec, config.embedding_dim, config.width)
        self.dropout = nn.Dropout(config.dropout)
        self.blocks = nn.ModuleList(LlamaBlock(config, spec) for _ in range(config.layers))
        self.head = MLPHead(config.width, config.head_hidden, config.dropout, spec.positive_rate)

    def forward(self, batch: SequenceBatch) -> Tensor:
        tokens = self.tokens(batch)
        plan = plan_attention(
            tokens.offsets, tokens.lo, tokens.hi, position=tokens.position, query_time=tokens.query_time, key_time=tokens.time
        )
        turn = rotation(tokens.position, self.config.width // self.config.heads, self.config.rope_base)
        x = self.dropout(tokens.x)
        for block in self.blocks:
            x = block(x, plan, turn)
        return self.head(x.index_select(0, tokens.readout))


INFO = ModelInfo(
    name="llama",
    family="generative",
    view="sequence",
    config=Config,
    build=Llama,
    summary="Llama blocks (RMSNorm, RoPE, SwiGLU) with HSTU's time bias over interleaved tokens, MLP head",
    paper="Touvron et al. 2023, arXiv:2302.13971; as a recommender: arXiv:2412.00714",
    code="own",
    train={"batch_events": 1024},
    differs=(
        "dropout on the residual branches; Llama has none",
        "a learned time bias in the attention by default, so that HSTU has no time information that this control lacks",
        "rotary positions are shared by events that do not see each other",
    ),
)
