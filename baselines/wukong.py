"""Wukong (Zhang et al. 2024, arXiv:2403.02545): stacked factorisation machines over vectors, for ever higher interactions.

A layer makes n_F + n_L vectors of d numbers out of n vectors X [n, d] (section 3):

    FMB(X) = MLP(LN(X X^T Y)) as n_F vectors      Y [n, k]: a learned projection, so that products stay linear in n
    LCB(X) = W_L X                                n_L linear compressions
    X <- LN([FMB(X) ; LCB(X)] + R X)              R: a linear map where the number of vectors changes

All vectors of the last layer make the logit through an MLP.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..bench.contract import Choice, DataSpec, ModelInfo, PointwiseBatch, Ranker, Rate, Size, Sizes, Whole
from ..kernels.dropout import Dropout
from ..kernels.linear import Linear
from ._inputs import EmbeddingConfig, PooledInputs
from ._layers import MLP, MLP_SPACE, output_layer


@dataclass(frozen=True)
class Config(EmbeddingConfig):
    """Hyper-parameters of Wukong."""

    layers: Size = 2
    vectors: Size = 16
    """Of a layer: half of them, rounded up, from factorisation machines, the others from linear compression."""
    rank: Size = 8
    """k: columns that the products of all pairs are projected to."""
    machine_hidden: Size = 128
    """Hidden width of the MLP behind the products."""
    hidden: Sizes = (200, 80)
    """Widths of the hidden layers of the last MLP."""
    dropout: Rate = 0.2
    """Of the hidden layers of all MLPs."""


class WukongLayer(nn.Module):
    """X [n, vectors before, d] -> [n, vectors, d]."""

    def __init__(self, config: Config, before: int) -> None:
        super().__init__()
        dim, machines = config.embedding_dim, -(-config.vectors // 2)
        self.machines = machines
        self.projection = nn.Parameter(torch.randn(before, config.rank) * before**-0.5)
        self.product_norm = nn.LayerNorm(before * config.rank)
        self.up, self.down = Linear(before * config.rank, config.machine_hidden), Linear(config.machine_hidden, machines * dim)
        compressed = config.vectors - machines
        self.compress = Linear(before, compressed, bias=False) if compressed else None
        self.shortcut = Linear(before, config.vectors, bias=False) if before != config.vectors else None
        self.norm, self.dropout = nn.LayerNorm(dim), Dropout(config.dropout)

    def forward(self, x: Tensor) -> Tensor:
        turned = x.transpose(1, 2)
        products = x @ (turned @ self.projection)
        found = self.down(self.dropout(torch.relu(self.up(self.product_norm(products.flatten(1))))))
        new = found.unflatten(1, (self.machines, -1))
        if self.compress is not None:
            new = torch.cat([new, self.compress(turned).transpose(1, 2)], dim=1)
        return self.norm(new + (x if self.shortcut is None else self.shortcut(turned).transpose(1, 2)))


class Wukong(Ranker):
    """Fields and pooled past as vectors, layers, MLP, one logit."""

    def __init__(self, config: Config, spec: DataSpec) -> None:
        super().__init__()
        self.inputs = PooledInputs(config, spec)
        before = (self.inputs.fields, *(config.vectors for _ in range(config.layers - 1)))
        self.layers = nn.ModuleList(WukongLayer(config, vectors) for vectors in before)
        self.mlp = MLP(config.vectors * config.embedding_dim, config.hidden, "relu", config.dropout)
        self.out = output_layer(self.mlp.width, spec)
        # Vectors of unit spread, unlike fresh embeddings, would start logits away from the base rate.
        nn.init.normal_(self.out.weight, std=0.01)

    def forward(self, batch: PointwiseBatch) -> Tensor:
        x = self.inputs(batch)
        for layer in self.layers:
            x = layer(x)
        return self.out(self.mlp(x.flatten(1))).squeeze(1)


INFO = ModelInfo(
    name="wukong",
    family="classical",
    view="pointwise",
    takes_padding=True,
    config=Config,
    build=Wukong,
    summary="stacked factorisation machines over fields and pooled past as vectors, and MLP",
    paper="Zhang et al. 2024, arXiv:2403.02545",
    code="own",
    checked="against the equations one number at a time, float64, values and gradients to 1e-9",
    differs=(
        "history joins as pooled vectors, which are fields as any other",
        "the projection of the products is learned and the same for all examples; the paper's makes it of the input",
        "half of a layer's vectors come from factorisation machines",
        "decoupled weight decay; the paper has Adam for the network and row-wise Adagrad for tables",
    ),
    defaults="the paper's smallest model has 2 layers of 32 + 32 vectors of 160 numbers on industrial data; 2 of 16 here, MLP "
    "of DIN. No user id, as for every classical ranker here that reads the past",
    space={
        **MLP_SPACE,
        "layers": Whole(1, 4),
        "vectors": Choice((8, 16, 32)),
        "rank": Choice((4, 8, 16, 24)),
        "machine_hidden": Choice((64, 128, 256)),
    },
)
