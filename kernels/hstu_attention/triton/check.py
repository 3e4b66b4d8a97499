"""A small case of attention on the card at hand, in both kinds of precision and both activations."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ...small_case import apart, first_difference, why_not
from ...time_buckets import GAP_BUCKETS
from .. import torch_blocks
from ..plan import Activation, AttentionPlan, Inputs, plan_attention
from .function import attention, why_no_programs

CASES: tuple[tuple[torch.dtype, Activation], ...] = ((torch.float32, "silu"), (torch.bfloat16, "softmax"))
_TOLERANCE = {torch.float32: 1e-2, torch.bfloat16: 5e-2, torch.float16: 5e-2}
"""Relative, in the norm; products of fp32 may be TF32's."""


@functools.cache
def why_unavailable() -> str | None:
    """None if the programs can run here and give the numbers of `torch` on a small case."""
    if reason := why_no_programs():
        return reason
    if not torch.cuda.is_available():
        return "this torch sees no NVIDIA GPU"
    return why_not(lambda: differs(torch.device("cuda"), CASES))


def differs(device: torch.device, cases: Sequence[tuple[torch.dtype, Activation]]) -> str | None:
    """What is wrong with output or gradients on a case with windows, segments, ties and both tables; None if nothing is."""
    at, offsets = torch.arange(150), torch.tensor([0, 9, 150])
    start = torch.repeat_interleave(offsets[:-1], offsets.diff())
    edge = start + (at - start) // 2 * 2  # two events a request
    time = (edge - start) ** 2 * 60_000
    places = (offsets, torch.maximum(start, edge - 90), edge, edge - start, time, time)
    plan = plan_attention(*(one.to(device) for one in places))
    for dtype, activation in cases:
        own = _results(attention, plan, device, dtype, activation)
        wanted = _results(torch_blocks.attention, plan, device, torch.float32, activation)
        names = (f"{name} ({activation}, {dtype})" for name in ("the output", "dq", "dk", "dv", "dposition", "dtime"))
        if reason := first_difference(tuple(names), own, wanted, _TOLERANCE[dtype]):
            return reason
    return None


def _results(
    run: Callable[[Inputs], Tensor], plan: AttentionPlan, device: torch.device, dtype: torch.dtype, activation: Activation
) -> list[Tensor]:
    """Output and all gradients, of numbers that bf16 holds."""
    generator = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator).to(torch.bfloat16).to(device, dtype)

    with apart(device):
        *drawn, grad = (draw(150, 2, 16) for _ in range(4))
        leaves = [one.requires_grad_() for one in (*drawn, draw(12).float(), draw(GAP_BUCKETS).float())]
        q, k, v, position, times = leaves
        out = run(Inputs(q, k, v, plan, 0.25, position, times, activation, 50.0))
        return [out.detach(), *torch.autograd.grad(out, leaves, grad)]
