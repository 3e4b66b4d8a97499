"""RMS norm (Zhang & Sennrich 2019, arXiv:1910.07467)."""

from __future__ import annotations

from torch import Tensor, nn

from ..elementwise import rms_norm


class RMSNorm(nn.RMSNorm):
    """torch's layer over the last dimension, with this project's norm."""

    def __init__(self, width: int, eps: float = 1e-6) -> None:
        super().__init__(width, eps=eps)
        self.epsilon = eps

    def forward(self, x: Tensor) -> Tensor:
        """[..., width] -> the same"""
        return rms_norm(x, self.weight, self.epsilon)
