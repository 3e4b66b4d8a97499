"""Linear maps of many short rows, y = x W^T + b: most of the arithmetic of every ranker.

The library behind torch's own product on a CPU reaches half of what an AMD processor with AVX-512 can do, and less for the
narrow matrices of rankers; a compiled loop over packed panels does not.
"""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from . import native
from .dispatch import Implementation, choose, register


class Linear(nn.Linear):
    """torch's layer, with this project's product."""

    def forward(self, input: Tensor) -> Tensor:  # the name of the base class
        """[..., inputs] -> [..., outputs]"""
        return linear(input, self.weight, self.bias)


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x W^T + b: x [..., inputs], weight [outputs, inputs], bias [outputs] -> [..., outputs]."""
    if x.device.type == "cpu" and torch.is_autocast_enabled("cpu"):
        return F.linear(x, weight, bias)
    return choose("linear", x.device, x.dtype).run(x, weight, bias)


def _declare(library: ctypes.CDLL) -> None:
    number, address = ctypes.c_int64, ctypes.c_void_p
    library.linear_forward.argtypes = [number] * 3 + [address] * 4 + [number]
    library.linear_backward_input.argtypes = [number] * 3 + [address] * 3 + [number]
    library.linear_backward_weight.argtypes = [number] * 3 + [address] * 4 + [number]
    for name in ("forward", "backward_input", "backward_weight"):
        getattr(library, f"linear_{name}").restype = None


_HERE = Path(__file__).parent

LIBRARY = native.Library(*(_HERE / name for name in ("linear.cpp", "panels.h", "simd.h")), declare=_declare)


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        library = LIBRARY()
        outputs, inputs = weight.shape
        if x.shape[-1] != inputs:
            raise ValueError(f"rows of {x.shape[-1]} numbers for a matrix of {inputs} inputs")
        x, weight = x.contiguous(), weight.contiguous()
        y = x.new_empty(*x.shape[:-1], outputs)
        ctx.save_for_backward(x, weight)
        ctx.sizes = (x.numel() // max(inputs, 1), inputs, outputs)
        address = None if bias is None else bias.contiguous().data_ptr()
        library.linear_forward(*ctx.sizes, x.data_ptr(), weight.data_ptr(), address, y.data_ptr(), torch.get_num_threads())
        return y

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        library, threads = LIBRARY(), torch.get_num_threads()
        grad, (x, weight) = grads[0].contiguous(), ctx.saved_tensors
        of_x, of_weight, of_bias = ctx.needs_input_grad
        d_x = d_weight = d_bias = None
        if of_x:
            d_x = torch.empty_like(x)
            library.linear_backward_input(*ctx.sizes, grad.data_ptr(), weight.data_ptr(), d_x.data_ptr(), threads)
        if of_weight or of_bias:
            d_weight = torch.empty_like(weight)
            d_bias = weight.new_empty(len(weight)) if of_bias else None
            address = None if d_bias is None else d_bias.data_ptr()
            library.linear_backward_weight(*ctx.sizes, x.data_ptr(), grad.data_ptr(), d_weight.data_ptr(), address, threads)
        return d_x, d_weight if of_weight else None, d_bias


_FEW = 8
"""Outputs below which the loop would fill most of a vector with zeros, and a product of matrix and vector is as fast."""


def _compiled(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    if len(weight) < _FEW:
        return F.linear(x, weight, bias)
    return _Linear.apply(x, weight, bias)  # type: ignore[no-any-return]


register(
    "linear",
    Implementation(
        "cpu", _compiled, device="cpu", dtypes=(torch.float32,), probe=LIBRARY.why_unavailable,
        what="x W^T + b over packed panels, and its gradients; below 8 outputs torch's",
    ),
    Implementation("torch", F.linear, what="torch's own"),
    users="every network",
)  # fmt: skip
