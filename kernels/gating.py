"""The element-wise parts of an HSTU layer: SiLU of a projection that is split, and the gate times the norm of what was attended.

torch makes several passes over memory for each, and puts gradients of a split together by copying them once more.
"""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from . import native
from .dispatch import Implementation, choose, register


def silu_split(z: Tensor, parts: int) -> tuple[Tensor, ...]:
    """SiLU of z [T, parts * D], in `parts` tensors [T, D]."""
    return choose("silu_split", z.device, z.dtype).run(z, parts)


def gated_norm(gate: Tensor, x: Tensor, eps: float) -> Tensor:
    """gate * LN(x), both [T, D]; the norm has no weights of its own."""
    return choose("gated_norm", x.device, x.dtype).run(gate, x, eps)


def _split_in_parts(z: Tensor, parts: int) -> tuple[Tensor, ...]:
    return F.silu(z).chunk(parts, dim=1)


def _norm_in_parts(gate: Tensor, x: Tensor, eps: float) -> Tensor:
    return gate * F.layer_norm(x, x.shape[1:], eps=eps)


def _declare(library: ctypes.CDLL) -> None:
    number, address = ctypes.c_int64, ctypes.c_void_p
    library.silu_split_forward.argtypes = [number] * 3 + [address] * 2 + [number]
    library.silu_split_backward.argtypes = [number] * 3 + [address] * 3 + [number]
    library.gated_norm_forward.argtypes = [number, number, ctypes.c_float, *[address] * 4, number]
    library.gated_norm_backward.argtypes = [number, number, *[address] * 6, number]
    for name in ("silu_split_forward", "silu_split_backward", "gated_norm_forward", "gated_norm_backward"):
        getattr(library, name).restype = None


_HERE = Path(__file__).parent

LIBRARY = native.Library(*(_HERE / name for name in ("gating.cpp", "row_parts.h", "simd.h")), declare=_declare)


class _SiluSplit(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, z: Tensor, parts: int) -> tuple[Tensor, ...]:
        z = z.contiguous()
        rows, width = len(z), z.shape[1] // parts
        out = [z.new_empty(rows, width) for _ in range(parts)]
        LIBRARY().silu_split_forward(rows, width, parts, z.data_ptr(), native.addresses([*out]), torch.get_num_threads())
        ctx.save_for_backward(z)
        ctx.set_materialize_grads(False)
        return tuple(out)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        (z,) = ctx.saved_tensors
        dense = [None if one is None else one.contiguous() for one in grads]
        d_z = torch.empty_like(z)
        sizes = (len(z), z.shape[1] // len(grads), len(grads))
        LIBRARY().silu_split_backward(*sizes, z.data_ptr(), native.addresses(dense), d_z.data_ptr(), torch.get_num_threads())
        return d_z, None


class _GatedNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, gate: Tensor, x: Tensor, eps: float) -> Tensor:
        gate, x = gate.contiguous(), x.contiguous()
        y, moments = torch.empty_like(x), x.new_empty(len(x), 2)
        pointers = (tensor.data_ptr() for tensor in (gate, x, y, moments))
        LIBRARY().gated_norm_forward(*x.shape, eps, *pointers, torch.get_num_threads())
        ctx.save_for_backward(gate, x, moments)
        return y

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        gate, x, moments = ctx.saved_tensors
        grad, d_gate, d_x = grads[0].contiguous(), torch.empty_like(gate), torch.empty_like(x)
        pointers = (tensor.data_ptr() for tensor in (grad, gate, x, moments, d_gate, d_x))
        LIBRARY().gated_norm_backward(*x.shape, *pointers, torch.get_num_threads())
        return d_gate, d_x, None


def _compiled_split(z: Tensor, parts: int) -> tuple[Tensor, ...]:
    return _SiluSplit.apply(z, parts)  # type: ignore[no-any-return]


def _compiled_norm(gate: Tensor, x: Tensor, eps: float) -> Tensor:
    return _GatedNorm.apply(gate, x, eps)  # type: ignore[no-any-return]


_CPU = {"device": "cpu", "dtypes": (torch.float32,), "probe": LIBRARY.why_unavailable}

register(
    "silu_split",
    Implementation("cpu", _compiled_split, what="SiLU of u, v, q and k in one pass, and its gradient in another", **_CPU),
    Implementation("torch", _split_in_parts, what="one part after the other"),
    users="hstu, stu, mtgr",
)
register(
    "gated_norm",
    Implementation("cpu", _compiled_norm, what="u * LN(x) in one pass", **_CPU),
    Implementation("torch", _norm_in_parts, what="norm and product one after the other"),
    users="hstu",
)
