"""Multi-gate mixture of experts (Ma et al. 2018, MMoE, equations 6 and 7), one batched product for all experts."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..dropout import Dropout
from ..linear import Linear


class MultiGateMixture(nn.Module):
    """x [n, width] -> logits [n, labels]: y_l = tower_l(sum_e softmax(W_l x)_e expert_e(x)).

    An expert is one hidden layer with ReLU; a tower one hidden layer of half an expert's width, then a logit that starts at the
    label's base rate.
    """

    def __init__(self, width: int, experts: int, hidden: int, rates: Sequence[float], dropout: float) -> None:
        super().__init__()
        self.experts, self.labels = experts, len(rates)
        self.expert = Linear(width, experts * hidden)
        self.gate = Linear(width, len(rates) * experts)
        self.dropout = Dropout(dropout)
        tower = max(hidden // 2, 1)
        self.towers = nn.ModuleList(nn.Sequential(Linear(hidden, tower), nn.ReLU(), Linear(tower, 1)) for _ in rates)
        for module, rate in zip(self.towers, rates, strict=True):
            assert isinstance(module, nn.Sequential)
            last = module[-1]
            assert isinstance(last, nn.Linear)
            nn.init.constant_(last.bias, math.log(rate / (1 - rate)))

    def forward(self, x: Tensor) -> Tensor:
        expert = self.dropout(F.relu(self.expert(x))).unflatten(1, (self.experts, -1))
        gate = self.gate(x).unflatten(1, (self.labels, self.experts)).softmax(2)
        mixed = torch.bmm(gate.to(expert.dtype), expert)
        return torch.cat([tower(mixed[:, at]) for at, tower in enumerate(self.towers)], dim=1)
