"""Sizes of tiles, by what a program keeps in registers: the widest that the compiler fits there (`tests/support/compile_triton.py`)."""

from __future__ import annotations

import functools
from typing import Literal, NamedTuple

import torch

Program = Literal["forward", "backward_queries", "backward_keys"]

PROGRAMS: tuple[Program, ...] = ("forward", "backward_queries", "backward_keys")


class Tile(NamedTuple):
    """Queries by keys, and the warps that share them."""

    queries: int
    keys: int
    warps: int


@functools.cache
def capability(device: torch.device) -> int:
    """80 for an A100, 90 for an H100; 80 where programs are interpreted."""
    return 10 * torch.cuda.get_device_capability(device)[0] if device.type == "cuda" else 80


def tile(program: Program, size: int, dtype: torch.dtype, card: int) -> Tile:
    """For heads of `size` numbers (the wider of keys and values) on a card of a capability."""
    return Tile(64, 64, 4)
