"""What the user did at a past event, as numbers."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..bench.contract import DataSpec

BIT_SIZE = 8
"""Numbers of each thing that a user can do, as in HSTU's released ranking code."""


class ActionBits(nn.Module):
    """A vector for each bit of an action, side by side, zero where the bit is not set; the label is one more bit.

    So a combination that is rare is made of bits that are not. One that training never had is no combination at all to the
    vocabulary: of its bits the label alone is known.
    """

    bits: Tensor

    def __init__(self, spec: DataSpec) -> None:
        super().__init__()
        count = 1 + max((bit for row in spec.action_bits for bit in row), default=-1)
        bits = torch.zeros(spec.action.size, count)
        for action, row in enumerate(spec.action_bits):
            bits[action, list(row)] = 1
        self.register_buffer("bits", bits, persistent=False)
        self.vectors = nn.Parameter(torch.randn(count + 1, BIT_SIZE) * 0.1)
        self.size = (count + 1) * BIT_SIZE

    def forward(self, action: Tensor, label: Tensor) -> Tensor:
        """action int64 [n], label float [n], 0 or 1 -> [n, size]"""
        on = torch.cat([self.bits[action], label.unsqueeze(1)], dim=1)
        return (on.unsqueeze(2) * self.vectors).flatten(1)
