"""STAR, the star topology adaptive recommender (Sheng et al. 2021, CIKM): a centre network, and one around it for each domain.

A layer's weights in a domain are the products, element by element, of the centre's and the domain's own; biases are added. Inputs
are normalised by the statistics of their domain. A small auxiliary network, which sees the domain as a feature, adds its logit.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..bench.contract import Choice, DataSpec, ModelInfo, PointwiseBatch, Ranker, Rate, Size, Sizes
from ..kernels.dropout import Dropout
from ..kernels.linear import Linear, linear
from ._attended import AttendedConfig, AttendedInputs
from ._domains import Domains
from ._layers import MLP, MLP_SPACE, UNIT_SPACE, output_layer


@dataclass(frozen=True)
class Config(AttendedConfig):
    """Hyper-parameters of STAR."""

    hidden: Sizes = (200, 80)
    """Widths of the hidden layers of centre and domains, with ReLU."""
    auxiliary_hidden: Size = 64
    """Width of the auxiliary network's hidden layer."""
    dropout: Rate = 0.2
    """After every hidden layer."""


class PartitionedNorm(nn.Module):
    """Partitioned normalisation (equations 3 and 4): each domain has statistics, a scale and a shift, beside those of all.

    In training, statistics are those of the domain's rows in the batch; otherwise, and of fewer than two rows, moving averages.
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, width: int, domains: Domains, eps: float = 1e-5, momentum: float = 0.1) -> None:
        super().__init__()
        self.domains, self.eps, self.momentum = domains, eps, momentum
        self.scale, self.shift = nn.Parameter(torch.ones(width)), nn.Parameter(torch.zeros(width))
        self.own_scale = nn.Parameter(torch.ones(domains.count, width))
        self.own_shift = nn.Parameter(torch.zeros(domains.count, width))
        self.register_buffer("running_mean", torch.zeros(domains.count, width))
        self.register_buffer("running_var", torch.ones(domains.count, width))

    def forward(self, x: Tensor, domain: Tensor) -> Tensor:
        """x [n, width], domain int64 [n] -> [n, width]"""
        return self.domains.apart(x, domain, self._normalised)

    def _normalised(self, domain: int, x: Tensor) -> Tensor:
        scale, shift = self.scale * self.own_scale[domain], self.shift + self.own_shift[domain]
        mean, variance = self.running_mean[domain], self.running_var[domain]
        return F.batch_norm(x, mean, variance, scale, shift, self.training and len(x) > 1, self.momentum, self.eps)


class StarLinear(nn.Module):
    """A layer whose weights in domain d are W * W_d, and its bias b + b_d (equations 5 and 6)."""

    def __init__(self, centre: Linear, domains: Domains) -> None:
        super().__init__()
        self.centre, self.domains = centre, domains
        self.own_weight = nn.Parameter(torch.ones(domains.count, *centre.weight.shape))
        self.own_bias = nn.Parameter(torch.zeros(domains.count, *centre.bias.shape))

    def forward(self, x: Tensor, domain: Tensor) -> Tensor:
        """x [n, inputs], domain int64 [n] -> [n, outputs]"""

        def of(at: int, rows: Tensor) -> Tensor:
            return linear(rows, self.centre.weight * self.own_weight[at], self.centre.bias + self.own_bias[at])

        return self.domains.apart(x, domain, of)


class STAR(Ranker):
    """DIN's inputs, partitioned normalisation, star layers, plus an auxiliary network."""

    def __init__(self, config: Config, spec: DataSpec) -> None:
        super().__init__()
        self.domains = Domains(spec)
        self.inputs = AttendedInputs(config, spec)
        self.norm = PartitionedNorm(self.inputs.width, self.domains)
        widths = (self.inputs.width, *config.hidden)
        hidden = zip(widths, config.hidden, strict=False)
        self.layers = nn.ModuleList(StarLinear(Linear(narrow, wide), self.domains) for narrow, wide in hidden)
        self.dropout = Dropout(config.dropout)
        self.out = StarLinear(output_layer(widths[-1], spec), self.domains)
        self.auxiliary = MLP(self.inputs.width, (config.auxiliary_hidden,), "relu", config.dropout)
        self.auxiliary_out = Linear(config.auxiliary_hidden, len(spec.rates), bias=False)

    def forward(self, batch: PointwiseBatch) -> Tensor:
        inputs, domain = self.inputs(batch), self.domains.of(batch)
        x = self.norm(inputs, domain)
        for layer in self.layers:
            x = self.dropout(F.relu(layer(x, domain)))
        return (self.out(x, domain) + self.auxiliary_out(self.auxiliary(inputs))).squeeze(1)


INFO = ModelInfo(
    name="star",
    family="classical",
    view="pointwise",
    config=Config,
    build=STAR,
    summary="DIN's attention, then a network whose weights are those of all domains times those of the example's own",
    paper="Sheng et al. 2021, One model to serve all: star topology adaptive recommender for multi-domain CTR prediction, CIKM",
    code="own",
    differs=(
        "the input is DIN's weighted sum of past events beside the example's fields",
        "a batch holds examples of all domains, each normalised with its like; the paper draws a batch from one domain",
        "the auxiliary network reads the same input as the others, in which the domain is a field",
        "a domain that training has not met is taken for the most frequent one",
    ),
    checked="normalisation, star layers and auxiliary logit against a literal loop over rows in float64, values and gradients",
    defaults="MLP of DIN here; an auxiliary network of one hidden layer; this project's training, and no user id",
    space={**MLP_SPACE, "attention_hidden": UNIT_SPACE, "auxiliary_hidden": Choice((16, 32, 64, 128))},
)
