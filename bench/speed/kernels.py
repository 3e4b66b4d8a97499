"""The attention operation alone, forward and backward: every implementation that works here, beside what torch offers.

One round measures each contender once, in turn, and a matrix product of this device with them: ratios and shares are taken round
by round, because the speed of a shared machine drifts. Three yardsticks compute on padded tensors: `eager`, the same mathematics
as dense tensors, with the position bias as one writes it first, table[distance]; `eager-select`, the same with index_select, of
which the gradient is another operation; and `sdpa`, torch's own softmax attention, causal and without a bias.

An accelerator works on while the host prepares what comes next: there a contender is started several times between two waits, a
time is the mean, and batches and the matrix product are larger, so that they fill it.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ...kernels.dispatch import OPERATIONS
from ...kernels.hstu_attention import AttentionPlan, hstu_attention, plan_attention
from ...kernels.linear import linear
from .. import device as devices
from .. import registry
from ..config import DataConfig
from ..data.batches import make_batches
from ..data.dataset import prepare
from ..data.sources.schema import DataRoots

YARDSTICKS = ("eager", "eager-select", "sdpa")

GEMM, GEMM_ON_ACCELERATORS = 1024, 8192
"""Rows, columns and depth of the matrix product whose speed is the peak: torch's or ours (`linear`), whichever is faster."""

STARTS = 10
"""Of a contender between two waits for an accelerator."""


@dataclass(frozen=True)
class AttentionShape:
    """A batch of sequences under causal attention; or of a data set's own batches, which are windowed and tied."""

    name: str
    lengths: tuple[int, ...]
    heads: int
    size: int
    """Of a head: D = Dv."""
    plan: AttentionPlan | None = None
    """None: causal, without ties."""
    positions: int = 0
    """Rows of the position table; 0: the longest length."""


def shapes(device: torch.device, halves: bool = True) -> Iterator[AttentionShape]:
    """Full batches, and the same with lengths drawn evenly from 1 to N."""
    rng = np.random.default_rng(0)
    sizes = [(32, 2, 200, 32), (32, 4, 200, 64), (8, 4, 1024, 64)]
    if device.type != "cpu":
        sizes += [(256, 4, 200, 64), (32, 4, 2048, 64)]
    for count, heads, length, size in sizes:
        name = f"B{count} H{heads} N{length} D{size}"
        yield AttentionShape(f"{name} full", (length,) * count, heads, size)
        if halves:
            drawn = rng.integers(1, length + 1, count)
            yield AttentionShape(f"{name} half", tuple(int(one) for one in drawn), heads, size)


def shape_of(dataset: str, roots: DataRoots) -> AttentionShape:
    """The middle batch of HSTU's first epoch on a data set, as its attention sees it."""
    data = prepare(DataConfig(dataset), roots)
    info = registry.info("hstu")
    config = info.config()
    torch.manual_seed(0)
    model: Any = info.build(config, data.spec)
    batches = make_batches(data, info.view, "train", 1024, int(info.train["batch_events"]))
    plans = batches.plans(0)
    tokens = model.tokens(batches.assemble(plans[len(plans) // 2], None))
    plan = plan_attention(tokens.offsets, tokens.lo, tokens.hi, tokens.position, tokens.query_time, tokens.time)
    lengths = tuple(tokens.offsets.diff().tolist())
    positions = config.tokens_per_event * (data.spec.history_length + 1)
    return AttentionShape(f"{dataset} batch", lengths, config.heads, config.width // config.heads, plan, positions)


class _Case(NamedTuple):
    """Inputs of a shape on a device."""

    q: Tensor
    k: Tensor
    v: Tensor
    bias: Tensor
    time_bias: Tensor | None
    plan: AttentionPlan
    grad: Tensor


@dataclass(frozen=True)
class AttentionTime:
    """One contender on one shape; one value per round."""

    shape: str
    contender: str
    tokens: int
    pairs: int
    """Query and key that it sees, itself included, one head."""
    flop: float
    """Multiplications and additions of forward and backward pass: 2 V H (4 D + 3 Dv), docs/howto/kernels.md."""
    seconds: list[float]
    gemm_flops: list[float]
    """Of the matrix product, measured in the same round."""
    megabytes: float
    """Of tensors that live at once at the most, beyond its inputs."""
    error: float | None
    """Largest relative error of the output and all gradients against float64; None for yardsticks."""


def _moved(plan: AttentionPlan, device: torch.device) -> AttentionPlan:
    times = (None if one is None else one.to(device) for one in (plan.query_time, plan.key_time))
    return plan_attention(*(one.to(device) for one in (plan.offsets, plan.lo, plan.hi, plan.position)), *times)


def _case(shape: AttentionShape, device: torch.device, dtype: torch.dtype) -> _Case:
    generator = torch.Generator().manual_seed(0)
    offsets = torch.tensor([0, *np.cumsum(shape.lengths)])
    plan = shape.plan
    if plan is None:
        start = torch.repeat_interleave(offsets[:-1], offsets.diff())
        at = torch.arange(int(offsets[-1]))
        plan = plan_attention(offsets, start, at, at - start)
    tokens = len(plan.lo)

    def draw(*size: int) -> Tensor:
        return torch.randn(*size, generator=generator).to(device, dtype).requires_grad_()

    plan = _moved(plan, device)
    rows = shape.positions or max(shape.lengths)
    time_bias = None if plan.query_time is None else draw(72)
    q, k, v = (draw(tokens, shape.heads, shape.size) for _ in range(3))
    return _Case(q, k, v, draw(rows), time_bias, plan, draw(tokens, shape.heads, shape.size).detach())


def _attend(case: _Case, size: int, implementation: str) -> Tensor:
    return hstu_attention(
        case.q,
        case.k,
        case.v,
        case.plan,
        alpha=size**-0.5,
        position_bias=case.bias,
        time_bias=case.time_bias,
        activation="silu",
        divisor=float(len(case.bias)),
        implementation=implementation,
    )


def _padded(case: _Case, shape: AttentionShape) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """q, k, v and the gradient as [B, H, N, D], and which places hold tokens."""
    count, longest = len(shape.lengths), max(shape.lengths)
    lengths = torch.tensor(shape.lengths, device=case.q.device)
    real = torch.arange(longest, device=case.q.device) < lengths.unsqueeze(1)

    def pad(x: Tensor) -> Tensor:
        full = x.new_zeros(count, longest, *x.shape[1:])
        full[real] = x.detach()
        return full.transpose(1, 2).contiguous()

    q, k, v = (pad(x).requires_grad_() for x in (case.q, case.k, case.v))
    return q, k, v, pad(case.grad), real


def _contenders(case: _Case, shape: AttentionShape, device: torch.device, dtype: torch.dtype) -> dict[str, Callable[[], object]]:
    """Name -> one forward and backward pass."""
    leaves = [x for x in (case.q, case.k, case.v, case.bias, case.time_bias) if x is not None]

    def implementation(name: str) -> Callable[[], object]:
        return lambda: torch.autograd.grad(_attend(case, shape.size, name), leaves, case.grad)

    found: dict[str, Callable[[], object]] = {
        one.name: implementation(one.name)
        for one in OPERATIONS["hstu_attention"]
        if one.automatic and one.refusal(device, dtype) is None
    }
    if shape.plan is not None:  # ties and windows: the padded yardsticks are another computation
        return found
    q, k, v, grad, real = _padded(case, shape)
    longest = max(shape.lengths)
    at = torch.arange(longest, device=device)
    distance = (at.unsqueeze(1) - at).clamp(min=0)
    seen = (distance.new_ones(longest, longest).tril().bool() & real[:, None, None, :]).to(dtype)

    def dense(bias: Tensor) -> object:
        logits = q @ k.transpose(2, 3) * shape.size**-0.5 + bias
        return torch.autograd.grad(F.silu(logits) / longest * seen @ v, (q, k, v, case.bias), grad)

    def eager() -> object:
        return dense(case.bias[distance])

    def eager_select() -> object:
        return dense(case.bias.index_select(0, distance.flatten()).view_as(distance))

    def sdpa() -> object:
        return torch.autograd.grad(F.scaled_dot_product_attention(q, k, v, is_causal=True), (q, k, v), grad)

    return {**found, "eager": eager, "eager-select": eager_select, "sdpa": sdpa}


def _results(case: _Case, size: int, name: str) -> list[Tensor]:
    """Output and all gradients."""
    leaves = [x for x in (case.q, case.k, case.v, case.bias, case.time_bias) if x is not None]
    out = _attend(case, size, name)
    return [one.detach() for one in (out, *torch.autograd.grad(out, leaves, case.grad))]


def _in_double(case: _Case, device: torch.device) -> _Case:
    """The same numbers in float64."""
    q, k, v, bias, time_bias, grad = (
        None if x is None else x.detach().to(device, torch.float64).requires_grad_()
        for x in (case.q, case.k, case.v, case.bias, case.time_bias, case.grad)
    )
    assert q is not None and k is not None and v is not None and bias is not None and grad is not None
    return _Case(q, k, v, bias, time_bias, _moved(case.plan, device), grad.detach())


def _errors(case: _Case, size: int, names: list[str]) -> dict[str, float]:
    """Largest relative error, in the norm, of the output and of each gradient."""
    where = devices.with_float64(case.q.device)
    exact = _results(_in_double(case, where), size, "torch")
    return {
        name: max(
            float((one.to(where, torch.float64) - right).norm() / right.norm())
            for one, right in zip(_results(case, size, name), exact, strict=True)
        )
        for name in names
    }


def _timed(run: Callable[[], object], device: torch.device) -> float:
    starts = 1 if device.type == "cpu" else STARTS
    devices.synchronize(device)
    begin = time.perf_counter()
    for _ in range(starts):
        run()
    devices.synchronize(device)
    return (time.perf_counter() - begin) / starts


def measure(shape: AttentionShape, device: torch.device, dtype: torch.dtype, rounds: int) -> list[AttentionTime]:
    """Every contender on one shape."""
    case = _case(shape, device, dtype)
    contenders = _contenders(case, shape, device, dtype)
    edge = GEMM if device.type == "cpu" else GEMM_ON_ACCELERATORS
    square = torch.randn(edge, edge, device=device, dtype=dtype)
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    gemm = []
    products = (lambda: square @ square, lambda: linear(square, square))
    for at in range(rounds + 1):
        peak = min(_timed(product, device) for product in products for _ in range(3))
        taken = {name: _timed(run, device) for name, run in contenders.items()}
        if at == 0:  # warms up
            continue
        gemm.append(2 * edge**3 / peak)
        for name, value in taken.items():
            seconds[name].append(value)
    tokens, pairs = len(case.plan.lo), int((case.plan.hi - case.plan.lo).clamp(min=0).sum()) + len(case.plan.lo)
    flop = 2.0 * pairs * shape.heads * 7 * shape.size
    errors = _errors(case, shape.size, [name for name in contenders if name not in YARDSTICKS])
    return [
        AttentionTime(
            shape.name, name, tokens, pairs, flop, seconds[name], gemm, devices.allocated(run, device) / 2**20,
            errors.get(name),
        )
        for name, run in contenders.items()
    ]  # fmt: skip


def lines(rows: list[AttentionTime]) -> list[str]:
    """A table: median ms with smallest and largest, speed, share of the matrix product's, how much faster the first one is."""
    result = [
        "| shape | tokens | contender | ms (least, most) | tokens/s | GFLOP/s | share of GEMM | MB | first / this | error |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        first = next(one for one in rows if one.shape == row.shape)
        median = statistics.median(row.seconds)
        ratio = statistics.median(mine / best for mine, best in zip(row.seconds, first.seconds, strict=True))
        share = statistics.median(row.flop / s / peak for s, peak in zip(row.seconds, row.gemm_flops, strict=True))
        cells = (
            row.shape,
            f"{row.tokens:,}",
            row.contender,
            f"{median * 1e3:.2f} ({min(row.seconds) * 1e3:.2f}, {max(row.seconds) * 1e3:.2f})",
            f"{row.tokens / median:,.0f}",
            f"{row.flop / median / 1e9:.1f}",
            f"{share:.0%}",
            f"{row.megabytes:.1f}",
            "1" if row is first else f"{ratio:.2f}",
            "" if row.error is None else f"{row.error:.0e}",
        )
        result.append("| " + " | ".join(cells) + " |")
    return result
