"""FM, the factorisation machine (Rendle 2010, Factorization machines, ICDM): a weight for every feature and one for every pair.

y(x) = w_0 + sum_i w_i x_i + sum_{i<j} <v_i, v_j> x_i x_j, where the second sum is (|sum_i v_i x_i|^2 - sum_i |v_i x_i|^2) / 2
(equation 1 and lemma 3.1). Features are the values of the example's fields (x = 1) and the past, as the set-valued inputs of
the paper's figure 1: a past event counts 1 / (number of such events). The same item as candidate, as liked and as disliked
past event is three features with vectors of their own; with shared ones, likes and dislikes could not pull apart.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..bench.contract import SHARED_SPACE, DataSpec, ModelInfo, PointwiseBatch, Ranker, Rate, Size, UserId
from ..kernels.dropout import Dropout
from ..kernels.layers.embedding import FieldEmbeddings
from ._inputs import EmbeddingConfig, OutcomeEmbeddings, event_fields, example_fields, example_of_event, means_by_label, names
from ._layers import logit


@dataclass(frozen=True)
class Config(EmbeddingConfig):
    """Hyper-parameters of FM; L2 is `train.embedding_decay`."""

    user_id: UserId = "embedding"
    embedding_dim: Size = 16
    """k: length of the vectors v."""
    dropout: Rate = 0.0
    """Of the vectors' entries in the pairwise sum, each entry over all features alike."""


def pairwise(vectors: Tensor) -> Tensor:
    """sum_{i<j} v_i * v_j, entry by entry: [n, F, k] -> [n, k]."""
    return (vectors.sum(dim=1).square() - vectors.square().sum(dim=1)) / 2


class FM(Ranker):
    """Bias, first order, second order. Column 0 of a table is w, the others are v."""

    def __init__(self, config: Config, spec: DataSpec) -> None:
        super().__init__()
        self.width = 1 + config.embedding_dim
        fields = example_fields(spec, config.user_id)
        self.example_names, self.event_names = names(fields), names(event_fields(spec))
        self.example = FieldEmbeddings(fields, self.width)
        self.past = FieldEmbeddings(event_fields(spec), 2 * self.width)
        """Columns for events with label 0, then those for label 1."""
        self.outcomes = OutcomeEmbeddings(spec, self.width)
        self.bias = nn.Parameter(torch.tensor(logit(spec.positive_rate)))
        self.dropout = Dropout(config.dropout)

    def forward(self, batch: PointwiseBatch) -> Tensor:
        features = self.features(batch)
        return self.bias + features[:, :, 0].sum(dim=1) + self.dropout(pairwise(features[:, :, 1:])).sum(dim=1)

    def features(self, batch: PointwiseBatch) -> Tensor:
        """x_i (w_i, v_i) summed within each field: example, past with label 0, with label 1, outcomes; [n, F, 1 + k]."""
        history, row = batch.history, example_of_event(batch.history)
        pools = means_by_label(self.past, self.event_names, history, row).unflatten(3, (2, self.width))
        return torch.cat(
            [
                self.example(batch.fields, self.example_names),
                pools[:, 0, :, 0],
                pools[:, 1, :, 1],
                self.outcomes.means(history, row),
            ],
            dim=1,
        )


INFO = ModelInfo(
    name="fm",
    family="classical",
    view="pointwise",
    takes_padding=True,
    config=Config,
    build=FM,
    summary="factorisation machine over fields and pooled past, without a network",
    paper="Rendle 2010, Factorization machines, ICDM",
    code="own",
    differs=(
        "values of one field (a user's past items) meet other fields, not each other",
        "AdamW on mini-batches instead of SGD with one L2 for each group of parameters",
    ),
    train={"lr": 3e-3},
    defaults="this project's, the paper gives none; the user's id is embedded, because its product with the item is the model",
    space=SHARED_SPACE,
)
