"""The geometry of a batch as the programs read it: made once a batch on the device, without a wait of the host.

A block never crosses a segment, so what its rows see lies in one interval of keys that is as short as can be. Times of a segment
rise; therefore the keys of one time bucket of a query are an interval too, and 71 borders a query replace a logarithm a pair.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from ...time_buckets import GAP_BUCKETS
from ..borders import borders_at, segments
from ..plan import AttentionPlan, once_a_plan

LANES = 128
"""Borders of a block, rounded up to a power of two."""


class Spans(NamedTuple):
    """Blocks of consecutive tokens of one segment, at most `size` each. There are T // size + S places for them, which the host
    knows without asking the device; those behind the last block are empty."""

    begin: Tensor
    """int32 [blocks]"""
    end: Tensor


class Tokens(NamedTuple):
    """What a program reads of single tokens; int32."""

    lo: Tensor
    hi: Tensor
    position: Tensor
    runs: Tensor
    """[T]: grows where a position is not its predecessor's plus one; tokens with the same number lie on diagonals."""


class Queries(NamedTuple):
    """Blocks of queries; int32 [blocks] but for the borders."""

    begin: Tensor
    end: Tensor
    first: Tensor
    """The keys first:last are all that a row of the block sees; none if first = last."""
    last: Tensor
    whole_from: Tensor
    """Every row of the block sees all of whole_from:whole_to, which may be empty."""
    whole_to: Tensor
    near: Tensor
    """[blocks, LANES]: the smallest border of the block's rows, see `borders.key_borders`; -1 behind the last."""
    far: Tensor
    """[blocks, LANES]: the largest."""


class Keys(NamedTuple):
    """Blocks of keys; int32 [blocks]."""

    begin: Tensor
    end: Tensor
    first: Tensor
    """The blocks first:last of queries are all that may see a key of the block."""
    last: Tensor


@once_a_plan
def tokens_of(plan: AttentionPlan) -> Tokens:
    """Bounds and positions."""
    jump = F.pad(plan.position.diff() != 1, (1, 0))
    return Tokens(*(one.to(torch.int32) for one in (plan.lo, plan.hi, plan.position, jump.cumsum(0))))


@once_a_plan
def spans(plan: AttentionPlan, size: int) -> Spans:
    """Cut every segment into blocks."""
    starts = F.pad(((plan.offsets.diff() + size - 1) // size).cumsum(0), (1, 0))
    at = torch.arange(len(plan.lo) // size + len(plan.offsets) - 1, device=plan.lo.device)
    segment = (torch.searchsorted(starts, at, right=True) - 1).clamp(max=len(plan.offsets) - 2)
    begin = plan.offsets[segment] + (at - starts[segment]) * size
    end = torch.minimum(begin + size, plan.offsets[segment + 1])
    begin = torch.minimum(begin, end)
    return Spans(begin.to(torch.int32), end.to(torch.int32))


@once_a_plan
def queries(plan: AttentionPlan, size: int) -> Queries:
    """Blocks of `size` queries."""
    tokens, (begin, end) = len(plan.lo), spans(plan, size)
    rows = begin.unsqueeze(1) + torch.arange(size, device=begin.device)
    valid = rows < end.unsqueeze(1)
    rows = rows.clamp(max=tokens - 1).long()
    lo, hi = plan.lo[rows], plan.hi[rows]
    sees = valid & (lo < hi)
    last = torch.where(sees, hi, 0).amax(1)
    first = torch.minimum(torch.where(sees, lo, tokens).amin(1), last)
    whole_from = torch.where(valid, lo, 0).amax(1)
    whole_to = torch.where(valid, torch.where(sees, hi, 0), tokens).amin(1)
    first, last, whole_from, whole_to = (one.to(torch.int32) for one in (first, last, whole_from, whole_to))
    if plan.query_time is None:
        nothing = torch.empty(0, dtype=torch.int32, device=begin.device)
        return Queries(begin, end, first, last, whole_from, whole_to, nothing, nothing)
    # Borders rise with the time of the query, so the earliest and the latest of a block have its extremes.
    time, segment = plan.query_time[rows], segments(plan)[rows[:, 0]]
    extremes = (time.where(valid, time[:, :1]).amin(1), time.where(valid, time[:, :1]).amax(1))
    near, far = (borders_at(plan, segment, one).t() for one in extremes)
    padding = (0, LANES - GAP_BUCKETS + 1)
    near, far = (F.pad(one, padding, value=-1) for one in (near, far))
    return Queries(begin, end, first, last, whole_from, whole_to, near, far)


@once_a_plan
def keys(plan: AttentionPlan, size: int, of_queries: int) -> Keys:
    """Blocks of `size` keys, and which blocks of `of_queries` queries may see them. A segment's blocks have neighbouring numbers,
    so a running minimum and maximum over the keys, in which other segments cannot win, bound them."""
    (begin, end), asking = spans(plan, size), spans(plan, of_queries)
    tokens, device = len(plan.lo), plan.lo.device
    at = torch.arange(tokens, device=device)
    block = torch.searchsorted(asking.end.long(), at, right=True)
    nobody = plan.lo >= plan.hi
    empty = len(asking.begin)
    reached = torch.full((tokens + 1,), empty, device=device)
    reached.scatter_reduce_(0, torch.where(nobody, tokens, plan.hi - 1), block, "amin")
    started = torch.full((tokens + 1,), -1, device=device)
    started.scatter_reduce_(0, torch.where(nobody, tokens, plan.lo), block, "amax")
    first = reached[:tokens].flip(0).cummin(0).values.flip(0)[begin.long().clamp(max=tokens - 1)]
    last = started[:tokens].cummax(0).values[(end.long() - 1).clamp(min=0)] + 1
    first = torch.minimum(first, last)
    return Keys(begin, end, first.to(torch.int32), last.to(torch.int32))
