"""Plain PyTorch on any device: blocks of consecutive queries against the one range of keys that the block can see.

Tokens stay packed; a block may hold the ends of several segments, the mask keeps them apart. Because bounds never decrease
within a segment, a block's keys are one slice of the packed array: no padding to the longest segment, and short windows
cost what the window costs. Biases are read from one table over (relative position, time bucket) by an index that is
computed once a batch; its gradient is a histogram. The backward pass is written out: it keeps the logits and nothing else.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from ..time_buckets import time_buckets
from .plan import AttentionPlan, Inputs, once_a_plan, own_buckets

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


@once_a_plan
def prepare(plan: AttentionPlan, positions: int, buckets: int) -> list[Group]:
    """Blocks grouped by their number of keys in steps of one block, so that little of the padding is computed.

    `positions` and `buckets` are the rows of the two bias tables, 0 for a table that does not exist.
    """
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
        # A token is a key of its own besides those of its interval, and no key twice.
        query = block.unsqueeze(1) * BLOCK + torch.arange(BLOCK, device=lo.device)
        mask &= key.unsqueeze(1) != query.unsqueeze(2)
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
    return groups


def _blocks(x: Tensor) -> Tensor:
    """[T, H, D] -> [H, blocks, BLOCK, D], zeros after the last token."""
    return F.pad(x.transpose(0, 1), (0, 0, 0, -len(x) % BLOCK)).unflatten(1, (-1, BLOCK))


def _keys(x: Tensor, key: Tensor) -> Tensor:
    """Rows of x [H, T, D] for the keys [G, K] -> [H, G, K, D]."""
    return x.index_select(1, key.flatten()).unflatten(1, key.shape)


def _gather(table: Tensor, bias: Tensor) -> Tensor:
    """table [N] or [N, H] at bias [G, BLOCK, K] -> [G, BLOCK, K] or [H, G, BLOCK, K]."""
    if table.dim() == 1:
        return table.index_select(0, bias.flatten()).view(bias.shape)
    return table.t().contiguous().index_select(1, bias.flatten()).view(-1, *bias.shape)


def _scatter(d_table: Tensor, bias: Tensor, ds: Tensor) -> None:
    """Add ds [H, G, BLOCK, K] to the rows of d_table that `_gather` read."""
    if d_table.dim() == 1:
        d_table.index_add_(0, bias.flatten(), ds.sum(0).flatten())
    else:
        d_table.index_add_(0, bias.flatten(), ds.flatten(1).t())


class _Attention(torch.autograd.Function):
    """q, k [T, H, D] (q already scaled), v [T, H, Dv], table [N] or [N, H] with N = positions * buckets, or None, inverse
    divisor [T, 1, 1] or None; own_rows int64, of the table, for the tokens' own keys: [T], or [1] for all of them.

    Logits and weights are float32 at least. Without an inverse divisor the weights are a softmax.
    """

    @staticmethod
    def forward(
        ctx: Any,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        table: Tensor | None,
        inverse: Tensor | None,
        groups: list[Group],
        own_rows: Tensor,
    ) -> Tensor:
        tokens = len(q)
        precise = torch.float32 if q.dtype.itemsize < 4 else q.dtype
        own = (q * k).sum(2, dtype=precise)
        if table is not None:
            own = own + table.index_select(0, own_rows).view(len(own_rows), -1)
        q_blocks, k_heads, v_heads = _blocks(q), k.transpose(0, 1).contiguous(), v.transpose(0, 1).contiguous()
        out = v.new_zeros(*q_blocks.shape[:3], v.shape[2])
        # The own logit takes part in the normaliser of every softmax row.
        own_blocks = _blocks(own.unsqueeze(2)) if inverse is None else None
        own_weight = None if own_blocks is None else torch.ones_like(own_blocks)
        saved = []
        for block, key, mask, bias in groups:
            s = (q_blocks.index_select(1, block) @ _keys(k_heads, key).transpose(2, 3)).to(precise)
            if table is not None and bias is not None:
                s += _gather(table, bias)
            if own_blocks is not None and own_weight is not None:
                row = torch.cat([s.masked_fill_(~mask, -torch.inf), own_blocks.index_select(1, block)], dim=3).softmax(dim=3)
                own_weight.index_copy_(1, block, row[..., -1:])
                s = weight = row[..., :-1]
            else:
                weight = F.silu(s).mul_(mask)
            saved.append(s)
            out.index_copy_(1, block, weight.to(v.dtype) @ _keys(v_heads, key))
        out = out.flatten(1, 2)[:, :tokens].transpose(0, 1)
        if own_weight is not None:
            own = own_weight.flatten(1)[:, :tokens].transpose(0, 1)
            out = out + own.unsqueeze(2).to(v.dtype) * v
        else:
            assert inverse is not None
            out = (out + F.silu(own).unsqueeze(2).to(v.dtype) * v) * inverse.to(v.dtype)
        ctx.save_for_backward(q, k, v, table, inverse, own, *saved)
        ctx.groups, ctx.own_rows = groups, own_rows
        return out

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        q, k, v, table, inverse, own, *saved = ctx.saved_tensors
        tokens = len(q)
        g = grads[0] if inverse is None else grads[0] * inverse.to(v.dtype)
        q_blocks, g_blocks = _blocks(q), _blocks(g)
        k_heads, v_heads = k.transpose(0, 1).contiguous(), v.transpose(0, 1).contiguous()
        dq, dk, dv = torch.zeros_like(q_blocks), torch.zeros_like(k_heads), torch.zeros_like(v_heads)
        d_table = torch.zeros_like(table) if table is not None and ctx.needs_input_grad[3] else None
        own_grad = (g * v).sum(2, dtype=own.dtype)
        # Softmax: ds = weight * (d weight - the row's sum of weight * d weight); the row includes the token itself.
        row_sum = _blocks((own * own_grad).unsqueeze(2)).clone() if inverse is None else None
        for (block, key, mask, bias), s in zip(ctx.groups, saved, strict=True):
            g_rows = g_blocks.index_select(1, block)
            ds = (g_rows @ _keys(v_heads, key).transpose(2, 3)).to(own.dtype)
            if row_sum is not None:
                weight = s
                rows = row_sum.index_select(1, block) + (weight * ds).sum(3, keepdim=True)
                row_sum.index_copy_(1, block, rows)
                ds = ds.sub_(rows).mul_(weight)
            else:
                gate = torch.sigmoid(s).mul_(mask)
                weight = s * gate
                # SiLU'(s) = sigmoid(s) (1 + s - s sigmoid(s))
                ds = ds.mul_((s - weight).add_(1).mul_(gate))
            dv.index_add_(1, key.flatten(), (weight.to(v.dtype).transpose(2, 3) @ g_rows).flatten(1, 2))
            if d_table is not None and bias is not None:
                _scatter(d_table, bias, ds)
            ds = ds.to(q.dtype)
            dq.index_copy_(1, block, ds @ _keys(k_heads, key))
            dk.index_add_(1, key.flatten(), (ds.transpose(2, 3) @ q_blocks.index_select(1, block)).flatten(1, 2))
        if row_sum is not None:
            own_weight, d_own = own, own * (own_grad - row_sum.flatten(1)[:, :tokens].transpose(0, 1))
        else:
            gate = torch.sigmoid(own)
            own_weight, d_own = own * gate, own_grad * gate * (1 + own - own * gate)
        step = d_own.unsqueeze(2).to(q.dtype)
        if d_table is not None:
            d_own = d_own if d_table.dim() > 1 else d_own.sum(1)
            d_table.index_add_(0, ctx.own_rows, d_own if len(ctx.own_rows) == tokens else d_own.sum(0, keepdim=True))
        return (
            dq.flatten(1, 2)[:, :tokens].transpose(0, 1) + step * k,
            dk.transpose(0, 1) + step * q,
            dv.transpose(0, 1) + own_weight.unsqueeze(2).to(v.dtype) * g,
            d_table,
            None,
            None,
            None,
        )


def _own_rows(plan: AttentionPlan, buckets: int) -> Tensor:
    """int64: rows of the joint table that own keys read, at distance 0: [T], or [1] if it is one row for all."""
    own = own_buckets(plan) if buckets else None
    return plan.lo.new_zeros(1) if own is None else own.clamp(max=buckets - 1)


def joint_table(position: Tensor | None, time: Tensor | None) -> Tensor | None:
    """One table over (relative position, time bucket), row p * buckets + b: the sum of both; [N], or [N, H] if one has heads."""
    if position is None or time is None:
        return position if position is not None else time
    if position.dim() == time.dim() == 1:
        return (position.unsqueeze(1) + time.unsqueeze(0)).flatten()
    with_heads = [table if table.dim() == 2 else table.unsqueeze(1) for table in (position, time)]
    return (with_heads[0].unsqueeze(1) + with_heads[1].unsqueeze(0)).flatten(0, 1)


def bias_mixing(v: Tensor, plan: AttentionPlan, position_table: Tensor | None, time_table: Tensor | None) -> Tensor:
    """See `interface.bias_mixing`; every gradient comes from autograd."""
    groups = prepare(plan, 0 if position_table is None else len(position_table), 0 if time_table is None else len(time_table))
    table = joint_table(position_table, time_table)
    assert table is not None
    rows = _own_rows(plan, 0 if time_table is None else len(time_table))
    out = table.index_select(0, rows).view(len(rows), -1, 1) * v
    if not groups:
        return out
    v_heads, tokens = v.transpose(0, 1), len(v)
    mixed = [(_gather(table, bias) * mask).to(v.dtype) @ _keys(v_heads, key) for _, key, mask, bias in groups if bias is not None]
    places = (torch.cat([group.block for group in groups]).unsqueeze(1) * BLOCK + torch.arange(BLOCK, device=v.device)).flatten()
    values = torch.cat(mixed, dim=1).flatten(1, 2).transpose(0, 1)
    inside = places < tokens
    return out.index_add(0, places[inside], values[inside])


def attention(inputs: Inputs) -> Tensor:
    """See `hstu_attention`."""
    q, k, v, plan, alpha, position_bias, time_bias, activation, divisor = inputs
    if len(q) == 0:
        return v.clone()
    groups = prepare(plan, 0 if position_bias is None else len(position_bias), 0 if time_bias is None else len(time_bias))
    table = joint_table(position_bias, time_bias)
    inverse = None
    if activation == "silu":
        per_query = divisor if isinstance(divisor, Tensor) else q.new_full((len(q),), divisor)
        inverse = per_query.reciprocal().view(-1, 1, 1)
    if table is not None:
        table = table.to(torch.promote_types(q.dtype, torch.float32))
    own_rows = _own_rows(plan, 0 if time_bias is None else len(time_bias))
    return _Attention.apply(q * alpha, k, v, table, inverse, groups, own_rows)
