"""SDIM (Cao et al. 2022, arXiv:2205.10249): past events whose hash is the candidate's are summed; nothing is scored or searched.

A signature is `bits` signs of random projections of an embedding (SimHash). An event e takes part in a signature's sum if all its
signs are those of the candidate q, which happens with probability (1 - angle(q, e) / pi)^bits: near events often, others seldom.
The sum of each signature is brought to length 1, and the interest is their mean, an attention without a weight to learn. The
latest `recent` events, whatever they are, get an attention of their own (DIN's); both join the example's fields in an MLP.

The projections are drawn once and stay. Gradients flow through the summed events, not through the signs. The cost of a long past
(`data.history_length`) is one matrix product without gradients, and sums over the few events that agree.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..bench.contract import Choice, DataSpec, ModelInfo, Size
from ..kernels.lookup import Part, lookup
from ..kernels.target_attention import Events
from ._inputs import EventInputs
from ._layers import MLP_SPACE
from ._long_past import LongPast, LongPastConfig


@dataclass(frozen=True)
class Config(LongPastConfig):
    """Hyper-parameters of SDIM."""

    signatures: Size = 16
    """Hashes of a candidate or event, each of which gathers events of its own."""
    bits: Size = 3
    """Signs in a signature; each more leaves about half of the events that have little to do with the candidate."""
    unit_length: bool = True
    """The sum of each signature is brought to length 1; otherwise it grows with the number of events that agree."""


class HashedInterest(nn.Module):
    """Candidates and their past events -> mean over signatures of the sums of the events that have the candidate's."""

    rotations: Tensor

    def __init__(self, query: int, signatures: int, bits: int, unit_length: bool) -> None:
        super().__init__()
        self.signatures, self.bits, self.unit_length = signatures, bits, unit_length
        self.register_buffer("rotations", torch.randn(query, signatures * bits))

    def forward(self, query: Tensor, events: Events, row: Tensor) -> Tensor:
        """query [n, Q], T events whose keys match it, row int64 [T]: event -> example; [n, K], zeros where no event agrees."""
        agrees = (self.signs(events.key) == self.signs(query).index_select(0, row)).all(2)
        event, signature = agrees.nonzero(as_tuple=True)
        pool = row.index_select(0, event) * self.signatures + signature
        sums = lookup([[Part(events.whole(), event, row=pool)]], len(query) * self.signatures)
        if self.unit_length:
            # The least number keeps a sum of zeros at zero.
            sums = sums * torch.rsqrt(sums.square().sum(2, keepdim=True) + 1e-12)
        return sums.view(len(query), self.signatures, -1).mean(1)

    @torch.no_grad()
    def signs(self, x: Tensor) -> Tensor:
        """x [rows, Q] -> bool [rows, signatures, bits]; of smaller dtypes some signs would be others."""
        with torch.autocast(x.device.type, enabled=False):
            return (x @ self.rotations > 0).unflatten(1, (self.signatures, self.bits))


def build(config: Config, spec: DataSpec) -> LongPast:
    """Hashed interest in the whole past, attention over the latest events, MLP, one logit."""
    inputs = EventInputs(config, spec)
    return LongPast(config, spec, inputs, HashedInterest(inputs.query_width, config.signatures, config.bits, config.unit_length))


INFO = ModelInfo(
    name="sdim",
    family="classical",
    view="pointwise",
    config=Config,
    build=build,
    summary="sums of past events whose random hashes are the candidate's, and attention over latest ones",
    paper="Cao et al. 2022, arXiv:2205.10249",
    code="own",
    checked="its hashed interest against loops over examples, signatures and events, float64, values and gradients to 1e-9",
    differs=(
        "projections are one Gaussian matrix; how the paper draws them was not checked",
        "DIN's activation unit for the latest events, in the paper target attention",
        "a past event carries the action, label, logged context and time gap, not only the item, in what is summed; signs are "
        "those of item and logged context",
        "past events of both outcomes, not clicks alone",
        "no server that hashes pasts ahead of requests: a past is hashed again for each example",
        "the past is what `data.history_length` shows, the same for every model of a comparison",
    ),
    defaults="16 signatures of three signs were chosen here, not held against the paper's settings; sizes of DIN for the rest. "
    "No user id, as for every classical ranker here that reads the past",
    space={
        **MLP_SPACE,
        "signatures": Choice((4, 8, 16, 32)),
        "bits": Choice((1, 2, 3, 4, 6)),
        "unit_length": Choice((False, True)),
        "recent": Choice((5, 10, 20, 50)),
    },
)
