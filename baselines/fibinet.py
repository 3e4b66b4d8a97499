"""FiBiNET (Huang et al. 2019, arXiv:1905.09433): fields are weighed by importance and meet in pairs through a matrix.

SENET: A = ReLU(W_2 ReLU(W_1 z)) with z_f = mean(e_f), and v_f = A_f e_f (equations 3 to 5). Bilinear interaction:
p_ij = (e_i W) * e_j for all i < j (equations 6 to 8), of both e and v; all p go through an MLP. The network is deepctr-torch's;
embeddings, the pooled history and the bilinear layer's arithmetic are this harness's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from ..bench.contract import Choice, DataSpec, ModelInfo, Ranker, Rate, Size, Sizes, Whole
from ._deepctr import DeepCTR, library
from ._inputs import EmbeddingConfig
from ._layers import MLP_SPACE


@dataclass(frozen=True)
class Config(EmbeddingConfig):
    """Hyper-parameters of FiBiNET."""

    embedding_dim: Size = 8
    """Of every field's table. The MLP reads F (F - 1) vectors of this size, so it is small."""
    bilinear: Literal["all", "each", "interaction"] = "each"
    """One matrix for all pairs, for each left field, or for each pair."""
    reduction: Size = 3
    """SENET's inner width is the number of fields divided by it."""
    hidden: Sizes = (200, 80)
    """Widths of the MLP's hidden layers; at least one."""
    dropout: Rate = 0.2
    """After every hidden layer."""


class Bilinear(library.layers.BilinearInteraction):
    """The library's layer with the same weights, in one batched product instead of a loop over the pairs."""

    def forward(self, inputs: Tensor) -> Tensor:
        """[n, F, dim] -> [n, F (F - 1) / 2, dim]"""
        left, right = torch.triu_indices(inputs.shape[1], inputs.shape[1], 1, device=inputs.device)
        if isinstance(self.bilinear, nn.ModuleList):
            weights = torch.stack([layer.weight for layer in self.bilinear])  # type: ignore[misc]
            of_pair = inputs.index_select(1, left) if self.bilinear_type == "interaction" else inputs[:, : len(weights)]
            turned = torch.bmm(of_pair.transpose(0, 1), weights.transpose(1, 2)).transpose(0, 1)
        else:
            turned = self.bilinear(inputs)
        chosen = turned if self.bilinear_type == "interaction" else turned.index_select(1, left)
        return chosen * inputs.index_select(1, right)


def build(config: Config, spec: DataSpec) -> Ranker:
    """FiBiNET for this data."""
    model = DeepCTR(
        "FiBiNET",
        config,
        spec,
        bilinear_type=config.bilinear,
        reduction_ratio=config.reduction,
        dnn_hidden_units=config.hidden,
        dnn_dropout=config.dropout,
    )
    fields = model.inputs.fields
    model.network.Bilinear = Bilinear(fields, config.embedding_dim, config.bilinear)
    if config.bilinear == "each":
        # The last field is never on the left of a pair: its matrix would take no part.
        model.network.Bilinear.bilinear = model.network.Bilinear.bilinear[: fields - 1]
    return model


INFO = ModelInfo(
    name="fibinet",
    family="classical",
    view="pointwise",
    takes_padding=True,
    config=Config,
    build=build,
    summary="SENET weights and bilinear pairs of fields and pooled past; MLP",
    paper="Huang et al. 2019, arXiv:1905.09433",
    code="deepctr-torch 0.3.0 FiBiNET; own arithmetic of its bilinear layer",
    differs=(
        "history joins as pooled vectors, which take part in the pairs, not in the first order",
        "both bilinear layers share their matrices, as in the library",
        "embeddings start at N(0, 0.02**2), hidden layers at torch's default; the library starts both at N(0, 1e-4**2)",
        "decoupled weight decay instead of the library's summed L2",
    ),
    defaults="reduction 3 as in the paper, MLP as for every classical ranker here; embedding 8, because pairs multiply. "
    "No user id, as for every classical ranker here that reads the past",
    space={**MLP_SPACE, "bilinear": Choice(("all", "each", "interaction")), "reduction": Whole(1, 4)},
)
