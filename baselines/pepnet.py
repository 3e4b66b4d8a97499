"""PEPNet (Chang et al. 2023, KDD): gates of what is known of domain, user and item scale the inputs and layers of a network.

A gate is two layers, the second a sigmoid times two, so that 1 leaves its input as it is. EPNet's gate, which knows the domain,
scales the inputs; PPNet's gates, which know user and item, scale what each layer of a label's tower reads.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..bench.contract import Choice, DataSpec, ModelInfo, PointwiseBatch, Ranker, Rate, Size, Sizes
from ..kernels.dropout import Dropout
from ..kernels.linear import Linear
from ._attended import AttendedConfig, AttendedInputs
from ._layers import MLP_SPACE, UNIT_SPACE, logit


@dataclass(frozen=True)
class Config(AttendedConfig):
    """Hyper-parameters of PEPNet."""

    hidden: Sizes = (200, 80)
    """Widths of the hidden layers of a label's tower, with ReLU."""
    gate_hidden: Size = 64
    """Width of a gate's hidden layer."""
    dropout: Rate = 0.2
    """After every hidden layer."""


class GateUnit(nn.Module):
    """Gate NU (equations 1 and 2): 2 sigmoid(W' relu(W x + b) + b'), [n, inputs] -> [n, outputs] between 0 and 2."""

    def __init__(self, inputs: int, hidden: int, outputs: int) -> None:
        super().__init__()
        self.hidden, self.out = Linear(inputs, hidden), Linear(hidden, outputs)

    def forward(self, x: Tensor) -> Tensor:
        return 2 * torch.sigmoid(self.out(F.relu(self.hidden(x))))


class Tower(nn.Module):
    """PPNet of one label: every layer reads its input times a gate of its own (equations 6 to 8)."""

    def __init__(self, inputs: int, prior: int, config: Config, rate: float) -> None:
        super().__init__()
        widths = (inputs, *config.hidden)
        self.gates = nn.ModuleList(GateUnit(prior, config.gate_hidden, width) for width in widths)
        self.layers = nn.ModuleList(Linear(narrow, wide) for narrow, wide in zip(widths, config.hidden, strict=False))
        self.out, self.dropout = Linear(widths[-1], 1), Dropout(config.dropout)
        nn.init.constant_(self.out.bias, logit(rate))

    def forward(self, x: Tensor, prior: Tensor) -> Tensor:
        """x [n, inputs], prior [n, prior] -> [n, 1]"""
        *gates, last = self.gates
        for gate, layer in zip(gates, self.layers, strict=True):
            x = self.dropout(F.relu(layer(gate(prior) * x)))
        return self.out(last(prior) * x)


class PEPNet(Ranker):
    """DIN's inputs, EPNet's gate, a tower of PPNet a label."""

    def __init__(self, config: Config, spec: DataSpec) -> None:
        super().__init__()
        self.inputs = AttendedInputs(config, spec)
        width, fields = self.inputs.width, self.inputs.inputs
        self.domain = fields.columns(spec.domain)
        self.prior_width = fields.prior_width
        self.gate = GateUnit(self.domain.stop - self.domain.start + width, config.gate_hidden, width)
        self.towers = nn.ModuleList(Tower(width, self.prior_width + width, config, rate) for rate in spec.rates)

    def forward(self, batch: PointwiseBatch) -> Tensor:
        x = self.inputs(batch)
        scaled = self.gate(torch.cat([x[:, self.domain], x.detach()], dim=1)) * x
        prior = torch.cat([x[:, : self.prior_width], scaled.detach()], dim=1)
        return torch.cat([tower(scaled, prior) for tower in self.towers], dim=1).squeeze(1)


INFO = ModelInfo(
    name="pepnet",
    family="classical",
    view="pointwise",
    takes_padding=True,
    config=Config,
    build=PEPNet,
    summary="DIN's attention, then gates made of domain, user and item that scale the inputs and every layer of a label's tower",
    paper="Chang et al. 2023, PEPNet: parameter and embedding personalized network, KDD (arXiv:2302.01115)",
    code="own",
    differs=(
        "the input is DIN's weighted sum of past events beside the example's fields, and EPNet's gate scales both",
        "what a gate knows are the vectors of the fields themselves, not tables of its own: the domain for EPNet; users and "
        "items with all of their features, where the paper names user, item and author, for PPNet",
        "no statistics of the domain beside its id",
    ),
    checked="gates and towers against a literal loop over rows and labels in float64, values and gradients",
    defaults="gates up to 2 as in the paper; MLP of DIN here; this project's training, and no user id",
    space={**MLP_SPACE, "attention_hidden": UNIT_SPACE, "gate_hidden": Choice((16, 32, 64, 128))},
)
