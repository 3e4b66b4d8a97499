"""The gated recurrence: the compiled loop against torch's parts in float64, and both against torch's own GRU."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from rankbench.kernels import dispatch
from rankbench.kernels.recurrence import recurrence

UNAVAILABLE = dispatch.find("recurrence", "cpu").refusal(torch.device("cpu"), torch.float32)
compiled = pytest.mark.skipif(UNAVAILABLE is not None, reason=f"no compiled recurrence: {UNAVAILABLE}")

Inputs = tuple[Tensor, Tensor, Tensor, Tensor | None]


def inputs_of(sizes: list[int], width: int, attended: bool, seed: int) -> Inputs:
    """x, weight, bias, attention."""
    generator = torch.Generator().manual_seed(seed)

    def random(*shape: int) -> Tensor:
        return (torch.randn(shape, generator=generator) * 0.7).requires_grad_()

    tokens = sum(sizes)
    attention = torch.rand(tokens, generator=generator).requires_grad_() if attended else None
    return random(tokens, 3 * width), random(3 * width, width), random(3 * width), attention


def result(inputs: Inputs, sizes: list[int], dtype: torch.dtype) -> list[Tensor]:
    """States and all gradients."""
    x, weight, bias, attention = (None if one is None else one.detach().to(dtype).requires_grad_() for one in inputs)
    assert x is not None and weight is not None and bias is not None
    states = recurrence(x, torch.tensor(sizes, dtype=torch.int64), weight, bias, attention)
    loss = (states * torch.sin(torch.arange(states.numel(), dtype=dtype)).view_as(states)).sum()
    return [states, *torch.autograd.grad(loss, [one for one in (x, weight, bias, attention) if one is not None])]


@compiled
@pytest.mark.parametrize("threads", [1, 2])
@given(
    sizes=st.lists(st.integers(1, 70), min_size=1, max_size=6).map(lambda sizes: sorted(sizes, reverse=True)),
    width=st.sampled_from([1, 5, 16, 23]),
    attended=st.booleans(),
    seed=st.integers(0, 99),
)
def test_against_torchs_parts(threads: int, sizes: list[int], width: int, attended: bool, seed: int) -> None:
    inputs = inputs_of(sizes, width, attended, seed)
    torch.set_num_threads(threads)
    try:
        for one, two in zip(result(inputs, sizes, torch.float32), result(inputs, sizes, torch.float64), strict=True):
            assert torch.allclose(one.double(), two, rtol=1e-4, atol=1e-4)
    finally:
        torch.set_num_threads(1)


@pytest.mark.parametrize("dtype", [pytest.param(torch.float32, marks=compiled), torch.float64])
def test_without_attention_it_is_torchs_gru(dtype: torch.dtype) -> None:
    rows, steps, width = 37, 9, 12
    gru = nn.GRU(7, width, dtype=dtype)
    inputs = torch.randn(steps, rows, 7, dtype=dtype)
    turned = torch.tensor([1.0, -1.0, 1.0], dtype=dtype).repeat_interleave(width)
    x = (inputs.flatten(0, 1) @ gru.weight_ih_l0.T + gru.bias_ih_l0) * turned
    sizes = torch.full((steps,), rows)
    states = recurrence(x, sizes, gru.weight_hh_l0 * turned.unsqueeze(1), gru.bias_hh_l0 * turned)
    assert torch.allclose(states.view(steps, rows, width), gru(inputs)[0], atol=1e-5)


@compiled
def test_the_same_gradients_every_time() -> None:
    inputs = inputs_of([90, 80, 5], 16, True, 1)
    torch.set_num_threads(2)
    try:
        first, second = (result(inputs, [90, 80, 5], torch.float32) for _ in range(2))
    finally:
        torch.set_num_threads(1)
    assert all(torch.equal(one, two) for one, two in zip(first, second, strict=True))


@compiled
def test_nothing_to_do() -> None:
    empty = recurrence(torch.zeros(0, 12), torch.zeros(0, dtype=torch.int64), torch.zeros(12, 4), torch.zeros(12))
    assert empty.shape == (0, 4)
