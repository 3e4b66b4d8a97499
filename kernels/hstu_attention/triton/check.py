"""A small case on the card at hand, before the programs are first chosen: a compiler or a card that they do not suit is then a
reason to take torch's operations, and not the end of every run."""

from __future__ import annotations

import itertools
from typing import get_args

import torch
from torch import Tensor

from ...time_buckets import GAP_BUCKETS
from .. import torch_blocks
from ..plan import Activation, AttentionPlan, Inputs, plan_attention
from .function import attention, why_no_programs

_TOLERANCE = {torch.float32: 1e-2, torch.bfloat16: 5e-2}
"""Relative, in the norm; products of fp32 may be TF32's."""


def why_unavailable() -> str | None:
    """None if the programs can run here and give the numbers of `torch` on a small case."""
    if reason := why_no_programs():
        return reason
    if not torch.cuda.is_available():
        return "this torch sees no NVIDIA GPU"
    try:
        return differs(torch.device("cuda"), (torch.float32, torch.bfloat16))
    except Exception as error:  # whatever a compiler or a driver raises
        return f"a small case fails ({type(error).__name__}: {' '.join(str(error).split())[:160]})"


def differs(device: torch.device, dtypes: tuple[torch.dtype, ...]) -> str | None:
    """What is wrong with output or gradients on a case with windows, segments, ties and both tables; None if nothing is."""
    at, offsets = torch.arange(150), torch.tensor([0, 9, 150])
    start = torch.repeat_interleave(offsets[:-1], offsets.diff())
    edge = start + (at - start) // 2 * 2  # two events a request
    time = (edge - start) ** 2 * 60_000
    places = (offsets, torch.maximum(start, edge - 90), edge, edge - start, time, time)
    plan = plan_attention(*(one.to(device) for one in places))
    names, kinds = ("output", "dq", "dk", "dv", "dposition", "dtime"), get_args(Activation)
    for dtype, activation in itertools.product(dtypes, kinds):
        own = _results(attention, plan, device, dtype, activation)
        wanted = _results(torch_blocks.attention, plan, device, torch.float32, activation)
        for name, one, two in zip(names, own, wanted, strict=True):
            error = float((one.float() - two).norm() / two.norm())
            if not error < _TOLERANCE[dtype]:
                return f"it computes something else: relative error {error:.1e} of {name} ({activation}, {dtype})"
    return None


def _results(run: object, plan: AttentionPlan, device: torch.device, dtype: torch.dtype, activation: Activation) -> list[Tensor]:
    """Output and all gradients, of numbers that bf16 holds."""
    generator = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator).to(torch.bfloat16).to(device, dtype)

    # Whoever scores asks first in inference mode, in which nothing has a gradient.
    with torch.inference_mode(False), torch.enable_grad(), torch.autocast(device.type, enabled=False):
        q, k, v, grad = (draw(150, 2, 16) for _ in range(4))
        leaves = [one.requires_grad_() for one in (q, k, v, draw(12).float(), draw(GAP_BUCKETS).float())]
        out = run(Inputs(*leaves[:3], plan, 0.25, *leaves[3:], activation, 50.0))  # type: ignore[operator, arg-type]
        return [out.detach(), *torch.autograd.grad(out, leaves, grad)]
