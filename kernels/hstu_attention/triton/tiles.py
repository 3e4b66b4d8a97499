"""Sizes of tiles: the widest of those tried that the compiler fits into the registers (`tests/support/compile_triton.py`)."""

from __future__ import annotations

import functools
from typing import Literal, NamedTuple

import torch

Program = Literal["forward", "backward_queries", "backward_keys"]

PROGRAMS: tuple[Program, ...] = ("forward", "backward_queries", "backward_keys")


WIDEST_HEAD = 256
"""Numbers of a head: tiles of wider ones fit no card's shared memory. Those of 128 to 256 spill."""


class Tile(NamedTuple):
    """Queries by keys, and the warps that share them."""

    queries: int
    keys: int
    warps: int


@functools.cache
def capability(device: torch.device) -> int:
    """80 for an A100, 90 for an H100; 80 where programs are interpreted."""
    return 10 * torch.cuda.get_device_capability(device)[0] if device.type == "cuda" else 80


_HALF: dict[Program, Tile] = {
    "forward": Tile(128, 64, 8), "backward_queries": Tile(64, 64, 8), "backward_keys": Tile(64, 64, 8),
}  # fmt: skip
"""bf16 and fp16, heads of 64 numbers at the most."""

_HALF_BEFORE_90: dict[Program, Tile] = {**_HALF, "forward": Tile(128, 32, 8), "backward_keys": Tile(32, 64, 8)}
"""Tensor cores before those of the H100 take both factors from registers."""

_HALF_WIDE: dict[Program, Tile] = {
    "forward": Tile(64, 64, 8), "backward_queries": Tile(64, 32, 8), "backward_keys": Tile(64, 64, 8),
}  # fmt: skip
"""The same for heads of 128."""

_HALF_WIDE_BEFORE_90: dict[Program, Tile] = {
    "forward": Tile(32, 64, 8), "backward_queries": Tile(32, 64, 8), "backward_keys": Tile(32, 64, 8),
}  # fmt: skip

_SINGLE: dict[Program, Tile] = {
    "forward": Tile(32, 32, 8), "backward_queries": Tile(32, 32, 4), "backward_keys": Tile(32, 32, 8),
}  # fmt: skip
"""fp32: each factor as two parts."""

_SINGLE_WIDE: dict[Program, Tile] = {
    "forward": Tile(32, 32, 8), "backward_queries": Tile(32, 16, 8), "backward_keys": Tile(16, 32, 8),
}  # fmt: skip


def tile(program: Program, size: int, dtype: torch.dtype, card: int) -> Tile:
    """For heads of `size` numbers (the wider of keys and values) on a card of a capability."""
    wide = size > 64
    if dtype == torch.float32:
        return (_SINGLE_WIDE if wide else _SINGLE)[program]
    if not wide:
        return _HALF_BEFORE_90[program] if card < 90 else _HALF[program]
    return (_HALF_WIDE if card >= 90 else _HALF_WIDE_BEFORE_90)[program]
