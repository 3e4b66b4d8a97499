"""Linear maps: the compiled product and its gradients against float64, of any size, in one order of sums."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from rankbench.kernels import dispatch
from rankbench.kernels.linear import Linear, linear

UNAVAILABLE = dispatch.find("linear", "cpu").refusal(torch.device("cpu"), torch.float32)
compiled = pytest.mark.skipif(UNAVAILABLE is not None, reason=f"no compiled linear: {UNAVAILABLE}")


def inputs_of(rows: int, inputs: int, outputs: int, bias: bool, seed: int = 0) -> list[Tensor | None]:
    """x, weight, bias, and the gradient of the result."""
    generator = torch.Generator().manual_seed(seed)
    x, weight, b, grad = (
        torch.randn(shape, generator=generator) for shape in ((rows, inputs), (outputs, inputs), (outputs,), (rows, outputs))
    )
    return [x, weight, b if bias else None, grad]


def results(tensors: list[Tensor | None], dtype: torch.dtype = torch.float32) -> list[Tensor]:
    """The product and all gradients."""
    *given_, grad = (None if one is None else one.to(dtype) for one in tensors)
    leaves = [None if one is None else one.requires_grad_() for one in given_]
    y = linear(*leaves)  # type: ignore[arg-type]
    return [y, *torch.autograd.grad(y, [one for one in leaves if one is not None], grad)]


def error(found: Tensor, exact: Tensor) -> float:
    found, exact = found.detach(), exact.detach()
    return float((found.double() - exact).norm() / exact.norm().clamp(min=1e-30))


@compiled
@pytest.mark.parametrize("threads", [1, 2])
@given(
    rows=st.integers(1, 150),
    inputs=st.integers(1, 70),
    outputs=st.integers(1, 70),
    bias=st.booleans(),
    seed=st.integers(0, 9),
)
def test_against_float64(threads: int, rows: int, inputs: int, outputs: int, bias: bool, seed: int) -> None:
    tensors = inputs_of(rows, inputs, outputs, bias, seed)
    torch.set_num_threads(threads)
    try:
        found = results(tensors)
    finally:
        torch.set_num_threads(1)
    for one, exact in zip(found, results(tensors, torch.float64), strict=True):
        # Of few numbers, terms may cancel to nothing: what counts is their size, about 10.
        assert one.shape == exact.shape and torch.allclose(one.detach().double(), exact.detach(), rtol=1e-5, atol=1e-4)


@compiled
@pytest.mark.parametrize(("rows", "inputs", "outputs"), [(9_000, 33, 17), (300, 700, 40), (70, 40, 600), (64, 256, 32)])
def test_several_shares_blocks_and_panels(rows: int, inputs: int, outputs: int) -> None:
    tensors = inputs_of(rows, inputs, outputs, True)
    torch.set_num_threads(2)
    try:
        twice = results(tensors)
    finally:
        torch.set_num_threads(1)
    once = results(tensors)
    for one, two, exact in zip(once, twice, results(tensors, torch.float64), strict=True):
        assert torch.equal(one, two), "the number of threads changes nothing"
        assert error(one, exact) < 1e-5


@compiled
def test_only_the_gradients_that_are_wanted() -> None:
    x, weight, bias, grad = inputs_of(40, 20, 30, True)
    assert x is not None and weight is not None and bias is not None
    exact = results([x.clone(), weight.clone(), bias.clone(), grad], torch.float64)
    x.requires_grad_(False)
    (of_weight,) = torch.autograd.grad(linear(x, weight.requires_grad_(), bias.requires_grad_(False)), [weight], grad)
    (of_bias,) = torch.autograd.grad(linear(x, weight.requires_grad_(False), bias.requires_grad_()), [bias], grad)
    (of_x,) = torch.autograd.grad(linear(x.requires_grad_(), weight, bias.requires_grad_(False)), [x], grad)
    for one, two in zip((of_x, of_weight, of_bias), exact[1:], strict=True):
        assert error(one, two) < 1e-5


@compiled
def test_any_leading_shape_strides_and_no_rows() -> None:
    layer = Linear(12, 20)
    x = torch.randn(5, 12, 7)
    assert torch.allclose(layer(x.mT), F.linear(x.mT, layer.weight, layer.bias), atol=1e-5)
    assert torch.allclose(linear(x.mT, layer.weight[:, :12].t().contiguous().t()), F.linear(x.mT, layer.weight), atol=1e-5)
    nothing = torch.zeros(0, 12, requires_grad=True)
    out = layer(nothing)
    out.sum().backward()
    assert out.shape == (0, 20) and layer.weight.grad is not None and not layer.weight.grad.any()


def test_a_wrong_width_is_refused() -> None:
    with pytest.raises((ValueError, RuntimeError)):
        Linear(12, 20)(torch.zeros(3, 11))


def test_mixed_precision_is_torchs() -> None:
    layer = Linear(12, 20)
    with dispatch.watching() as ran, torch.autocast("cpu", torch.bfloat16):
        assert layer(torch.zeros(3, 12)).dtype == torch.bfloat16
    assert "linear" not in ran


def test_it_is_torchs_layer_in_everything_else() -> None:
    torch.manual_seed(0)
    ours = Linear(12, 20)
    torch.manual_seed(0)
    theirs = nn.Linear(12, 20)
    assert isinstance(ours, nn.Linear)
    for name, parameter in theirs.named_parameters():
        assert torch.equal(parameter, ours.get_parameter(name))
