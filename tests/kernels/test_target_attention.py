"""DIN's attention: the compiled loops against the equations, event by event in float64, forward and all gradients."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from rankbench.kernels import dispatch
from rankbench.kernels.target_attention import Layers, activation_unit, weighted_sum

UNAVAILABLE = dispatch.find("activation_unit", "cpu").refusal(torch.device("cpu"), torch.float32)
compiled = pytest.mark.skipif(UNAVAILABLE is not None, reason=f"no compiled target attention: {UNAVAILABLE}")

Inputs = tuple[Tensor, Tensor, Tensor, Layers]


def inputs_of(lengths: list[int], key: int, query: int, hidden: tuple[int, ...], seed: int) -> tuple[Inputs, Tensor]:
    """Query, key, start and layers; and the offsets of the events."""
    generator = torch.Generator().manual_seed(seed)

    def random(*shape: int) -> Tensor:
        return (torch.randn(shape, generator=generator) * 0.4).requires_grad_()

    offsets = torch.tensor([0, *lengths]).cumsum(0)
    first, *rest = hidden
    second = (random(rest[0], first), random(rest[0])) if rest else (None, None)
    layers = Layers(random(first, key + query), *second, random(1, hidden[-1]), random(1))
    return (random(len(lengths), query), random(sum(lengths), key), random(len(lengths), first), layers), offsets


def leaves(inputs: Inputs) -> list[Tensor]:
    return [*inputs[:3], *(tensor for tensor in inputs[3] if tensor is not None)]


def doubled(inputs: Inputs) -> Inputs:
    def copy(tensor: Tensor | None) -> Tensor | None:
        return None if tensor is None else tensor.detach().double().requires_grad_()

    query, key, start = (tensor.detach().double().requires_grad_() for tensor in inputs[:3])
    return query, key, start, Layers(*map(copy, inputs[3]))  # type: ignore[arg-type]


def literal(query: Tensor, key: Tensor, offsets: Tensor, start: Tensor, layers: Layers) -> Tensor:
    """Zhou et al. 2018, figure 2, one event at a time."""
    weights = []
    for r in range(len(query)):
        for t in range(int(offsets[r]), int(offsets[r + 1])):
            product = query[r] * key[t, : query.shape[1]]
            x = (layers.event @ torch.cat([key[t], product]) + start[r]).clamp(min=0)
            if layers.hidden is not None and layers.hidden_bias is not None:
                x = (layers.hidden @ x + layers.hidden_bias).clamp(min=0)
            weights.append((layers.out @ x + layers.out_bias)[0])
    return torch.stack(weights) if weights else key.new_zeros(0)


@compiled
@pytest.mark.parametrize("threads", [1, 2])
@given(
    lengths=st.lists(st.sampled_from([0, 1, 2, 7, 13]), min_size=1, max_size=6),
    sizes=st.sampled_from([(5, 3, (7,)), (16, 16, (16, 16)), (37, 20, (33, 17)), (8, 0, (4, 3))]),
    seed=st.integers(0, 99),
)
def test_unit_against_its_equations(threads: int, lengths: list[int], sizes: tuple[int, int, tuple[int, ...]], seed: int) -> None:
    inputs, offsets = inputs_of(lengths, *sizes, seed)
    exact = doubled(inputs)
    torch.set_num_threads(threads)
    try:
        weights = activation_unit(*inputs[:2], offsets, *inputs[2:])
        expected = literal(*exact[:2], offsets, *exact[2:])
        assert torch.allclose(weights.double(), expected, rtol=1e-5, atol=1e-5)
        if not len(weights):
            return
        grad = torch.randn(len(weights))
        got = torch.autograd.grad(weights, leaves(inputs), grad, allow_unused=True)
        wanted = torch.autograd.grad(expected, leaves(exact), grad.double(), allow_unused=True)
    finally:
        torch.set_num_threads(1)
    for one, two in zip(got, wanted, strict=True):
        assert one is not None
        assert torch.allclose(one.double(), torch.zeros_like(one).double() if two is None else two, rtol=1e-4, atol=1e-4)


@compiled
@pytest.mark.parametrize("hidden", [(9,), (16, 5)])
def test_long_pasts_pass_in_blocks(hidden: tuple[int, ...]) -> None:
    """More events than go through the layers together, beside torch's parts."""
    inputs, offsets = inputs_of([200, 0, 64, 65], 20, 12, hidden, 3)
    exact = doubled(inputs)
    weights, expected = (activation_unit(*one[:2], offsets, *one[2:]) for one in (inputs, exact))
    assert weights.dtype == torch.float32 and expected.dtype == torch.float64
    assert torch.allclose(weights.double(), expected, rtol=1e-5, atol=1e-5)
    got, wanted = (torch.autograd.grad(x.square().sum(), leaves(one)) for x, one in ((weights, inputs), (expected, exact)))
    for one, two in zip(got, wanted, strict=True):
        assert torch.allclose(one.double(), two, rtol=1e-4, atol=1e-3)


@compiled
def test_the_same_gradients_every_time() -> None:
    inputs, offsets = inputs_of([30] * 50, 20, 12, (16, 8), 5)
    torch.set_num_threads(2)
    try:
        first, second = (
            torch.autograd.grad(activation_unit(*inputs[:2], offsets, *inputs[2:]).square().sum(), leaves(inputs))
            for _ in range(2)
        )
    finally:
        torch.set_num_threads(1)
    assert all(torch.equal(one, two) for one, two in zip(first, second, strict=True))


@given(tokens=st.integers(0, 40), width=st.sampled_from([1, 5, 16, 33]), seed=st.integers(0, 99))
def test_weighted_sum(tokens: int, width: int, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(tokens, generator=generator, requires_grad=True)
    value = torch.randn(tokens, width, generator=generator, requires_grad=True)
    row = torch.randint(4, (tokens,), generator=generator)
    out = weighted_sum(weight, value, row, 4)
    expected = torch.zeros(4, width, dtype=torch.float64)
    for t in range(tokens):
        expected[row[t]] += weight[t].detach().double() * value[t].detach().double()
    assert torch.allclose(out.double(), expected, atol=1e-5)
    grad = torch.randn(4, width, generator=generator)
    d_weight, d_value = torch.autograd.grad(out, (weight, value), grad)
    assert torch.allclose(d_weight, (value * grad[row]).sum(1), atol=1e-5)
    assert torch.allclose(d_value, weight.unsqueeze(1) * grad[row], atol=1e-6)
