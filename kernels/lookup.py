"""Rows of embedding tables, gathered or pooled: what every model begins with, and most of what a classical ranker does.

    out[r, s] = sum over the parts of slot s and their tokens t with row[t] = r of  weight[t] * mean of table[ids of t]

One table row a token (gathering), means over a user's past (pooling) and fields with several values are all this sum. On a CPU
it is one loop without intermediate tensors, forward and backward. On a GPU it is one step for autograd, whose gradient is made by
additions: torch's own sorts the ids first, in a dozen small programs a table, and starting them is what small models wait for.
Elsewhere, and without a compiler, it is made of torch's parts.
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


class Part(NamedTuple):
    """T tokens that take rows of one table."""

    table: Tensor
    """[V, dim]; see also `of_rows`."""
    ids: Tensor
    """int64 [T], or the values of T jagged rows."""
    offsets: Tensor | None = None
    """int64 [T + 1] of jagged ids: a token is the mean of its values' rows, zero without values."""
    row: Tensor | None = None
    """int64 [T]: to which row of the result a token belongs; None: the token's own place."""
    weight: Tensor | None = None
    """float32 [T]; None: 1."""


class RowGradient(NamedTuple):
    """The gradient of some rows of a table; that of the others is zero."""

    rows: Tensor
    """int64 [n], each once."""
    values: Tensor
    """[n, dim]"""


class Places(NamedTuple):
    """What a table needs whose gradient is made row by row, outside of autograd: nothing in it is as long as the table."""

    number: Tensor
    """int32 [V], all -1 between calls, where rows are numbered meanwhile."""
    given: list[RowGradient]
    """Where the backward pass of each lookup leaves its gradient."""


_PLACES = "row_places"


def of_rows(table: Tensor, places: Places | None) -> None:
    """From now on lookups leave the gradient of a table, on a CPU, in `places` instead of its `grad`; None: as ever again."""
    setattr(table, _PLACES, places)


Slots = Sequence[Sequence[Part]]
"""Parts of one slot are added up."""


def lookup(slots: Slots, rows: int) -> Tensor:
    """[rows, len(slots), dim], differentiable in the tables.

    Raises:
        IndexError: an id is not a row of its table.
    """
    table = slots[0][0].table
    return choose("lookup", table.device, table.dtype).run(slots, rows)


def segment_mean(values: Tensor, offsets: Tensor) -> Tensor:
    """Mean of each jagged row: values [T, D], offsets [n + 1] -> [n, D]; zeros for an empty row."""
    row, lengths = _rows(offsets, len(values))
    total = values.new_zeros(len(lengths), values.shape[1]).index_add_(0, row, values)
    return total / lengths.clamp(min=1).unsqueeze(1).to(values.dtype)


def _rows(offsets: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The jagged row of each of `count` values, and the rows' lengths."""
    lengths = offsets[1:] - offsets[:-1]
    return torch.repeat_interleave(torch.arange(len(lengths), device=offsets.device), lengths, output_size=count), lengths


def _in_parts(slots: Slots, rows: int) -> Tensor:
    return torch.stack([_slot(parts, rows) for parts in slots], dim=1)


def _slot(parts: Sequence[Part], rows: int) -> Tensor:
    """[rows, dim] of one slot in torch's own operations."""
    total: Tensor | None = None
    for table, ids, offsets, row, weight in parts:
        vectors = F.embedding(ids, table)
        if offsets is not None:
            vectors = segment_mean(vectors, offsets)
        if weight is not None:
            vectors = vectors * weight.unsqueeze(1).to(vectors.dtype)
        if row is not None:
            vectors = vectors.new_zeros(rows, vectors.shape[1]).index_add_(0, row, vectors)
        total = vectors if total is None else total + vectors
    assert total is not None
    return total


class _Additions(torch.autograd.Function):
    """The same operations as one step. The order of additions to a row differs from run to run, and so do its last bits."""

    @staticmethod
    def forward(ctx: Any, slots: Slots, rows: int, *tables: Tensor) -> Tensor:
        ctx.slots, ctx.tables = slots, tables
        return _in_parts(slots, rows)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        gradients = {id(table): torch.zeros_like(table) for table in ctx.tables if table.requires_grad}
        for parts, grad in zip(ctx.slots, grads[0].unbind(1), strict=True):
            for table, ids, offsets, row, weight in parts:
                if id(table) not in gradients:
                    continue
                of_token = grad if row is None else grad.index_select(0, row)
                if weight is not None:
                    of_token = of_token * weight.unsqueeze(1).to(of_token.dtype)
                if offsets is not None:
                    token, lengths = _rows(offsets, len(ids))
                    of_token = (of_token / lengths.clamp(min=1).unsqueeze(1).to(of_token.dtype)).index_select(0, token)
                gradients[id(table)].index_add_(0, ids, of_token)
        # A table that is an input several times gets its whole gradient once.
        return (None, None, *(gradients.pop(id(table), None) for table in ctx.tables))


def _by_additions(slots: Slots, rows: int) -> Tensor:
    return _Additions.apply(slots, rows, *(part.table for parts in slots for part in parts))  # type: ignore[no-any-return]


class _Part(ctypes.Structure):
    """As in lookup.cpp."""

    _fields_ = [
        ("ids", ctypes.c_void_p),
        ("offsets", ctypes.c_void_p),
        ("row", ctypes.c_void_p),
        ("weight", ctypes.c_void_p),
        ("tokens", ctypes.c_int64),
        ("table", ctypes.c_int64),
        ("table_rows", ctypes.c_int64),
        ("column", ctypes.c_int64),
    ]


def _declare(library: ctypes.CDLL) -> None:
    number, address = ctypes.c_int64, ctypes.c_void_p
    library.lookup_forward.argtypes = [number, ctypes.POINTER(_Part), address, address, number, number, number, number]
    library.lookup_forward.restype = number
    library.lookup_number.argtypes = [number, address, number, address, number, address, address]
    library.lookup_number.restype = number
    library.lookup_forget.argtypes = [number, address, address]
    library.lookup_backward.argtypes = [number, ctypes.POINTER(_Part), address, address, number, number, number, number]
    library.lookup_forget.restype = library.lookup_backward.restype = None


LIBRARY = native.Library(Path(__file__).with_suffix(".cpp"), declare=_declare)


def _address(tensor: Tensor | None) -> int | None:
    return None if tensor is None else tensor.data_ptr()


class _Lookup(torch.autograd.Function):
    """The compiled loop. The tables are those of the parts, in their order; one that stands there twice is one table."""

    @staticmethod
    def forward(ctx: Any, slots: Slots, rows: int, *tables: Tensor) -> Tensor:
        library = LIBRARY()
        dim = tables[0].shape[1]
        unique = {id(table): table for table in tables}
        order = {key: at for at, key in enumerate(unique)}
        kept, parts = [], []
        for slot, members in enumerate(slots):
            for part in members:
                own = Part(part.table, *(None if x is None else x.contiguous() for x in part[1:]))  # type: ignore[arg-type]
                tokens = len(own.ids) if own.offsets is None else len(own.offsets) - 1
                kept.append(own)
                pointers = (_address(tensor) for tensor in own[1:])
                parts.append(_Part(*pointers, tokens, order[id(part.table)], len(part.table), slot * dim))
        array = (_Part * len(parts))(*parts)
        out = torch.empty(rows, len(slots), dim)
        dense = [table.detach().contiguous() for table in unique.values()]
        bad = library.lookup_forward(
            len(parts), array, native.addresses(dense), out.data_ptr(), rows, len(slots) * dim, dim, torch.get_num_threads()
        )
        if bad >= 0:
            low, high = int(kept[bad].ids.min()), int(kept[bad].ids.max())
            raise IndexError(f"ids {low} to {high} for a table of {len(kept[bad].table)} rows")
        ctx.parts, ctx.kept, ctx.shape = array, kept, (len(slots), dim)  # `kept` keeps the addresses alive
        ctx.tables = [(key, table.shape, table.requires_grad, getattr(table, _PLACES, None)) for key, table in unique.items()]
        ctx.order = [id(table) for table in tables]
        return out

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        library, grad = LIBRARY(), grads[0].contiguous()
        slots, dim = ctx.shape
        parts = (_Part * len(ctx.parts))(*ctx.parts)
        gradients: list[Tensor | None] = []
        read: dict[int, _RowsRead] = {}
        for at, (_, shape, wanted, places) in enumerate(ctx.tables):
            if wanted and places is not None:
                read[at] = _rows_read(library, parts, ctx.kept, at, places.number)
                shape = (len(read[at].rows), dim)
            gradients.append(torch.zeros(shape) if wanted else None)
        pointers, threads = native.addresses(gradients), torch.get_num_threads()
        library.lookup_backward(len(parts), parts, grad.data_ptr(), pointers, len(gradients), slots * dim, dim, threads)
        for at, found in read.items():
            values = gradients[at]
            assert values is not None
            ctx.tables[at][3].given.append(RowGradient(found.rows, values))
            gradients[at] = None
        # A table that is an input several times gets its whole gradient once.
        left = {table[0]: gradient for table, gradient in zip(ctx.tables, gradients, strict=True)}
        return (None, None, *(left.pop(key, None) for key in ctx.order))


class _RowsRead(NamedTuple):
    """What parts read of one table."""

    rows: Tensor
    """int64, each once."""
    numbers: list[Tensor]
    """int64, as the ids of each part: which of `rows` they are."""


def _rows_read(library: ctypes.CDLL, array: Any, parts: list[Part], table: int, place: Tensor) -> _RowsRead:
    """The rows of a table; from here on its parts in `array` count them instead of the table's. `place` is used meanwhile."""
    own = [at for at in range(len(parts)) if array[at].table == table]
    ids, numbers = [parts[at].ids for at in own], [torch.empty_like(parts[at].ids) for at in own]
    rows, found = torch.empty(min(sum(map(len, ids)), len(place)), dtype=torch.int64), 0
    for one, number in zip(ids, numbers, strict=True):
        ids_of, numbers_of = one.data_ptr(), number.data_ptr()
        found = library.lookup_number(len(one), ids_of, len(place), place.data_ptr(), found, rows.data_ptr(), numbers_of)
    library.lookup_forget(found, rows.data_ptr(), place.data_ptr())
    for at, number in zip(own, numbers, strict=True):
        array[at].ids, array[at].table_rows = number.data_ptr(), found
    return _RowsRead(rows[:found], numbers)


def _compiled(slots: Slots, rows: int) -> Tensor:
    return _Lookup.apply(slots, rows, *(part.table for parts in slots for part in parts))  # type: ignore[no-any-return]


register(
    "lookup",
    Implementation(
        "cpu", _compiled, device="cpu", dtypes=(torch.float32,), probe=LIBRARY.why_unavailable,
        what="rows of tables gathered or summed into pools in one loop: no tensor of past events where only their mean is read",
    ),
    Implementation(
        "additions", _by_additions, device="cuda",
        what="torch's parts as one step for autograd; the gradient is added up instead of sorted",
    ),
    Implementation("torch", _in_parts, what="`embedding` and `index_add`"),
    users="every model with embeddings",
)  # fmt: skip
