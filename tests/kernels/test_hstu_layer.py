"""A whole layer of HSTU in one pass: outputs and all gradients against equations in float64, and when the parts run instead."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from rankbench.kernels import dispatch
from rankbench.kernels import hstu_layer as module
from rankbench.kernels.dropout import draw, dropout
from rankbench.kernels.hstu_attention import AttentionPlan, LayerCache, plan_attention
from rankbench.kernels.hstu_layer import hstu_layer
from rankbench.kernels.layers.rotary import rotation
from rankbench.kernels.time_buckets import GAP_BUCKETS, time_buckets

from .test_cpu import POSITIONS, any_bounds, candidates

REASON = module.LIBRARY.why_unavailable()
compiled = pytest.mark.skipif(REASON is not None, reason=str(REASON))

NAMES = ("y", "x", "uvqk", "out", "bias", "position", "time")
SEED = 5


def literal(
    x: Tensor, uvqk: Tensor, out: Tensor, bias: Tensor, position: Tensor | None, time: Tensor | None, plan: AttentionPlan,
    heads: int, alpha: float, activation: str, divisor: Tensor | float, mask: Tensor, clean: bool,
) -> Tensor:  # fmt: skip
    """From the equations, token by token."""
    assert plan.query_time is not None and plan.key_time is not None

    def norm(rows: Tensor) -> Tensor:
        apart = rows - rows.mean(1, keepdim=True)
        return apart / ((apart * apart).mean(1, keepdim=True) + 1e-6).sqrt()

    normed, size = norm(x), x.shape[1] // heads
    z = normed @ uvqk.T
    u, v, q, k = (z * torch.sigmoid(z)).split(x.shape[1], dim=1)
    rows = []
    for i in range(len(x)):
        keys = torch.tensor([*(j for j in range(int(plan.lo[i]), int(plan.hi[i])) if j != i), i])
        parts = []
        for head in range(heads):
            own = slice(head * size, (head + 1) * size)
            s = alpha * k[keys, own] @ q[i, own]
            if position is not None:
                of_head = position if position.dim() == 1 else position[:, head]
                distance = torch.where(keys == i, 0, plan.position[i] - plan.position[keys])
                s = s + of_head[distance.clamp(max=len(of_head) - 1)]
            if time is not None:
                gap = time_buckets(plan.query_time[i] - plan.key_time[keys])
                own_gap = 0 if plan.own_time is None else time_buckets(plan.query_time[i] - plan.own_time[i])
                s = s + time[torch.where(keys == i, own_gap, gap)]
            n = divisor[i] if isinstance(divisor, Tensor) else divisor
            weights = torch.softmax(s, 0) if activation == "softmax" else s * torch.sigmoid(s) / n
            parts.append(weights @ v[keys, own])
        rows.append(torch.cat(parts))
    attended = torch.stack(rows) if rows else v
    return (x if clean else normed) + (u * norm(attended) * mask) @ out.T + bias


def leaves_of(tokens: int, width: int, seed: int, tables: str, heads: int) -> list[Tensor | None]:
    """x, weights, bias and tables in float64, of numbers that float32 holds."""
    generator = torch.Generator().manual_seed(seed)
    draw_ = lambda *of: torch.randn(*of, generator=generator).double()  # noqa: E731
    of_head = (heads,) if "heads" in tables else ()
    position = draw_(POSITIONS, *of_head) if tables in ("both", "position", "position of heads") else None
    time = draw_(GAP_BUCKETS) if tables in ("both", "time") else None
    weights = (draw_(4 * width, width) * width**-0.5, draw_(width, width) * width**-0.5, draw_(width))
    return [draw_(tokens, width), *weights, position, time]


def gradients(y: Tensor, leaves: list[Tensor | None]) -> list[Tensor]:
    weights = torch.sin(torch.arange(y.numel(), dtype=torch.float64)).view(y.shape).to(y.dtype)
    wanted = [one for one in leaves if one is not None]
    return [y.detach(), *torch.autograd.grad((y * weights).sum(), wanted, allow_unused=True, materialize_grads=True)]


def both(
    plan: AttentionPlan, width: int, heads: int, *, activation: str = "silu", rate: float = 0.0, clean: bool = True,
    tables: str = "both", own_divisor: bool = False, seed: int = 0,
) -> tuple[list[Tensor], list[Tensor]]:  # fmt: skip
    """Output and gradients of `cpu` and of the equations, with the same mask."""
    leaves = leaves_of(len(plan.lo), width, seed, tables, heads)
    single, exact = (
        [None if one is None else one.to(dtype).requires_grad_() for one in leaves] for dtype in (torch.float32, torch.float64)
    )
    divisor = (plan.hi - plan.lo + 1).float() if own_divisor else 13.0
    options: dict[str, Any] = {"heads": heads, "alpha": 0.3, "activation": activation, "clean": clean}
    own: dict[str, Any] = {"position_bias": single[4], "time_bias": single[5], "divisor": divisor, "rate": rate}
    torch.manual_seed(SEED)
    y = hstu_layer(*single[:4], plan, **own, **options, implementation="cpu")  # type: ignore
    torch.manual_seed(SEED)
    mask = dropout(torch.ones(len(plan.lo), width), rate) if rate else torch.ones(len(plan.lo), width)
    exact_divisor = divisor.double() if isinstance(divisor, Tensor) else divisor
    wanted = literal(*exact, plan, mask=mask.double(), divisor=exact_divisor, **options)  # type: ignore[arg-type]
    return gradients(y, single), gradients(wanted, exact)


def assert_near(actual: list[Tensor], expected: list[Tensor], relative: float = 1e-5) -> None:
    """In the norm of each; of what is left of larger terms, in a hundredth of theirs."""
    largest = max((two.norm().item() for two in expected), default=0.0)
    for one, two in zip(actual, expected, strict=True):
        assert one.shape == two.shape and torch.isfinite(one).all()
        assert (one.double() - two).norm() <= relative * max(two.norm().item(), 0.01 * largest)


@pytest.mark.long
@compiled
@pytest.mark.parametrize(("width", "heads"), [(3, 1), (8, 2), (16, 1), (33, 3), (48, 2), (50, 2), (64, 4), (130, 1)])
@pytest.mark.parametrize("activation", ["silu", "softmax"])
@pytest.mark.parametrize("clean", [True, False])
def test_any_width(width: int, heads: int, activation: str, clean: bool) -> None:
    plan = any_bounds([37, 0, 1, 70, 8], seed=1)
    assert_near(*both(plan, width, heads, activation=activation, clean=clean), relative=3e-5)


@compiled
@pytest.mark.parametrize("tables", ["none", "position", "time", "both", "position of heads"])
@pytest.mark.parametrize("rate", [0.0, 0.4])
@pytest.mark.parametrize(
    "plan",
    [any_bounds([70, 33], 2), any_bounds([129], 3, plain=True), candidates(45, 20, 2), candidates(0, 3, 1)],
    ids=["any", "causal", "candidates", "nothing-seen"],
)
def test_every_geometry_with_every_table_and_dropout(plan: AttentionPlan, rate: float, tables: str) -> None:
    assert_near(*both(plan, 24, 2, tables=tables, rate=rate, own_divisor=True), relative=3e-5)


@compiled
@settings(max_examples=25, deadline=None)
@given(
    lengths=st.lists(st.integers(0, 30), max_size=4),
    seed=st.integers(0, 99),
    size=st.integers(2, 20),
    heads=st.integers(1, 3),
    rate=st.sampled_from([0.0, 0.2]),
    activation=st.sampled_from(["silu", "softmax"]),
)
def test_equals_the_equations_for_any_bounds(
    lengths: list[int], seed: int, size: int, heads: int, rate: float, activation: str
) -> None:
    plan = any_bounds(lengths, seed)
    # Of few numbers, a norm may divide by next to nothing.
    assert_near(*both(plan, size * heads, heads, rate=rate, activation=activation, seed=seed), relative=1e-3)


@compiled
@pytest.mark.parametrize("rate", [0.0, 0.3])
def test_threads_do_not_change_a_bit_and_runs_repeat(rate: float) -> None:
    for lengths in ([200, 150, 90, 180, 30, 170, 300, 250, 40, 10], [300]):
        plan, results = any_bounds(lengths, 5), []
        for threads in (1, 1, 2, 3):
            torch.set_num_threads(threads)
            results.append(composed_or_not(plan, "cpu", rate))
        for result in results[1:]:
            assert all(torch.equal(one, two) for one, two in zip(result, results[0], strict=True))


def composed_or_not(plan: AttentionPlan, name: str | None, rate: float, width: int = 50, **changes: Any) -> list[Tensor]:
    plan = dataclasses.replace(plan)
    leaves = [None if one is None else one.float().requires_grad_() for one in leaves_of(len(plan.lo), width, 0, "both", 2)]
    options: dict[str, Any] = {"heads": 2, "divisor": 20.0, "rate": rate, "implementation": name, **changes}
    torch.manual_seed(SEED)
    y = hstu_layer(*leaves[:4], plan, position_bias=leaves[4], time_bias=leaves[5], **options)  # type: ignore[arg-type]
    return gradients(y, leaves)


@compiled
@pytest.mark.parametrize("rate", [0.0, 0.3])
def test_the_parts_have_the_same_masks_and_numbers(rate: float) -> None:
    plan = any_bounds([60, 41, 200], seed=4)
    assert_near(composed_or_not(plan, "cpu", rate), [one.double() for one in composed_or_not(plan, "torch", rate)], 3e-5)


@compiled
def test_without_gradients_nothing_is_kept_and_the_output_is_the_same() -> None:
    plan = any_bounds([60, 41], seed=4)
    leaves = [one.float() for one in leaves_of(len(plan.lo), 20, 0, "both", 2) if one is not None]

    def output(x: Tensor, uvqk: Tensor, out: Tensor, bias: Tensor, position: Tensor, time: Tensor) -> Tensor:
        return hstu_layer(x, uvqk, out, bias, plan, position_bias=position, time_bias=time, heads=2)

    alone = output(*leaves)
    assert not alone.requires_grad
    learning = output(*(one.requires_grad_() for one in leaves))
    with torch.inference_mode():
        assert torch.equal(output(*leaves), alone)
    assert torch.equal(learning.detach(), alone) and learning.requires_grad


@compiled
def test_tables_without_gradients_and_rows_in_any_order_of_memory() -> None:
    plan = any_bounds([30], seed=9)
    x, uvqk, out, bias, slopes, _ = leaves_of(30, 20, 0, "position of heads", 2)
    assert x is not None and uvqk is not None and out is not None and bias is not None and slopes is not None
    x, uvqk, out = (one.float().t().contiguous().t().requires_grad_() for one in (x, uvqk, out))
    y = hstu_layer(x, uvqk, out, bias.float(), plan, heads=2, position_bias=slopes.float(), implementation="cpu")
    found = torch.autograd.grad(y.sum(), [x, uvqk, out])
    plain = tuple(one.detach().contiguous().requires_grad_() for one in (x, uvqk, out))
    again = hstu_layer(
        plain[0], plain[1], plain[2], bias.float(), plan, heads=2, position_bias=slopes.float(), implementation="cpu"
    )
    assert torch.equal(again, y)
    for one, two in zip(found, torch.autograd.grad(again.sum(), plain), strict=True):
        assert torch.equal(one, two)


def ran(plan: AttentionPlan, **changes: Any) -> dict[str, str]:
    with dispatch.watching() as seen:
        composed_or_not(plan, None, 0.0, **changes)
    return seen


@compiled
def test_what_it_leaves_to_its_parts() -> None:
    plan = any_bounds([12], seed=1)
    assert ran(plan) == {"hstu_layer": "cpu"}
    turned = ran(plan, width=8, turn=rotation(plan.position, 4))
    assert turned["hstu_layer"] == "torch" and turned["hstu_attention"] == "cpu"
    with dispatch.forced({"hstu_layer": "cpu"}):
        assert ran(plan, cache=LayerCache())["hstu_layer"] == "torch", "keys and values are kept between its parts"
    with torch.autocast("cpu", torch.bfloat16):
        assert ran(plan)["hstu_layer"] == "torch"
    with dispatch.watching() as seen:
        x = torch.randn(12, 8, dtype=torch.float64)
        hstu_layer(x, torch.randn(24, 8).double(), torch.randn(8, 8).double(), torch.zeros(8).double(), plan, heads=2)
    assert seen["hstu_layer"] == "torch" and seen["linear"] == "torch"


@compiled
def test_a_part_that_is_forced_runs() -> None:
    plan = any_bounds([12], seed=1)
    with dispatch.forced({"hstu_attention": "torch"}):
        assert ran(plan) == {
            "hstu_layer": "torch", "hstu_attention": "torch", "linear": "cpu", "silu_split": "cpu", "gated_norm": "cpu",
        }  # fmt: skip
        with dispatch.forced({"hstu_layer": "cpu"}):
            assert ran(plan) == {"hstu_layer": "cpu"}


def test_a_rate_is_drawn_once_a_call() -> None:
    torch.manual_seed(SEED)
    first = draw(0.2)
    torch.manual_seed(SEED)
    assert draw(0.2) == first and draw(0.2) != first
    assert first.scale == pytest.approx(1.25, rel=1e-4)


def test_segments_that_leave_out_tokens_are_refused() -> None:
    plan = plan_attention(torch.tensor([0, 4]), *(torch.zeros(5, dtype=torch.int64),) * 3)
    if REASON is None:
        with pytest.raises(ValueError, match="segments cover tokens 0 to 4, but there are 5"):
            hstu_layer(torch.zeros(5, 4), torch.zeros(16, 4), torch.zeros(4, 4), torch.zeros(4), plan, heads=1)


def test_the_check_of_a_gpu_works_where_a_process_scores_alone() -> None:
    """Gradients are compared, and in inference mode nothing has any unless the check sees to it."""
    with torch.inference_mode():
        assert module.differs_from_parts(module._composed, torch.device("cpu")) is None
