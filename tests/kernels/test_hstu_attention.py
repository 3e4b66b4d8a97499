"""Every implementation against the definition in loops and float64, forward and gradient, odd sizes, ties, windows."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from rankbench.kernels.hstu_attention import IMPLEMENTATIONS, AttentionPlan, bias_mixing, cpu, hstu_attention, plan_attention
from rankbench.kernels.time_buckets import GAP_BUCKETS

NO_FUSED = cpu.LIBRARY.why_unavailable()
NAMES = [name for name in IMPLEMENTATIONS if name not in ("reference", "triton", "npu")]  # test_triton.py, test_npu.py
FAST = [
    pytest.param(name, marks=pytest.mark.skipif(name == "cpu" and NO_FUSED is not None, reason=str(NO_FUSED))) for name in NAMES
]
HERE = [name for name in NAMES if name != "cpu" or NO_FUSED is None]
"""For tests whose definition takes longest: it is computed once for all of them."""


def precisions(name: str) -> list[tuple[torch.dtype, float]]:
    """dtypes that an implementation takes, and how near to the definition it must come."""
    single = (torch.float32, 1e-5)
    return [single] if name == "cpu" else [(torch.float64, 1e-9), single]


EACH = [(name, precision) for name in HERE for precision in precisions(name)]


@pytest.fixture(autouse=True)
def poisoned_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory that is not written shows as NaN."""
    original = torch.empty

    def empty(*size: int, **options: object) -> Tensor:
        tensor = original(*size, **options)  # type: ignore[arg-type]
        return tensor.fill_(math.nan) if tensor.is_floating_point() else tensor

    monkeypatch.setattr(torch, "empty", empty)


def geometry(lengths: list[int], window: int, tie: float, seed: int) -> AttentionPlan:
    """Segments with windows and runs of tied tokens that do not see each other; some tokens see nothing."""
    rng = np.random.default_rng(seed)
    offsets = np.cumsum([0, *lengths])
    lo, hi, position, time = [], [], [], []
    for begin, n in zip(offsets[:-1], lengths, strict=True):
        now, edge = 10**12, 0
        for i in range(n):
            if i == 0 or rng.random() >= tie:
                edge, now = i, now + int(10 ** rng.uniform(2, 9))
            hi.append(begin + edge)
            lo.append(begin + max(0, edge - window))
            position.append(edge)
            time.append(now)
    to = lambda values: torch.tensor(values, dtype=torch.int64)  # noqa: E731
    return plan_attention(to(offsets.tolist()), to(lo), to(hi), to(position), to(time) + 5_000, to(time))


@dataclass
class Inputs:
    q: Tensor
    k: Tensor
    v: Tensor
    position_bias: Tensor | None
    time_bias: Tensor | None

    def all(self) -> list[Tensor]:
        return [t for t in vars(self).values() if t is not None]


def inputs(tokens: int, heads: int, size: int, value: int, biases: str, dtype: torch.dtype, seed: int = 0) -> Inputs:
    generator = torch.Generator().manual_seed(seed)
    draw = lambda *shape: torch.randn(*shape, generator=generator, dtype=torch.float64).to(dtype).requires_grad_()  # noqa: E731
    of_head = (heads,) if biases == "of heads" else ()
    position = draw(9, *of_head) if biases in ("position", "both", "of heads") else None
    time = draw(GAP_BUCKETS) if biases in ("time", "both", "of heads") else None
    return Inputs(draw(tokens, heads, size), draw(tokens, heads, size), draw(tokens, heads, value), position, time)


def run(name: str, x: Inputs, plan: AttentionPlan, activation: str, divisor: Tensor | float) -> list[Tensor]:
    """Output and all gradients."""
    out = hstu_attention(
        x.q, x.k, x.v, plan, alpha=0.7, position_bias=x.position_bias, time_bias=x.time_bias,
        activation=activation, divisor=divisor, implementation=name,  # type: ignore[arg-type]
    )  # fmt: skip
    weights = torch.sin(torch.arange(out.numel(), dtype=torch.float64)).view(out.shape).to(out.dtype)
    return [out, *torch.autograd.grad((out * weights).sum(), x.all(), allow_unused=True, materialize_grads=True)]


def assert_close(actual: list[Tensor], expected: list[Tensor], relative: float, least: float = 1e-3, of: str = "") -> None:
    """Relative to the largest number of each, or to `least`."""
    for one, two in zip(actual, expected, strict=True):
        assert one.shape == two.shape and torch.isfinite(one).all(), of
        scale = max(two.abs().max().item(), least) if two.numel() else 1.0
        assert not two.numel() or (one.double() - two.double()).abs().max().item() <= relative * scale, of


@pytest.mark.parametrize("activation", ["silu", "softmax"])
@pytest.mark.parametrize("biases", ["none", "position", "time", "both", "of heads"])
@pytest.mark.parametrize(
    ("lengths", "window", "tie"),
    [([1], 4, 0.0), ([2, 0, 7], 3, 0.5), ([63, 1, 65], 10, 0.3), ([70], 100, 0.1), ([5] * 17, 2, 0.9)],
    ids=["one", "empty-segment", "odd", "long", "many-short"],
)
def test_all_equal_the_definition(activation: str, biases: str, lengths: list[int], window: int, tie: float) -> None:
    plan = geometry(lengths, window, tie, seed=1)
    tokens = sum(lengths)
    divisor = (plan.hi - plan.lo + 1).double() if biases == "both" else 13.0
    expected = run("reference", inputs(tokens, 2, 4, 3, biases, torch.float64), plan, activation, divisor)
    for name, (dtype, relative) in EACH:
        x = inputs(tokens, 2, 4, 3, biases, dtype)
        chosen = divisor.to(dtype) if isinstance(divisor, Tensor) else divisor
        assert_close(run(name, x, plan, activation, chosen), expected, relative, of=f"{name}, {dtype}")


@pytest.mark.parametrize("activation", ["silu", "softmax"])
def test_tokens_may_see_what_follows_and_themselves_once(activation: str) -> None:
    """Two-way attention, as in BST: the interval is the whole segment, the token itself among it."""
    lengths = [1, 0, 70, 3]
    offsets = torch.tensor([0, 1, 1, 71, 74])
    lo, hi = (torch.repeat_interleave(bound, torch.tensor(lengths)) for bound in (offsets[:-1], offsets[1:]))
    plan = plan_attention(offsets, lo, hi, torch.zeros(74, dtype=torch.int64))
    expected = run("reference", inputs(74, 2, 4, 3, "none", torch.float64), plan, activation, 13.0)
    for name, (dtype, relative) in EACH:
        found = run(name, inputs(74, 2, 4, 3, "none", dtype), plan, activation, 13.0)
        assert_close(found, expected, relative, of=f"{name}, {dtype}")


@pytest.mark.parametrize("name", FAST)
@settings(max_examples=25)
@given(
    lengths=st.lists(st.integers(0, 9), min_size=1, max_size=5).filter(any),
    window=st.integers(0, 6),
    tie=st.sampled_from([0.0, 0.5, 1.0]),
    activation=st.sampled_from(["silu", "softmax"]),
    seed=st.integers(0, 99),
)
def test_equals_the_definition_on_any_geometry(
    name: str, lengths: list[int], window: int, tie: float, activation: str, seed: int
) -> None:
    plan = geometry(lengths, window, tie, seed)
    dtype, relative = precisions(name)[0]
    expected = run("reference", inputs(sum(lengths), 1, 3, 3, "both", torch.float64, seed), plan, activation, 3.0)
    found = run(name, inputs(sum(lengths), 1, 3, 3, "both", dtype, seed), plan, activation, 3.0)
    assert_close(found[:4], expected[:4], relative)
    # The few terms of a table's gradient may cancel: its errors are those of the terms, which are about as large as the others.
    assert_close(found[4:], expected[4:], relative, least=0.1 * max(one.abs().max().item() for one in expected[:4]))


@pytest.mark.parametrize("name", [*FAST, "reference"])
def test_the_definition_by_hand(name: str) -> None:
    """Two tokens, one head of size 1: the second sees the first and itself."""
    plan = plan_attention(*(torch.tensor(x) for x in ([0, 2], [0, 0], [0, 1], [0, 1], [0, 5_000], [0, 5_000])))
    dtype = torch.float64 if name != "cpu" else torch.float32
    q, k, v = (torch.tensor(x, dtype=dtype).view(2, 1, 1) for x in ([1.0, 2.0], [3.0, 4.0], [10.0, 20.0]))
    position, time = torch.tensor([0.1, 0.2], dtype=dtype), torch.arange(GAP_BUCKETS, dtype=dtype) / 100
    silu = lambda s: s / (1 + math.exp(-s))  # noqa: E731
    # ln(5) / 0.301 = 5.3: bucket 5, bias 0.05. Own keys: position bias 0.1, time bias 0.
    first, seen, own = silu(0.5 * 3 + 0.1), silu(0.5 * 6 + 0.2 + 0.05), silu(0.5 * 8 + 0.1)
    out = hstu_attention(
        q, k, v, plan, alpha=0.5, position_bias=position, time_bias=time, divisor=4.0, implementation=name
    ).flatten().tolist()  # fmt: skip
    expected = [first * 10 / 4, (seen * 10 + own * 20) / 4]
    assert out == pytest.approx(expected, rel=1e-12 if dtype == torch.float64 else 1e-6)


@pytest.mark.parametrize("activation", ["silu", "softmax"])
def test_gradcheck(activation: str) -> None:
    plan = geometry([4, 3], 2, 0.3, seed=0)
    x = inputs(7, 2, 2, 2, "both", torch.float64)

    def call(*tensors: Tensor) -> Tensor:
        q, k, v, position, time = tensors
        return hstu_attention(
            q, k, v, plan, position_bias=position, time_bias=time, activation=activation, implementation="torch"  # type: ignore[arg-type]
        )  # fmt: skip

    assert torch.autograd.gradcheck(call, x.all())


@pytest.mark.parametrize("name", FAST)
def test_other_segments_of_the_batch_do_not_matter(name: str) -> None:
    x = inputs(100, 2, 4, 4, "both", precisions(name)[0][0])
    options = {"position_bias": x.position_bias, "time_bias": x.time_bias, "implementation": name}
    both = geometry([70, 30], 20, 0.2, seed=3)
    alone = plan_attention(*(t[:70] if t is not both.offsets else t[:2] for t in vars(both).values() if isinstance(t, Tensor)))
    together = hstu_attention(x.q, x.k, x.v, both, **options)  # type: ignore[arg-type]
    single = hstu_attention(x.q[:70], x.k[:70], x.v[:70], alone, **options)  # type: ignore[arg-type]
    assert torch.allclose(together[:70], single, atol=1e-12 if single.dtype == torch.float64 else 1e-5)


@pytest.mark.parametrize("name", FAST)
def test_candidates_of_one_request_are_exchangeable(name: str) -> None:
    """Tokens that see the same past and not each other: permuting them permutes their outputs."""
    past, candidates = 20, 9
    at = torch.arange(past + candidates)
    edge = at.clamp(max=past)
    plan = plan_attention(torch.tensor([0, len(at)]), torch.zeros_like(at), edge, edge)
    x = inputs(len(at), 2, 4, 4, "position", precisions(name)[0][0])
    order = torch.cat([torch.arange(past), past + torch.randperm(candidates)])
    for activation in ("silu", "softmax"):
        out = [
            hstu_attention(q, k, v, plan, position_bias=x.position_bias, activation=activation, implementation=name)  # type: ignore[arg-type]
            for q, k, v in ((x.q, x.k, x.v), (x.q[order], x.k[order], x.v[order]))
        ]
        assert torch.allclose(out[0][order], out[1], atol=1e-12 if x.q.dtype == torch.float64 else 1e-5)


def test_time_bias_without_times_is_refused() -> None:
    plan = plan_attention(*(torch.tensor(x) for x in ([0, 1], [0], [0], [0])))
    with pytest.raises(ValueError, match="query_time"):
        hstu_attention(*(torch.zeros(1, 1, 1),) * 3, plan, time_bias=torch.zeros(GAP_BUCKETS))


@pytest.mark.parametrize("name", [*FAST, "reference"])
def test_no_tokens_at_all(name: str) -> None:
    plan = plan_attention(torch.tensor([0]), *(torch.zeros(0, dtype=torch.long),) * 3)
    assert hstu_attention(*(torch.zeros(0, 2, 3),) * 3, plan, implementation=name).shape == (0, 2, 3)


@pytest.mark.parametrize("name", FAST)
@pytest.mark.parametrize("biases", ["position", "time", "both", "of heads"])
@pytest.mark.parametrize("lengths", [[1], [2, 0, 7], [63, 1, 65]])
def test_mixing_by_bias_alone_equals_the_definition(name: str, biases: str, lengths: list[int]) -> None:
    plan = geometry(lengths, 10, 0.3, seed=1)

    def outcome(implementation: str, dtype: torch.dtype) -> list[Tensor]:
        x = inputs(sum(lengths), 2, 4, 3, biases, dtype)
        leaves = [t for t in (x.v, x.position_bias, x.time_bias) if t is not None]
        out = bias_mixing(x.v, plan, x.position_bias, x.time_bias, implementation=implementation)
        weights = torch.sin(torch.arange(out.numel(), dtype=torch.float64)).view(out.shape).to(out.dtype)
        return [out, *torch.autograd.grad((out * weights).sum(), leaves)]

    expected = outcome("reference", torch.float64)
    for dtype, relative in precisions(name):
        assert_close(outcome(name, dtype), expected, relative)


def test_mixing_needs_a_table() -> None:
    plan = plan_attention(*(torch.tensor(x) for x in ([0, 1], [0], [0], [0])))
    with pytest.raises(ValueError, match="position table or a time table"):
        bias_mixing(torch.zeros(1, 1, 1), plan)


@pytest.mark.parametrize("biases", ["both", "of heads"])
@pytest.mark.parametrize("name", FAST)
def test_half_precision_of_everything(name: str, biases: str) -> None:
    """Tables too, as the benchmark of kernels has them; their gradients are added up in single precision."""
    plan = geometry([63, 1, 65], 10, 0.3, seed=1)
    half = inputs(129, 2, 4, 3, biases, torch.bfloat16)
    exact = Inputs(*(None if x is None else x.detach().double().requires_grad_() for x in vars(half).values()))  # type: ignore[arg-type]
    found, expected = run(name, half, plan, "silu", 13.0), run("reference", exact, plan, "silu", 13.0)
    for one, two in zip(found, expected, strict=True):
        assert one.dtype == torch.bfloat16 and (one.double() - two).norm() <= 2e-2 * two.norm()
