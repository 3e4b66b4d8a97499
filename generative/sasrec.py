"""SASRec (Kang & McAuley 2018, arXiv:1808.09781) as a ranker: the causal Transformer of sequential recommendation.

A block as in the authors' code, where the skip connections carry the *normalised* input:

    q = LN(x);  x <- q + dropout(softmax(q W_q (x W_k)^T / sqrt(d)) x W_v)
    y = LN(x);  x <- y + dropout(W_2 dropout(ReLU(W_1 y)))
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from ..bench.contract import DataSpec, ModelInfo, Ranker, SequenceBatch
from ..kernels.hstu_attention import AttentionPlan, hstu_attention, plan_attention
from .heads import MLPHead
from .relative_bias import RelativeBias, RelativeBiasKind
from .tokens import InterleavedTokens


@dataclass(frozen=True)
class Config:
    """Hyper-parameters of SASRec."""

    embedding_dim: int = 16
    width: int = 64
    layers: int = 2
    heads: int = 1
    """1 as in the paper."""
    dropout: float = 0.2
    relative_bias: RelativeBiasKind = "none"
    """Learned bias over position, time gaps, both or none; the paper has none."""
    head_hidden: int = 64


class SASRecBlock(nn.Module):
    """One block: tokens [T, D] -> tokens [T, D]."""

    def __init__(self, config: Config, spec: DataSpec) -> None:
        super().__init__()
        width = config.width
        self.heads, self.size = config.heads, width // config.heads
        self.attention_norm, self.feed_norm = nn.LayerNorm(width, eps=1e-8), nn.LayerNorm(width, eps=1e-8)
        self.query, self.key, self.value = nn.Linear(width, width), nn.Linear(width, width), nn.Linear(width, width)
        self.feed = nn.Sequential(
            nn.Linear(width, width), nn.ReLU(), nn.Dropout(config.dropout), nn.Linear(width, width), nn.Dropout(config.dropout)
        )
        self.bias = RelativeBias(config.relative_bias, spec, InterleavedTokens.TOKENS_PER_EVENT)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor, plan: AttentionPlan) -> Tensor:
        normed = self.attention_norm(x)
        position_bias, time_bias = self.bias.tables()
        attended = hstu_attention(
            self.query(normed).unflatten(1, (self.heads, self.size)),
            self.key(x).unflatten(1, (self.heads, self.size)),
            self.value(x).unflatten(1, (self.heads, self.size)),
            plan,
            alpha=self.size**-0.5,
            position_bias=position_bias,
            time_bias=time_bias,
            activation="softmax",
        ).flatten(1)
        normed = self.feed_norm(normed + self.dropout(attended))
        return normed + self.feed(normed)


class SASRec(Ranker):
    """Interleaved tokens with learned absolute positions, SASRec blocks, an MLP head on the candidates' item tokens."""

    def __init__(self, config: Config, spec: DataSpec) -> None:
        super().__init__()
        self.tokens = InterleavedTokens(spec, config.embedding_dim, config.width)
        # A segment holds at most five history lengths of events; later positions share the last row.
        self.positions = nn.Embedding(InterleavedTokens.TOKENS_PER_EVENT * 5 * max(spec.history_length, 32), config.width)
        self.dropout = nn.Dropout(config.dropout)
        self.blocks = nn.ModuleList(SASRecBlock(config, spec) for _ in range(config.layers))
        self.head = MLPHead(config.width, config.head_hidden, config.dropout, spec.positive_rate)
        nn.init.normal_(self.positions.weight, std=0.02)

    def forward(self, batch: SequenceBatch) -> Tensor:
        tokens = self.tokens(batch)
        plan = plan_attention(
            tokens.offsets, tokens.lo, tokens.hi, position=tokens.position, query_time=tokens.query_time, key_time=tokens.time
        )
        position = tokens.position.clamp(max=self.positions.num_embeddings - 1)
        x = self.dropout(tokens.x + self.positions(position))
        for block in self.blocks:
            x = block(x, plan)
        return self.head(x.index_select(0, tokens.readout))


INFO = ModelInfo(
    name="sasrec",
    family="generative",
    view="sequence",
    config=Config,
    build=SASRec,
    summary="SASRec blocks as published (normalised skip, absolute positions) over interleaved tokens, MLP head",
    paper="Kang & McAuley 2018, arXiv:1808.09781",
    code="own",
    train={"batch_events": 1024},
    differs=(
        "ranks a candidate with its own token and an MLP head instead of a dot product with the next item",
        "past actions are tokens of their own; the paper has items only",
        "field embeddings have their own size and are projected to the width; the paper scales item embeddings by sqrt(D)",
        "positions count from the start of the segment and are shared by events that do not see each other",
        "a causal softmax over visible keys; the authors' code masks the same keys with a large negative number",
    ),
)
