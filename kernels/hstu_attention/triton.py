"""Triton, for GPUs: blocks of consecutive queries against the range of keys that they can see, biases and their gradients inside.

As `cpu`, the forward pass saves its inputs alone, and of a softmax each row's normaliser; logits are computed again. One program
a block and head makes the gradients of queries and of the tables, another those of keys and values. Gradients of the tables are
added up by atomic additions, on several copies so that few programs meet: their order differs from run to run, and so do their
last bits.
"""

from __future__ import annotations

import functools
from types import ModuleType
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..time_buckets import borders
from .plan import AttentionPlan, Inputs, once_a_plan, own_buckets

_COPIES = 32
"""Of the bias tables' gradients."""


@functools.cache
def _programs() -> ModuleType | str:
    try:
        from . import triton_programs
    except ImportError as error:
        return f"triton is not installed ({error.name or error})"
    return triton_programs


def why_unavailable() -> str | None:
    """None if it can run here."""
    programs = _programs()
    if isinstance(programs, str):
        return programs
    return None if torch.cuda.is_available() else "this torch sees no NVIDIA GPU"


class Ranges(NamedTuple):
    """Which blocks of queries and keys meet."""

    first_key: Tensor
    """int64 [blocks]: of all that a block of queries sees; equal to last_key if it sees nothing."""
    last_key: Tensor
    first_query: Tensor
    """int64 [blocks]: blocks of queries that may see a block of keys."""
    last_query: Tensor


@once_a_plan
def prepare(plan: AttentionPlan, size: int) -> Ranges:
    """For blocks of `size` tokens."""
    tokens = len(plan.lo)
    blocks = -(-tokens // size)
    nothing = plan.lo >= plan.hi

    def by_block(values: Tensor, fill: int) -> Tensor:
        return torch.nn.functional.pad(values, (0, blocks * size - tokens), value=fill).view(blocks, size)

    first = by_block(torch.where(nothing, tokens, plan.lo), tokens).amin(1)
    last = by_block(torch.where(nothing, 0, plan.hi), 0).amax(1)
    first = torch.minimum(first, last)
    begin = torch.arange(blocks, device=plan.lo.device) * size
    meet = (first.unsqueeze(1) < begin + size) & (last.unsqueeze(1) > begin) & (first < last).unsqueeze(1)
    at = torch.arange(blocks, device=plan.lo.device).unsqueeze(1)
    last_query = torch.where(meet, at + 1, 0).amax(0)
    first_query = torch.minimum(torch.where(meet, at, blocks).amin(0), last_query)
    return Ranges(first, last, first_query, last_query)


BLOCK = 32
"""Tokens of a block. With 64 the tiles of a pair's bias do not fit the registers: much slower (docs/howto/kernels.md)."""


def launch(size: int, dtype: torch.dtype) -> dict[str, int]:
    """How a program runs for the widest head. Wide heads fill the registers of four warps. In single precision one load is in
    flight: two would not fit the shared memory of an A100."""
    return {"BM": BLOCK, "BN": BLOCK, "num_warps": 8 if size > 64 else 4, "num_stages": 1 if dtype == torch.float32 else 2}


def _padded(size: int) -> int:
    """A power of two that products of matrices take."""
    return max(16, 1 << (size - 1).bit_length())


class _Attention(torch.autograd.Function):
    """q, k [T, H, D], v [T, H, Dv], tables, inverse divisor [T] or None (softmax)."""

    @staticmethod
    def forward(
        ctx: Any,
        q: Tensor,
        k: Tensor,
        v: Tensor,
        position: Tensor | None,
        time: Tensor | None,
        inverse: Tensor | None,
        plan: AttentionPlan,
        alpha: float,
    ) -> Tensor:
        q, k, v = q.contiguous(), k.contiguous(), v.contiguous()
        out = torch.empty_like(v)
        lse = q.new_empty(q.shape[:2], dtype=torch.float32) if inverse is None else None
        tables, options = _arguments(q, v, position, time, inverse, plan, alpha)
        found = prepare(plan, BLOCK)
        grid = (len(found.first_key), q.shape[1])
        geometry = _geometry(plan, found.first_key, found.last_key, inverse)
        programs = _programs()
        assert not isinstance(programs, str)
        programs.forward[grid](q, k, v, out, lse, *geometry, *tables, **options)
        ctx.save_for_backward(q, k, v, position, time, inverse, out if inverse is None else None, lse)
        ctx.plan, ctx.alpha = plan, alpha
        return out

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        q, k, v, position, time, inverse, out, lse = ctx.saved_tensors
        plan, grad = ctx.plan, grads[0].contiguous()
        tables, options = _arguments(q, v, position, time, inverse, plan, ctx.alpha)
        found = prepare(plan, BLOCK)
        grid = (len(found.first_key), q.shape[1])
        # Softmax: the row's weighted mean of the gradient is grad . out.
        delta = None if out is None else (grad.float() * out.float()).sum(2).contiguous()
        dq, dk, dv = torch.empty_like(q), torch.empty_like(k), torch.empty_like(v)
        copies = [
            None if table is None else torch.zeros(_COPIES, *table.shape, dtype=torch.float32, device=table.device)
            for table in (position, time)
        ]
        programs = _programs()
        assert not isinstance(programs, str)
        geometry = _geometry(plan, found.first_key, found.last_key, inverse)
        programs.backward_queries[grid](
            q, k, v, grad, dq, lse, delta, *geometry, *tables, *(q if one is None else one for one in copies),
            **options, COPIES=_COPIES,
        )  # fmt: skip
        geometry = _geometry(plan, found.first_query, found.last_query, inverse)
        programs.backward_keys[grid](q, k, v, grad, dk, dv, lse, delta, *geometry, *tables, **options)
        d_tables = (
            None if table is None or copy is None else copy.sum(0).to(table.dtype)
            for table, copy in zip((position, time), copies, strict=True)
        )
        return dq, dk, dv, *d_tables, None, None, None


def _geometry(plan: AttentionPlan, first: Tensor, last: Tensor, inverse: Tensor | None) -> tuple[Tensor | None, ...]:
    return (plan.lo, plan.hi, plan.position, plan.query_time, plan.key_time, first, last, inverse, own_buckets(plan))


def _arguments(
    q: Tensor, v: Tensor, position: Tensor | None, time: Tensor | None, inverse: Tensor | None, plan: AttentionPlan, alpha: float
) -> tuple[tuple[Tensor | None, ...], dict[str, Any]]:
    """Bias tables and borders, and what all programs are told by name."""
    limits = borders(q.device)
    precision = "tf32" if q.dtype == torch.float32 and torch.backends.cuda.matmul.allow_tf32 else "ieee"

    def heads(table: Tensor | None) -> int:
        return table.shape[1] if table is not None and table.dim() == 2 else 1

    options = {
        "T": len(q), "H": q.shape[1], "alpha": alpha,
        "R": 1 if position is None else len(position), "POSITION_HEADS": heads(position),
        "BUCKETS": 1 if time is None else len(time), "TIME_HEADS": heads(time), "BORDERS": len(limits),
        "POSITION": position is not None, "TIME": time is not None, "OWN_TIME": plan.own_time is not None,
        "SOFTMAX": inverse is None,
        "D": q.shape[2], "DV": v.shape[2], "BD": _padded(q.shape[2]), "BDV": _padded(v.shape[2]),
        "PRECISION": precision, **launch(max(q.shape[2], v.shape[2]), q.dtype),
    }  # fmt: skip
    return (position, time, limits), options


def attention(inputs: Inputs) -> Tensor:
    """See `hstu_attention`."""
    q, k, v, plan, alpha, position_bias, time_bias, *_ = inputs
    if len(q) == 0:
        return v.clone()
    tables = (None if table is None else table.contiguous() for table in (position_bias, time_bias))
    return _Attention.apply(q, k, v, *tables, inputs.inverse_divisor(), plan, alpha)  # type: ignore[no-any-return]
