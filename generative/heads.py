"""Scoring heads: from the state at a candidate's token to a logit."""

from __future__ import annotations

import math

from torch import Tensor, nn


class MLPHead(nn.Module):
    """LayerNorm, one hidden layer, one logit. The output bias starts at the base rate of the training labels."""

    def __init__(self, width: int, hidden: int, dropout: float, positive_rate: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.hidden = nn.Linear(width, hidden)
        self.dropout = nn.Dropout(dropout)
        self.out = nn.Linear(hidden, 1)
        nn.init.constant_(self.out.bias, math.log(positive_rate / (1 - positive_rate)))

    def forward(self, state: Tensor) -> Tensor:
        """state [n, width] -> logits [n]"""
        return self.out(self.dropout(nn.functional.silu(self.hidden(self.norm(state))))).squeeze(1)
