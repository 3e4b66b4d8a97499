"""Attention of a candidate over its user's past events as DIN does it (Zhou et al. 2018, section 4.3), over jagged rows.

`activation_unit` scores each event with a small network of ReLU; `event_layer` is the first layer of such a network alone, for
other activations; `weighted_sum` adds the events up. On a CPU they are compiled loops that keep an example in the caches;
elsewhere, and without a compiler, they are made of torch's parts.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from . import native
from .dispatch import Implementation, choose, register
from .lookup import Part, lookup


class Events(NamedTuple):
    """T past events. A vector of an event is its `key`, then one vector a slot; vectors of slots are never made, their tables
    are small and known to the operation."""

    key: Tensor
    """[T, Q], what is compared with the query."""
    slots: Sequence[Sequence[tuple[Tensor, Tensor]]] = ()
    """Of a slot the tables [V, D], whose rows are added up, and the ids int64 [T]; D is the same everywhere."""

    def whole(self) -> Tensor:
        """The vectors, [T, K] with K = Q + slots * D."""
        if not self.slots:
            return self.key
        slots = [[Part(table, ids) for table, ids in slot] for slot in self.slots]
        return torch.cat([self.key, lookup(slots, len(self.key)).flatten(1)], dim=1)


class Layers(NamedTuple):
    """Weights of an activation unit with one or two hidden layers of ReLU."""

    event: Tensor
    """[H1, K + Q]: columns for an event's vector, then for the products of query and key."""
    hidden: Tensor | None
    """[H2, H1]; None: one hidden layer."""
    hidden_bias: Tensor | None
    """[H2]"""
    out: Tensor
    """[1, H2] or [1, H1]"""
    out_bias: Tensor
    """[1]"""


def activation_unit(query: Tensor, events: Events, offsets: Tensor, start: Tensor, layers: Layers) -> Tensor:
    """Weight of each past event, [T]: out . relu(hidden relu(event [vector; q * k] + start)).

    Args:
        query: [n, Q].
        offsets: int64 [n + 1]: example r has the events offsets[r]:offsets[r + 1].
        start: [n, H1], what the first layer adds for the query alone.

    Raises:
        IndexError: an id is not a row of its table.
    """
    # Under autocast the first term may be of a smaller dtype than the embeddings.
    return choose("activation_unit", events.key.device, start.dtype).run(query, events, offsets, start, layers)


def event_layer(query: Tensor, events: Events, offsets: Tensor, start: Tensor, event: Tensor) -> Tensor:
    """What the first layer makes of each event, before any activation, [T, H1]: event [vector; q * k] + start.

    Arguments and errors are those of `activation_unit`; event: [H1, K + Q], as in `Layers`.
    """
    return choose("event_layer", events.key.device, start.dtype).run(query, events, offsets, start, event)


def weighted_sum(weight: Tensor, events: Events, row: Tensor, rows: int) -> Tensor:
    """Sums of weight [T] times the events' vectors over the events of each row, [rows, K]; row int64 [T]."""
    return choose("weighted_sum", events.key.device, weight.dtype).run(weight, events, row, rows)


def _unit_in_parts(query: Tensor, events: Events, offsets: Tensor, start: Tensor, layers: Layers) -> Tensor:
    x = F.relu(_layer_in_parts(query, events, offsets, start, layers.event))
    if layers.hidden is not None:
        x = F.relu(F.linear(x, layers.hidden, layers.hidden_bias))
    return F.linear(x, layers.out, layers.out_bias).squeeze(1)


def _layer_in_parts(query: Tensor, events: Events, offsets: Tensor, start: Tensor, event: Tensor) -> Tensor:
    row = _rows(offsets, len(events.key))
    product = query.index_select(0, row) * events.key
    return F.linear(torch.cat([events.whole(), product], dim=1), event) + start.index_select(0, row)


def _sum_in_parts(weight: Tensor, events: Events, row: Tensor, rows: int) -> Tensor:
    value = events.whole() * weight.unsqueeze(1)
    return value.new_zeros(rows, value.shape[1]).index_add_(0, row, value)


def _rows(offsets: Tensor, tokens: int) -> Tensor:
    examples = torch.arange(len(offsets) - 1, device=offsets.device)
    return torch.repeat_interleave(examples, offsets.diff(), output_size=tokens)


_NUMBER, _ADDRESS = ctypes.c_int64, ctypes.c_void_p


class _Unit(ctypes.Structure):
    """As in target_attention.cpp."""

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
    """As in target_attention.cpp."""

    _fields_ = [
        *((name, _ADDRESS) for name in ("keys", "queries", "start", "event", "interaction")),
        *((name, _ADDRESS) for name in ("hidden", "hidden_bias", "out", "added")),
    ]


class _Values(ctypes.Structure):
    """As in target_attention.cpp."""

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


LIBRARY = native.Library(Path(__file__).with_suffix(".cpp"), Path(__file__).with_name("simd.h"), declare=_declare)


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


def _compiled_unit(query: Tensor, events: Events, offsets: Tensor, start: Tensor, layers: Layers) -> Tensor:
    event, added, ids = _by_tables(events, layers.event)
    query, key, start = (tensor.contiguous() for tensor in (query, events.key, start))
    weights = layers._replace(event=event)
    return _ActivationUnit.apply(query, key, offsets, start, ids, len(added), *added, *weights)  # type: ignore[no-any-return]


def _compiled_layer(query: Tensor, events: Events, offsets: Tensor, start: Tensor, event: Tensor) -> Tensor:
    event, added, ids = _by_tables(events, event)
    query, key, start = (tensor.contiguous() for tensor in (query, events.key, start))
    return _EventLayer.apply(query, key, offsets, start, event, ids, *added)  # type: ignore[no-any-return]


def _by_tables(events: Events, event: Tensor) -> tuple[Tensor, list[Tensor], list[Tensor]]:
    """The columns of the first layer for keys and products alone; what it makes of the rows of the slots' tables; their ids."""
    size, added, ids = events.key.shape[1], [], []
    for at, slot in enumerate(events.slots):
        for table, index in slot:
            first = size + at * table.shape[1]
            added.append(F.linear(table, event[:, first : first + table.shape[1]]))
            ids.append(index.contiguous())
    return torch.cat([event[:, :size], event[:, event.shape[1] - size :]], dim=1), added, ids


def _compiled_sum(weight: Tensor, events: Events, row: Tensor, rows: int) -> Tensor:
    parts = [(at, table, ids) for at, slot in enumerate(events.slots) for table, ids in slot]
    columns = tuple(events.key.shape[1] + at * table.shape[1] for at, table, _ in parts)
    tables, ids = [table.contiguous() for _, table, _ in parts], [ids.contiguous() for *_, ids in parts]
    key = events.key.contiguous()
    return _WeightedSum.apply(weight.contiguous(), key, row, rows, ids, columns, *tables)  # type: ignore[no-any-return]


_CPU = {"device": "cpu", "dtypes": (torch.float32,), "probe": LIBRARY.why_unavailable}

_UNIT = (
    "DIN's attention, one example in the caches; each example's matrix E + P diag(q) is made once, so that q * k never is; "
    "outcome and gap of an event come as rows that the first layer has seen once a batch; ReLU alone"
)

register(
    "activation_unit",
    Implementation("cpu", _compiled_unit, what=_UNIT, **_CPU),
    Implementation("torch", _unit_in_parts, what="as the equations stand"),
    users="din, sim, sdim, mmoe, ple, star, pepnet",
)
register(
    "event_layer",
    Implementation("cpu", _compiled_layer, what="the first layer of `activation_unit` alone, in the same way", **_CPU),
    Implementation("torch", _layer_in_parts, what="as the equations stand"),
    users="din, sim and sdim with another activation than ReLU",
)
register(
    "weighted_sum",
    Implementation("cpu", _compiled_sum, what="sums outcomes and gaps of past events straight from their tables", **_CPU),
    Implementation("torch", _sum_in_parts, what="as the equations stand"),
    users="din, sim, sdim, mmoe, ple, star, pepnet",
)
