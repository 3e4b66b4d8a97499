"""The operation for autograd: what the programs are given, and what becomes of the sums that they leave."""

from __future__ import annotations

import functools
from types import ModuleType
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ...dispatch import note
from ...started import start
from .. import torch_blocks
from ..borders import key_borders
from ..plan import AttentionPlan, Inputs, own_buckets
from .blocks import LANES, keys, queries, tokens_of
from .tiles import WIDEST_HEAD, Program, Tile, capability, tile

_COPIES = 32
"""Of the position table's gradient: blocks that share one add to it in no fixed order."""


@functools.cache
def _programs() -> tuple[ModuleType, ModuleType] | str:
    try:
        from . import backward, forward
    except ImportError as error:
        return f"triton is not installed ({error.name or error})"
    return forward, backward


def why_no_programs() -> str | None:
    """None if Triton is there."""
    programs = _programs()
    return programs if isinstance(programs, str) else None


def _run(name: Program, blocks: int, heads: int, size: Tile, **given: Any) -> None:
    """A program for each block and head; it takes of what is given what it has a name for."""
    programs = _programs()
    assert not isinstance(programs, str)
    program = getattr(programs[0 if name == "forward" else 1], name)
    start(program, (blocks, heads), given, BM=size.queries, BN=size.keys, num_warps=size.warps)


def forward_pass(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    position: Tensor | None,
    time: Tensor | None,
    inverse: Tensor | None,
    plan: AttentionPlan,
    alpha: float,
) -> tuple[Tensor, Tensor | None]:
    """The output [T, H, Dv], and of a softmax (no `inverse`) the logarithms of the normalisers, float32 [T, H].

    Args:
        q, k: [T, H, D]. v: [T, H, Dv]; as the tables, contiguous.
        inverse: of the divisor, float32 [T]; None for a softmax.
    """
    out = torch.empty_like(v)
    lse = q.new_empty(q.shape[:2], dtype=torch.float32) if inverse is None else None
    size = _tile("forward", q, v)
    blocks = queries(plan, size.queries)
    rows = {"q": q, "k": k, "v": v, "out": out, "lse": lse, "inverse": inverse, "SOFTMAX": inverse is None}
    _run(
        "forward", len(blocks.begin), q.shape[1], size, **rows, **blocks._asdict(), **_of_plan(plan),
        **_options(q, v, position, time, alpha),
    )  # fmt: skip
    return out, lse


class Gradients(NamedTuple):
    """Of q, k, v and the tables, as the inputs are."""

    q: Tensor
    k: Tensor
    v: Tensor
    position: Tensor | None
    time: Tensor | None


def backward_pass(
    grad: Tensor,
    q: Tensor,
    k: Tensor,
    v: Tensor,
    out: Tensor | None,
    lse: Tensor | None,
    position: Tensor | None,
    time: Tensor | None,
    inverse: Tensor | None,
    plan: AttentionPlan,
    alpha: float,
) -> Gradients:
    """From the gradient of the output, contiguous; `out` and `lse` of `forward_pass` are read of a softmax alone."""
    # Softmax: the row's weighted mean of the gradient is grad . out.
    delta = None if out is None or inverse is not None else (grad.float() * out.float()).sum(2).contiguous()
    rows = {"q": q, "k": k, "v": v, "grad": grad, "lse": lse, "delta": delta, "inverse": inverse, "SOFTMAX": inverse is None}
    dq, *sums = _of_queries(rows, position, time, plan, alpha)
    dk, dv = _of_keys(rows, position, time, plan, alpha)
    d_tables = (
        None if table is None or each is None else _summed(each, table)
        for table, each in zip((position, time), sums, strict=True)
    )
    return Gradients(dq, dk, dv, *d_tables)


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
        out, lse = forward_pass(q, k, v, position, time, inverse, plan, alpha)
        ctx.save_for_backward(q, k, v, out if inverse is None else None, lse, position, time, inverse)
        ctx.plan, ctx.alpha = plan, alpha
        return out

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        q, k, v, out, lse, *rest = ctx.saved_tensors
        position, time, inverse = rest
        found = backward_pass(grads[0].contiguous(), q, k, v, out, lse, position, time, inverse, ctx.plan, ctx.alpha)
        return *found, None, None, None


def _of_queries(
    rows: dict[str, Any], position: Tensor | None, time: Tensor | None, plan: AttentionPlan, alpha: float
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """Gradient of q, and sums of the gradients of both tables [copies, H, rows]."""
    q, v = rows["q"], rows["v"]
    size = _tile("backward_queries", q, v)
    blocks = queries(plan, size.queries)
    count, deterministic = len(blocks.begin), torch.are_deterministic_algorithms_enabled()
    copies = count if deterministic else min(count, _COPIES)

    def sums(table: Tensor | None, copies: int) -> Tensor | None:
        return None if table is None else torch.zeros(copies, q.shape[1], len(table), dtype=torch.float32, device=q.device)

    dq, of_position, of_time = torch.empty_like(q), sums(position, copies), sums(time, count)
    _run(
        "backward_queries", count, q.shape[1], size, dq=dq, position_sums=of_position, time_sums=of_time, **rows,
        **blocks._asdict(), **_of_plan(plan), **_options(q, v, position, time, alpha), COPIES=copies, DETERMINISTIC=deterministic,
    )  # fmt: skip
    return dq, of_position, of_time


def _of_keys(
    rows: dict[str, Any], position: Tensor | None, time: Tensor | None, plan: AttentionPlan, alpha: float
) -> tuple[Tensor, Tensor]:
    """Gradients of k and v."""
    q, k, v = rows["q"], rows["k"], rows["v"]
    size = _tile("backward_keys", q, v)
    blocks, asking = keys(plan, size.keys, size.queries), queries(plan, size.queries)
    dk, dv = torch.empty_like(k), torch.empty_like(v)
    of_keys = {f"key_{name}": one for name, one in blocks._asdict().items()}
    _run(
        "backward_keys", len(blocks.begin), q.shape[1], size, dk=dk, dv=dv, **rows, **of_keys, **asking._asdict(),
        **_of_plan(plan), **_options(q, v, position, time, alpha),
    )  # fmt: skip
    return dk, dv


def _summed(sums: Tensor, table: Tensor) -> Tensor:
    """The gradient of a table from sums [copies, H, rows]: of each head, or of all that share it."""
    of_heads = sums.sum(0)
    return (of_heads.t() if table.dim() == 2 and table.shape[1] > 1 else of_heads.sum(0).view_as(table)).to(table.dtype)


def _tile(program: Program, q: Tensor, v: Tensor) -> Tile:
    return tile(program, max(q.shape[2], v.shape[2]), q.dtype, capability(q.device))


def _of_plan(plan: AttentionPlan) -> dict[str, Any]:
    return {
        **tokens_of(plan)._asdict(), "edges": key_borders(plan), "own_bucket": own_buckets(plan), "T": len(plan.lo),
        "OWN_TIME": plan.own_time is not None, "LANES": LANES,
    }  # fmt: skip


def _options(q: Tensor, v: Tensor, position: Tensor | None, time: Tensor | None, alpha: float) -> dict[str, Any]:
    """Tables, and what all programs are told of sizes."""

    def heads(table: Tensor | None) -> int:
        return table.shape[1] if table is not None and table.dim() == 2 else 1

    return {
        "position_table": position, "time_table": time, "H": q.shape[1], "alpha": alpha,
        "R": 1 if position is None else len(position), "POSITION_HEADS": heads(position),
        "BUCKETS": 1 if time is None else len(time), "TIME_HEADS": heads(time),
        "POSITION": position is not None, "TIME": time is not None,
        "D": q.shape[2], "DV": v.shape[2], "BD": _padded(q.shape[2]), "BDV": _padded(v.shape[2]),
        "PRECISION": _precision(q),
    }  # fmt: skip


def _padded(size: int) -> int:
    """A power of two that products of matrices take."""
    return max(16, 1 << (size - 1).bit_length())


def _precision(q: Tensor) -> str:
    """Of products of float32: TF32 where torch may use it, else three products of TF32, which keep 22 bits of each factor."""
    return "tf32" if torch.backends.cuda.matmul.allow_tf32 else "tf32x3"


def attention(inputs: Inputs) -> Tensor:
    """See `hstu_attention`."""
    q, k, v, plan, alpha, position_bias, time_bias, *_ = inputs
    if len(q) == 0:
        return v.clone()
    if max(q.shape[2], v.shape[2]) > WIDEST_HEAD:
        note("hstu_attention", "torch")
        return torch_blocks.attention(inputs)
    tables = (None if table is None else table.contiguous() for table in (position_bias, time_bias))
    return _Attention.apply(q, k, v, *tables, inputs.inverse_divisor(), plan, alpha)  # type: ignore[no-any-return]
