"""MMoE (Ma et al. 2018, KDD): DIN's inputs, then experts that the labels share and gates and towers that they do not.

With one label it is a mixture of experts. Its place is `data.labels`: it tells whether learning several outcomes together
helps a classical ranker, as head=mmoe does for generative ones.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from ..bench.contract import Choice, DataSpec, ModelInfo, PointwiseBatch, Ranker, Rate, Size
from ..kernels.layers.mixture import MultiGateMixture
from ._attended import AttendedConfig, AttendedInputs
from ._layers import MLP, MLP_SPACE, UNIT_SPACE, Activation


@dataclass(frozen=True)
class Config(AttendedConfig):
    """Hyper-parameters of MMoE."""

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
        self.inputs = AttendedInputs(config, spec)
        self.mlp = MLP(self.inputs.width, config.hidden, config.activation, config.dropout)
        self.mixture = MultiGateMixture(self.mlp.width, config.experts, config.expert_hidden, spec.rates, config.dropout)

    def forward(self, batch: PointwiseBatch) -> Tensor:
        return self.mixture(self.mlp(self.inputs(batch), batch.weight)).squeeze(1)


INFO = ModelInfo(
    name="mmoe",
    family="classical",
    view="pointwise",
    takes_padding=True,
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
