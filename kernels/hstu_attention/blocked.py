"""Plain PyTorch on any device: blocks of consecutive queries against the one range of keys that the block can see.

Tokens stay packed; a block may hold the ends of several segments, the mask keeps them apart. Because bounds never decrease
within a segment, a block's keys are one slice of the packed array: no padding to the longest segment, and short windows
cost what the window costs. Biases are read from one table over (relative position, time bucket) by an index that is
computed once a batch; its gradient is a histogram. The backward pass is written out: it keeps the logits and nothing else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from ..time_buckets import time_buckets

if TYPE_CHECKING:
    from .interface import AttentionPlan

BLOCK = 64
"""Queries in a block."""


class Group(NamedTuple):
    """Blocks with about the same number of keys, computed together."""

    block: Tensor
    """int64 [G]"""
    key: Tensor
    """int64 [G, K]: positions of the keys; clamped where the mask is off."""
    mask: Tensor
    """bool [G, BLOCK, K]"""
    bias: Tensor | None
    """int32 [G, BLOCK, K]: index into the joint bias table."""


def _groups(plan: AttentionPlan, positions: int, buckets: int) -> list[Group]:
    """Blocks grouped by their number of keys in steps of one block, so that little of the padding is computed.

    `positions` and `buckets` are the rows of the two bias tables, 0 for a table that does not exist.
    """
    found = plan.cache.get((positions, buckets))
    if found is not None:
        return found
    tokens = len(plan.lo)
    padding = -tokens % BLOCK

    def blocks(values: Tensor, fill: int) -> Tensor:
        return F.pad(values, (0, padding), value=fill).view(-1, BLOCK)

    # A token that sees nothing asks for no key; what it must not do is stretch the range of its block.
    nothing = plan.lo >= plan.hi
    lo = blocks(torch.where(nothing, tokens, plan.lo), tokens)
    hi = blocks(torch.where(nothing, 0, plan.hi), 0)
    first = lo.amin(1)
    width = (hi.amax(1) - first).clamp(min=0)
    steps = (width + BLOCK - 1) // BLOCK
    groups = []
    for step in torch.unique(steps).tolist():
        if step == 0:
            continue
        block = (steps == step).nonzero().squeeze(1)
        key = first[block].unsqueeze(1) + torch.arange(step * BLOCK, device=lo.device)
        mask = (key.unsqueeze(1) >= lo[block].unsqueeze(2)) & (key.unsqueeze(1) < hi[block].unsqueeze(2))
        key = key.clamp(max=tokens - 1)
        bias = None
        if positions or buckets:
            bias = torch.zeros(mask.shape, dtype=torch.int64, device=lo.device)
            if positions:
                relative = blocks(plan.position, 0)[block].unsqueeze(2) - plan.position[key].unsqueeze(1)
                bias += relative.clamp(0, positions - 1) * max(buckets, 1)
            if buckets:
                assert plan.query_time is not None and plan.key_time is not None
                gap = blocks(plan.query_time, 0)[block].unsqueeze(2) - plan.key_time[key].unsqueeze(1)
                bias += time_buckets(gap).clamp(max=buckets - 1)
            bias = bias.int()
        groups.append(Group(block, key, mask, bias))
    plan.cache[(positions, buckets)] = groups
    return groups


class _Attention(torch.autograd.Function):
    """q, k [T, H, D] (q already scaled), v [T, H, Dv], table [positions * buckets] or None, inverse divisor [T, 1, 1] or None."""

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, table: Tensor | None, inverse: Tensor | None, groups: list[Group]) -> Tensor:
        tokens, heads, _ = q.shape
        padded = tokens + (-tokens % BLOCK)
        q_blocks = F.pad(q, (0, 0, 0, 0, 0, padded - tokens)).view(-1, BLOCK, heads, q.shape[2]).transpose(1, 2)
        out = q.new_zeros(padded // BLOCK, BLOCK, heads, v.shape[2])
        own = (q * k).sum(2, dtype=torch.float32 if q.dtype.itemsize < 4 else q.dtype)
        if table is not None:
            own = own + table[0]
        logits = []
        if inverse is None:
            # Softmax over what a block sees and the token itself: the own logit takes part in every row's normaliser.
            own_blocks = F.pad(own, (0, 0, 0, padded - tokens)).view(-1, BLOCK, heads).transpose(1, 2).unsqueeze(3)
            own_weight = torch.ones_like(own_blocks)
        for block, key, mask, bias in groups:
            s = torch.matmul(q_blocks[block], k[key].permute(0, 2, 3, 1)).to(own.dtype)
            if table is not None and bias is not None:
                s += table.index_select(0, bias.flatten()).view(mask.shape).unsqueeze(1)
            if inverse is None:
                s.masked_fill_(~mask.unsqueeze(1), -torch.inf)
                weight = torch.cat([s, own_blocks[block]], dim=3).softmax(dim=3)
                own_weight[block] = weight[..., -1:]
                s = weight[..., :-1]
                weight = s
            else:
                weight = F.silu(s).mul_(mask.unsqueeze(1))
            logits.append(s)
            out[block] = torch.matmul(weight.to(v.dtype), v[key].transpose(1, 2)).transpose(1, 2)
        out = out.view(padded, heads, v.shape[2])[:tokens]
        if inverse is None:
            own = own_weight.squeeze(3).transpose(1, 2).reshape(padded, heads)[:tokens]
            out = out + own.unsqueeze(2).to(v.dtype) * v
        else:
            out = (out + F.silu(own).unsqueeze(2).to(v.dtype) * v) * inverse.to(v.dtype)
        ctx.save_for_backward(q, k, v, table, inverse, own, *logits)
        ctx.groups = groups
        return out

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        q, k, v, table, inverse, own, *logits = ctx.saved_tensors
        tokens, heads, size = q.shape
        padding = -tokens % BLOCK
        g = grads[0] if inverse is None else grads[0] * inverse.to(v.dtype)

        def blocks(x: Tensor) -> Tensor:
            return F.pad(x, (0, 0, 0, 0, 0, padding)).view(-1, BLOCK, heads, x.shape[2]).transpose(1, 2)

        q_blocks, g_blocks = blocks(q), blocks(g)
        own_grad = (g * v).sum(2, dtype=own.dtype)
        d_table = None if table is None else torch.zeros_like(table)
        dq = q.new_zeros((tokens + padding) // BLOCK, BLOCK, heads, size)
        dk, dv = torch.zeros_like(k), torch.zeros_like(v)
        if inverse is None:
            # d s = weight * (d weight - sum over the row of weight * d weight); the row includes the token itself.
            row_sum = F.pad(own * own_grad, (0, 0, 0, padding)).view(-1, BLOCK, heads).transpose(1, 2).unsqueeze(3).clone()
        for (block, key, mask, bias), s in zip(ctx.groups, logits, strict=True):
            d_weight = torch.matmul(g_blocks[block], v[key].permute(0, 2, 3, 1)).to(own.dtype)
            if inverse is None:
                weight = s
                row_sum[block] += (weight * d_weight).sum(3, keepdim=True)
                ds = d_weight.sub_(row_sum[block]).mul_(weight)
            else:
                d_weight.mul_(mask.unsqueeze(1))
                gate = torch.sigmoid(s)
                weight = (s * gate).mul_(mask.unsqueeze(1))
                # SiLU'(s) = sigmoid(s) (1 + s - s sigmoid(s))
                ds = d_weight.mul_(gate.mul_(1 + s - weight))
            g_rows = g_blocks[block]
            d_value = torch.matmul(weight.to(v.dtype).transpose(2, 3), g_rows).transpose(1, 2)
            dv.index_add_(0, key.flatten(), d_value.reshape(-1, heads, v.shape[2]))
            if table is not None and bias is not None:
                d_table.index_add_(0, bias.flatten(), ds.sum(1).flatten())
            ds = ds.to(q.dtype)
            dq[block] = torch.matmul(ds, k[key].transpose(1, 2)).transpose(1, 2)
            dk.index_add_(0, key.flatten(), torch.matmul(ds.transpose(2, 3), q_blocks[block]).transpose(1, 2).reshape(-1, heads, size))
        dq = dq.view(-1, heads, size)[:tokens]
        if inverse is None:
            total = row_sum.squeeze(3).transpose(1, 2).reshape(-1, heads)[:tokens]
            own_weight, d_own = own, own * (own_grad - total)
        else:
            gate = torch.sigmoid(own)
            own_weight, d_own = own * gate, own_grad * gate * (1 + own - own * gate)
        dv += own_weight.unsqueeze(2).to(v.dtype) * g
        step = d_own.unsqueeze(2).to(q.dtype)
        dq, dk = dq + step * k, dk + step * q
        if d_table is not None:
            d_table[0] += d_own.sum()
        return dq, dk, dv, d_table, None, None


def attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    plan: AttentionPlan,
    alpha: float,
    position_bias: Tensor | None,
    time_bias: Tensor | None,
    activation: str,
    divisor: Tensor | float,
) -> Tensor:
    """See `hstu_attention`."""
    if len(q) == 0:
        return v.clone()
    groups = _groups(plan, 0 if position_bias is None else len(position_bias), 0 if time_bias is None else len(time_bias))
    table = None
    if position_bias is not None and time_bias is not None:
        table = (position_bias.unsqueeze(1) + time_bias.unsqueeze(0)).flatten()
    elif position_bias is not None or time_bias is not None:
        table = position_bias if position_bias is not None else time_bias
    inverse = None
    if activation == "silu":
        per_query = divisor if isinstance(divisor, Tensor) else q.new_full((len(q),), divisor)
        inverse = per_query.reciprocal().view(-1, 1, 1)
    if table is not None and q.dtype.itemsize >= 4:
        table = table.to(q.dtype)
    return _Attention.apply(q * alpha, k, v, table, inverse, groups)
