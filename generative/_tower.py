"""The small network of HSTU's released ranking code, which makes tokens, items and logits there."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..kernels.linear import Linear


class SwishLayerNorm(nn.Module):
    """x * sigmoid(LN(x)): a gate that the spread of x does not open or close."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        """[n, width] -> [n, width]"""
        return x * torch.sigmoid(self.norm(x))


class Tower(nn.Module):
    """LN(W_2 SwishLayerNorm(W_1 x)); matrices start as Xavier's, biases at zero."""

    def __init__(self, inputs: int, hidden: int, outputs: int) -> None:
        super().__init__()
        self.up, self.gate, self.down = Linear(inputs, hidden), SwishLayerNorm(hidden), Linear(hidden, outputs)
        self.norm = nn.LayerNorm(outputs)
        for layer in (self.up, self.down):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor) -> Tensor:
        """[n, inputs] -> [n, outputs]"""
        return self.norm(self.down(self.gate(self.up(x))))
