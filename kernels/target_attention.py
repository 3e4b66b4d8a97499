"""Attention of a candidate over its user's past events as DIN does it (Zhou et al. 2018, section 4.3), over jagged rows.

`activation_unit` scores each event with a small network; `weighted_sum` adds the events up. On a CPU both are compiled loops that
keep an example in the caches; elsewhere, and without a compiler, they are made of torch's parts.
"""

from __future__ import annotations

import ctypes
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from . import native
from .dispatch import Implementation, choose, register


class Layers(NamedTuple):
    """Weights of an activation unit with one or two hidden layers of ReLU."""

    event: Tensor
    """[H1, K + Q]: columns for the event k, then for the products q * k[:Q]."""
    hidden: Tensor | None
    """[H2, H1]; None: one hidden layer."""
    hidden_bias: Tensor | None
    """[H2]"""
    out: Tensor
    """[1, H2] or [1, H1]"""
    out_bias: Tensor
    """[1]"""


def activation_unit(query: Tensor, key: Tensor, offsets: Tensor, start: Tensor, layers: Layers) -> Tensor:
    """Weight of each past event, [T]: out . relu(hidden relu(event [k; q * k] + start)).

    Args:
        query: [n, Q]. key: [T, K], whose first Q columns match the query's.
        offsets: int64 [n + 1]: example r has the events offsets[r]:offsets[r + 1].
        start: [n, H1], what the first layer adds for the query alone.
    """
    # Under autocast the first term may be of a smaller dtype than the embeddings.
    return choose("activation_unit", key.device, start.dtype).run(query, key, offsets, start, layers)


def weighted_sum(weight: Tensor, value: Tensor, row: Tensor, rows: int) -> Tensor:
    """Sums of weight [T] * value [T, K] over the tokens of each row, [rows, K]; row int64 [T]."""
    return choose("weighted_sum", value.device, weight.dtype).run(weight, value, row, rows)


def _unit_in_parts(query: Tensor, key: Tensor, offsets: Tensor, start: Tensor, layers: Layers) -> Tensor:
    row = _rows(offsets, len(key))
    product = query.index_select(0, row) * key[:, : query.shape[1]]
    x = F.relu(F.linear(torch.cat([key, product], dim=1), layers.event) + start.index_select(0, row))
    if layers.hidden is not None:
        x = F.relu(F.linear(x, layers.hidden, layers.hidden_bias))
    return F.linear(x, layers.out, layers.out_bias).squeeze(1)


def _sum_in_parts(weight: Tensor, value: Tensor, row: Tensor, rows: int) -> Tensor:
    value = value * weight.unsqueeze(1)
    return value.new_zeros(rows, value.shape[1]).index_add_(0, row, value)


def _rows(offsets: Tensor, tokens: int) -> Tensor:
    examples = torch.arange(len(offsets) - 1, device=offsets.device)
    return torch.repeat_interleave(examples, offsets.diff(), output_size=tokens)


class _Unit(ctypes.Structure):
    """As in target_attention.cpp."""

    _fields_ = [
        *((name, ctypes.c_int64) for name in ("examples",)),
        *((name, ctypes.c_void_p) for name in ("offsets",)),
        *((name, ctypes.c_int64) for name in ("key", "query", "first", "second")),
        *(
            (name, ctypes.c_void_p)
            for name in ("keys", "queries", "start", "event", "interaction", "hidden", "hidden_bias", "out", "out_bias")
        ),
    ]


class _Gradients(ctypes.Structure):
    """As in target_attention.cpp."""

    _fields_ = [
        (name, ctypes.c_void_p)
        for name in ("keys", "queries", "start", "event", "interaction", "hidden", "hidden_bias", "out")
    ]  # fmt: skip


def _declare(library: ctypes.CDLL) -> None:
    number, address, unit = ctypes.c_int64, ctypes.c_void_p, ctypes.POINTER(_Unit)
    library.activation_unit_lanes.restype = number
    library.activation_unit_forward.argtypes = [unit, address, address, address, number]
    library.activation_unit_backward.argtypes = [unit, address, address, address, ctypes.POINTER(_Gradients), number]
    library.weighted_sum_forward.argtypes = [number, number, address, address, address, address]
    library.weighted_sum_backward.argtypes = [number, number, *[address] * 6]
    for name in ("activation_unit_forward", "activation_unit_backward", "weighted_sum_forward", "weighted_sum_backward"):
        getattr(library, name).restype = None


LIBRARY = native.Library(Path(__file__).with_suffix(".cpp"), Path(__file__).with_name("simd.h"), declare=_declare)


def _unit(query: Tensor, key: Tensor, offsets: Tensor, start: Tensor, layers: Layers) -> tuple[_Unit, tuple[Tensor, ...]]:
    """The arguments for C++, and what must live as long as they are used."""
    columns = key.shape[1]
    event, interaction = layers.event[:, :columns].contiguous(), layers.event[:, columns:].contiguous()
    hidden = layers.event.new_zeros(0) if layers.hidden is None else layers.hidden.contiguous()
    bias = hidden if layers.hidden_bias is None else layers.hidden_bias
    kept = (query, key, offsets.contiguous(), start, event, interaction, hidden, bias, layers.out.contiguous(), layers.out_bias)
    unit = _Unit(
        len(query),
        kept[2].data_ptr(),
        columns,
        query.shape[1],
        start.shape[1],
        0 if layers.hidden is None else len(layers.hidden),
        key.data_ptr(),
        query.data_ptr(),
        *(tensor.data_ptr() for tensor in kept[3:]),
    )
    return unit, kept


class _ActivationUnit(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, offsets: Tensor, start: Tensor, *weights: Tensor | None) -> Tensor:
        library, layers = LIBRARY(), Layers(*weights)  # type: ignore[arg-type]
        unit, _ = _unit(query, key, offsets, start, layers)
        lanes = library.activation_unit_lanes()
        first, second = (key.new_empty(len(key), -(-size // lanes) * lanes) for size in (unit.first, unit.second))
        result = key.new_empty(len(key))
        library.activation_unit_forward(unit, result.data_ptr(), first.data_ptr(), second.data_ptr(), torch.get_num_threads())
        ctx.save_for_backward(query, key, offsets, start, *weights, first, second)
        return result

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        library = LIBRARY()
        query, key, offsets, start, *weights, first, second = ctx.saved_tensors
        layers = Layers(*weights)
        unit, kept = _unit(query, key, offsets, start, layers)
        d_key, d_query, d_start = torch.empty_like(key), torch.zeros_like(query), torch.zeros_like(start)
        d_event, d_interaction, d_hidden, d_bias, d_out = (torch.zeros_like(kept[at]) for at in (4, 5, 6, 7, 8))
        gradients = (d_key, d_query, d_start, d_event, d_interaction, d_hidden, d_bias, d_out)
        grad = grads[0].contiguous()
        library.activation_unit_backward(
            unit,
            grad.data_ptr(),
            first.data_ptr(),
            second.data_ptr(),
            _Gradients(*(tensor.data_ptr() for tensor in gradients)),
            torch.get_num_threads(),
        )
        hidden = (None, None) if layers.hidden is None else (d_hidden, d_bias)
        return (d_query, d_key, None, d_start, torch.cat([d_event, d_interaction], dim=1), *hidden, d_out, grad.sum().view(1))


class _WeightedSum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, weight: Tensor, value: Tensor, row: Tensor, rows: int) -> Tensor:
        library = LIBRARY()
        out = value.new_zeros(rows, value.shape[1])
        library.weighted_sum_forward(*value.shape, value.data_ptr(), weight.data_ptr(), row.data_ptr(), out.data_ptr())
        ctx.save_for_backward(weight, value, row)
        return out

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        library = LIBRARY()
        weight, value, row = ctx.saved_tensors
        grad, d_weight, d_value = grads[0].contiguous(), torch.empty_like(weight), torch.empty_like(value)
        library.weighted_sum_backward(*value.shape, *(t.data_ptr() for t in (value, weight, row, grad, d_value, d_weight)))
        return d_weight, d_value, None, None


def _compiled_unit(query: Tensor, key: Tensor, offsets: Tensor, start: Tensor, layers: Layers) -> Tensor:
    query, key, start = (tensor.contiguous() for tensor in (query, key, start))
    return _ActivationUnit.apply(query, key, offsets, start, *layers)  # type: ignore[no-any-return]


def _compiled_sum(weight: Tensor, value: Tensor, row: Tensor, rows: int) -> Tensor:
    return _WeightedSum.apply(weight.contiguous(), value.contiguous(), row, rows)  # type: ignore[no-any-return]


_CPU = {"device": "cpu", "dtypes": (torch.float32,), "probe": LIBRARY.why_unavailable}

register("activation_unit", Implementation("cpu", _compiled_unit, **_CPU), Implementation("torch", _unit_in_parts))
register("weighted_sum", Implementation("cpu", _compiled_sum, **_CPU), Implementation("torch", _sum_in_parts))
