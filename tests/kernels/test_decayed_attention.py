"""Attention in chunks with a state against its definition in loops."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from rankbench.kernels import decayed_attention as module
from rankbench.kernels.decayed_attention import Clock, decayed_attention
from rankbench.kernels.dispatch import forced
from rankbench.kernels.hstu_attention import AttentionPlan, KVCache, continued, plan_attention


def a_plan(lengths: tuple[int, ...], window: int, own_time: bool = False) -> AttentionPlan:
    """Segments with ties of several tokens; gaps from a tenth of a second to days."""
    rng = np.random.default_rng(0)
    offsets, lo, hi, time = np.cumsum([0, *lengths]), [], [], []
    for begin, length in zip(offsets[:-1], lengths, strict=True):
        now, edge = 10**12, 0
        for at in range(length):
            if at == 0 or rng.random() > 0.3:
                edge, now = at, now + int(10 ** rng.uniform(2, 8))
            lo.append(begin + max(0, edge - window))
            hi.append(begin + edge)
            time.append(now)
    begin, end, known = (torch.tensor(values, dtype=torch.int64) for values in (lo, hi, time))
    asked = known + 7_000
    position = end - torch.repeat_interleave(torch.tensor(offsets[:-1]), torch.tensor(lengths))
    latest = torch.where(end > begin, known[(end - 1).clamp(min=0)], asked) if own_time else None
    return plan_attention(torch.tensor(offsets), begin, end, position, asked, known, latest)


def inputs(tokens: int, rates: list[float] | None, dtype: torch.dtype = torch.float64) -> list[Tensor | None]:
    torch.manual_seed(0)
    q, k, own = (torch.randn(tokens, 2, 3, dtype=dtype, requires_grad=True) for _ in range(3))
    v = torch.randn(tokens, 2, 5, dtype=dtype, requires_grad=True)
    return [q, k, v, own, None if rates is None else torch.tensor(rates, dtype=dtype, requires_grad=True)]


def both(plan: AttentionPlan, clock: Clock, made: list[Tensor | None]) -> list[list[Tensor]]:
    """Values and gradients, of the chunks and of the loops."""
    *tensors, rate = made
    results = []
    for name in ("torch", "reference"):
        with forced({"decayed_attention": name}):
            out = decayed_attention(*tensors, plan, clock, rate)  # type: ignore[arg-type]
        weight = torch.linspace(-1, 1, out.numel(), dtype=out.dtype).view(out.shape)
        read = [tensor for tensor in made if tensor is not None]
        found = torch.autograd.grad((out * weight).sum(), read, allow_unused=True)
        results.append([out, *(torch.zeros_like(x) if slope is None else slope for x, slope in zip(read, found, strict=True))])
    return results


CLOCKS: list[tuple[Clock, list[float] | None]] = [("position", None), ("position", [0.3, 0.01]), ("time", [1e-5])]


@pytest.mark.parametrize("own_time", [False, True])
@pytest.mark.parametrize(("clock", "rates"), CLOCKS, ids=["flat", "position", "time"])
@pytest.mark.parametrize(("lengths", "window"), [((7, 1, 14), 5), ((0, 3, 18, 0, 8), 100), ((4,), 2), ((1,), 1)])
def test_chunks_are_the_definition(
    lengths: tuple[int, ...], window: int, clock: Clock, rates: Any, own_time: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Chunks of four: segments of none, of a part and of several chunks; with gradients of every input."""
    monkeypatch.setattr(module, "CHUNK", 4)
    for one, two in zip(*both(a_plan(lengths, window, own_time), clock, inputs(sum(lengths), rates)), strict=True):
        torch.testing.assert_close(one, two, rtol=1e-9, atol=1e-10)


def test_windows_lose_nothing_in_single_precision() -> None:
    """A window is a difference of two states: after 300 tokens, and years, it is still exact to five digits."""
    plan = a_plan((300,), 20)
    for clock, rates in CLOCKS:
        single = inputs(300, rates, torch.float32)
        found, expected = (
            decayed_attention(*made[:4], plan, clock, made[4])  # type: ignore[arg-type]
            for made in (single, [None if x is None else x.detach().double() for x in single])
        )
        assert (found.double() - expected).abs().max() < 1e-5 * expected.abs().max()


def test_tokens_behind_a_kept_past_read_what_they_would_in_one_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHUNK", 4)
    past = a_plan((13,), 100)
    assert past.query_time is not None and past.key_time is not None
    lo, end = torch.tensor([0, 5, 13]), torch.full((3,), 13)
    later = past.query_time[-1:].expand(3) + 50_000
    plan = continued(KVCache.empty(past, 1).plan, lo, end, later, later)
    made = inputs(16, [1e-2, 1e-6])
    q, k, v, own, rate = (x.detach() for x in made if x is not None)
    for clock in ("position", "time"):
        with forced({"decayed_attention": "reference"}):
            expected = decayed_attention(q[13:], k, v, own[13:], plan, clock, rate)
        torch.testing.assert_close(decayed_attention(q[13:], k, v, own[13:], plan, clock, rate), expected, rtol=1e-9, atol=1e-12)
