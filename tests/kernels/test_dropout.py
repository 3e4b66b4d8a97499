"""Dropout: the rate, the scale, no pattern in the mask, the same mask in the backward pass, and a mask that the seed decides."""

from __future__ import annotations

import pytest
import torch

from rankbench.kernels import dispatch
from rankbench.kernels.dropout import Dropout, dropout

UNAVAILABLE = dispatch.find("dropout", "cpu").refusal(torch.device("cpu"), torch.float32)
compiled = pytest.mark.skipif(UNAVAILABLE is not None, reason=f"no compiled dropout: {UNAVAILABLE}")


@compiled
@pytest.mark.parametrize("rate", [0.1, 0.2, 0.5, 0.9])
def test_rate_and_scale(rate: float) -> None:
    x = torch.ones(1_000_000)
    y = dropout(x, rate)
    kept = y != 0
    # Five standard deviations of a binomial share.
    assert kept.float().mean().item() == pytest.approx(1 - rate, abs=5 * (rate * (1 - rate) / len(x)) ** 0.5)
    assert y[kept].unique().tolist() == pytest.approx([1 / (1 - rate)], rel=1e-3)


@compiled
def test_neighbours_are_independent() -> None:
    kept = (dropout(torch.ones(1_000_000), 0.3) != 0).double() - 0.7
    for distance in (1, 2, 3, 4, 16, 64, 256, 257):
        correlation = (kept[distance:] * kept[:-distance]).mean().item() / 0.21
        assert abs(correlation) < 0.005, distance


@compiled
def test_calls_are_independent() -> None:
    first, second = ((dropout(torch.ones(1_000_000), 0.5) != 0).double() - 0.5 for _ in range(2))
    assert abs((first * second).mean().item()) < 0.00125


@compiled
@pytest.mark.parametrize("shape", [(0,), (1,), (255,), (256,), (257,), (33, 65), (4, 3, 7)])
@pytest.mark.parametrize("threads", [1, 2])
def test_gradient_has_the_mask_of_the_values(shape: tuple[int, ...], threads: int) -> None:
    x = torch.randn(shape).requires_grad_()
    torch.set_num_threads(threads)
    try:
        y = dropout(x, 0.4)
        (gradient,) = torch.autograd.grad(y, x, torch.ones(shape))
    finally:
        torch.set_num_threads(1)
    assert torch.allclose(gradient * x, y)


@compiled
def test_transposed_inputs() -> None:
    x = torch.ones(8, 5).t().requires_grad_()
    y = dropout(x, 0.5)
    (gradient,) = torch.autograd.grad(y, x, torch.ones(8, 5).t())
    assert torch.equal(gradient, y)


@compiled
def test_the_order_in_which_a_product_over_tokens_leaves_its_numbers_is_kept() -> None:
    x = torch.randn(4, 7, 12).transpose(0, 1).requires_grad_()
    y = dropout(x, 0.5)
    (gradient,) = torch.autograd.grad(y, x, torch.ones_like(y))
    assert y.stride() == gradient.stride() == x.stride() and torch.allclose(gradient * x, y)


def test_the_seed_decides() -> None:
    masks = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        masks.append(dropout(torch.ones(1000), 0.5))
    assert torch.equal(masks[0], masks[1]) and not torch.equal(masks[0], masks[2])


def test_module_is_the_identity_outside_training() -> None:
    x, module = torch.randn(5, 3), Dropout(0.5)
    assert module.eval()(x) is x
    assert Dropout(0.0)(x) is x
    assert not torch.equal(module.train()(x), x)


@pytest.mark.parametrize("rate", [-0.1, 1.0])
def test_impossible_rates(rate: float) -> None:
    with pytest.raises(ValueError, match="lies in"):
        Dropout(rate)


@compiled
def test_other_dtypes_take_torchs_own() -> None:
    with dispatch.watching() as ran:
        dropout(torch.ones(10, dtype=torch.float64), 0.5)
    assert ran == {"dropout": "torch"}
