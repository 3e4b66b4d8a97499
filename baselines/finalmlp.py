"""FinalMLP (Mao et al. 2023, arXiv:2304.00902): two MLPs over gated inputs, and a bilinear product of what they give.

A stream s multiplies all embeddings e by a gate that a small network makes of some fields c_s:

    o_s = MLP_s(2 sigmoid(gate_s(c_s)) * e)
    logit = b + w_1 o_1 + w_2 o_2 + sum_h o_1h W_h o_2h        o_sh: part h of o_s (equations 5 to 8)

The first gate reads the fields of who asks and in which context, the second those of the item.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..bench.contract import SHARED_SPACE, Choice, DataSpec, ModelInfo, PointwiseBatch, Ranker, Rate, Size, Sizes
from ..kernels.linear import Linear
from ._inputs import EmbeddingConfig, PooledInputs, names
from ._layers import MLP, output_layer

STREAMS = ((64,), (128, 64), (200, 80), (256, 128), (400, 400))


@dataclass(frozen=True)
class Config(EmbeddingConfig):
    """Hyper-parameters of FinalMLP."""

    first: Sizes = (200, 80)
    """Widths of the hidden layers of the first MLP, whose gate reads user and context."""
    second: Sizes = (200, 80)
    """Of the second, whose gate reads the item."""
    gate_hidden: Size = 64
    """Hidden width of a gate's network."""
    heads: Size = 2
    """Parts of the streams' outputs, each with a matrix of its own."""
    dropout: Rate = 0.2
    """After every hidden layer of both MLPs."""

    def __post_init__(self) -> None:
        for name, widths in (("first", self.first), ("second", self.second)):
            if widths[-1] % self.heads:
                raise ValueError(f"the last width of {name}, {widths[-1]}, cannot be divided among {self.heads} heads")


class Gate(nn.Module):
    """2 sigmoid(W_2 relu(W_1 c)), c the fields that it reads or, without any, a learned vector: [n, F, dim] -> [n, F * dim]."""

    reads: Tensor

    def __init__(self, reads: list[int], fields: int, dim: int, hidden: int) -> None:
        """
        Args:
            reads: which of the F fields.
        """
        super().__init__()
        self.register_buffer("reads", torch.tensor(reads, dtype=torch.int64), persistent=False)
        self.learned = None if reads else nn.Parameter(torch.randn(1, hidden) * 0.02)
        self.up, self.down = Linear(len(reads) * dim or hidden, hidden), Linear(hidden, fields * dim)

    def forward(self, fields: Tensor) -> Tensor:
        own = fields.index_select(1, self.reads).flatten(1) if self.learned is None else self.learned.repeat(len(fields), 1)
        return 2 * torch.sigmoid(self.down(torch.relu(self.up(own))))


class Fusion(nn.Module):
    """[n, first], [n, second] -> logits [n, labels]."""

    def __init__(self, first: int, second: int, heads: int, spec: DataSpec) -> None:
        super().__init__()
        self.heads, self.labels = heads, len(spec.rates)
        self.of_first, self.of_second = output_layer(first, spec), Linear(second, self.labels, bias=False)
        self.matrix = nn.Parameter(torch.empty(self.labels, heads, first // heads, second // heads))
        nn.init.normal_(self.matrix, std=(first * second / heads) ** -0.5)

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        parts = first.unflatten(1, (self.heads, -1)), second.unflatten(1, (self.heads, -1))
        product = torch.einsum("nha,lhab,nhb->nl", parts[0], self.matrix, parts[1])
        return self.of_first(first) + self.of_second(second) + product


class FinalMLP(Ranker):
    """Fields and pooled past, two gated MLPs, their bilinear product, one logit."""

    def __init__(self, config: Config, spec: DataSpec) -> None:
        super().__init__()
        self.inputs, dim = PooledInputs(config, spec), config.embedding_dim
        width, at = self.inputs.fields * dim, {name: place for place, name in enumerate(self.inputs.example_names)}
        asking = [*names(spec.user_fields(config.user_id)), *names(spec.context)]
        reads = [at[name] for name in asking], [at[name] for name in names(spec.item)]
        self.gates = nn.ModuleList(Gate(one, self.inputs.fields, dim, config.gate_hidden) for one in reads)
        self.mlps = nn.ModuleList(MLP(width, hidden, "relu", config.dropout) for hidden in (config.first, config.second))
        self.fusion = Fusion(config.first[-1], config.second[-1], config.heads, spec)

    def forward(self, batch: PointwiseBatch) -> Tensor:
        fields = self.inputs(batch)
        outputs = [mlp(gate(fields) * fields.flatten(1)) for gate, mlp in zip(self.gates, self.mlps, strict=True)]
        return self.fusion(*outputs).squeeze(1)


INFO = ModelInfo(
    name="finalmlp",
    family="classical",
    view="pointwise",
    takes_padding=True,
    config=Config,
    build=FinalMLP,
    summary="two MLPs over gated fields and pooled past, and a bilinear product of their outputs",
    paper="Mao et al. 2023, arXiv:2304.00902",
    code="own",
    checked="against the equations one number at a time, float64, values and gradients to 1e-9",
    differs=(
        "history joins as pooled vectors",
        "gates read user and context, and the item; the paper chooses the fields by data set. They share the tables of the "
        "MLPs' inputs, where the authors' code has tables of their own",
        "decoupled weight decay, and no batch norm in the MLPs",
    ),
    defaults="sizes of DIN, as for every classical ranker here; the paper has 400-400-400 or wider and 1 to 50 heads on its "
    "data. No user id, as for every classical ranker here that reads the past",
    space={
        **SHARED_SPACE,
        "first": Choice(STREAMS),
        "second": Choice(STREAMS),
        "gate_hidden": Choice((32, 64, 128)),
        "heads": Choice((1, 2, 4)),
    },
)
