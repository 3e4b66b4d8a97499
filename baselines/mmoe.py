"""MMoE (Ma et al. 2018, KDD): DIN's inputs, then experts that the labels share and gates and towers that they do not.

With one label it is a mixture of experts. Its place is `data.labels`: it tells whether learning several outcomes together
helps a classical ranker, as head=mmoe does for generative ones.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..bench.contract import Choice, DataSpec, ModelInfo, PointwiseBatch, Ranker, Rate, Size, Sizes
from ..kernels.layers.mixture import MultiGateMixture
from ..kernels.target_attention import weighted_sum
from ._inputs import EmbeddingConfig, EventInputs, example_of_event
from ._layers import MLP, MLP_SPACE, UNIT_SPACE, Activation
from .din import ActivationUnit


@dataclass(frozen=True)
class Config(EmbeddingConfig):
    """Hyper-parameters of MMoE."""

    attention_hidden: Sizes = (80, 40)
    """Widths of the activation unit's hidden layers (DIN); at least one."""
    hidden: tuple[Size, ...] = (200,)
    """Widths of the layers that all labels share, below the experts."""
    experts: Size = 8
    """Shared experts, as in the paper's experiments."""
    expert_hidden: Size = 64
    """Width of an expert; a tower is half as wide."""
    activation: Activation = "relu"
    dropout: Rate = 0.2
    """After every shared layer and every expert."""


class MMoE(Ranker):
    """Activation unit over the visible past, shared layers, experts, a gate and a tower for each label."""

    def __init__(self, config: Config, spec: DataSpec) -> None:
        super().__init__()
        self.inputs = EventInputs(config, spec)
        query, key = self.inputs.query_width, self.inputs.key_width
        self.unit = ActivationUnit(query, key, config.attention_hidden, "relu")
        self.mlp = MLP(self.inputs.example_width + key, config.hidden, config.activation, config.dropout)
        self.mixture = MultiGateMixture(self.mlp.width, config.experts, config.expert_hidden, spec.rates, config.dropout)

    def forward(self, batch: PointwiseBatch) -> Tensor:
        example, query = self.inputs(batch)
        row, events = example_of_event(batch.history), self.inputs.events(batch.history)
        interest = weighted_sum(self.unit(query, events, batch.history.offsets), events, row, len(query))
        return self.mixture(self.mlp(torch.cat([example, interest], dim=1))).squeeze(1)


INFO = ModelInfo(
    name="mmoe",
    family="classical",
    view="pointwise",
    config=Config,
    build=MMoE,
    summary="DIN's attention, then shared experts with a gate and a tower for each label",
    paper="Ma et al. 2018, Modeling task relationships in multi-task learning with multi-gate mixture-of-experts, KDD",
    code="own",
    differs=(
        "the input is DIN's, with attention over the past; the paper's census and content data have no such history",
        "a shared layer below the experts; experts of 64 instead of 16 units",
    ),
    checked="the mixture against a literal loop over labels and experts in float64, values and gradients",
    defaults="8 experts as in the paper; sizes of DIN before them, and no user id, as there",
    space={
        **MLP_SPACE,
        "hidden": Choice(((64,), (128,), (200,), (400,), (200, 80), (400, 400))),
        "attention_hidden": UNIT_SPACE,
        "experts": Choice((2, 4, 8, 16)),
        "expert_hidden": Choice((16, 32, 64, 128)),
        "activation": Choice(("relu", "dice", "prelu")),
    },
)
