"""Dropout (Srivastava et al. 2014) with a mask that is computed again in the backward pass instead of being stored.

torch draws the mask of a CPU tensor one entry at a time from a sequential generator, which costs more than the matrix products
around it. Here 16 bits of a counter-based generator decide about entry i of a tensor, in the order in which its numbers lie; the
seed comes from torch's generator, so that `torch.manual_seed` and checkpoints decide the masks as ever.
"""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from . import native
from .dispatch import Implementation, choose, register
from .elementwise import in_order

_STEPS = 1 << 16
"""The rate is rounded to a multiple of 1 / _STEPS; the scale is exact for the rounded rate."""


class Dropout(nn.Module):
    """Zeroes entries at `rate` in training and scales the others by 1 / (1 - rate)."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        if not 0 <= rate < 1:
            raise ValueError(f"a dropout rate lies in [0, 1), not {rate}")
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        """Any shape."""
        return dropout(x, self.rate) if self.training and self.rate > 0 else x

    def extra_repr(self) -> str:
        return f"{self.rate}"


def dropout(x: Tensor, rate: float) -> Tensor:
    """x with entries zeroed at `rate`, in (0, 1), the others divided by 1 - rate."""
    return choose("dropout", x.device, x.dtype).run(x, rate)


def _declare(library: ctypes.CDLL) -> None:
    number, address = ctypes.c_int64, ctypes.c_void_p
    library.dropout.argtypes = [number, address, address, ctypes.c_uint64, number, ctypes.c_float, number]
    library.dropout.restype = None


LIBRARY = native.Library(Path(__file__).with_suffix(".cpp"), Path(__file__).with_name("random_bits.h"), declare=_declare)


class Draw(NamedTuple):
    """What decides about every entry of a tensor."""

    seed: int
    threshold: int
    """An entry is dropped if its 16 bits are below it."""
    scale: float
    """Of what is kept."""


def draw(rate: float) -> Draw:
    """Moves torch's generator on. A rate that rounds to all or nothing is neither."""
    threshold = min(max(round(rate * _STEPS), 1), _STEPS - 1)
    return Draw(int(torch.randint(2**63 - 1, ())), threshold, _STEPS / (_STEPS - threshold))


def _masked(x: Tensor, drawn: Draw) -> Tensor:
    x = x.contiguous()
    y = torch.empty_like(x)
    LIBRARY().dropout(x.numel(), x.data_ptr(), y.data_ptr(), *drawn, torch.get_num_threads())
    return y


class _Dropout(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, drawn: Draw) -> Tensor:
        ctx.drawn = drawn
        return _masked(x, drawn)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        return _masked(grads[0], ctx.drawn), None


def _counter_based(x: Tensor, rate: float) -> Tensor:
    drawn = draw(rate)
    return in_order(lambda entries: _Dropout.apply(entries, drawn), x)  # type: ignore[arg-type, return-value]


register(
    "dropout",
    Implementation(
        "cpu", _counter_based, device="cpu", dtypes=(torch.float32,), probe=LIBRARY.why_unavailable,
        what="a mask from a counter-based generator, computed again in the backward pass",
    ),
    Implementation("torch", lambda x, rate: F.dropout(x, rate), what="torch's own"),
    users="every network",
)  # fmt: skip
