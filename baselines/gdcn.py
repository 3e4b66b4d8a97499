"""GDCN (Wang et al. 2023, arXiv:2311.04635): cross layers whose outputs pass a gate, and an MLP.

x <- x0 * (W x + b) * sigmoid(W_g x) + x. `stacked` feeds the last x into the MLP; otherwise both read the input, side by side.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..bench.contract import Choice, DataSpec, ModelInfo, PointwiseBatch, Ranker, Rate, Size, Sizes, Whole
from ..kernels.linear import Linear
from ._inputs import EmbeddingConfig, PooledInputs
from ._layers import MLP, MLP_SPACE, output_layer


@dataclass(frozen=True)
class Config(EmbeddingConfig):
    """Hyper-parameters of GDCN."""

    cross_layers: Size = 3
    """Each has two square matrices over all inputs."""
    stacked: bool = True
    """The MLP behind the cross layers (GDCN-S), or beside them (GDCN-P)."""
    hidden: Sizes = (200, 80)
    """Widths of the MLP's hidden layers; at least one."""
    dropout: Rate = 0.2
    """After every hidden layer."""


class GatedCross(nn.Module):
    """x0, x [n, width] -> x0 * (W x + b) * sigmoid(W_g x) + x."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.cross, self.gate = Linear(width, width), Linear(width, width, bias=False)

    def forward(self, x0: Tensor, x: Tensor) -> Tensor:
        return x0 * self.cross(x) * torch.sigmoid(self.gate(x)) + x


class GDCN(Ranker):
    """Fields and pooled past, gated cross layers, MLP, one logit."""

    def __init__(self, config: Config, spec: DataSpec) -> None:
        super().__init__()
        self.stacked, self.inputs = config.stacked, PooledInputs(config, spec)
        width = self.inputs.fields * config.embedding_dim
        self.crosses = nn.ModuleList(GatedCross(width) for _ in range(config.cross_layers))
        self.mlp = MLP(width, config.hidden, "relu", config.dropout)
        self.out = output_layer(self.mlp.width + (0 if config.stacked else width), spec)

    def forward(self, batch: PointwiseBatch) -> Tensor:
        x0 = x = self.inputs(batch).flatten(1)
        for cross in self.crosses:
            x = cross(x0, x)
        found = self.mlp(x) if self.stacked else torch.cat([x, self.mlp(x0)], dim=1)
        return self.out(found).squeeze(1)


INFO = ModelInfo(
    name="gdcn",
    family="classical",
    view="pointwise",
    takes_padding=True,
    config=Config,
    build=GDCN,
    summary="gated cross layers and MLP over mean-pooled history and all fields",
    paper="Wang et al. 2023, arXiv:2311.04635",
    code="own",
    checked="against the equations one number at a time, float64, values and gradients to 1e-9",
    differs=(
        "history joins as pooled vectors",
        "all fields have one embedding size; the paper's pruning of sizes by field is left out",
        "decoupled weight decay, and no batch norm in the MLP",
    ),
    defaults="3 cross layers and the sizes of DIN, as for every classical ranker here; the paper tunes depth on Criteo. No "
    "user id, as for every classical ranker here that reads the past",
    space={**MLP_SPACE, "cross_layers": Whole(1, 6), "stacked": Choice((False, True))},
)
