"""Layers in which every token has weights of its own, one batched product for all tokens, and the mixing of RankMixer."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..kernels.dropout import Dropout
from ..kernels.elementwise import gelu


class PerTokenLinear(nn.Module):
    """y_t = W_t x_t + b_t: x [n, tokens, inputs] -> [n, tokens, outputs]; started as torch starts a linear layer."""

    def __init__(self, tokens: int, inputs: int, outputs: int, bias: bool = True, std: float | None = None) -> None:
        """
        Args:
            std: of a normal start of the matrices; biases then start at zero.
        """
        super().__init__()
        self.tokens = tokens
        self.weight = nn.Parameter(torch.empty(tokens, inputs, outputs))
        # Without a dimension for tokens, so that it decays as little as any other bias.
        self.bias = nn.Parameter(torch.zeros(tokens * outputs)) if bias else None
        if std is not None:
            nn.init.normal_(self.weight, std=std)
            return
        nn.init.uniform_(self.weight, -(inputs**-0.5), inputs**-0.5)
        if self.bias is not None:
            nn.init.uniform_(self.bias, -(inputs**-0.5), inputs**-0.5)

    def forward(self, x: Tensor) -> Tensor:
        x = x.transpose(0, 1)
        if self.bias is None:
            return torch.bmm(x, self.weight).transpose(0, 1)
        return torch.baddbmm(self.bias.view(self.tokens, 1, -1), x, self.weight).transpose(0, 1)


class PerTokenFeedForward(nn.Module):
    """W_t2 GELU(W_t1 x_t + b_t1) + b_t2 (RankMixer, section 3.3; OneTrans, section 3.3.2): [n, tokens, width] -> the same."""

    def __init__(self, tokens: int, width: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.up, self.down = PerTokenLinear(tokens, width, hidden), PerTokenLinear(tokens, hidden, width)
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        return self.down(self.dropout(gelu(self.up(x))))


def mix(x: Tensor) -> Tensor:
    """Each of T tokens is cut into T heads; new token h is head h of all tokens (RankMixer, section 3.2): [n, T, D] -> [n, T, D].

    It is its own inverse.
    """
    return x.unflatten(2, (x.shape[1], -1)).transpose(1, 2).flatten(2)
