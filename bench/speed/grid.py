"""Attention on an accelerator, over the grid of shapes for which others publish numbers: forward and backward apart, with and
without biases, full and ragged batches, one row after the other.

Beside ours stand, in the same process and on the same numbers: the same mathematics as dense tensors, torch's softmax attention
without a bias and, compiled with a bias, as FlexAttention, and the kernels of Meta and NVIDIA where they are installed, which
take no bias here. A contender that cannot do a case gets a row that says why.
"""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ...kernels.dispatch import choose
from ...kernels.hstu_attention import hstu_attention, plan_attention
from ...kernels.time_buckets import GAP_BUCKETS
from .. import device as devices
from ..errors import in_one_line

STARTS = 10
"""Of a pass between two waits for an accelerator; on a CPU one."""


@dataclass(frozen=True)
class GridCase:
    """Causal attention over a batch of histories."""

    count: int
    length: int
    size: int
    """Of a head."""
    bias: bool
    """Over positions and time buckets, both with gradients."""
    ragged: bool
    """Lengths drawn evenly from 1 to `length`."""
    heads: int = 4

    @property
    def name(self) -> str:
        words = ("bias" if self.bias else "no bias", "ragged" if self.ragged else "full")
        return f"B{self.count} H{self.heads} N{self.length} D{self.size}, {', '.join(words)}"

    def lengths(self) -> list[int]:
        """The same at every call."""
        if not self.ragged:
            return [self.length] * self.count
        return np.random.default_rng(0).integers(1, self.length + 1, self.count).tolist()


def cases(tiny: bool) -> list[GridCase]:
    """Of the published grid, and of short histories as they are usual here; tiny: one shape to try every step."""
    if tiny:
        return [GridCase(1, 5, 16, bias, ragged=False, heads=1) for bias in (True, False)]
    shapes = [(32, n, d) for n in (1024, 4096, 256, 2048, 50, 200) for d in (64, 128)]
    return [GridCase(*shape, bias, ragged) for shape in shapes for bias in (True, False) for ragged in (False, True)]


@dataclass(frozen=True)
class GridRow:
    """One contender on one case."""

    case: str
    contender: str
    tokens: int
    pairs: int
    """Of a query and a key that it sees, itself included: half the square of a full history."""
    flop: float
    """Forward and backward: 2 V H 7 D, of which the forward pass is 2/7; pairs that are not seen count nothing."""
    forward_ms: float | None = None
    both_ms: float | None = None
    """Forward and backward; the backward pass is the difference."""
    megabytes: float | None = None
    """Of tensors that live at once at the most, beyond the inputs."""
    error: float | None = None
    """Largest relative error of output and gradients against float64, of two histories, of 1,024 and of 64 tokens at the most;
    ours alone."""
    refused: str | None = None
    """Why there are no numbers."""


class _Inputs:
    """Of a case on a device: packed, and when first asked for padded."""

    def __init__(self, case: GridCase, lengths: list[int], device: torch.device, dtype: torch.dtype) -> None:
        generator = torch.Generator().manual_seed(0)
        self.case, self.lengths, self.longest = case, lengths, max(lengths)
        offsets = torch.tensor([0, *np.cumsum(lengths)])
        at = torch.arange(int(offsets[-1]))
        start = torch.repeat_interleave(offsets[:-1], offsets.diff())
        # From a second to a month between events: times of a history rise.
        seconds = (torch.rand(len(at), generator=generator, dtype=torch.float64) * 14.8).exp()
        now = (seconds.cumsum(0) * 1000).long()
        times = (now + 1, now) if case.bias else (None, None)
        places = (offsets, start, at, at - start, *times)
        self.plan = plan_attention(*(None if one is None else one.to(device) for one in places))  # type: ignore[arg-type]
        self.offsets = self.plan.offsets

        def draw(*shape: int) -> Tensor:
            return torch.randn(*shape, generator=generator).to(device, dtype).requires_grad_()

        self.q, self.k, self.v = (draw(len(at), case.heads, case.size) for _ in range(3))
        self.grad = draw(len(at), case.heads, case.size).detach()
        self.tables = [draw(case.length), draw(GAP_BUCKETS)] if case.bias else []

    def padded(self) -> tuple[list[Tensor], Tensor]:
        """q, k, v as [B, H, N, D], and the gradient."""
        real = torch.arange(self.longest, device=self.q.device) < self.offsets.diff().unsqueeze(1)

        def pad(x: Tensor) -> Tensor:
            full = x.new_zeros(len(self.lengths), self.longest, *x.shape[1:])
            full[real] = x.detach()
            return full.transpose(1, 2).contiguous()

        return [pad(x).requires_grad_() for x in (self.q, self.k, self.v)], pad(self.grad)


class Refused(Exception):
    """Why a contender is not measured."""


Who = Literal["ours", "others", "all"]

Pass = tuple[Callable[[], Tensor], list[Tensor], Tensor]
"""A forward pass, what gets gradients, and the gradient of the output."""


def _ours(name: str) -> Callable[[_Inputs], Pass]:
    def make(x: _Inputs) -> Pass:
        tables: dict[str, Any] = dict(zip(("position_bias", "time_bias"), x.tables, strict=False))
        scale: dict[str, Any] = {"alpha": x.case.size**-0.5, "divisor": float(x.case.length), "implementation": name}
        return lambda: hstu_attention(x.q, x.k, x.v, x.plan, **tables, **scale), [x.q, x.k, x.v, *x.tables], x.grad

    return make


def _dense(x: _Inputs) -> Pass:
    """HSTU in plain torch, with the position bias alone."""
    (q, k, v), grad = x.padded()
    at = torch.arange(x.longest, device=q.device)
    distance = (at.unsqueeze(1) - at).clamp(min=0)
    seen = torch.ones_like(distance).tril().to(q.dtype)

    def forward() -> Tensor:
        logits = q @ k.transpose(2, 3) * x.case.size**-0.5
        if x.tables:
            logits = logits + x.tables[0].index_select(0, distance.flatten()).view_as(distance)
        return F.silu(logits) / x.longest * seen @ v

    return forward, [q, k, v, *x.tables[:1]], grad


def _sdpa(x: _Inputs) -> Pass:
    if x.case.bias:
        raise Refused("causal without a bias alone")
    (q, k, v), grad = x.padded()
    return lambda: F.scaled_dot_product_attention(q, k, v, is_causal=True), [q, k, v], grad


def _flex(x: _Inputs) -> Pass:
    """Softmax, with the position bias alone: the score is changed where it is computed."""
    from torch.nn.attention.flex_attention import create_block_mask, flex_attention

    if x.q.device.type == "cpu":
        raise Refused("no backward pass on a CPU")
    (q, k, v), grad = x.padded()
    mask = create_block_mask(lambda b, h, i, j: i >= j, None, None, x.longest, x.longest, device=q.device.type)
    # For this case alone: after a few shapes it would go on uncompiled, without a word.
    torch._dynamo.reset()
    torch._dynamo.config.fail_on_recompile_limit_hit = True
    compiled: Any = torch.compile(flex_attention, dynamic=False)
    table = x.tables[0] if x.tables else None
    bias = None if table is None else lambda score, b, h, i, j: score + table[(i - j).clamp(min=0)]
    return lambda: compiled(q, k, v, score_mod=bias, block_mask=mask), [q, k, v, *x.tables[:1]], grad


def _installed(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise Refused(f"not installed ({error})") from None


def _meta(x: _Inputs) -> Pass:
    """`hstu_mha` of generative-recommenders, by its Triton kernel; the call is written from memory and was never run."""
    if x.case.bias:
        raise Refused("it has no bias")
    module = _installed("generative_recommenders.ops.hstu_attention")
    kernel = _installed("generative_recommenders.common").HammerKernel.TRITON
    given = {"max_seq_len": x.longest, "alpha": x.case.size**-0.5, "q": x.q, "k": x.k, "v": x.v, "seq_offsets": x.offsets}
    return lambda: module.hstu_mha(**given, kernel=kernel), [x.q, x.k, x.v], x.grad


def _nvidia(x: _Inputs) -> Pass:
    """`hstu_attn_varlen_func` of recsys-examples, causal by a window; the call is written from memory and was never run."""
    if x.case.bias:
        raise Refused("its bias is a tensor of all pairs, which is not ours")
    module = _installed("hstu_attn")
    offsets = x.offsets.to(torch.int32)
    given = {
        "q": x.q, "k": x.k, "v": x.v, "cu_seqlens_q": offsets, "cu_seqlens_k": offsets, "max_seqlen_q": x.longest,
        "max_seqlen_k": x.longest, "num_contexts": None, "num_targets": None, "window_size": (-1, 0), "alpha": x.case.size**-0.5,
    }  # fmt: skip
    return lambda: module.hstu_attn_varlen_func(**given), [x.q, x.k, x.v], x.grad


OTHERS: dict[str, Callable[[_Inputs], Pass]] = {
    "dense": _dense, "sdpa": _sdpa, "flex": _flex, "meta": _meta, "nvidia": _nvidia,
}  # fmt: skip
UNTRIED = ("flex", "meta", "nvidia")
"""Never run: a fault of theirs, or of how they are called, is a row that says so and no end of the table."""


def _milliseconds(run: Callable[[], object], device: torch.device, rounds: int) -> float:
    """Best of the rounds, the first of which only warms up."""
    starts, taken = 1 if device.type == "cpu" else STARTS, []
    for _ in range(rounds + 1):
        devices.synchronize(device)
        begin = time.perf_counter()
        for _ in range(starts):
            run()
        devices.synchronize(device)
        taken.append((time.perf_counter() - begin) / starts)
    return 1e3 * min(taken[1:])


def _error(case: GridCase, name: str, device: torch.device, dtype: torch.dtype) -> float:
    first, *others = sorted(case.lengths(), reverse=True)
    lengths = [min(first, 1024), *(min(one, 64) for one in others[:1])]
    where = devices.with_float64(device)
    found, exact = _Inputs(case, lengths, device, dtype), _Inputs(case, lengths, where, torch.float64)
    # The same numbers: those that `dtype` can hold.
    pairs = zip(
        (found.q, found.k, found.v, found.grad, *found.tables),
        (exact.q, exact.k, exact.v, exact.grad, *exact.tables),
        strict=True,
    )
    for rounded, one in pairs:
        one.data.copy_(rounded.detach())
    results = []
    for x, chosen in ((found, name), (exact, "torch")):
        run, leaves, grad = _ours(chosen)(x)
        out = run()
        results.append([one.detach().to(where, torch.float64) for one in (out, *torch.autograd.grad(out, leaves, grad))])
    return max(float((one - two).norm() / two.norm()) for one, two in zip(*results, strict=True))


def measure(case: GridCase, device: torch.device, dtype: torch.dtype, rounds: int, who: Who = "all") -> Iterator[GridRow]:
    """The rows of a case, each as soon as it is there."""
    x = _Inputs(case, case.lengths(), device, dtype)
    ours = choose("hstu_attention", device, dtype).name
    pairs = sum(n * (n + 1) // 2 for n in x.lengths)
    facts: dict[str, Any] = {"case": case.name, "tokens": len(x.q), "pairs": pairs, "flop": 14.0 * pairs * case.heads * case.size}
    contenders = {"ours": {ours: _ours(ours)}, "others": OTHERS, "all": {ours: _ours(ours), **OTHERS}}[who]
    for name, make in contenders.items():
        try:
            run, leaves, grad = make(x)

            def both(run: Any = run, leaves: Any = leaves, grad: Any = grad) -> object:
                return torch.autograd.grad(run(), leaves, grad)

            yield GridRow(
                **facts, contender=name, forward_ms=_milliseconds(run, device, rounds),
                both_ms=_milliseconds(both, device, rounds), megabytes=devices.allocated(both, device) / 2**20,
                error=_error(case, name, device, dtype) if name == ours else None,
            )  # fmt: skip
        except Exception as error:
            # A dense contender of long histories may not fit the card; ours must.
            if isinstance(error, Refused):
                reason = str(error)
            elif name in UNTRIED or (name in OTHERS and isinstance(error, torch.OutOfMemoryError)):
                reason = f"failed: {in_one_line(error)[:100]}"
            else:
                raise
            yield GridRow(**facts, contender=name, refused=reason)


def lines(rows: list[GridRow]) -> list[str]:
    """A table of them, the convention of operations above it."""
    result = [
        "Operations: a multiplication and an addition for each number, head and pair that is seen (of a causal mask half),",
        "twice forward and five times backward.",
        "",
        "| case | contender | forward ms | backward ms | both ms | TFLOP/s, both | tokens/s, both | MB | error |",
        "|---|---|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    for row in rows:
        if row.forward_ms is None or row.both_ms is None or row.megabytes is None:
            cells = (row.case, row.contender, f"not run: {row.refused}", "", "", "", "", "", "")
        else:
            speed = row.flop / row.both_ms / 1e9
            cells = (
                row.case, row.contender, f"{row.forward_ms:.3f}", f"{row.both_ms - row.forward_ms:.3f}", f"{row.both_ms:.3f}",
                f"{speed:.3g}", f"{1e3 * row.tokens / row.both_ms:,.0f}", f"{row.megabytes:.1f}",
                "" if row.error is None else f"{row.error:.0e}",
            )  # fmt: skip
        result.append("| " + " | ".join(cells) + " |")
    return result
