"""DCN-V2 (Wang et al. 2021, arXiv:2008.13535): full-matrix cross layers beside an MLP, over the same input.

A cross layer is x <- x0 * (W x + b) + x. The network is deepctr-torch's; embeddings and the pooled history are this harness's.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..bench.contract import DataSpec, ModelInfo, Ranker, Rate, Size, Sizes, Whole
from ._deepctr import DeepCTR
from ._inputs import EmbeddingConfig
from ._layers import MLP_SPACE


@dataclass(frozen=True)
class Config(EmbeddingConfig):
    """Hyper-parameters of DCN-V2."""

    cross_layers: Size = 3
    """Each has a square matrix over all inputs."""
    hidden: Sizes = (200, 80)
    """Widths of the MLP's hidden layers; at least one."""
    dropout: Rate = 0.2
    """After every hidden layer."""


def build(config: Config, spec: DataSpec) -> Ranker:
    """DCN-V2 for this data."""
    return DeepCTR(
        "DCN",
        config,
        spec,
        cross_num=config.cross_layers,
        cross_parameterization="matrix",
        dnn_hidden_units=config.hidden,
        dnn_dropout=config.dropout,
    )


INFO = ModelInfo(
    name="dcnv2",
    family="classical",
    view="pointwise",
    takes_padding=True,
    config=Config,
    build=build,
    summary="cross layers and MLP over mean-pooled history and all fields",
    paper="Wang et al. 2021, arXiv:2008.13535",
    code="deepctr-torch 0.3.0 DCN, matrix",
    differs=(
        "history joins as pooled vectors",
        "parallel structure with full-rank crosses, and the library's first-order weights beside it",
        "embeddings start at N(0, 0.02**2), hidden layers at torch's default; the library starts both at N(0, 1e-4**2)",
        "decoupled weight decay instead of the library's summed L2",
    ),
    defaults="sizes of DIN, as for every classical ranker here; the paper tunes depth and width on Criteo. No user "
    "id, as for every classical ranker here that reads the past; on ML-1M the paper, which has no history, embeds it",
    space={**MLP_SPACE, "cross_layers": Whole(1, 6)},
)
