"""What lies between the products of Transformers' blocks: GELU, the gate of SwiGLU, RMS norms.

torch takes several passes over memory for the last two, and the error function takes it longer than the product in front.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from . import native
from .dispatch import Implementation, choose, register


def gelu(x: Tensor) -> Tensor:
    """x times the probability that a standard normal variable is smaller (Hendrycks & Gimpel 2016); any shape."""
    return choose("gelu", x.device, x.dtype).run(x)


def silu_gate(z: Tensor) -> Tensor:
    """SiLU of the first half of z [..., 2 h] times the second half -> [..., h]."""
    return choose("silu_gate", z.device, z.dtype).run(z)


def rms_norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """x [..., D] / sqrt(mean of its squares + eps) * weight [D] (Zhang & Sennrich 2019)."""
    return choose("rms_norm", x.device, x.dtype).run(x, weight, eps)


def _gate_in_parts(z: Tensor) -> Tensor:
    gate, up = z.chunk(2, dim=-1)
    return F.silu(gate) * up


def _declare(library: ctypes.CDLL) -> None:
    number, address = ctypes.c_int64, ctypes.c_void_p
    library.gelu_forward.argtypes = [number, *[address] * 2, number]
    library.gelu_backward.argtypes = [number, *[address] * 3, number]
    library.silu_gate_forward.argtypes = [number, number, *[address] * 2, number]
    library.silu_gate_backward.argtypes = [number, number, *[address] * 3, number]
    library.rms_norm_forward.argtypes = [number, number, ctypes.c_float, *[address] * 4, number]
    library.rms_norm_backward.argtypes = [number, number, *[address] * 6, number]
    for name in ("gelu", "silu_gate", "rms_norm"):
        getattr(library, f"{name}_forward").restype = getattr(library, f"{name}_backward").restype = None


_HERE = Path(__file__).parent

LIBRARY = native.Library(*(_HERE / name for name in ("elementwise.cpp", "row_parts.h", "simd.h")), declare=_declare)


def _addresses(*tensors: Tensor) -> list[int]:
    """Of tensors that the caller holds until their numbers were read."""
    return [one.data_ptr() for one in tensors]


class _Gelu(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        x = x.contiguous()
        y = torch.empty_like(x)
        LIBRARY().gelu_forward(x.numel(), *_addresses(x, y), torch.get_num_threads())
        ctx.save_for_backward(x)
        return y

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        (x,), grad = ctx.saved_tensors, grads[0].contiguous()
        d_x = torch.empty_like(x)
        LIBRARY().gelu_backward(x.numel(), *_addresses(x, grad, d_x), torch.get_num_threads())
        return d_x


class _SiluGate(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, z: Tensor) -> Tensor:
        if z.shape[-1] % 2:
            raise ValueError(f"rows of {z.shape[-1]} numbers have no two halves")
        z = z.contiguous()
        width = z.shape[-1] // 2
        y = z.new_empty(*z.shape[:-1], width)
        ctx.sizes = (z.numel() // max(2 * width, 1), width)
        LIBRARY().silu_gate_forward(*ctx.sizes, *_addresses(z, y), torch.get_num_threads())
        ctx.save_for_backward(z)
        return y

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        (z,), grad = ctx.saved_tensors, grads[0].contiguous()
        d_z = torch.empty_like(z)
        LIBRARY().silu_gate_backward(*ctx.sizes, *_addresses(z, grad, d_z), torch.get_num_threads())
        return d_z


class _RMSNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, eps: float) -> Tensor:
        if weight.shape != x.shape[-1:]:
            raise ValueError(f"rows of {x.shape[-1]} numbers for {len(weight)} weights")
        x, weight = x.contiguous(), weight.contiguous()
        y, scale = torch.empty_like(x), x.new_empty(x.shape[:-1])
        LIBRARY().rms_norm_forward(scale.numel(), len(weight), eps, *_addresses(x, weight, y, scale), torch.get_num_threads())
        ctx.save_for_backward(x, weight, scale)
        return y

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (x, weight, scale), grad = ctx.saved_tensors, grads[0].contiguous()
        d_x, d_weight = torch.empty_like(x), torch.empty_like(weight)
        pointers = _addresses(grad, x, weight, scale, d_x, d_weight)
        LIBRARY().rms_norm_backward(scale.numel(), len(weight), *pointers, torch.get_num_threads())
        return d_x, d_weight, None


def in_order(operation: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """The operation on rows in the order in which they lie: a batched product over tokens leaves the first two dimensions
    exchanged, and the next one takes them so."""
    if x.dim() > 2 and not x.is_contiguous() and x.transpose(0, 1).is_contiguous():
        return operation(x.transpose(0, 1)).transpose(0, 1)
    return operation(x)


def _compiled_gelu(x: Tensor) -> Tensor:
    return in_order(_Gelu.apply, x)  # type: ignore[arg-type]


def _compiled_gate(z: Tensor) -> Tensor:
    return in_order(_SiluGate.apply, z)  # type: ignore[arg-type]


def _compiled_norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    return in_order(lambda rows: _RMSNorm.apply(rows, weight, eps), x)  # type: ignore[no-any-return]


_CPU = {"device": "cpu", "dtypes": (torch.float32,), "probe": LIBRARY.why_unavailable}

register(
    "gelu",
    Implementation("cpu", _compiled_gelu, what="one exponential and one division a number, in one pass", **_CPU),
    Implementation("torch", F.gelu, what="torch's own"),
    users="hyformer, longer, onetrans, rankmixer",
)
register(
    "silu_gate",
    Implementation(
        "cpu", _compiled_gate, what="SiLU and product in one pass, and the gradients of both halves in another", **_CPU
    ),
    Implementation("torch", _gate_in_parts, what="one part after the other"),
    users="fuxi, fuxi-beta, fuxi-linear, hyformer, llama, rankmixer",
)
register(
    "rms_norm",
    Implementation("cpu", _compiled_norm, what="a row's norm and product in one go, and its gradients in another", **_CPU),
    Implementation("torch", lambda x, weight, eps: F.rms_norm(x, x.shape[-1:], weight, eps), what="torch's own"),
    users="hyformer, interformer, llama, longer, onetrans, rankmixer",
)
