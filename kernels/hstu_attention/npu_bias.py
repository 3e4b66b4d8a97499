"""Both biases as one padded tensor, and gradients of their tables without an addition a pair.

Keys of one time bucket are an interval for each query, so that a bucket's gradient is a difference of two prefix sums over keys.
Where positions grow by one a token, pairs at a distance lie on a diagonal, and diagonals are columns once each row is moved by
its number. Scattered additions, of which every pair would need one, are what an NPU is slowest at.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F


class Places(NamedTuple):
    """Which rows of the tables the pairs of a padded batch read; int64."""

    relative: Tensor | None
    """[B, S, S]: rows of the position table; None: there is none."""
    diagonal: bool
    """Relative positions are distances within the segment."""
    bucket: Tensor | None
    """[B, S, S]: rows of the time table; None: there is none."""
    ends: Tensor | None
    """[B, S, buckets]: so many keys, from the segment's first, are in bucket b or above for a query."""


def buckets_of(ends: Tensor, own: Tensor, length: int) -> Tensor:
    """int64 [B, S, S]: the time bucket of each pair that is seen.

    Args:
        ends: as in `Places`, of the segments' first `length` keys.
        own: [B, S] buckets of the tokens' own keys.
    """
    batch, rows, buckets = ends.shape
    # A key's bucket is how many intervals end behind it, the first of which has them all.
    ending = ends.new_zeros(batch, rows, length + 1)
    ending.scatter_add_(2, ends[..., 1:], torch.ones_like(ends[..., 1:]))
    at = torch.arange(length, device=ends.device)
    return torch.where(at == at.unsqueeze(1), own.unsqueeze(2), buckets - 1 - ending.cumsum(2)[..., :length])


def dense_bias(position: Tensor | None, time: Tensor | None, places: Places, heads: int, dtype: torch.dtype) -> Tensor:
    """[B, H, S, S] of a dtype: the sum of both biases of each pair.

    Args:
        position, time: tables [rows], or [rows, H]; one of them at least. Their gradients are summed in float32 at least.
    """
    return _Bias.apply(position, time, places, heads, dtype)  # type: ignore[no-any-return]


class _Bias(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, position: Tensor | None, time: Tensor | None, places: Places, heads: int, dtype: torch.dtype) -> Tensor:
        ctx.places = places
        ctx.tables = tuple(None if table is None else (table.shape, table.dtype) for table in (position, time))
        read = [_read(*one) for one in ((position, places.relative), (time, places.bucket))]
        found = [one for one in read if one is not None]
        return sum(found[1:], start=found[0]).to(dtype).expand(-1, heads, -1, -1).contiguous()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        places, (position, time) = ctx.places, ctx.tables
        d_position = d_time = None
        if position is not None and ctx.needs_input_grad[0]:
            ds, rows = _by_table(grads[0], position[0]), position[0][0]
            d_position = _diagonals(_precise(ds).sum(0), rows) if places.diagonal else _pairs(ds, places.relative, rows)
        if time is not None and ctx.needs_input_grad[1]:
            ds = _by_table(grads[0], time[0])
            # Head by head: prefix sums take as much memory as what they are of.
            d_time = torch.cat([_intervals(of_head, places) for of_head in ds.split(1, dim=1)])
        return _as_table(d_position, position), _as_table(d_time, time), None, None, None


def _precise(values: Tensor) -> Tensor:
    return values.to(torch.promote_types(values.dtype, torch.float32))


def _read(table: Tensor | None, rows: Tensor | None) -> Tensor | None:
    """[B, H, S, S], or [B, 1, S, S] of a table for all heads."""
    if table is None or rows is None:
        return None
    of_heads = table.t() if table.dim() > 1 else table.unsqueeze(0)
    return of_heads.index_select(1, rows.flatten()).view(-1, *rows.shape).transpose(0, 1)


def _by_table(ds: Tensor, shape: torch.Size) -> Tensor:
    """[B, H, S, S], or [B, 1, S, S] if the table is the same for all heads."""
    return ds if len(shape) > 1 else _precise(ds).sum(1, keepdim=True)


def _as_table(gradient: Tensor | None, table: tuple[torch.Size, torch.dtype] | None) -> Tensor | None:
    """[H, rows] -> as the table is."""
    if gradient is None or table is None:
        return None
    return (gradient.t() if len(table[0]) > 1 else gradient[0]).to(table[1])


def _pairs(ds: Tensor, rows: Tensor, count: int) -> Tensor:
    """[H, rows], one addition a pair."""
    ds = _precise(ds)
    return ds.new_zeros(ds.shape[1], count).index_add(1, rows.flatten(), ds.transpose(0, 1).flatten(1))


def _diagonals(ds: Tensor, count: int) -> Tensor:
    """[H, S, S] -> [H, rows]: sums over the pairs at each distance; the last row has all that are farther."""
    heads, length, _ = ds.shape
    # Of row i, key j moves to column i - j + S - 1.
    moved = F.pad(ds.flip(2), (0, length)).flatten(1)[:, : length * (2 * length - 1)].view(heads, length, 2 * length - 1)
    by_distance = moved.sum(1)[:, length - 1 :]
    if length <= count:
        return F.pad(by_distance, (0, count - length))
    return torch.cat([by_distance[:, : count - 1], by_distance[:, count - 1 :].sum(1, keepdim=True)], dim=1)


def _intervals(ds: Tensor, places: Places) -> Tensor:
    """[B, H, S, S] -> [H, buckets]"""
    assert places.ends is not None and places.bucket is not None
    ds = _precise(ds)
    own = ds.diagonal(dim1=2, dim2=3)
    before = F.pad((ds - torch.diag_embed(own)).cumsum(3), (1, 0))
    above = before.gather(3, places.ends.unsqueeze(1).expand(-1, ds.shape[1], -1, -1)).sum((0, 2))
    of_own = ds.new_zeros(above.shape).index_add(
        1, places.bucket.diagonal(dim1=1, dim2=2).flatten(), own.transpose(0, 1).flatten(1)
    )
    return above - F.pad(above[:, 1:], (0, 1)) + of_own
