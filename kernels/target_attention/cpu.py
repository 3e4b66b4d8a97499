"""Compiled loops for CPUs (loops.cpp) that keep an example in the caches."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from .. import native
from .events import Events, Layers, by_tables

_NUMBER, _ADDRESS = ctypes.c_int64, ctypes.c_void_p


class _Unit(ctypes.Structure):
    """As in loops.cpp."""

    _fields_ = [
        ("examples", _NUMBER),
        ("offsets", _ADDRESS),
        *((name, _NUMBER) for name in ("size", "first", "second")),
        *((name, _ADDRESS) for name in ("keys", "queries", "start", "event", "interaction")),
        *((name, _ADDRESS) for name in ("hidden", "hidden_bias", "out", "out_bias")),
        ("tables", _NUMBER),
        *((name, _ADDRESS) for name in ("added", "ids", "rows")),
    ]


class _Gradients(ctypes.Structure):
    """As in loops.cpp."""

    _fields_ = [
        *((name, _ADDRESS) for name in ("keys", "queries", "start", "event", "interaction")),
        *((name, _ADDRESS) for name in ("hidden", "hidden_bias", "out", "added")),
    ]


class _Values(ctypes.Structure):
    """As in loops.cpp."""

    _fields_ = [
        *((name, _NUMBER) for name in ("tokens", "width", "out_width", "tables", "dim")),
        *((name, _ADDRESS) for name in ("value", "row", "table", "ids", "column")),
    ]


def _declare(library: ctypes.CDLL) -> None:
    unit, values = ctypes.POINTER(_Unit), ctypes.POINTER(_Values)
    library.activation_unit_lanes.restype = library.outside.restype = _NUMBER
    library.outside.argtypes = [_NUMBER, _NUMBER, _ADDRESS, _ADDRESS]
    library.activation_unit_forward.argtypes = [unit, _ADDRESS, _ADDRESS, _ADDRESS, _NUMBER]
    library.activation_unit_backward.argtypes = [unit, *[_ADDRESS] * 4, ctypes.POINTER(_Gradients), _NUMBER]
    library.weighted_sum_forward.argtypes = [values, _ADDRESS, _ADDRESS]
    library.weighted_sum_backward.argtypes = [values, *[_ADDRESS] * 5]
    for name in ("activation_unit_forward", "activation_unit_backward", "weighted_sum_forward", "weighted_sum_backward"):
        getattr(library, name).restype = None


LIBRARY = native.Library(Path(__file__).with_name("loops.cpp"), Path(__file__).resolve().parents[1] / "simd.h", declare=_declare)


class _Tables:
    """Tables and ids as C++ reads them; lives as long as it is used."""

    def __init__(self, tables: Sequence[Tensor], ids: Sequence[Tensor]) -> None:
        self.tensors = [*tables, *ids]
        self.count = len(tables)
        self.table, self.ids = native.addresses(tables), native.addresses(ids)
        self.rows = (_NUMBER * len(tables))(*(len(table) for table in tables))

    def check(self, tokens: int) -> None:
        """Raise an IndexError for an id outside of its table."""
        if (bad := LIBRARY().outside(tokens, self.count, self.ids, self.rows)) >= 0:
            ids = self.tensors[self.count + bad]
            raise IndexError(f"ids {int(ids.min())} to {int(ids.max())} for a table of {self.rows[bad]} rows")


def _unit(
    query: Tensor, key: Tensor, offsets: Tensor, start: Tensor, layers: Layers, tables: _Tables
) -> tuple[_Unit, tuple[Tensor, ...]]:
    """The arguments for C++, and what must live as long as they are used; the matrix of events has the columns of keys alone."""
    size = key.shape[1]
    event, interaction = layers.event[:, :size].contiguous(), layers.event[:, size:].contiguous()
    hidden = layers.event.new_zeros(0) if layers.hidden is None else layers.hidden.contiguous()
    bias = hidden if layers.hidden_bias is None else layers.hidden_bias
    kept = (query, key, offsets.contiguous(), start, event, interaction, hidden, bias, layers.out.contiguous(), layers.out_bias)
    unit = _Unit(
        len(query),
        kept[2].data_ptr(),
        size,
        start.shape[1],
        0 if layers.hidden is None else len(layers.hidden),
        key.data_ptr(),
        query.data_ptr(),
        *(tensor.data_ptr() for tensor in kept[3:]),
        tables.count,
        *(ctypes.cast(array, _ADDRESS) for array in (tables.table, tables.ids, tables.rows)),
    )
    return unit, kept


class _ActivationUnit(torch.autograd.Function):
    """`added` are what the first layer makes of the rows of the slots' tables, [V, H1] each."""

    @staticmethod
    def forward(
        ctx: Any,
        query: Tensor,
        key: Tensor,
        offsets: Tensor,
        start: Tensor,
        ids: list[Tensor],
        count: int,
        *others: Tensor | None,
    ) -> Tensor:
        library, added, weights = LIBRARY(), others[:count], others[count:]
        tables = _Tables(added, ids)  # type: ignore[arg-type]
        tables.check(len(key))
        unit, _ = _unit(query, key, offsets, start, Layers(*weights), tables)  # type: ignore[arg-type]
        lanes = library.activation_unit_lanes()
        first, second = (key.new_empty(len(key), -(-size // lanes) * lanes) for size in (unit.first, unit.second))
        result = key.new_empty(len(key))
        library.activation_unit_forward(unit, result.data_ptr(), first.data_ptr(), second.data_ptr(), torch.get_num_threads())
        ctx.save_for_backward(query, key, offsets, start, first, second, *others)
        ctx.ids = ids
        return result

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        library, count = LIBRARY(), len(ctx.ids)
        query, key, offsets, start, first, second, *others = ctx.saved_tensors
        added, layers = others[:count], Layers(*others[count:])
        unit, kept = _unit(query, key, offsets, start, layers, _Tables(added, ctx.ids))
        d_key, d_query, d_start = torch.empty_like(key), torch.zeros_like(query), torch.zeros_like(start)
        d_event, d_interaction, d_hidden, d_bias, d_out = (torch.zeros_like(kept[at]) for at in (4, 5, 6, 7, 8))
        d_added = [torch.zeros_like(one) for one in added]
        gradients = (d_key, d_query, d_start, d_event, d_interaction, d_hidden, d_bias, d_out)
        pointers, grad = native.addresses(d_added), grads[0].contiguous()
        library.activation_unit_backward(
            unit,
            grad.data_ptr(),
            None,
            first.data_ptr(),
            second.data_ptr(),
            _Gradients(*(tensor.data_ptr() for tensor in gradients), ctypes.cast(pointers, _ADDRESS)),
            torch.get_num_threads(),
        )
        hidden = (None, None) if layers.hidden is None else (d_hidden, d_bias)
        d_weights = (torch.cat([d_event, d_interaction], dim=1), *hidden, d_out, grad.sum().view(1))
        return (d_query, d_key, None, d_start, None, None, *d_added, *d_weights)


class _EventLayer(torch.autograd.Function):
    """The first layer alone: a unit without an output layer. `event` and `added` as in `_ActivationUnit`."""

    @staticmethod
    def forward(
        ctx: Any, query: Tensor, key: Tensor, offsets: Tensor, start: Tensor, event: Tensor, ids: list[Tensor], *added: Tensor
    ) -> Tensor:
        library, tables = LIBRARY(), _Tables(added, ids)
        tables.check(len(key))
        unit, _kept = _unit(query, key, offsets, start, _first_layer_alone(event), tables)
        lanes = library.activation_unit_lanes()
        result = key.new_empty(len(key), -(-unit.first // lanes) * lanes)
        library.activation_unit_forward(unit, None, result.data_ptr(), None, torch.get_num_threads())
        ctx.save_for_backward(query, key, offsets, start, event, *added)
        ctx.ids, ctx.padding = ids, result.shape[1] - unit.first
        return result[:, : unit.first].contiguous()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        query, key, offsets, start, event, *added = ctx.saved_tensors
        unit, kept = _unit(query, key, offsets, start, _first_layer_alone(event), _Tables(added, ctx.ids))
        d_key, d_query, d_start = torch.empty_like(key), torch.zeros_like(query), torch.zeros_like(start)
        d_event, d_interaction = torch.zeros_like(kept[4]), torch.zeros_like(kept[5])
        d_added = [torch.zeros_like(one) for one in added]
        pointers, grad = native.addresses(d_added), F.pad(grads[0], (0, ctx.padding)).contiguous()
        gradients = (tensor.data_ptr() for tensor in (d_key, d_query, d_start, d_event, d_interaction))
        nothing = (None, None, None)
        LIBRARY().activation_unit_backward(
            unit,
            None,
            grad.data_ptr(),
            None,
            None,
            _Gradients(*gradients, *nothing, ctypes.cast(pointers, _ADDRESS)),
            torch.get_num_threads(),
        )
        return (d_query, d_key, None, d_start, torch.cat([d_event, d_interaction], dim=1), None, *d_added)


def _first_layer_alone(event: Tensor) -> Layers:
    nothing = event.new_zeros(0)
    return Layers(event, None, None, nothing, nothing)


def _values(value: Tensor, row: Tensor, columns: tuple[int, ...], width: int, tables: _Tables, dim: int) -> tuple[_Values, Any]:
    """The arguments for C++, and what must live as long as they are used."""
    column = (_NUMBER * len(columns))(*columns)
    pointers = (ctypes.cast(array, _ADDRESS) for array in (tables.table, tables.ids, column))
    return _Values(*value.shape, width, tables.count, dim, value.data_ptr(), row.data_ptr(), *pointers), column


class _WeightedSum(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        weight: Tensor,
        value: Tensor,
        row: Tensor,
        rows: int,
        ids: list[Tensor],
        columns: tuple[int, ...],
        *tables: Tensor,
    ) -> Tensor:
        dim = tables[0].shape[1] if tables else 0
        width = max([value.shape[1], *(column + dim for column in columns)])
        known = _Tables(tables, ids)
        known.check(len(value))
        out = value.new_zeros(rows, width)
        values, _kept = _values(value, row, columns, width, known, dim)
        LIBRARY().weighted_sum_forward(values, weight.data_ptr(), out.data_ptr())
        ctx.save_for_backward(weight, value, row, *tables)
        ctx.ids, ctx.columns, ctx.width, ctx.dim = ids, columns, width, dim
        return out

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        weight, value, row, *tables = ctx.saved_tensors
        grad, d_weight, d_value = grads[0].contiguous(), torch.empty_like(weight), torch.empty_like(value)
        d_tables = [torch.zeros_like(table) for table in tables]
        known, pointers = _Tables(tables, ctx.ids), native.addresses(d_tables)
        values, _kept = _values(value, row, ctx.columns, ctx.width, known, ctx.dim)
        LIBRARY().weighted_sum_backward(
            values, weight.data_ptr(), grad.data_ptr(), d_value.data_ptr(), pointers, d_weight.data_ptr()
        )
        return (d_weight, d_value, None, None, None, None, *d_tables)


def unit(query: Tensor, events: Events, offsets: Tensor, start: Tensor, layers: Layers) -> Tensor:
    event, added, ids = by_tables(events, layers.event)
    query, key, start = (tensor.contiguous() for tensor in (query, events.key, start))
    weights = layers._replace(event=event)
    return _ActivationUnit.apply(query, key, offsets, start, ids, len(added), *added, *weights)  # type: ignore[no-any-return]


def layer(query: Tensor, events: Events, offsets: Tensor, start: Tensor, event: Tensor) -> Tensor:
    event, added, ids = by_tables(events, event)
    query, key, start = (tensor.contiguous() for tensor in (query, events.key, start))
    return _EventLayer.apply(query, key, offsets, start, event, ids, *added)  # type: ignore[no-any-return]


def pooled(weight: Tensor, events: Events, row: Tensor, rows: int) -> Tensor:
    parts = [(at, table, ids) for at, slot in enumerate(events.slots) for table, ids in slot]
    columns = tuple(events.key.shape[1] + at * table.shape[1] for at, table, _ in parts)
    tables, ids = [table.contiguous() for _, table, _ in parts], [ids.contiguous() for *_, ids in parts]
    key = events.key.contiguous()
    return _WeightedSum.apply(weight.contiguous(), key, row, rows, ids, columns, *tables)  # type: ignore[no-any-return]
