"""A token's own key at a time gap of its own: every implementation against the definition, forward and all gradients."""

from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from torch import Tensor

from rankbench.kernels import hstu_layer as layer_module
from rankbench.kernels.hstu_attention import AttentionPlan, bias_mixing, hstu_attention, plan_attention
from rankbench.kernels.hstu_attention.plan import own_buckets
from rankbench.kernels.time_buckets import GAP_BUCKETS, time_buckets

from .test_cpu import any_bounds, candidates
from .test_hstu_attention import FAST, HERE, assert_close, geometry, inputs, precisions, run
from .test_hstu_layer import assert_near as assert_layers_near
from .test_hstu_layer import both


def with_own_time(plan: AttentionPlan, seed: int = 0) -> AttentionPlan:
    """Gaps of many lengths, both signs, a few of them 0."""
    assert plan.query_time is not None
    generator = torch.Generator().manual_seed(seed)
    gap = (10 ** (torch.rand(len(plan.lo), generator=generator, dtype=torch.float64) * 11)).long()
    gap[::5] = 0
    gap[1::7] *= -1
    return dataclasses.replace(plan, own_time=plan.query_time - gap)


@pytest.mark.long
@pytest.mark.parametrize("name", FAST)
@pytest.mark.parametrize("activation", ["silu", "softmax"])
@pytest.mark.parametrize("biases", ["time", "both", "of heads", "position"])
@pytest.mark.parametrize("lengths", [[1], [2, 0, 7], [33, 1, 65]], ids=["one", "empty-segment", "odd"])
def test_equals_the_definition(name: str, activation: str, biases: str, lengths: list[int]) -> None:
    plan = with_own_time(geometry(lengths, 10, 0.3, seed=1))
    tokens = sum(lengths)
    expected = run("reference", inputs(tokens, 2, 4, 3, biases, torch.float64), plan, activation, 13.0)
    for dtype, relative in precisions(name):
        found = run(name, inputs(tokens, 2, 4, 3, biases, dtype), dataclasses.replace(plan), activation, 13.0)
        assert_close(found, expected, relative)
    plain = run(
        "reference", inputs(tokens, 2, 4, 3, biases, torch.float64), dataclasses.replace(plan, own_time=None), activation, 13.0
    )
    alone = tokens == 1  # whose gap is 0, or whose softmax has one key
    assert torch.equal(plain[0], expected[0]) == (biases == "position" or alone)


@pytest.mark.parametrize("name", FAST)
@pytest.mark.parametrize("biases", ["time", "both", "of heads"])
def test_mixing_by_bias_alone(name: str, biases: str) -> None:
    plan = with_own_time(geometry([33, 1, 65], 10, 0.3, seed=1))

    def outcome(implementation: str, dtype: torch.dtype) -> list[Tensor]:
        x = inputs(99, 2, 4, 3, biases, dtype)
        leaves = [one for one in (x.v, x.position_bias, x.time_bias) if one is not None]
        out = bias_mixing(x.v, dataclasses.replace(plan), x.position_bias, x.time_bias, implementation=implementation)
        weights = torch.sin(torch.arange(out.numel(), dtype=torch.float64)).view(out.shape).to(out.dtype)
        return [out, *torch.autograd.grad((out * weights).sum(), leaves)]

    expected = outcome("reference", torch.float64)
    for dtype, relative in precisions(name):
        assert_close(outcome(name, dtype), expected, relative)


def test_own_keys_far_from_what_their_queries_see() -> None:
    """As candidates have them: in the compiled pass they stand apart from the others."""
    plan = with_own_time(candidates(45, 60, 2))
    expected = run("reference", inputs(210, 1, 3, 3, "both", torch.float64), plan, "silu", 13.0)
    for name in HERE:
        dtype, relative = precisions(name)[0]
        found = run(name, inputs(210, 1, 3, 3, "both", dtype), dataclasses.replace(plan), "silu", 13.0)
        assert_close(found, expected, relative, of=name)


@pytest.mark.parametrize("name", [*FAST, "reference"])
def test_the_definition_by_hand(name: str) -> None:
    """Two tokens, one head of size 1, as HSTU's released code has times: each asks from the time of the next event."""
    key, query = [0, 5_000], [5_000, 12_000]
    plan = plan_attention(*(torch.tensor(x) for x in ([0, 2], [0, 0], [0, 1], [0, 1], query, key, key)))
    dtype = torch.float64 if name != "cpu" else torch.float32
    q, k, v = (torch.tensor(x, dtype=dtype).view(2, 1, 1) for x in ([1.0, 2.0], [3.0, 4.0], [10.0, 20.0]))
    time = torch.arange(GAP_BUCKETS, dtype=dtype) / 100
    silu = lambda s: s / (1 + math.exp(-s))  # noqa: E731
    # ln(5) / 0.301 = 5.3, ln(12) / 0.301 = 8.3, ln(7) / 0.301 = 6.5
    first, seen, own = silu(3 + 0.05), silu(6 + 0.08), silu(8 + 0.06)
    found = hstu_attention(q, k, v, plan, time_bias=time, divisor=4.0, implementation=name).flatten().tolist()
    expected = [first * 10 / 4, (seen * 10 + own * 20) / 4]
    assert found == pytest.approx(expected, rel=1e-12 if dtype == torch.float64 else 1e-6)


@pytest.mark.parametrize("name", FAST)
def test_a_table_with_few_rows_repeats_its_last(name: str) -> None:
    plan = with_own_time(geometry([20], 5, 0.2, seed=2))
    dtype, relative = precisions(name)[0]
    v, few = torch.randn(20, 2, 3, dtype=dtype), torch.randn(5, dtype=dtype)
    whole = torch.cat([few, few[-1:].expand(GAP_BUCKETS - 5)])
    found, expected = (bias_mixing(v, dataclasses.replace(plan), time_table=one, implementation=name) for one in (few, whole))
    assert torch.allclose(found, expected, atol=relative)


def test_gradcheck() -> None:
    plan = with_own_time(geometry([4, 3], 2, 0.3, seed=0))
    x = inputs(7, 2, 2, 2, "of heads", torch.float64)

    def call(*tensors: Tensor) -> Tensor:
        q, k, v, position, time = tensors
        return hstu_attention(q, k, v, plan, position_bias=position, time_bias=time, implementation="torch")

    assert torch.autograd.gradcheck(call, x.all())


LAYER = layer_module.LIBRARY.why_unavailable()


@pytest.mark.skipif(LAYER is not None, reason=str(LAYER))
@pytest.mark.parametrize("activation", ["silu", "softmax"])
@pytest.mark.parametrize("plan", [any_bounds([37, 0, 1, 50], 1), candidates(45, 20, 2)], ids=["any", "candidates"])
def test_a_whole_layer(plan: AttentionPlan, activation: str) -> None:
    assert_layers_near(*both(with_own_time(plan), 24, 2, activation=activation), relative=3e-5)


def test_own_time_needs_a_query_s_time() -> None:
    nothing = torch.zeros(1, dtype=torch.int64)
    with pytest.raises(ValueError, match="own_time needs query_time"):
        plan_attention(torch.tensor([0, 1]), nothing, nothing, nothing, own_time=nothing)


def test_buckets_are_those_of_the_gaps_and_found_once() -> None:
    plan = with_own_time(geometry([20], 5, 0.2, seed=2))
    assert plan.query_time is not None and plan.own_time is not None
    found = own_buckets(plan)
    assert found is not None and torch.equal(found, time_buckets(plan.query_time - plan.own_time))
    assert own_buckets(plan) is found
    assert own_buckets(dataclasses.replace(plan, own_time=None)) is None
