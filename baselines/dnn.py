"""Mean-pool DNN: the ranking network of YouTube (Covington et al. 2016, section 4) with the history as averages.

Embeddings of all fields and of the pooled past, side by side, through an MLP. What DIN adds to it is attention alone.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from ..bench.contract import Choice, DataSpec, ModelInfo, PointwiseBatch, Ranker, Rate, Size
from ._inputs import EmbeddingConfig, PooledInputs
from ._layers import MLP, MLP_SPACE, Activation, output_layer


@dataclass(frozen=True)
class Config(EmbeddingConfig):
    """Hyper-parameters of the mean-pool DNN."""

    hidden: tuple[Size, ...] = (200, 80)
    """Widths of the hidden layers."""
    activation: Activation = "relu"
    dropout: Rate = 0.2
    """After every hidden layer."""


class DNN(Ranker):
    """Pooled inputs, MLP, one logit."""

    def __init__(self, config: Config, spec: DataSpec) -> None:
        super().__init__()
        self.inputs = PooledInputs(config, spec)
        self.mlp = MLP(self.inputs.fields * config.embedding_dim, config.hidden, config.activation, config.dropout)
        self.out = output_layer(self.mlp.width, spec)

    def forward(self, batch: PointwiseBatch) -> Tensor:
        return self.out(self.mlp(self.inputs(batch).flatten(1), batch.weight)).squeeze(1)


INFO = ModelInfo(
    name="dnn",
    family="classical",
    view="pointwise",
    takes_padding=True,
    config=Config,
    build=DNN,
    summary="mean-pooled history and all fields through an MLP",
    paper="Covington et al. 2016, Deep neural networks for YouTube recommendations",
    code="own",
    differs=(
        "predicts the label, not watch time",
        "pools are split by the outcome of the past events, and hold their actions and time gaps",
        "numeric inputs arrive as quantile buckets instead of powers of a normalised value",
    ),
    defaults="sizes of DIN, as for every classical ranker here; the paper's tower of 1024-512-256 belongs to another scale. "
    "No user id, as in the paper, whose users are known by what they watched, their language and where they are",
    space={**MLP_SPACE, "activation": Choice(("relu", "dice", "prelu"))},
)
