"""A gated recurrence over jagged rows: the GRU (Cho et al. 2014), and DIEN's whose update gate is scaled by attention.

    r, u = sigmoid(x_r + W_r h + b_r), sigmoid(x_u + W_u h + b_u)
    n    = tanh(x_n + r (W_n h + b_n))
    h   <- h + a u (n - h)                                   Zhou et al. 2019, DIEN, equations 5 to 7; a = 1: a GRU

torch's GRU has 1 - u for u, which is the same with W_u, b_u and x_u negated. Rows are packed by steps: all first tokens, then all
second ones, rows with more tokens first. On a CPU a compiled loop takes blocks of rows through all steps.
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


def recurrence(x: Tensor, sizes: Tensor, weight: Tensor, bias: Tensor, attention: Tensor | None = None) -> Tensor:
    """States after each token [T, width].

    Args:
        x: [T, 3 width], what the input adds to the gates, in the order r, u, n.
        sizes: int64 [steps] on the CPU, rows that have such a token, falling.
        weight: [3 width, width]. bias: [3 width].
        attention: [T]; None: 1.
    """
    return choose("recurrence", x.device, x.dtype).run(x, sizes, weight, bias, attention)


def _in_parts(x: Tensor, sizes: Tensor, weight: Tensor, bias: Tensor, attention: Tensor | None) -> Tensor:
    width, counts = weight.shape[1], sizes.tolist()
    state, states = x.new_zeros(counts[0] if counts else 0, width), []
    shares = [None] * len(counts) if attention is None else attention.unsqueeze(1).split(counts)
    for gate, share in zip(x.split(counts), shares, strict=True):
        state = state[: len(gate)]
        old = F.linear(state, weight, bias)
        reset, update = (gate[:, :-width] + old[:, :-width]).sigmoid().chunk(2, dim=1)
        fresh = torch.addcmul(gate[:, -width:], reset, old[:, -width:]).tanh()
        state = torch.lerp(state, fresh, update if share is None else update * share)
        states.append(state)
    return torch.cat(states) if states else x.new_zeros(0, width)


class _Problem(ctypes.Structure):
    """As in recurrence.cpp."""

    _fields_ = [
        ("steps", ctypes.c_int64),
        ("width", ctypes.c_int64),
        *((name, ctypes.c_void_p) for name in ("begin", "x", "weight", "bias", "attention", "state", "saved")),
    ]


class _Gradients(ctypes.Structure):
    """As in recurrence.cpp."""

    _fields_ = [(name, ctypes.c_void_p) for name in ("state", "x", "attention", "weight", "bias")]


def _declare(library: ctypes.CDLL) -> None:
    problem, number = ctypes.POINTER(_Problem), ctypes.c_int64
    library.recurrence_forward.argtypes = [problem, number]
    library.recurrence_backward.argtypes = [problem, ctypes.POINTER(_Gradients), number]
    library.recurrence_forward.restype = library.recurrence_backward.restype = None


LIBRARY = native.Library(Path(__file__).with_suffix(".cpp"), Path(__file__).with_name("simd.h"), declare=_declare)


def _problem(begin: Tensor, weight: Tensor, *tensors: Tensor | None) -> _Problem:
    """x, bias, attention, state and saved, besides the geometry and the weight."""
    x, bias, attention, state, saved = (None if tensor is None else tensor.data_ptr() for tensor in tensors)
    return _Problem(len(begin) - 1, weight.shape[1], begin.data_ptr(), x, weight.data_ptr(), bias, attention, state, saved)


class _Recurrence(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, sizes: Tensor, weight: Tensor, bias: Tensor, attention: Tensor | None) -> Tensor:
        library = LIBRARY()
        begin = F.pad(sizes.cumsum(0), (1, 0))
        x, weight, bias = x.contiguous(), weight.contiguous(), bias.contiguous()
        attention = None if attention is None else attention.contiguous()
        width = weight.shape[1]
        state = x.new_empty(len(x), width)
        # As wide as whole vectors of any processor.
        saved = x.new_empty(len(x), 4, -(-width // 16) * 16)
        library.recurrence_forward(_problem(begin, weight, x, bias, attention, state, saved), torch.get_num_threads())
        ctx.save_for_backward(begin, x, weight, bias, attention, state, saved)
        return state

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        library = LIBRARY()
        begin, x, weight, bias, attention, state, saved = ctx.saved_tensors
        grad, d_x = grads[0].contiguous(), torch.empty_like(x)
        d_attention = None if attention is None else torch.empty_like(attention)
        d_weight, d_bias = torch.zeros_like(weight), torch.zeros_like(bias)
        pointers = (None if one is None else one.data_ptr() for one in (grad, d_x, d_attention, d_weight, d_bias))
        problem = _problem(begin, weight, x, bias, attention, state, saved)
        library.recurrence_backward(problem, _Gradients(*pointers), torch.get_num_threads())
        return d_x, None, d_weight, d_bias, d_attention


def _compiled(x: Tensor, sizes: Tensor, weight: Tensor, bias: Tensor, attention: Tensor | None) -> Tensor:
    return _Recurrence.apply(x, sizes, weight, bias, attention)  # type: ignore[no-any-return]


register(
    "recurrence",
    Implementation(
        "cpu", _compiled, device="cpu", dtypes=(torch.float32,), probe=LIBRARY.why_unavailable,
        what="the GRU and DIEN's gated by attention, a block of rows through all steps in the caches",
    ),
    Implementation("torch", _in_parts, what="step by step"),
    users="dien",
)  # fmt: skip
