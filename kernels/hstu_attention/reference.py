"""The definition, token by token in float64. Slow on purpose: it is what the others are tested against."""

from __future__ import annotations

import torch
from torch import Tensor

from ..time_buckets import time_buckets
from .plan import AttentionPlan, Inputs


def attention(inputs: Inputs) -> Tensor:
    """See `hstu_attention`; every gradient comes from autograd over these lines."""
    q, k, v, plan, alpha, position_bias, time_bias, activation, divisor = inputs
    dtype = q.dtype
    q, k, v = q.double(), k.double(), v.double()
    rows = []
    for i in range(len(q)):
        keys = _seen(plan, i)
        heads = []
        for h in range(q.shape[1]):
            logits = []
            for j in keys:
                s = alpha * (q[i, h] * k[j, h]).sum()
                if position_bias is not None:
                    relative = min(int(plan.position[i] - plan.position[j]), len(position_bias) - 1) if j != i else 0
                    s = s + _of_head(position_bias[relative], h)
                if time_bias is not None:
                    s = s + _of_head(time_bias[_bucket(plan, i, j)], h)
                logits.append(s)
            stacked = torch.stack(logits)
            if activation == "silu":
                n = divisor[i].double() if isinstance(divisor, Tensor) else divisor
                weights = stacked * torch.sigmoid(stacked) / n
            else:
                weights = torch.softmax(stacked, dim=0)
            heads.append((weights.unsqueeze(1) * v[keys, h]).sum(0))
        rows.append(torch.stack(heads))
    return torch.stack(rows).to(dtype) if rows else v.to(dtype)


def bias_mixing(v: Tensor, plan: AttentionPlan, position_table: Tensor | None, time_table: Tensor | None) -> Tensor:
    """See `interface.bias_mixing`."""
    rows = []
    for i in range(len(v)):
        total = torch.zeros(v.shape[1:], dtype=torch.float64)
        for j in _seen(plan, i):
            weight = torch.zeros(v.shape[1], dtype=torch.float64)
            if position_table is not None:
                relative = min(int(plan.position[i] - plan.position[j]), len(position_table) - 1) if j != i else 0
                weight = weight + position_table[relative].double()
            if time_table is not None:
                weight = weight + time_table[_bucket(plan, i, j)].double()
            total = total + weight.unsqueeze(1) * v[j].double()
        rows.append(total)
    return torch.stack(rows).to(v.dtype) if rows else v


def _seen(plan: AttentionPlan, i: int) -> list[int]:
    return [*(j for j in range(int(plan.lo[i]), int(plan.hi[i])) if j != i), i]


def _bucket(plan: AttentionPlan, i: int, j: int) -> int:
    assert plan.query_time is not None and plan.key_time is not None
    if j != i:
        return int(time_buckets(plan.query_time[i] - plan.key_time[j]))
    return 0 if plan.own_time is None else int(time_buckets(plan.query_time[i] - plan.own_time[i]))


def _of_head(row: Tensor, head: int) -> Tensor:
    return (row if row.dim() == 0 else row[head]).double()
