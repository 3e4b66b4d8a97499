"""Scoring heads: from the states of a backbone to one logit an example.

`mlp` and `ffn` read the state at the example's token. The others also read the candidate's own embedding, which is what a
late layout needs, because its state does not know the candidate.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..bench.contract import DataSpec
from ..kernels.hstu_attention import AttentionPlan, hstu_attention
from .config import SequenceConfig
from .tokens import Tokens


class Head(nn.Module):
    """States [T, width] after the last layer -> logits [n]. The output bias starts at the base rate of the training labels."""

    def __init__(self, positive_rate: float) -> None:
        super().__init__()
        self.base_rate_logit = math.log(positive_rate / (1 - positive_rate))

    def forward(self, states: Tensor, tokens: Tokens, plan: AttentionPlan) -> Tensor:
        state = states.index_select(0, tokens.readout)
        return self.score(state, state if tokens.candidate is None else tokens.candidate)

    def score(self, state: Tensor, candidate: Tensor) -> Tensor:
        """[n, width] twice -> [n]"""
        raise TypeError(f"{type(self).__name__} must define score(state, candidate) -> logits [n]")

    def output(self, width: int) -> nn.Linear:
        """The last layer."""
        out = nn.Linear(width, 1)
        nn.init.constant_(out.bias, self.base_rate_logit)
        return out


class MLPHead(Head):
    """LayerNorm, one hidden layer, one logit: over the state, its product with the candidate, or both side by side."""

    def __init__(self, config: SequenceConfig, spec: DataSpec) -> None:
        super().__init__(spec.positive_rate)
        self.kind = config.head
        width = config.width * (2 if self.kind == "concat-mlp" else 1)
        self.norm, self.candidate_norm = nn.LayerNorm(width), None
        if self.kind == "hadamard-mlp":
            self.candidate_norm = nn.LayerNorm(width)
        self.hidden, self.dropout = nn.Linear(width, config.head_hidden), nn.Dropout(config.dropout)
        self.out = self.output(config.head_hidden)

    def score(self, state: Tensor, candidate: Tensor) -> Tensor:
        if self.kind == "concat-mlp":
            x = self.norm(torch.cat([state, candidate], dim=1))
        else:
            x = self.norm(state) if self.candidate_norm is None else self.norm(state) * self.candidate_norm(candidate)
        return self.out(self.dropout(F.silu(self.hidden(x)))).squeeze(1)


class FeedForwardHead(Head):
    """A Transformer's feed-forward block with its skip connection, then one linear layer."""

    def __init__(self, config: SequenceConfig, spec: DataSpec) -> None:
        super().__init__(spec.positive_rate)
        self.norm, self.dropout = nn.LayerNorm(config.width), nn.Dropout(config.dropout)
        self.up, self.down = nn.Linear(config.width, 4 * config.width), nn.Linear(4 * config.width, config.width)
        self.out = self.output(config.width)

    def score(self, state: Tensor, candidate: Tensor) -> Tensor:
        return self.out(state + self.down(self.dropout(F.silu(self.up(self.norm(state)))))).squeeze(1)


class DotHead(Head):
    """Inner product of normalised state and candidate over sqrt(width), plus a bias; `bilinear` puts a matrix between them."""

    def __init__(self, config: SequenceConfig, spec: DataSpec) -> None:
        super().__init__(spec.positive_rate)
        self.norm, self.candidate_norm = nn.LayerNorm(config.width), nn.LayerNorm(config.width)
        self.matrix = nn.Linear(config.width, config.width, bias=False) if config.head == "bilinear" else None
        self.bias = nn.Parameter(torch.tensor(self.base_rate_logit))

    def score(self, state: Tensor, candidate: Tensor) -> Tensor:
        state = self.norm(state)
        if self.matrix is not None:
            state = self.matrix(state)
        return (state * self.candidate_norm(candidate)).sum(1) / state.shape[1] ** 0.5 + self.bias


class TargetAttentionHead(Head):
    """The candidate attends to the states that its token sees (softmax, as DIN-style target attention over HSTU's states), then
    an MLP over state, candidate and what was attended to."""

    def __init__(self, config: SequenceConfig, spec: DataSpec) -> None:
        super().__init__(spec.positive_rate)
        self.heads, self.size = config.heads, config.width // config.heads
        self.norm, self.candidate_norm = nn.LayerNorm(config.width), nn.LayerNorm(config.width)
        self.query = nn.Linear(config.width, config.width, bias=False)
        self.key = nn.Linear(config.width, config.width, bias=False)
        self.value = nn.Linear(config.width, config.width, bias=False)
        self.hidden, self.dropout = nn.Linear(3 * config.width, config.head_hidden), nn.Dropout(config.dropout)
        self.out = self.output(config.head_hidden)

    def forward(self, states: Tensor, tokens: Tokens, plan: AttentionPlan) -> Tensor:
        assert tokens.candidate is not None, "the layout embeds candidates for this head"
        states, candidate = self.norm(states), self.candidate_norm(tokens.candidate)
        query = torch.zeros_like(states).index_copy(0, tokens.readout, self.query(candidate).to(states.dtype))
        attended = hstu_attention(
            query.unflatten(1, (self.heads, self.size)),
            self.key(states).unflatten(1, (self.heads, self.size)),
            self.value(states).unflatten(1, (self.heads, self.size)),
            plan,
            alpha=self.size**-0.5,
            activation="softmax",
        ).flatten(1)
        x = torch.cat([states.index_select(0, tokens.readout), candidate, attended.index_select(0, tokens.readout)], dim=1)
        return self.out(self.dropout(F.silu(self.hidden(x)))).squeeze(1)


def make_head(config: SequenceConfig, spec: DataSpec) -> Head:
    """The head that a config names."""
    if config.head in ("mlp", "hadamard-mlp", "concat-mlp"):
        return MLPHead(config, spec)
    if config.head == "ffn":
        return FeedForwardHead(config, spec)
    return TargetAttentionHead(config, spec) if config.head == "target-attention" else DotHead(config, spec)
