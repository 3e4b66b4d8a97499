"""Building blocks that several classical rankers share: activations (Dice among them), the MLP, the output layer."""

from __future__ import annotations

import math
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..bench.contract import SHARED_SPACE, Choice, DataSpec, SearchSpace
from ..kernels.dropout import Dropout
from ..kernels.linear import Linear

Activation = Literal["relu", "dice", "prelu", "sigmoid"]

MLP_SPACE: SearchSpace = {
    **SHARED_SPACE,
    "hidden": Choice(
        ((64,), (256,), (128, 64), (200, 80), (256, 128), (400, 400), (128, 64, 32), (256, 128, 64), (400, 400, 400))
    ),
}
"""Of every ranker that ends in an MLP: depth and width of it."""

UNIT_SPACE = Choice(((32,), (64, 32), (80, 40), (128, 64)))
"""Hidden widths of an activation unit."""


def logit(probability: float) -> float:
    """ln(p / (1 - p)) for p in (0, 1)."""
    return math.log(probability / (1 - probability))


class _SoftGate(torch.autograd.Function):
    """y = x (p + (1 - p) alpha) with p = sigmoid(z): x, z [rows, width], alpha [width].

    Same values and gradients as autograd's own, with half the passes over memory: DIN's tokens are bound by them.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, z: Tensor, alpha: Tensor) -> Tensor:
        alpha = alpha.to(x.dtype)
        p = torch.sigmoid(z)
        ctx.save_for_backward(x, p, alpha)
        return torch.lerp(alpha, torch.ones_like(alpha), p).mul_(x)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        (grad,), (x, p, alpha) = grads, ctx.saved_tensors
        grad_x = torch.lerp(alpha, torch.ones_like(alpha), p).mul_(grad)
        scaled = grad * x
        grad_alpha = scaled.sum(0)
        scaled *= p
        grad_alpha = grad_alpha - scaled.sum(0)
        grad_z = scaled.addcmul_(scaled, p, value=-1).mul_(1 - alpha)
        return grad_x, grad_z, grad_alpha


class Dice(nn.Module):
    """Data adaptive activation (Zhou et al. 2018, DIN, equation 4), one slope a channel.

    f(x) = p(x) x + (1 - p(x)) alpha x with p(x) = sigmoid((x - E[x]) / sqrt(Var[x] + eps)). Mean and variance are those of
    the rows of the batch in training, moving averages otherwise. Rows that fill a batch up have the weight 0 and no part in
    them; jagged tokens stand end to end. Fewer than two rows have no variance; they use the moving averages.
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, width: int, eps: float = 1e-8, momentum: float = 0.1) -> None:
        super().__init__()
        self.eps, self.momentum = eps, momentum
        self.alpha = nn.Parameter(torch.zeros(width))
        self.register_buffer("running_mean", torch.zeros(width))
        self.register_buffer("running_var", torch.ones(width))

    def forward(self, x: Tensor, weight: Tensor | None = None) -> Tensor:
        """[rows, width] -> [rows, width]; weight [rows]: 0 where a row fills a batch up, 1 otherwise."""
        training = self.training and len(x) > 1
        if training and weight is not None:
            z = self._normalised(x, weight)
        else:
            z = F.batch_norm(x, self.running_mean, self.running_var, None, None, training, self.momentum, self.eps)
        gated = _SoftGate.apply(x, z, self.alpha)
        assert isinstance(gated, Tensor)
        return gated

    def _normalised(self, x: Tensor, weight: Tensor) -> Tensor:
        """`batch_norm` in training, over the rows of weight 1. How many there are is not asked: the host would wait."""
        rows, weight = weight.sum(), weight.unsqueeze(1)
        enough = rows > 1
        mean = torch.where(enough, (x * weight).sum(0) / rows.clamp(min=1), self.running_mean)
        deviation = x - mean
        variance = torch.where(enough, (deviation.square() * weight).sum(0) / rows.clamp(min=1), self.running_var)
        with torch.no_grad():
            momentum, unbiased = self.momentum * enough, variance * torch.where(enough, rows / (rows - 1).clamp(min=1), 1.0)
            self.running_mean.add_((mean - self.running_mean).to(self.running_mean.dtype) * momentum)
            self.running_var.add_((unbiased - self.running_var).to(self.running_var.dtype) * momentum)
        return (deviation * (variance + self.eps).rsqrt()).to(x.dtype)


def activated(activation: nn.Module, x: Tensor, weight: Tensor | None) -> Tensor:
    """x [rows, width] through an activation; weight [rows]: 0 where a row fills a batch up, which Dice alone has to know."""
    return activation(x, weight) if isinstance(activation, Dice) else activation(x)


def make_activation(name: Activation, width: int) -> nn.Module:
    """A fresh activation for rows of `width` channels; PReLU and Dice have one slope a channel."""
    if name == "dice":
        return Dice(width)
    if name == "prelu":
        return nn.PReLU(width)
    return {"relu": nn.ReLU, "sigmoid": nn.Sigmoid}[name]()


class MLP(nn.Sequential):
    """Linear, activation and dropout for every hidden width: [rows, inputs] -> [rows, width]."""

    def __init__(self, inputs: int, hidden: tuple[int, ...], activation: Activation, dropout: float) -> None:
        layers: list[nn.Module] = []
        for narrow, wide in zip((inputs, *hidden), hidden, strict=False):
            layers += [Linear(narrow, wide), make_activation(activation, wide), Dropout(dropout)]
        super().__init__(*layers)
        self.width = hidden[-1] if hidden else inputs

    def forward(self, x: Tensor, weight: Tensor | None = None) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        """weight [rows]: 0 where a row fills a batch up, see Dice; None: all are what they are."""
        for layer in self:
            x = activated(layer, x, weight)
        return x


def output_layer(width: int, spec: DataSpec) -> Linear:
    """width -> one logit a label, which starts at the label's base rate in training."""
    layer = Linear(width, len(spec.rates))
    with torch.no_grad():
        layer.bias.copy_(torch.tensor([logit(rate) for rate in spec.rates]))
    return layer
