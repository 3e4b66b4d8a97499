"""Dice against the formula of the paper and against autograd; the MLP."""

from __future__ import annotations

import copy
import dataclasses

import pytest
import torch
from torch import Tensor, nn

from rankbench.baselines._layers import MLP, Dice, logit, make_activation, output_layer
from rankbench.bench.contract import DataSpec, Field
from rankbench.kernels.dropout import Dropout
from rankbench.kernels.linear import Linear


def formula(x: Tensor, mean: Tensor, variance: Tensor, alpha: Tensor, eps: float) -> Tensor:
    """Zhou et al. 2018, equation 4."""
    p = 1 / (1 + torch.exp(-(x - mean) / torch.sqrt(variance + eps)))
    return p * x + (1 - p) * alpha * x


def test_dice_in_training_uses_the_rows_of_the_batch() -> None:
    torch.manual_seed(0)
    dice, x = Dice(5).double(), torch.randn(30, 5, dtype=torch.float64) * 3 + 1
    nn.init.normal_(dice.alpha)
    expected = formula(x, x.mean(0), x.var(0, unbiased=False), dice.alpha, 1e-8)
    assert torch.allclose(dice(x), expected, atol=1e-12)


def test_dice_keeps_moving_averages_for_scoring() -> None:
    torch.manual_seed(0)
    dice = Dice(4).double()
    nn.init.normal_(dice.alpha)
    mean, variance = torch.zeros(4, dtype=torch.float64), torch.ones(4, dtype=torch.float64)
    for shift in range(3):
        x = torch.randn(20, 4, dtype=torch.float64) + shift
        dice(x)
        mean, variance = 0.9 * mean + 0.1 * x.mean(0), 0.9 * variance + 0.1 * x.var(0)
    x = torch.randn(6, 4, dtype=torch.float64)
    assert torch.allclose(dice.eval()(x), formula(x, mean, variance, dice.alpha, 1e-8), atol=1e-12)


def test_dice_has_the_gradients_of_its_formula() -> None:
    torch.manual_seed(0)
    dice, x = Dice(3).double(), torch.randn(8, 3, dtype=torch.float64, requires_grad=True)
    nn.init.normal_(dice.alpha)
    loss_weights = torch.randn(8, 3, dtype=torch.float64)
    expected = formula(x, x.mean(0), x.var(0, unbiased=False), dice.alpha, 1e-8)
    for ours, theirs in zip(
        torch.autograd.grad((dice(x) * loss_weights).sum(), (x, dice.alpha)),
        torch.autograd.grad((expected * loss_weights).sum(), (x, dice.alpha)),
        strict=True,
    ):
        assert torch.allclose(ours, theirs, atol=1e-10)


@pytest.mark.parametrize("scale", [0.003, 3.0, 300.0, 3000.0])
@pytest.mark.parametrize("training", [False, True])
def test_dice_keeps_single_precision_at_every_scale(scale: float, training: bool) -> None:
    exact = Dice(4).double().train(training)
    nn.init.normal_(exact.alpha)
    exact.running_mean.fill_(scale / 3)
    exact.running_var.fill_(scale)  # far from the square of the inputs' size: gates that are open, shut and between
    single = copy.deepcopy(exact).float()
    x, weights = torch.randn(50, 4).double() * scale, torch.randn(50, 4).double()
    found = []
    for dice in (single, exact):
        leaf = x.to(dice.alpha.dtype).requires_grad_()
        out = dice(leaf)
        found.append([out, *torch.autograd.grad((out * weights.to(out.dtype)).sum(), [leaf, dice.alpha])])
    for one, two in zip(*found, strict=True):
        assert (one.double() - two).norm() <= 3e-6 * two.norm()


@pytest.mark.parametrize("rows", [0, 1])
def test_dice_without_a_variance_falls_back_to_its_averages(rows: int) -> None:
    dice, x = Dice(4), torch.randn(rows, 4)
    assert torch.equal(dice(x), dice.eval()(x))
    assert torch.equal(dice.running_mean, torch.zeros(4)) and torch.equal(dice.running_var, torch.ones(4))


def test_mlp_is_linear_activation_dropout() -> None:
    mlp = MLP(6, (5, 3), "relu", dropout=0.5)
    assert [type(layer) for layer in mlp] == [Linear, nn.ReLU, Dropout] * 2
    assert mlp.width == 3 and mlp(torch.randn(4, 6)).shape == (4, 3)
    empty = MLP(6, (), "dice", dropout=0.5)
    x = torch.randn(4, 6)
    assert empty.width == 6 and torch.equal(empty(x), x)


@pytest.mark.parametrize(("name", "parameters"), [("relu", 0), ("sigmoid", 0), ("prelu", 7), ("dice", 7)])
def test_activations(name: str, parameters: int) -> None:
    activation = make_activation(name, 7)  # type: ignore[arg-type]
    assert activation(torch.randn(3, 7)).shape == (3, 7)
    assert sum(p.numel() for p in activation.parameters()) == parameters


def test_output_starts_at_the_base_rate() -> None:
    one = DataSpec((), (), (), Field("action", 3), 5, 25, "none", 1, positive_rate=0.2)
    assert torch.sigmoid(output_layer(4, one).bias).tolist() == pytest.approx([0.2])
    several = dataclasses.replace(one, further_rates=(0.5, 0.01))
    assert torch.sigmoid(output_layer(4, several).bias).tolist() == pytest.approx([0.2, 0.5, 0.01])
    assert logit(0.5) == 0
