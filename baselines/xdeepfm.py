"""xDeepFM (Lian et al. 2018, arXiv:1803.05170): explicit interactions of growing order beside an MLP and first-order weights.

Compressed interaction network, equation 6: X^k_h = sum_ij W^{k,h}_ij (X^{k-1}_i * X^0_j), row vectors entry by entry; the
entries of each X^k_h are summed and join the logit. The network is deepctr-torch's; embeddings and the pooled history are this
harness's.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from ..bench.contract import Choice, DataSpec, ModelInfo, Ranker, Rate, Sizes
from ._deepctr import DeepCTR
from ._inputs import EmbeddingConfig
from ._layers import MLP_SPACE


@dataclass(frozen=True)
class Config(EmbeddingConfig):
    """Hyper-parameters of xDeepFM."""

    cross_layers: Sizes = (32, 32)
    """Feature maps of each layer; even but for the last. Half of a layer's maps go to the output, half to the next layer."""
    hidden: Sizes = (200, 80)
    """Widths of the MLP's hidden layers; at least one."""
    dropout: Rate = 0.2
    """After every hidden layer."""


def build(config: Config, spec: DataSpec) -> Ranker:
    """xDeepFM for this data."""
    model = DeepCTR(
        "xDeepFM",
        config,
        spec,
        cin_layer_size=config.cross_layers,
        cin_activation="linear",
        dnn_hidden_units=config.hidden,
        dnn_dropout=config.dropout,
    )
    # Summed over the entries, random biases would move the first scores away from the base rate.
    for layer in model.network.cin.conv1ds:
        nn.init.zeros_(layer.bias)
    return model


INFO = ModelInfo(
    name="xdeepfm",
    family="classical",
    view="pointwise",
    takes_padding=True,
    config=Config,
    build=build,
    summary="compressed interaction network and MLP over fields and pooled past",
    paper="Lian et al. 2018, arXiv:1803.05170",
    code="deepctr-torch 0.3.0 xDeepFM, linear maps",
    differs=(
        "history joins as pooled vectors, which take part in the interactions and the MLP, not in the first order",
        "half of a layer's maps leave it for the output, as in the authors' code; maps have biases",
        "embeddings start at N(0, 0.02**2), hidden layers at torch's default; the library starts both at N(0, 1e-4**2)",
        "decoupled weight decay instead of the library's summed L2",
    ),
    defaults="sizes of DIN, as for every classical ranker here; the paper has 10, interaction layers of 100 to 200, MLP 400-400. "
    "No user id, as for every classical ranker here that reads the past",
    space={**MLP_SPACE, "cross_layers": Choice(((16,), (32,), (32, 32), (64, 64), (32, 32, 32)))},
)
