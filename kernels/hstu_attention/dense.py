"""Every query against every key, with what it does not see masked: no shape depends on the values of a plan.

It costs tokens squared in time and memory, whatever the bounds. Programs that are exported for serving need it: they are traced
once and then take a request of any length, so that no Python may look at a bound. Gradients come from autograd; nothing chooses
it by itself.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from ..time_buckets import time_buckets
from .plan import AttentionPlan, Inputs, once_a_plan


@once_a_plan
def _seen(plan: AttentionPlan) -> Tensor:
    """bool [T - past, T]: the interval of keys, and the token itself."""
    key, query = _places(plan)
    inside = (key >= plan.lo[plan.past :].unsqueeze(1)) & (key < plan.hi[plan.past :].unsqueeze(1))
    return inside | (key == query)


def _places(plan: AttentionPlan) -> tuple[Tensor, Tensor]:
    """int64 [1, T] and [T - past, 1]: places of keys and of queries among the packed tokens."""
    every = torch.arange(plan.lo.shape[0], device=plan.lo.device)
    return every.unsqueeze(0), every[plan.past :].unsqueeze(1)


@once_a_plan
def _relative(plan: AttentionPlan, positions: int) -> Tensor:
    """int64 [T - past, T]: row of the position table; 0 for the token itself."""
    key, query = _places(plan)
    relative = plan.position[plan.past :].unsqueeze(1) - plan.position.unsqueeze(0)
    return torch.where(key == query, 0, relative).clamp(0, positions - 1)


@once_a_plan
def _gaps(plan: AttentionPlan, buckets: int) -> Tensor:
    """int64 [T - past, T]: row of the time table."""
    assert plan.query_time is not None and plan.key_time is not None
    key, query = _places(plan)
    asked = plan.query_time[plan.past :].unsqueeze(1)
    own = asked if plan.own_time is None else plan.own_time[plan.past :].unsqueeze(1)
    since = torch.where(key == query, own, plan.key_time.unsqueeze(0))
    return time_buckets(asked - since).clamp(max=buckets - 1)


def _of_heads(table: Tensor, rows: Tensor) -> Tensor:
    """table [N] or [N, H] at rows [Q, K] -> [1 or H, Q, K], float32 at least: gradients of a row are added up in that."""
    table = table.to(torch.promote_types(table.dtype, torch.float32))
    return table[rows].unsqueeze(0) if table.dim() == 1 else table.t()[:, rows]


def _bias(plan: AttentionPlan, position: Tensor | None, time: Tensor | None) -> Tensor | None:
    """[1 or H, Q, K]"""
    parts = []
    if position is not None:
        parts.append(_of_heads(position, _relative(plan, position.shape[0])))
    if time is not None:
        parts.append(_of_heads(time, _gaps(plan, time.shape[0])))
    return sum(parts[1:], parts[0]) if parts else None


def attention(inputs: Inputs) -> Tensor:
    """See `hstu_attention`."""
    q, k, v, plan, alpha, position_bias, time_bias, activation, divisor = inputs
    seen = _seen(plan)
    # Logits and weights are float32 at least.
    logits = ((q[plan.past :] * alpha).transpose(0, 1) @ k.permute(1, 2, 0)).to(torch.promote_types(q.dtype, torch.float32))
    bias = _bias(plan, position_bias, time_bias)
    if bias is not None:
        logits = logits + bias
    if activation == "softmax":
        weights = logits.masked_fill(~seen, -torch.inf).softmax(2)
    else:
        weights = F.silu(logits) * seen
        weights = weights / (divisor[plan.past :].view(1, -1, 1) if isinstance(divisor, Tensor) else divisor)
    return F.pad((weights.to(v.dtype) @ v.transpose(0, 1)).transpose(0, 1), (0, 0, 0, 0, plan.past, 0))


def bias_mixing(v: Tensor, plan: AttentionPlan, position_table: Tensor | None, time_table: Tensor | None) -> Tensor:
    """See `interface.bias_mixing`."""
    bias = _bias(plan, position_table, time_table)
    assert bias is not None, "one table at least"
    mixed = (bias * _seen(plan)).to(v.dtype) @ v.transpose(0, 1)
    return F.pad(mixed.transpose(0, 1), (0, 0, 0, 0, plan.past, 0))
