"""Where time buckets end among the keys of a query. Times of a segment rise, so the keys of one bucket are an interval: 71
borders a query, searched once a batch on the device, replace a logarithm or a search a pair."""

from __future__ import annotations

import torch
from torch import Tensor

from ..time_buckets import borders
from .plan import AttentionPlan, once_a_plan


def segments(plan: AttentionPlan) -> Tensor:
    """int64 [T]: the segment of each token."""
    at = torch.arange(len(plan.lo), device=plan.lo.device)
    return torch.searchsorted(plan.offsets, at, right=True) - 1


@once_a_plan
def _timeline(plan: AttentionPlan) -> tuple[Tensor, Tensor]:
    """int64 [T]: one rising row of numbers from the key times of all segments, 1 + milliseconds since the segment's first; and
    how far the segments are apart in it."""
    assert plan.key_time is not None
    segment = segments(plan)
    since = (plan.key_time - plan.key_time[plan.offsets[segment]]).clamp(min=0)
    span = since.max() + 2
    # A token that nobody sees may stand out of order.
    return (segment * span + 1 + since).cummax(0).values, span


def borders_at(plan: AttentionPlan, segment: Tensor, query_time: Tensor) -> Tensor:
    """int32 [GAP_BUCKETS - 1, n]: border b of a query at a time [n] in a segment [n]: keys before it are above bucket b."""
    assert plan.key_time is not None
    line, span = _timeline(plan)
    begin = plan.key_time[plan.offsets[segment].clamp(max=len(plan.lo) - 1)]
    latest = (query_time - begin).unsqueeze(0) - borders(plan.lo.device).unsqueeze(1)
    latest = latest.add_(1).clamp_(min=0).clamp_(max=span - 1).add_(segment * span)
    return torch.searchsorted(line, latest, right=True, out_int32=True)


@once_a_plan
def key_borders(plan: AttentionPlan) -> Tensor | None:
    """int32 [GAP_BUCKETS - 1, T]: a key that query i sees is above time bucket b if it lies before border [b, i].

    Found by a binary search over the times of each segment, which all borders and queries do at once.
    """
    return None if plan.query_time is None else borders_at(plan, segments(plan), plan.query_time)
