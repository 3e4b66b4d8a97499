"""Compiled and composed kernels keep the accuracy of single precision whatever the size of their numbers, forward and gradients.

A small difference of large numbers loses its digits at one scale and not at another: inputs of one size would not show it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from rankbench.kernels import dispatch
from rankbench.kernels.gating import gated_norm, silu_split
from rankbench.kernels.hstu_attention import AttentionPlan, hstu_attention
from rankbench.kernels.hstu_layer import hstu_layer
from rankbench.kernels.recurrence import recurrence
from rankbench.kernels.target_attention import Events, Layers, activation_unit
from rankbench.kernels.time_buckets import GAP_BUCKETS

from .test_cpu import any_bounds, candidates
from .test_hstu_attention import FAST

SCALES = [0.003, 3.0, 30.0, 300.0, 3000.0]
by_scale = pytest.mark.parametrize("scale", SCALES)


def numbers(*shape: int, seed: int) -> Tensor:
    """float64, of numbers that float32 holds."""
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).double()


def outcome(run: Callable[..., Tensor], leaves: list[Tensor], dtype: torch.dtype) -> list[Tensor]:
    """Output and gradients of all leaves."""
    given = [one.to(dtype).requires_grad_() for one in leaves]
    out = run(*given)
    weights = torch.sin(torch.arange(out.numel(), dtype=torch.float64)).view(out.shape).to(dtype)
    return [out.detach(), *torch.autograd.grad((out * weights).sum(), given)]


def assert_accurate(run: Callable[..., Tensor], leaves: list[Tensor], relative: float, least: float = 0.0) -> None:
    """In the norm of each output and gradient, or of `least`, single precision against double."""
    found, expected = (outcome(run, leaves, dtype) for dtype in (torch.float32, torch.float64))
    for one, two in zip(found, expected, strict=True):
        assert torch.isfinite(one).all() and two.norm() > 0
        assert (one.double() - two).norm() <= relative * max(float(two.norm()), least)


def on_one_path(name: str, operation: str) -> None:
    reason = dispatch.find(operation, name).refusal(torch.device("cpu"), torch.float32)
    if reason is not None:
        pytest.skip(f"no {operation}={name}: {reason}")


@by_scale
@pytest.mark.parametrize("name", FAST)
@pytest.mark.parametrize("plan", [any_bounds([70, 33], 2), candidates(45, 20, 2)], ids=["any", "candidates"])
def test_silu_attention(name: str, scale: float, plan: AttentionPlan) -> None:
    """Logits of about `scale`, a divisor that is no power of two, as HSTU has it."""
    tokens = len(plan.lo)

    def run(q: Tensor, k: Tensor, v: Tensor, position: Tensor, time: Tensor) -> Tensor:
        fresh, own = dataclasses.replace(plan), name if q.dtype == torch.float32 else "torch"
        return hstu_attention(q, k, v, fresh, position_bias=position, time_bias=time, divisor=101.0, implementation=own)

    leaves = [numbers(tokens, 2, 16, seed=at) for at in range(3)]
    leaves[0] *= scale / 4
    leaves += [numbers(40, seed=3) * scale, numbers(GAP_BUCKETS, seed=4) * scale]
    assert_accurate(run, leaves, 3e-6)


@by_scale
@pytest.mark.parametrize("name", FAST)
def test_softmax_attention(name: str, scale: float) -> None:
    """A logit's own rounding is a relative error of its weight: the larger they are, the less is left."""
    plan = any_bounds([70, 33], 2)

    def run(q: Tensor, k: Tensor, v: Tensor, time: Tensor) -> Tensor:
        fresh, own = dataclasses.replace(plan), name if q.dtype == torch.float32 else "torch"
        return hstu_attention(q, k, v, fresh, time_bias=time, activation="softmax", implementation=own)

    leaves = [numbers(103, 2, 16, seed=at) for at in range(3)]
    leaves[0] *= scale / 4
    assert_accurate(run, [*leaves, numbers(GAP_BUCKETS, seed=4) * scale], 3e-6 + 1e-6 * scale)


@by_scale
@pytest.mark.parametrize("name", ["cpu", "torch"])
def test_a_layer_of_hstu(name: str, scale: float) -> None:
    """The projection's weights carry the scale, so that u, v, q and k do, behind the norm of x."""
    on_one_path(name, "hstu_layer")
    plan = any_bounds([40, 33], 2)

    def run(x: Tensor, uvqk: Tensor, out: Tensor, bias: Tensor, time: Tensor) -> Tensor:
        own = name if x.dtype == torch.float32 else "torch"
        fresh = dataclasses.replace(plan)
        return hstu_layer(x, uvqk, out, bias, fresh, heads=2, time_bias=time, divisor=101.0, implementation=own)

    leaves = [numbers(73, 24, seed=0), numbers(96, 24, seed=1) * scale / 5, numbers(24, 24, seed=2) / 5]
    assert_accurate(run, [*leaves, numbers(24, seed=3), numbers(GAP_BUCKETS, seed=4) * scale], 3e-5)


@by_scale
def test_the_parts_of_a_layer(scale: float) -> None:
    on_one_path("cpu", "silu_split")

    def split(z: Tensor) -> Tensor:
        one, two = silu_split(z, 2)
        return torch.cat([one, two * 2])

    assert_accurate(split, [numbers(50, 34, seed=0) * scale], 1e-6)
    assert_accurate(lambda gate, x: gated_norm(gate, x, 1e-6), [numbers(50, 33, seed=at) * scale for at in (0, 1)], 3e-6)


@pytest.mark.parametrize("x", [2e6, 1e7, 1e20, float("inf")])
def test_gates_of_numbers_beyond_any_logit(x: float) -> None:
    on_one_path("cpu", "silu_split")
    (found,) = silu_split(torch.tensor([[x, -x, float("nan")]]), 1)
    assert found[0, 0] == x and found[0, 2].isnan()
    assert x == float("inf") or abs(float(found[0, 1])) < 1e-15


@by_scale
def test_a_recurrence(scale: float) -> None:
    on_one_path("cpu", "recurrence")
    sizes = torch.tensor([9, 7, 7, 2])

    def run(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return recurrence(x, sizes, weight, bias)

    leaves = [numbers(25, 36, seed=0) * scale, numbers(36, 12, seed=1) / 4, numbers(36, seed=2) * scale]
    # What is left of the slope of a gate that is shut lies in the last digits of the gate. At a scale of hundreds, rounding the
    # inputs to float32 alone moves the exact gradient of the weights by .7e-6 to 1e-6, whatever computes the rest.
    assert_accurate(run, leaves, 3e-6, least=0.5 if scale > 100 else 0.0)


@by_scale
def test_an_activation_unit(scale: float) -> None:
    on_one_path("cpu", "activation_unit")
    offsets = torch.tensor([0, 9, 9, 20])

    def run(query: Tensor, key: Tensor, start: Tensor, *layers: Tensor) -> Tensor:
        return activation_unit(query, Events(key, []), offsets, start, Layers(*layers))

    shapes = ((3, 5), (20, 5), (3, 8), (8, 10), (6, 8), (6,), (1, 6), (1,))
    leaves = [numbers(*shape, seed=at) for at, shape in enumerate(shapes)]
    assert_accurate(run, [one * scale if at < 3 else one for at, one in enumerate(leaves)], 3e-6)
