"""DeepFM (Guo et al. 2017, arXiv:1703.04247): first-order weights, a factorisation machine and an MLP over shared embeddings.

The network is deepctr-torch's; embeddings and the pooled history are this harness's.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..bench.contract import DataSpec, ModelInfo, Ranker, Rate, Sizes
from ._deepctr import DeepCTR
from ._inputs import EmbeddingConfig
from ._layers import MLP_SPACE


@dataclass(frozen=True)
class Config(EmbeddingConfig):
    """Hyper-parameters of DeepFM."""

    hidden: Sizes = (200, 80)
    """Widths of the MLP's hidden layers; at least one."""
    dropout: Rate = 0.2
    """After every hidden layer."""


def build(config: Config, spec: DataSpec) -> Ranker:
    """DeepFM for this data."""
    return DeepCTR("DeepFM", config, spec, dnn_hidden_units=config.hidden, dnn_dropout=config.dropout)


INFO = ModelInfo(
    name="deepfm",
    family="classical",
    view="pointwise",
    takes_padding=True,
    config=Config,
    build=build,
    summary="factorisation machine and MLP over mean-pooled history and all fields",
    paper="Guo et al. 2017, arXiv:1703.04247",
    code="deepctr-torch 0.3.0 DeepFM",
    differs=(
        "history joins as pooled vectors, which take part in the second order and in the MLP, not in the first order",
        "embeddings start at N(0, 0.02**2), hidden layers at torch's default; the library starts both at N(0, 1e-4**2)",
        "decoupled weight decay instead of the library's summed L2",
    ),
    defaults="sizes of DIN, as for every classical ranker here; on Criteo the paper has 10, 400-400-400 and dropout 0.5. "
    "No user id, as for every classical ranker here that reads the past",
    space=MLP_SPACE,
)
