"""Scoring heads: from the states of a backbone to one logit an example, or one for each label.

`mlp` and `ffn` read the state at the example's token. The others also read the candidate's own embedding, which is what a
late layout needs, because its state does not know the candidate.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..bench.contract import DataSpec
from ..kernels.dropout import Dropout
from ..kernels.hstu_attention import hstu_attention
from ..kernels.layers.mixture import MultiGateMixture
from ..kernels.linear import Linear
from ._tower import SwishLayerNorm
from .attention import Geometry
from .config import SequenceConfig
from .tokens import Tokens


class Head(nn.Module):
    """States [T, width] after the last layer -> logits [n], or [n, 1 + K] with K further labels.

    Output biases start at the base rates of the training labels.
    """

    def __init__(self, spec: DataSpec) -> None:
        super().__init__()
        self.base_rate_logits = torch.tensor([math.log(rate / (1 - rate)) for rate in spec.rates])

    def forward(self, states: Tensor, tokens: Tokens, geometry: Geometry) -> Tensor:
        state = states.index_select(0, tokens.readout)
        return self.score(state, state if tokens.candidate is None else tokens.candidate)

    def score(self, state: Tensor, candidate: Tensor) -> Tensor:
        """[n, width] twice -> [n] or [n, 1 + K]"""
        raise TypeError(f"{type(self).__name__} must define score(state, candidate) -> logits")

    def output(self, width: int) -> Linear:
        """The last layer."""
        out = Linear(width, len(self.base_rate_logits))
        with torch.no_grad():
            out.bias.copy_(self.base_rate_logits)
        return out


class MLPHead(Head):
    """LayerNorm, one hidden layer, one logit: over the state, its product with the candidate, or both side by side."""

    def __init__(self, config: SequenceConfig, spec: DataSpec) -> None:
        super().__init__(spec)
        self.kind = config.head
        width = config.width * (2 if self.kind == "concat-mlp" else 1)
        self.norm, self.candidate_norm = nn.LayerNorm(width), None
        if self.kind == "hadamard-mlp":
            self.candidate_norm = nn.LayerNorm(width)
        self.hidden, self.dropout = Linear(width, config.head_hidden), Dropout(config.dropout)
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
        super().__init__(spec)
        self.norm, self.dropout = nn.LayerNorm(config.width), Dropout(config.dropout)
        self.up, self.down = Linear(config.width, 4 * config.width), Linear(4 * config.width, config.width)
        self.out = self.output(config.width)

    def score(self, state: Tensor, candidate: Tensor) -> Tensor:
        return self.out(state + self.down(self.dropout(F.silu(self.up(self.norm(state)))))).squeeze(1)


class DotHead(Head):
    """Inner product of normalised state and candidate over sqrt(width), plus a bias; `bilinear` puts a matrix between them.
    One product has one meaning: of several labels it predicts the main one alone."""

    def __init__(self, config: SequenceConfig, spec: DataSpec) -> None:
        super().__init__(spec)
        self.norm, self.candidate_norm = nn.LayerNorm(config.width), nn.LayerNorm(config.width)
        self.matrix = Linear(config.width, config.width, bias=False) if config.head == "bilinear" else None
        self.bias = nn.Parameter(self.base_rate_logits[0].clone())

    def score(self, state: Tensor, candidate: Tensor) -> Tensor:
        state = self.norm(state)
        if self.matrix is not None:
            state = self.matrix(state)
        return (state * self.candidate_norm(candidate)).sum(1) / state.shape[1] ** 0.5 + self.bias


class TargetAttentionHead(Head):
    """The candidate attends to the states that its token sees (softmax, as DIN-style target attention over HSTU's states), then
    an MLP over state, candidate and what was attended to."""

    def __init__(self, config: SequenceConfig, spec: DataSpec) -> None:
        super().__init__(spec)
        self.heads, self.size = config.heads, config.width // config.heads
        self.norm, self.candidate_norm = nn.LayerNorm(config.width), nn.LayerNorm(config.width)
        self.query = Linear(config.width, config.width, bias=False)
        self.key = Linear(config.width, config.width, bias=False)
        self.value = Linear(config.width, config.width, bias=False)
        self.hidden, self.dropout = Linear(3 * config.width, config.head_hidden), Dropout(config.dropout)
        self.out = self.output(config.head_hidden)

    def forward(self, states: Tensor, tokens: Tokens, geometry: Geometry) -> Tensor:
        assert tokens.candidate is not None, "the layout embeds candidates for this head"
        states, candidate = self.norm(states), self.candidate_norm(tokens.candidate)
        query = torch.zeros_like(states).index_copy(0, tokens.readout, self.query(candidate).to(states.dtype))
        query, key, value = (x.unflatten(1, (self.heads, self.size)) for x in (query, self.key(states), self.value(states)))
        if geometry.cache is not None:
            key, value = geometry.cache.with_past(key, value)
        attended = hstu_attention(
            query,
            key,
            value,
            geometry.plan,
            alpha=self.size**-0.5,
            activation="softmax",
        ).flatten(1)
        x = torch.cat([states.index_select(0, tokens.readout), candidate, attended.index_select(0, tokens.readout)], dim=1)
        return self.out(self.dropout(F.silu(self.hidden(x)))).squeeze(1)


class TowersHead(Head):
    """The released ranking code of HSTU: the normed state times the item's own tower, then a hidden layer with SwishLayerNorm."""

    def __init__(self, config: SequenceConfig, spec: DataSpec) -> None:
        super().__init__(spec)
        self.norm, self.hidden = nn.LayerNorm(config.width), Linear(config.width, config.head_hidden)
        self.gate, self.out = SwishLayerNorm(config.head_hidden), self.output(config.head_hidden)
        for layer in (self.hidden, self.out):
            nn.init.xavier_uniform_(layer.weight)
        nn.init.zeros_(self.hidden.bias)

    def score(self, state: Tensor, candidate: Tensor) -> Tensor:
        return self.out(self.gate(self.hidden(self.norm(state) * candidate))).squeeze(1)


class MMoEHead(Head):
    """Multi-gate mixture of experts: each label weighs shared experts by a gate of its own, then a tower of its own."""

    def __init__(self, config: SequenceConfig, spec: DataSpec) -> None:
        super().__init__(spec)
        self.norm = nn.LayerNorm(config.width)
        self.mixture = MultiGateMixture(config.width, config.experts, config.head_hidden, spec.rates, config.dropout)

    def score(self, state: Tensor, candidate: Tensor) -> Tensor:
        return self.mixture(self.norm(state)).squeeze(1)


def make_head(config: SequenceConfig, spec: DataSpec) -> Head:
    """The head that a config names."""
    if config.head in ("mlp", "hadamard-mlp", "concat-mlp"):
        return MLPHead(config, spec)
    if config.head == "towers":
        return TowersHead(config, spec)
    if config.head == "mmoe":
        return MMoEHead(config, spec)
    if config.head == "ffn":
        return FeedForwardHead(config, spec)
    return TargetAttentionHead(config, spec) if config.head == "target-attention" else DotHead(config, spec)
