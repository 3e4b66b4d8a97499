"""What is particular to the fused C++: vector widths, strides, threads, dtypes, geometries that only some layouts have."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from rankbench.kernels.hstu_attention import AttentionPlan, bias_mixing, cpu, hstu_attention, plan_attention
from rankbench.kernels.time_buckets import GAP_BUCKETS, borders, time_buckets

REASON = cpu.LIBRARY.why_unavailable()
pytestmark = pytest.mark.skipif(REASON is not None, reason=str(REASON))

POSITIONS = 40


def any_bounds(lengths: list[int], seed: int, plain: bool = False) -> AttentionPlan:
    """Bounds that neither rise nor fall in order; positions and times with ties. `plain`: causal, no ties."""
    rng = np.random.default_rng(seed)
    offsets = np.cumsum([0, *lengths])
    lo, hi, position, time = [], [], [], []
    for begin, n in zip(offsets[:-1].tolist(), lengths, strict=True):
        rise = np.ones(n, dtype=int) if plain else rng.integers(0, 2, n)
        position += (np.cumsum(rise) - 1).clip(0).tolist()
        time += (10**12 + np.cumsum(rise * (10 ** rng.uniform(1, 10, n)).astype(int))).tolist()
        for i in range(n):
            ends = (0, i) if plain else sorted(rng.integers(0, i + 1, 2).tolist())
            lo.append(begin + ends[0])
            hi.append(begin + ends[1])
    tensors = [torch.tensor(x, dtype=torch.int64) for x in (offsets.tolist(), lo, hi, position, time, time)]
    tensors[4] = tensors[4] + 3_000
    return plan_attention(*tensors)


def sessions(lengths: list[int]) -> AttentionPlan:
    """Causal, seconds between neighbours and days between sessions of eleven: vectors of keys in one time bucket, or two."""
    offsets = torch.tensor(np.cumsum([0, *lengths]))
    start = torch.repeat_interleave(offsets[:-1], offsets.diff())
    at = torch.arange(int(offsets[-1]))
    time = at * 7_000 + at // 11 * 200_000_000
    return plan_attention(offsets, start, at, at - start, time, time)


def candidates(past: int, count: int, segments: int) -> AttentionPlan:
    """First what is seen, then many that see all of it and stand far from it, as in the `candidate` layout."""
    n = past + count
    at = torch.arange(n * segments)
    start, within = at // n * n, at % n
    edge = within.clamp(max=past)
    return plan_attention(torch.arange(0, n * segments + 1, n), start, start + edge, edge, at * 1000, at * 1000)


def outcome(
    name: str,
    plan: AttentionPlan,
    shape: tuple[int, int, int] = (2, 32, 32),
    *,
    tables: str = "both",
    activation: str = "silu",
    dtype: torch.dtype = torch.float32,
    divisor: float | None = 13.0,
    positions: int = POSITIONS,
) -> list[Tensor]:
    """Output and gradients of q, k, v and the tables. Inputs are the same numbers for every dtype; q, k and v are views."""
    heads, size, value = shape
    tokens, generator = len(plan.lo), torch.Generator().manual_seed(0)
    draw = lambda *of: torch.randn(*of, generator=generator).to(torch.bfloat16)  # noqa: E731
    joined = draw(tokens, heads * (2 * size + value)).to(dtype).requires_grad_()
    q, k, v = joined.split((heads * size, heads * size, heads * value), dim=1)
    of_head = (heads,) if "heads" in tables else ()
    position = draw(positions, *of_head).to(dtype).requires_grad_() if "time" not in tables else None
    time = draw(GAP_BUCKETS).to(dtype).requires_grad_() if "position" not in tables else None
    if tables == "none":
        position = time = None
    out = hstu_attention(
        q.unflatten(1, (heads, size)), k.unflatten(1, (heads, size)), v.unflatten(1, (heads, value)), plan,
        alpha=0.3, position_bias=position, time_bias=time, activation=activation, implementation=name,  # type: ignore[arg-type]
        divisor=(plan.hi - plan.lo + 1).to(dtype) if divisor is None else divisor,
    )  # fmt: skip
    weights = torch.sin(torch.arange(out.numel(), dtype=torch.float64)).view(out.shape).to(torch.bfloat16).to(dtype)
    leaves = [x for x in (joined, position, time) if x is not None]
    d_joined, *d_tables = torch.autograd.grad((out * weights).sum(), leaves, allow_unused=True, materialize_grads=True)
    return [out.detach(), *d_joined.split((heads * size, heads * size, heads * value), dim=1), *d_tables]


def assert_near(actual: list[Tensor], expected: list[Tensor], relative: float = 1e-5) -> None:
    """In the norm of each output and gradient; of what is left of larger terms, in a hundredth of theirs."""
    largest = max((two.double().norm().item() for two in expected), default=0.0)
    for one, two in zip(actual, expected, strict=True):
        assert one.shape == two.shape and torch.isfinite(one).all()
        assert (one.double() - two.double()).norm() <= relative * max(two.double().norm().item(), 0.01 * largest)


@pytest.mark.parametrize(
    "shape", [(1, 1, 1), (2, 3, 5), (3, 15, 17), (2, 16, 48), (1, 33, 31), (4, 64, 20), (2, 128, 128)], ids=str
)
@pytest.mark.parametrize("activation", ["silu", "softmax"])
def test_any_size_of_a_head(shape: tuple[int, int, int], activation: str) -> None:
    plan = any_bounds([37, 0, 1, 50, 8], seed=1)
    expected = outcome("torch", plan_as_torch(plan), shape, activation=activation, dtype=torch.float64)
    assert_near(outcome("cpu", plan, shape, activation=activation), expected)


def plan_as_torch(plan: AttentionPlan) -> AttentionPlan:
    """The same geometry without what another implementation left in its cache."""
    return plan_attention(plan.offsets, plan.lo, plan.hi, plan.position, plan.query_time, plan.key_time)


@pytest.mark.parametrize("tables", ["none", "position", "position of heads", "time", "both", "both of heads"])
@pytest.mark.parametrize("activation", ["silu", "softmax"])
@pytest.mark.parametrize(
    "plan",
    [
        any_bounds([70, 33], 2),
        any_bounds([129], 3, plain=True),
        any_bounds([POSITIONS, 17, 1], 3, plain=True),  # every distance has its row of the table
        sessions([129, 40]),
        candidates(45, 60, 2),
        candidates(0, 3, 1),
    ],
    ids=["any", "causal", "causal-and-short", "sessions", "candidates", "nothing-seen"],
)
def test_every_geometry_with_every_table(plan: AttentionPlan, activation: str, tables: str) -> None:
    for divisor in (13.0, None):
        expected = outcome(
            "torch", plan_as_torch(plan), tables=tables, activation=activation, dtype=torch.float64, divisor=divisor
        )
        assert_near(outcome("cpu", plan, tables=tables, activation=activation, divisor=divisor), expected)


@settings(max_examples=25)
@given(
    lengths=st.lists(st.integers(0, 40), max_size=4),
    seed=st.integers(0, 99),
    size=st.integers(1, 20),
    value=st.integers(1, 20),
    heads=st.integers(1, 3),
    tables=st.sampled_from(["none", "position", "time", "both", "both of heads"]),
    activation=st.sampled_from(["silu", "softmax"]),
)
def test_equals_the_definition_for_any_bounds(
    lengths: list[int], seed: int, size: int, value: int, heads: int, tables: str, activation: str
) -> None:
    plan = any_bounds(lengths, seed)
    expected = outcome(
        "torch", plan_as_torch(plan), (heads, size, value), tables=tables, activation=activation, dtype=torch.float64
    )
    assert_near(outcome("cpu", plan, (heads, size, value), tables=tables, activation=activation), expected)


@pytest.mark.parametrize("plan", [any_bounds([60, 41], 4), sessions([129, 40])], ids=["any", "sessions"])
@pytest.mark.parametrize("activation", ["silu", "softmax"])
def test_tables_longer_than_any_segment(activation: str, plan: AttentionPlan) -> None:
    expected = outcome("torch", plan_as_torch(plan), activation=activation, dtype=torch.float64, positions=300)
    assert_near(outcome("cpu", plan, activation=activation, positions=300), expected)


def test_threads_do_not_change_a_bit_and_runs_repeat() -> None:
    for plan in (any_bounds([200, 150, 90, 180, 30, 170], 5), any_bounds([300], 6)):
        results = []
        for threads in (1, 1, 2, 2, 3):
            torch.set_num_threads(threads)
            results.append(outcome("cpu", plan))
        for result in results[1:]:
            assert all(torch.equal(one, two) for one, two in zip(result, results[0], strict=True))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("activation", ["silu", "softmax"])
def test_small_dtypes_are_as_exact_as_they_can_be(dtype: torch.dtype, activation: str) -> None:
    """Computed in float32, rounded once at the end."""
    plan = any_bounds([60, 41], seed=7)
    expected = outcome("torch", plan_as_torch(plan), activation=activation, dtype=torch.float64)
    actual = outcome("cpu", plan, activation=activation, dtype=dtype)
    assert all(one.dtype == dtype for one in actual)
    assert_near(actual, expected, 4e-3 if dtype == torch.bfloat16 else 1e-3)


def test_rows_in_any_order_of_memory() -> None:
    plan = any_bounds([50], seed=8)
    q, k, v = (torch.randn(50, 2, 8) for _ in range(3))
    expected = hstu_attention(q, k, v, plan, implementation="cpu")
    turned = [x.permute(1, 2, 0).contiguous().permute(2, 0, 1) for x in (q, k, v)]
    assert torch.equal(hstu_attention(*turned, plan, implementation="cpu"), expected)
    row = torch.randn(2, 8).requires_grad_()  # the gradient of a sum is one number, expanded
    (gradient,) = torch.autograd.grad(hstu_attention(q, k, row.expand(50, 2, 8), plan, implementation="cpu").sum(), [row])
    assert torch.isfinite(gradient).all()


def test_gradients_that_nobody_wants_are_not_needed() -> None:
    plan = any_bounds([30], seed=9)
    q, k = torch.randn(30, 1, 4), torch.randn(30, 1, 4)
    v = torch.randn(30, 1, 4).requires_grad_()
    slopes = torch.randn(POSITIONS)  # ALiBi: a table without gradient
    hstu_attention(q, k, v, plan, position_bias=slopes, implementation="cpu").sum().backward()
    assert v.grad is not None and torch.isfinite(v.grad).all()


def test_buckets_are_those_of_the_definition() -> None:
    """Gaps at, just below and just above every border, both signs."""
    edges = borders()
    gaps = torch.cat([torch.zeros(1, dtype=torch.int64), edges - 1, edges, edges + 1, torch.tensor([10**17])])
    gaps = gaps[torch.randperm(len(gaps))]
    n = len(gaps)
    lo, hi = torch.zeros(n + 1, dtype=torch.int64), torch.zeros(n + 1, dtype=torch.int64)
    hi[n] = n
    key_time = torch.cat([gaps, torch.zeros(1, dtype=torch.int64)])
    for sign in (1, -1):
        plan = plan_attention(torch.tensor([0, n + 1]), lo, hi, torch.zeros_like(lo), torch.zeros_like(lo), sign * key_time)
        geometry = cpu.prepare(plan, True)
        assert geometry.bucket is not None and geometry.bucket_offset is not None
        begin = int(geometry.bucket_offset[n])
        assert torch.equal(geometry.bucket[begin : begin + n].long(), time_buckets(gaps))


def test_buckets_are_found_once_a_batch() -> None:
    plan = any_bounds([30], seed=10)
    outcome("cpu", plan)
    first = cpu.prepare(plan, True)
    outcome("cpu", plan, tables="time")
    assert cpu.prepare(plan, True) is first


def test_a_time_table_with_few_rows() -> None:
    plan = any_bounds([60], seed=11)
    v = torch.randn(60, 2, 3)
    table = torch.randn(5)
    expected = bias_mixing(v.double(), plan_as_torch(plan), time_table=table.double(), implementation="torch")
    assert torch.allclose(bias_mixing(v, plan, time_table=table, implementation="cpu").double(), expected, atol=1e-5)


def test_float64_is_refused_by_name_and_left_to_torch_otherwise() -> None:
    plan = any_bounds([5], seed=12)
    x = torch.randn(5, 1, 2, dtype=torch.float64)
    assert hstu_attention(x, x, x, plan).dtype == torch.float64
    with pytest.raises(ValueError, match="hstu_attention=cpu is not available: it does not take float64"):
        hstu_attention(x, x, x, plan, implementation="cpu")


def test_segments_that_leave_out_tokens_are_refused() -> None:
    x = torch.randn(5, 1, 2)
    plan = plan_attention(torch.tensor([0, 4]), *(torch.zeros(5, dtype=torch.int64),) * 3)
    with pytest.raises(ValueError, match="segments cover tokens 0 to 4, but there are 5"):
        hstu_attention(x, x, x, plan, implementation="cpu")
