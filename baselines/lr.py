"""Logistic regression over all fields of the example: one weight a value, the mean for a multi-valued field.

The classical linear CTR model (Richardson et al. 2007; at scale McMahan et al. 2013). A floor: it knows no history and no
interaction, only who asks, for what, and when.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..bench.contract import SHARED_SPACE, DataSpec, IdentityConfig, ModelInfo, PointwiseBatch, Ranker, UserId
from ..kernels.layers.embedding import FieldEmbeddings
from ._inputs import example_fields, names
from ._layers import logit


@dataclass(frozen=True)
class Config(IdentityConfig):
    """L2 is `train.embedding_decay`."""

    user_id: UserId = "embedding"


class LogisticRegression(Ranker):
    """Logit = bias + sum of the fields' weights; weights start at zero."""

    def __init__(self, config: Config, spec: DataSpec) -> None:
        super().__init__()
        fields = example_fields(spec, config.user_id)
        self.names = names(fields)
        self.weights = FieldEmbeddings(fields, dim=1, std=0.0)
        self.bias = nn.Parameter(torch.tensor(logit(spec.positive_rate)))

    def forward(self, batch: PointwiseBatch) -> Tensor:
        return self.weights(batch.fields, self.names).sum(dim=(1, 2)) + self.bias


INFO = ModelInfo(
    name="lr",
    family="floor",
    view="pointwise",
    takes_padding=True,
    config=Config,
    build=LogisticRegression,
    summary="logistic regression over the example's fields, without history",
    paper="Richardson et al. 2007, Predicting clicks; McMahan et al. 2013, Ad click prediction",
    code="own",
    differs=("AdamW with decoupled decay instead of FTRL with L1",),
    train={"lr": 1e-2, "embedding_decay": 1e-2},
    defaults="the user's id has a weight: without a history, nothing else tells users apart",
    space={name: SHARED_SPACE[name] for name in ("train.lr", "train.embedding_decay", "user_id")},
)
