"""Huawei's fused HSTU attention for Ascend NPUs, where its operators are loaded (RecSDK, `torch.ops.mxrec.hstu_dense`).

The operator takes padded tensors [B, S, H, D], a mask and a bias [B, H, S, S], and knows SiLU alone: a softmax goes the way of
`torch`. Segments are padded to a few lengths, so that shapes repeat: every new one may cost an NPU a compilation. Before it is
first chosen, output and gradients of a small case are held against those of `torch` on the same device.
"""

from __future__ import annotations

import os
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..time_buckets import time_buckets
from . import torch_blocks
from .plan import AttentionPlan, Inputs, once_a_plan, own_buckets, plan_attention

LIBRARY = "RANKBENCH_MXREC"
"""Environment variable: the shared library that defines torch.ops.mxrec, as RecSDK builds it."""

SIZE = 16
"""Head sizes are multiples of it."""

_CUSTOM_MASK = 3
_TOLERANCE = 2e-2
"""Relative, in the norm; products may run in a shorter format."""


class Padded(NamedTuple):
    """Where the tokens of a plan stand in [B, S], and what they see there."""

    place: Tensor
    """int64 [T]: row of a token in [B * S]."""
    length: int
    """S"""
    mask: Tensor
    """bool [B, S, S]"""
    bias: Tensor | None
    """int64 [B, S, S]: rows of the joint table."""


def why_unavailable() -> str | None:
    """None if the operator is there and computes what it should."""
    path = os.environ.get(LIBRARY, "")
    if path:
        try:
            torch.ops.load_library(path)
        except OSError as error:
            return f"{LIBRARY} names {path}, which cannot be loaded ({' '.join(str(error).split())[:120]})"
    if not hasattr(torch.ops.mxrec, "hstu_dense") or not hasattr(torch.ops.mxrec, "hstu_dense_backward"):
        return f"torch.ops.mxrec.hstu_dense is not loaded; build RecSDK's operators and let {LIBRARY} name the library"
    if not hasattr(torch, "npu"):
        return "this torch has no npu"
    return _differs(torch.device("npu"))


def _differs(device: torch.device) -> str | None:
    """What is wrong with the operator on a small case with windows, ties, segments and a bias; None if nothing is."""
    generator = torch.Generator().manual_seed(0)
    offsets = torch.tensor([0, 3, 20])
    at = torch.arange(20)
    start = torch.repeat_interleave(offsets[:-1], offsets.diff())
    places = (offsets, torch.maximum(start, at - 9), torch.maximum(start, at - 1), at - start)
    plan = plan_attention(*(one.to(device) for one in places))

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator).to(device)

    tensors, grad = [draw(20, 2, 16), draw(20, 2, 16), draw(20, 2, 16), draw(12)], draw(20, 2, 16)
    results = []
    for run in (attention, torch_blocks.attention):
        try:
            # Whoever scores asks first in inference mode, in which nothing has a gradient.
            with torch.inference_mode(False), torch.enable_grad():
                q, k, v, bias = (one.clone().requires_grad_() for one in tensors)
                out = run(Inputs(q, k, v, plan, 0.5, bias, None, "silu", 10.0))
                results.append([out.detach(), *torch.autograd.grad(out, (q, k, v, bias), grad)])
        except (RuntimeError, TypeError, KeyError) as error:
            return f"torch.ops.mxrec.hstu_dense fails ({' '.join(str(error).split())[:160]})"
    for name, own, wanted in zip(("output", "dq", "dk", "dv", "dbias"), *results, strict=True):
        error = float(((own - wanted).norm() / wanted.norm()).cpu())
        if not error < _TOLERANCE:
            return f"torch.ops.mxrec.hstu_dense computes something else: relative error {error:.1e} of {name}"
    return None


def attention(inputs: Inputs) -> Tensor:
    """See `hstu_attention`."""
    q, k, v, plan, alpha, position_bias, time_bias, activation, divisor = inputs
    if activation != "silu" or len(q) == 0:
        return torch_blocks.attention(inputs)
    positions, buckets = (0 if table is None else len(table) for table in (position_bias, time_bias))
    padded = prepare(plan, positions, buckets)
    batch, heads = len(padded.mask), q.shape[1]
    table = torch_blocks.joint_table(position_bias, time_bias)
    bias = None
    if table is not None and padded.bias is not None:
        rows = table.to(q.dtype).unsqueeze(1).expand(-1, heads) if table.dim() == 1 else table.to(q.dtype)
        bias = rows.index_select(0, padded.bias.flatten()).view(*padded.bias.shape, heads).permute(0, 3, 1, 2).contiguous()
    mask = padded.mask.unsqueeze(1).expand(-1, heads, -1, -1).to(q.dtype).contiguous()
    dense = [_spread(x, padded, batch) for x in (q * alpha, k, v)]
    out = _Dense.apply(*dense, mask, bias, padded.length).flatten(0, 1)  # type: ignore[union-attr]
    out = out.index_select(0, padded.place)[..., : v.shape[2]]
    return out / (divisor.view(-1, 1, 1).to(out.dtype) if isinstance(divisor, Tensor) else divisor)


def _spread(x: Tensor, padded: Padded, batch: int) -> Tensor:
    """[T, H, D] -> [B, S, H, D rounded up], zeros where no token is."""
    full = x.new_zeros(batch * padded.length, x.shape[1], -(-x.shape[2] // SIZE) * SIZE)
    x = torch.nn.functional.pad(x, (0, full.shape[2] - x.shape[2]))
    return full.index_copy(0, padded.place, x).view(batch, padded.length, *full.shape[1:])


@once_a_plan
def prepare(plan: AttentionPlan, positions: int, buckets: int) -> Padded:
    """`positions` and `buckets` are the rows of the two bias tables, 0 for a table that does not exist."""
    lengths = plan.offsets.diff()
    longest = int(lengths.max())
    length = max(SIZE, 1 << (longest - 1).bit_length())
    segment = torch.repeat_interleave(torch.arange(len(lengths), device=lengths.device), lengths, output_size=len(plan.lo))
    start = plan.offsets[:-1].index_select(0, segment)
    place = segment * length + torch.arange(len(plan.lo), device=lengths.device) - start

    def spread(values: Tensor, fill: int) -> Tensor:
        return values.new_full((len(lengths) * length,), fill).index_copy(0, place, values).view(len(lengths), length, 1)

    at = torch.arange(length, device=lengths.device)
    real = spread(torch.ones_like(place), 0) > 0
    mask = (at >= spread(plan.lo - start, 0)) & (at < spread(plan.hi - start, 0)) | (at.unsqueeze(1) == at)
    bias = None
    if positions or buckets:
        bias = torch.zeros(mask.shape, dtype=torch.int64, device=lengths.device)
        if positions:
            position = spread(plan.position, 0)
            bias += (position - position.transpose(1, 2)).clamp(0, positions - 1) * max(buckets, 1)
        if buckets:
            assert plan.query_time is not None and plan.key_time is not None
            gap = spread(plan.query_time, 0) - spread(plan.key_time, 0).transpose(1, 2)
            itself, own = at.unsqueeze(1) == at, own_buckets(plan)
            bias += time_buckets(gap).clamp(max=buckets - 1) * ~itself
            if own is not None:  # otherwise a token's own key has the first row, whatever the query's time
                bias += spread(own.clamp(max=buckets - 1), 0) * itself
    return Padded(place, length, mask & real & real.transpose(1, 2), bias)


class _Dense(torch.autograd.Function):
    """The operator pair on padded tensors, with a divisor of 1."""

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor, mask: Tensor, bias: Tensor | None, length: int) -> Tensor:
        ctx.save_for_backward(q, k, v, mask, bias)
        ctx.length = length
        return _call("hstu_dense", q=q, k=k, v=v, mask=mask, attnbias=bias, **_settings(length))  # type: ignore[no-any-return]

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        q, k, v, mask, bias = ctx.saved_tensors
        grad = grads[0].contiguous()
        dq, dk, dv, d_bias = _call(
            "hstu_dense_backward", grad=grad, q=q, k=k, v=v, mask=mask, attnbias=bias, **_settings(ctx.length)
        )
        return dq, dk, dv, None, d_bias if bias is not None else None, None


def _settings(length: int) -> dict[str, Any]:
    return {"masktype": _CUSTOM_MASK, "maxseqlen": length, "siluscale": 1.0, "layout": "normal"}


def _call(name: str, **values: Any) -> Any:
    """An operator of mxrec by the names of its arguments: their order, and the underscores in them, changed between versions."""
    operator = getattr(torch.ops.mxrec, name).default
    known = {argument.name: argument.name.lower().replace("_", "") for argument in operator._schema.arguments}
    return operator(**{name: values[plain] for name, plain in known.items() if plain in values})
