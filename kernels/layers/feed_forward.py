"""SwiGLU (Shazeer 2020, arXiv:2002.05202)."""

from __future__ import annotations

from torch import Tensor, nn

from ..elementwise import silu_gate
from ..linear import Linear


class SwiGLU(nn.Module):
    """W_2 (SiLU(W_1 x) * W_3 x), without biases."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.gate_up, self.down = Linear(width, 2 * hidden, bias=False), Linear(hidden, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """[..., width] -> [..., width]"""
        return self.down(silu_gate(self.gate_up(x)))
