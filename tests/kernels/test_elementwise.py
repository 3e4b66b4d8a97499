"""GELU, the gate of SwiGLU and RMS norms against torch's parts in float64, of any width and at the ends of the range."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from rankbench.kernels import dispatch
from rankbench.kernels.elementwise import gelu, rms_norm, silu_gate
from rankbench.kernels.layers.rms_norm import RMSNorm

UNAVAILABLE = dispatch.find("gelu", "cpu").refusal(torch.device("cpu"), torch.float32)
pytestmark = pytest.mark.skipif(UNAVAILABLE is not None, reason=f"no compiled parts: {UNAVAILABLE}")


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def assert_same(operation: Callable[..., Tensor], inputs: list[Tensor], seed: int = 0, threads: int = 1) -> None:
    """Result and gradients of fp32, which is compiled, against those of float64, which is torch's."""
    leaves = [one.requires_grad_() for one in inputs]
    exact = [one.detach().double().requires_grad_() for one in inputs]
    torch.set_num_threads(threads)
    try:
        y = operation(*leaves)
        grad = drawn(*y.shape, seed=seed + 1)
        found = torch.autograd.grad(y, leaves, grad)
    finally:
        torch.set_num_threads(1)
    wanted = operation(*exact)
    for one, two in zip((y, *found), (wanted, *torch.autograd.grad(wanted, exact, grad.double())), strict=True):
        torch.testing.assert_close(one.double(), two, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("threads", [1, 2])
@given(rows=st.integers(0, 20), width=st.integers(1, 40), seed=st.integers(0, 99))
def test_gelu(threads: int, rows: int, width: int, seed: int) -> None:
    assert_same(gelu, [drawn(rows, width, seed=seed) * 3], seed, threads)


def test_gelu_is_right_to_the_last_places_over_its_whole_range() -> None:
    x = torch.linspace(-15, 15, 60_001, requires_grad=True)
    y, exact = gelu(x), F.gelu(x.detach().double())
    # Beside a result of x, of which the last place is 6e-8 of it, and in the tail beside what torch's fp32 cannot tell from zero.
    assert ((y.double() - exact).abs() / x.detach().abs().clamp(min=1)).max() < 2e-7
    (slope,) = torch.autograd.grad(y.sum(), [x])
    wide = x.detach().double().requires_grad_()
    (wanted,) = torch.autograd.grad(F.gelu(wide).sum(), [wide])
    assert (slope.double() - wanted).abs().max() < 5e-7
    assert gelu(torch.tensor([float("nan"), 1.0])).isnan().tolist() == [True, False]


@pytest.mark.parametrize("threads", [1, 2])
@given(rows=st.integers(0, 20), width=st.integers(1, 40), seed=st.integers(0, 99))
def test_silu_gate(threads: int, rows: int, width: int, seed: int) -> None:
    assert_same(silu_gate, [drawn(rows, 2 * width, seed=seed) * 3], seed, threads)


@pytest.mark.parametrize("threads", [1, 2])
@given(rows=st.integers(0, 300), width=st.integers(2, 40), seed=st.integers(0, 99))
def test_rms_norm(threads: int, rows: int, width: int, seed: int) -> None:
    inputs = [drawn(rows, width, seed=seed) + 0.5, drawn(width, seed=seed + 2)]
    assert_same(lambda x, weight: rms_norm(x, weight, 1e-6), inputs, seed, threads)


@pytest.mark.parametrize("operation", [gelu, silu_gate, lambda x: rms_norm(x, torch.ones(x.shape[-1], dtype=x.dtype), 1e-6)])
def test_any_leading_shape_and_strides(operation: Callable[[Tensor], Tensor]) -> None:
    for x in (drawn(3, 12, 5).mT, drawn(3, 5, 12).transpose(0, 1), drawn(3, 24)[:, ::2], drawn(12).expand(4, 12)):
        assert_same(operation, [x.detach()])


@pytest.mark.parametrize("operation", [gelu, silu_gate])
def test_the_order_in_which_a_product_over_tokens_leaves_its_numbers_is_kept(operation: Callable[[Tensor], Tensor]) -> None:
    x = drawn(4, 7, 12).transpose(0, 1).requires_grad_()
    y = operation(x)
    (d_x,) = torch.autograd.grad(y, [x], torch.ones_like(y))
    assert y.transpose(0, 1).is_contiguous() and d_x.stride() == x.stride()


def test_the_norm_is_torchs_layer_in_everything_else() -> None:
    own, theirs = RMSNorm(12), torch.nn.RMSNorm(12, eps=1e-6)
    theirs.load_state_dict(own.state_dict())
    x = drawn(4, 12)
    torch.testing.assert_close(own(x), theirs(x))
    assert torch.equal(own.double()(x.double()), theirs.double()(x.double()))


def test_a_wrong_width_is_refused() -> None:
    with pytest.raises((ValueError, RuntimeError)):
        RMSNorm(12)(torch.zeros(3, 11))
    with pytest.raises((ValueError, RuntimeError)):
        silu_gate(torch.zeros(10, 3))
