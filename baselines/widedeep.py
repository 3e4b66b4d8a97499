"""Wide & Deep (Cheng et al. 2016, arXiv:1606.07792): a linear model of the example's fields beside an MLP over embeddings.

p = sigmoid(w_wide x + w_deep a + b), trained jointly. The network is deepctr-torch's; embeddings and the pooled history are
this harness's.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..bench.contract import DataSpec, ModelInfo, Ranker, Rate, Sizes
from ._deepctr import DeepCTR
from ._inputs import EmbeddingConfig
from ._layers import MLP_SPACE


@dataclass(frozen=True)
class Config(EmbeddingConfig):
    """Hyper-parameters of Wide & Deep."""

    hidden: Sizes = (200, 80)
    """Widths of the deep part's hidden layers; at least one."""
    dropout: Rate = 0.2
    """After every hidden layer."""


def build(config: Config, spec: DataSpec) -> Ranker:
    """Wide & Deep for this data."""
    return DeepCTR("WDL", config, spec, dnn_hidden_units=config.hidden, dnn_dropout=config.dropout)


INFO = ModelInfo(
    name="widedeep",
    family="classical",
    view="pointwise",
    takes_padding=True,
    config=Config,
    build=build,
    summary="linear model of the fields; MLP over fields and pooled past",
    paper="Cheng et al. 2016, arXiv:1606.07792",
    code="deepctr-torch 0.3.0 WDL",
    differs=(
        "the wide part has no cross products: which ones pay is expert knowledge of one data set",
        "one optimiser (AdamW) for both parts instead of FTRL with L1 for the wide one",
        "history joins as pooled vectors in the deep part",
        "embeddings start at N(0, 0.02**2), hidden layers at torch's default; the library starts both at N(0, 1e-4**2)",
    ),
    defaults="sizes of DIN, as for every classical ranker here; the paper has embedding 32 and MLP 1024-512-256. No user id, as "
    "in the paper, whose users are known by demographics, device and installed apps",
    space=MLP_SPACE,
)
