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

from ..dispatch import note
from ..small_case import apart, first_difference, why_not
from . import torch_blocks
from .borders import key_borders, segments
from .npu_bias import Places, buckets_of, dense_bias
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
    places: Places | None
    """None: there is no bias."""


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
    return why_not(lambda: _differs(torch.device("npu")))


def _differs(device: torch.device) -> str | None:
    """What is wrong with the operator, or with both biases and their gradients, on small cases with windows, segments, times, and
    positions that stand on diagonals or are tied; None if nothing is."""
    return _differs_on(device, tied=False) or _differs_on(device, tied=True)


def _differs_on(device: torch.device, tied: bool) -> str | None:
    generator = torch.Generator().manual_seed(0)
    offsets = torch.tensor([0, 3, 20])
    at = torch.arange(20)
    start = torch.repeat_interleave(offsets[:-1], offsets.diff())
    position, time = at - start - (at >= (10 if tied else 20)).long(), (at - start) ** 3 * 1000
    places = (offsets, torch.maximum(start, at - 9), torch.maximum(start, at - 1), position, time + 500, time)
    own = (time - 7000 * (at % 3),) if tied else ()
    plan = plan_attention(*(one.to(device) for one in (*places, *own)))

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator).to(device)

    tensors, grad = [draw(20, 2, 16), draw(20, 2, 16), draw(20, 2, 16), draw(12), draw(72, 2)], draw(20, 2, 16)
    results = []
    for run in (attention, torch_blocks.attention):
        with apart(device):
            q, k, v, position_bias, time_bias = leaves = [one.clone().requires_grad_() for one in tensors]
            out = run(Inputs(q, k, v, plan, 0.5, position_bias, time_bias, "silu", 10.0))
            results.append([out.detach(), *torch.autograd.grad(out, leaves, grad)])
    own, wanted = results
    return first_difference(("the output", "dq", "dk", "dv", "dposition", "dtime"), own, wanted, _TOLERANCE)


def attention(inputs: Inputs) -> Tensor:
    """See `hstu_attention`."""
    q, k, v, plan, alpha, position_bias, time_bias, activation, divisor = inputs
    if activation != "silu" or len(q) == 0:
        note("hstu_attention", "torch")
        return torch_blocks.attention(inputs)
    positions, buckets = (0 if table is None else len(table) for table in (position_bias, time_bias))
    padded = prepare(plan, positions, buckets)
    batch, heads = len(padded.mask), q.shape[1]
    bias = None
    if padded.places is not None:
        bias = dense_bias(position_bias, time_bias, padded.places, heads, q.dtype)
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
    lengths, tokens = plan.offsets.diff(), len(plan.lo)
    segment = segments(plan)
    jumps = (plan.position.diff() != 1) & (segment.diff() == 0)
    longest, jumps_at_all = torch.stack([lengths.max(), jumps.sum()]).tolist()  # the host waits once
    length = max(SIZE, 1 << (longest - 1).bit_length())
    start = plan.offsets[:-1].index_select(0, segment)
    place = segment * length + torch.arange(tokens, device=lengths.device) - start

    def spread(values: Tensor, fill: int) -> Tensor:
        """[T, ...] -> [B, S, ...]"""
        full = values.new_full((len(lengths) * length, *values.shape[1:]), fill)
        return full.index_copy(0, place, values).view(len(lengths), length, *values.shape[1:])

    at = torch.arange(length, device=lengths.device)
    real = spread(torch.ones_like(place), 0) > 0
    lo, hi = (spread(bound - start, 0).unsqueeze(2) for bound in (plan.lo, plan.hi))
    mask = (at >= lo) & (at < hi) | (at.unsqueeze(1) == at)
    places = None
    if positions or buckets:
        relative = bucket = ends = None
        if positions:
            position = spread(plan.position, 0)
            relative = (position.unsqueeze(2) - position.unsqueeze(1)).clamp(0, positions - 1)
        if buckets:
            border, own = key_borders(plan), own_buckets(plan)
            assert border is not None
            ends = spread((border[: buckets - 1].t() - start.unsqueeze(1)).long().clamp(0, length), 0)
            ends = torch.cat([torch.full_like(ends[..., :1], length), ends], dim=2)
            # Without a time of its own, a token's own key has the first row, whatever the query's time.
            own = torch.zeros_like(place) if own is None else own.clamp(max=buckets - 1)
            bucket = buckets_of(ends, spread(own, 0), length)
        places = Places(relative, not jumps_at_all, bucket, ends)
    return Padded(place, length, mask & real.unsqueeze(2) & real.unsqueeze(1), places)


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
