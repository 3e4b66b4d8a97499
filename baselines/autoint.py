"""AutoInt+ (Song et al. 2019, arXiv:1810.11921): self-attention among the fields of an example, beside an MLP.

Field m becomes ReLU(concat_h sum_k a^h_mk W^h_V e_k + W_Res e_m), where a^h_m is the softmax over k of
<W^h_Q e_m, W^h_K e_k> (equations 5 to 8). The network is deepctr-torch's; embeddings and the pooled history are this harness's.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from ..bench.contract import Choice, DataSpec, ModelInfo, Ranker, Rate, Size, Sizes, Whole
from ._deepctr import DeepCTR, library
from ._inputs import EmbeddingConfig
from ._layers import MLP_SPACE


@dataclass(frozen=True)
class Config(EmbeddingConfig):
    """Hyper-parameters of AutoInt+."""

    embedding_dim: Size = 16
    """Of every field's table; a multiple of `heads`."""
    attention_layers: Size = 3
    heads: Size = 2
    hidden: Sizes = (200, 80)
    """Widths of the MLP's hidden layers; at least one."""
    dropout: Rate = 0.2
    """After every hidden layer of the MLP."""

    def __post_init__(self) -> None:
        if self.embedding_dim % self.heads:
            raise ValueError(f"embedding_dim {self.embedding_dim} cannot be divided among {self.heads} heads")


class Interacting(library.layers.InteractingLayer):
    """The library's layer, whose products refuse the mixture of types that autocast hands from layer to layer."""

    def forward(self, inputs: Tensor) -> Tensor:
        """[n, F, dim] -> [n, F, dim]"""
        return super().forward(inputs.float())


def build(config: Config, spec: DataSpec) -> Ranker:
    """AutoInt+ for this data."""
    model = DeepCTR(
        "AutoInt",
        config,
        spec,
        att_layer_num=config.attention_layers,
        att_head_num=config.heads,
        dnn_hidden_units=config.hidden,
        dnn_dropout=config.dropout,
    )
    # The library's N(0, 0.05**2) divides what passes a layer by about 5; after three of them little is left to learn from.
    layers = [Interacting(config.embedding_dim, config.heads) for _ in range(config.attention_layers)]
    model.network.int_layers = nn.ModuleList(layers)
    for weight in model.network.int_layers.parameters():
        nn.init.xavier_uniform_(weight)
    return model


INFO = ModelInfo(
    name="autoint",
    family="classical",
    view="pointwise",
    takes_padding=True,
    config=Config,
    build=build,
    summary="self-attention among fields and pooled past, and an MLP",
    paper="Song et al. 2019, arXiv:1810.11921",
    code="deepctr-torch 0.3.0 AutoInt",
    differs=(
        "AutoInt+ (with an MLP), and the library's first-order weights beside it",
        "history joins as pooled vectors, which are fields as any other",
        "embeddings start at N(0, 0.02**2), hidden layers at torch's default, attention at Xavier's",
        "decoupled weight decay instead of the library's summed L2",
    ),
    defaults="3 layers of 2 heads and embedding 16 as in the paper; MLP as for every classical ranker here. No user id, as for "
    "all of them that read the past; on ML-1M the paper, which has no history, embeds it",
    space={**MLP_SPACE, "attention_layers": Whole(1, 4), "heads": Choice((1, 2, 4))},
)
