"""A stack of HSTU layers, forward and backward: ours over packed tokens beside the same mathematics as padded dense tensors.

The padded stack is written as one would write it in plain PyTorch with care: time gaps are put into buckets once a batch, bias
tables are read by one index (index_select), heads are a dimension. Both have the same weights; outputs are compared first.
"""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...kernels.hstu_attention import AttentionPlan, plan_attention
from ...kernels.time_buckets import GAP_BUCKETS, time_buckets
from .. import registry
from ..contract import DataSpec, Field

_DAY_MS = 86_400_000


@dataclass(frozen=True)
class LayerShape:
    """Sequences of up to `length` tokens through `layers` layers."""

    batch: int
    length: int
    width: int
    heads: int
    layers: int
    half: bool
    """Lengths drawn evenly from 1 to `length`, instead of `length` throughout."""

    @property
    def name(self) -> str:
        kind = "half" if self.half else "full"
        return f"B{self.batch} N{self.length} D{self.width} h{self.heads} L{self.layers} {kind}"


SHAPES = tuple(
    LayerShape(*size, half) for size in ((32, 50, 50, 1, 2), (32, 211, 50, 2, 8), (8, 512, 256, 4, 4)) for half in (False, True)
)
"""HSTU on Amazon Books' length, HSTU-large on ML-1M, and the width of ML-20M with longer sequences."""


@dataclass(frozen=True)
class LayerTime:
    """One stack on one shape; one value per round."""

    shape: str
    stack: str
    """`packed` or `padded`."""
    tokens: int
    """Real ones."""
    wall: list[float]
    cpu: list[float]
    """Seconds of CPU time, all threads."""
    difference: float
    """Largest relative difference of outputs and gradients between the two."""


class _Padded(nn.Module):
    """The same layers over [B, N, D], with the weights of `layers`."""

    def __init__(self, layers: Any, heads: int) -> None:
        super().__init__()
        self.layers, self.heads = layers, heads

    def forward(self, x: Tensor, time: Tensor, divisor: float) -> Tensor:
        batch, length, width = x.shape
        at = torch.arange(length)
        distance = (at.unsqueeze(1) - at).clamp(min=0)
        seen = (distance.new_ones(length, length).tril()).to(x.dtype)
        bucket = time_buckets(time.unsqueeze(2) - time.unsqueeze(1))
        for layer in self.layers:
            bias = layer.attention.bias
            normed = F.layer_norm(x, (width,), eps=1e-6)
            u, v, q, k = F.silu(F.linear(normed, layer.uvqk.weight)).chunk(4, dim=2)
            q, k, v = (one.unflatten(2, (self.heads, -1)).transpose(1, 2) for one in (q, k, v))
            place = bias.position.index_select(0, distance.flatten()).view(length, length)
            gap = bias.time.index_select(0, bucket.flatten()).view(batch, 1, length, length)
            weight = F.silu(q @ k.transpose(2, 3) + place + gap) / divisor * seen
            attended = (weight @ v).transpose(1, 2).flatten(2)
            attended = u * F.layer_norm(attended, (width,), eps=1e-6)
            x = x + F.linear(attended, layer.out.weight, layer.out.bias)
        return x


@dataclass(frozen=True)
class _Case:
    """Inputs of both stacks."""

    layers: Any
    """The registry's HSTU layers: modules of tokens and geometry."""
    padded: _Padded
    packed_x: Tensor
    padded_x: Tensor
    packed_grad: Tensor
    padded_grad: Tensor
    time: Tensor
    """[B, N]"""
    real: Tensor
    """bool [B, N]"""
    offsets: Tensor
    divisor: float


def _case(shape: LayerShape) -> _Case:
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    lengths = torch.tensor(
        rng.integers(1, shape.length + 1, shape.batch) if shape.half else np.full(shape.batch, shape.length), dtype=torch.int64
    )
    field = (Field("id", 3),)
    spec = DataSpec(field, field, (), Field("action", 3), shape.length, 5 * shape.length, "request", GAP_BUCKETS, 0.5)
    info = registry.info("hstu")
    config = info.config(width=shape.width, heads=shape.heads, layers=shape.layers, dropout=0.0, layout="candidate")
    model: Any = info.build(config, spec)
    real = torch.arange(shape.length) < lengths.unsqueeze(1)
    x, grad = torch.randn(2, shape.batch, shape.length, shape.width)
    time = torch.randint(30 * _DAY_MS, (shape.batch, shape.length)).sort(1).values
    return _Case(
        model.blocks,
        _Padded(model.blocks, shape.heads),
        x[real].requires_grad_(),
        (x * real.unsqueeze(2)).requires_grad_(),
        grad[real],
        grad * real.unsqueeze(2),
        time,
        real,
        F.pad(lengths.cumsum(0), (1, 0)),
        float(shape.length),
    )


def _plan(case: _Case) -> AttentionPlan:
    """Made anew at every pass, as for a new batch."""
    start = torch.repeat_interleave(case.offsets[:-1], case.offsets.diff())
    at = torch.arange(int(case.offsets[-1]))
    time = case.time[case.real]
    return plan_attention(case.offsets, start, at, at - start, time, time)


def _packed(case: _Case) -> list[Tensor]:
    """Output, then gradients of the input and of all weights."""
    plan, x = _plan(case), case.packed_x
    geometry = SimpleNamespace(plan=plan, turn=None, divisor=case.divisor, cache=None)
    for layer in case.layers:
        x = layer(x, geometry)
    return [x, *torch.autograd.grad(x, [case.packed_x, *case.layers.parameters()], case.packed_grad)]


def _dense(case: _Case) -> list[Tensor]:
    x = case.padded(case.padded_x, case.time, case.divisor)
    return [x, *torch.autograd.grad(x, [case.padded_x, *case.layers.parameters()], case.padded_grad)]


def measure(shape: LayerShape, rounds: int) -> list[LayerTime]:
    """Both stacks in turn on the CPU."""
    case = _case(shape)
    runs = {"packed": _packed, "padded": _dense}
    own, plain = (run(case) for run in runs.values())
    plain[:2] = [one[case.real] for one in plain[:2]]
    difference = max(float((one - two).detach().norm() / two.detach().norm()) for one, two in zip(own, plain, strict=True))
    wall: dict[str, list[float]] = {name: [] for name in runs}
    cpu: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            begin, begin_cpu = time.perf_counter(), time.process_time()
            run(case)
            wall[name].append(time.perf_counter() - begin)
            cpu[name].append(time.process_time() - begin_cpu)
    tokens = int(case.offsets[-1])
    return [LayerTime(shape.name, name, tokens, wall[name], cpu[name], difference) for name in runs]


def lines(rows: list[LayerTime]) -> list[str]:
    """A table: medians, and how much longer the padded stack takes, with the smallest and largest ratio of a round."""
    result = [
        "| shape | tokens | packed ms | padded ms | padded / packed, wall | padded / packed, CPU time | difference |",
        "|---|---|---|---|---|---|---|",
    ]
    for packed, padded in zip(rows[::2], rows[1::2], strict=True):
        ratios = []
        for mine, theirs in ((packed.wall, padded.wall), (packed.cpu, padded.cpu)):
            values = [other / own for own, other in zip(mine, theirs, strict=True)]
            ratios.append(f"{statistics.median(values):.2f} [{min(values):.2f}, {max(values):.2f}]")
        times = [f"{statistics.median(one.wall) * 1e3:.1f}" for one in (packed, padded)]
        cells = (packed.shape, f"{packed.tokens:,}", *times, *ratios, f"{packed.difference:.0e}")
        result.append("| " + " | ".join(cells) + " |")
    return result
