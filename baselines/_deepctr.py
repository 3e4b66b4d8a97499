"""Networks of deepctr-torch under this harness: their layers and forward pass, our embeddings, trainer and batches.

The library packs every id into one float32 matrix, in which ids above 2**24 collide. Here ids never enter it: its model is
built over placeholder columns, which are then removed, and it reads ready embedding vectors instead.
"""

from __future__ import annotations

import importlib
import sys
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from ..bench.contract import DataSpec, PointwiseBatch, Ranker
from ..kernels.dropout import Dropout
from ..kernels.layers.embedding import FieldEmbeddings
from ._inputs import EmbeddingConfig, PooledInputs, example_fields, names
from ._layers import logit


def _imported() -> ModuleType:
    """deepctr_torch, imported without its look for a newer release.

    On import the library starts a thread that asks PyPI and prints to stdout when that fails; it needs `requests`, which
    it does not declare, for this alone. An empty stand-in for its module `utils` prevents all of that.
    """
    name = "deepctr_torch.utils"
    if "deepctr_torch" in sys.modules:
        return sys.modules["deepctr_torch"]
    stand_in = ModuleType(name)
    stand_in.__dict__["check_version"] = lambda version: None
    sys.modules[name] = stand_in
    try:
        return importlib.import_module("deepctr_torch")
    finally:
        del sys.modules[name]


library = _imported()


@dataclass(frozen=True)
class _Embedded:
    """What takes the place of the library's matrix of ids."""

    vectors: Tensor
    """[n, F, dim]"""
    linear: Tensor
    """[n, 1]: sum of the first-order weights."""


class _Linear(nn.Module):
    """Stands in for the library's linear model."""

    def forward(self, x: _Embedded) -> Tensor:
        return x.linear


class DeepCTR(Ranker):
    """A model class of deepctr-torch over our inputs.

    First-order weights are those of the example's fields; everything else sees the pooled past too.
    """

    def __init__(self, class_name: str, config: EmbeddingConfig, spec: DataSpec, **options: Any) -> None:
        """
        Args:
            class_name: of deepctr_torch.models, for example DeepFM.
            options: keyword arguments of that class.
        """
        super().__init__()
        self.inputs = PooledInputs(config, spec)
        fields = example_fields(spec, config.user_id)
        self.linear_names = names(fields)
        self.linear = FieldEmbeddings(fields, dim=1, std=0.0)
        self.network = _network(class_name, self.inputs.fields, config.embedding_dim, options)
        nn.init.constant_(self.network.out.bias, logit(spec.positive_rate))

    def forward(self, batch: PointwiseBatch) -> Tensor:
        linear = self.linear(batch.fields, self.linear_names).sum(dim=1)
        return self.network(_Embedded(self.inputs(batch), linear)).squeeze(1)


def _network(class_name: str, fields: int, dim: int, options: dict[str, Any]) -> Any:
    """The library's model without its tables, without regularisation, and with a logit as output."""
    base = getattr(library.models, class_name)

    class OverVectors(base):
        def input_from_feature_columns(
            self, X: _Embedded, feature_columns: Any, embedding_dict: Any, support_dense: bool = True
        ) -> tuple[list[Tensor], list[Tensor]]:
            return list(X.vectors.split(1, dim=1)), []

    columns = [library.inputs.SparseFeat(f"field_{at}", 1, dim) for at in range(fields)]
    # The library reseeds every generator with `seed`; drawn from ours, so that a run's seed still decides everything.
    seed = int(torch.randint(2**31, ()))
    network = OverVectors(columns, columns, task="regression", seed=seed, **options)
    network.embedding_dict, network.linear_model = nn.ModuleDict(), _Linear()
    network.regularization_weight = []
    # Its hidden layers start at N(0, 1e-4), from which they take epochs to wake.
    for layer in network.dnn.linears:
        layer.reset_parameters()
    network.dnn.dropout = Dropout(options["dnn_dropout"])
    return network
