"""Rotary position embedding (Su et al. 2021, arXiv:2104.09864)."""

import torch
from torch import Tensor


def rotation(position: Tensor, size: int, base: float = 10_000.0) -> Tensor:
    """cos and sin [2, T, 1, size / 2] of positions [T]."""
    frequency = base ** (-torch.arange(size // 2, device=position.device, dtype=torch.float32) / (size // 2))
    angle = position.float().unsqueeze(1) * frequency
    return torch.stack([angle.cos(), angle.sin()]).unsqueeze(2)


def rotate(x: Tensor, turn: Tensor) -> Tensor:
    """x [T, H, d] turned by `rotation`, in pairs (i, i + d/2)."""
    cos, sin = turn.to(x.dtype)
    first, second = x.chunk(2, dim=2)
    return torch.cat([first * cos - second * sin, first * sin + second * cos], dim=2)
