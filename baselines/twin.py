"""TWIN (Chang et al. 2023, KDD, arXiv:2302.02352): a long past is searched by the attention that then reads what was found.

A past event is split: what it shares with the candidate (k: item and logged context) and what lies between user and item (c_1 ..
c_J: outcome, time gap). The latter are a number each, so that a weight costs one small inner product an event:

    a_h = (W_q q)_h . (W_k k)_h / sqrt(d) + sum_j beta_jh (w_j . c_j)
    search: the `top` events of largest a_h;  attention: softmax of the same a_h over these
    interest = W_o [sum over found events of softmax(a_h) (W_v [k, c])_h], all heads side by side

The two stages have one weight, so that what is looked for is what is looked at: SIM's and SDIM's first stages know other things
than their second. The latest `recent` events, whatever they are, get an attention of their own (DIN's); both join the example's
fields in an MLP.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..bench.contract import Choice, DataSpec, ModelInfo, Size
from ..kernels.linear import Linear
from ..kernels.lookup import Part, lookup
from ..kernels.target_attention import Events
from ._inputs import EventInputs
from ._layers import MLP_SPACE
from ._long_past import LongPast, LongPastConfig
from .din import segment_softmax


@dataclass(frozen=True)
class Config(LongPastConfig):
    """Hyper-parameters of TWIN."""

    heads: Size = 4
    head_size: Size = 16
    """Numbers of a head's queries, keys and values."""
    top: Size = 50
    """Events that the search keeps for each head, at most."""


class SearchedAttention(nn.Module):
    """Search and attention by one weight: candidates and their past events -> interest [n, K]."""

    def __init__(self, inputs: EventInputs, config: Config) -> None:
        super().__init__()
        width, dim = config.heads * config.head_size, inputs.embeddings.dim
        self.heads, self.top = config.heads, config.top
        self.query = Linear(inputs.query_width, width, bias=False)
        self.key = Linear(inputs.query_width, width, bias=False)
        self.value = Linear(inputs.key_width, width, bias=False)
        self.out = Linear(width, inputs.key_width, bias=False)
        self.compress = nn.Parameter(torch.randn(inputs.outcomes.fields, dim) * dim**-0.5)
        """w_j"""
        self.beta = nn.Parameter(torch.ones(inputs.outcomes.fields, config.heads))

    def forward(self, query: Tensor, events: Events, row: Tensor) -> Tensor:
        """query [n, Q], T events whose keys match it, row int64 [T]: event -> example; zeros where there are no events."""
        score = self.score(query, events, row)
        with torch.no_grad():
            found = self.found(score, row)
            event = found.any(1).nonzero().squeeze(1)
            at, head = found.index_select(0, event).nonzero(as_tuple=True)
        slots = [[(table, ids.index_select(0, event)) for table, ids in slot] for slot in events.slots]
        value = self.value(Events(events.key.index_select(0, event), slots).whole()).unflatten(1, (self.heads, -1))
        pool = row.index_select(0, event).index_select(0, at) * self.heads + head
        weight = segment_softmax(score[event[at], head], pool, len(query) * self.heads)
        sums = value.new_zeros(len(query) * self.heads, value.shape[2])
        sums = sums.index_add(0, pool, weight.unsqueeze(1).to(value.dtype) * value[at, head])
        return self.out(sums.view(len(query), -1))

    def score(self, query: Tensor, events: Events, row: Tensor) -> Tensor:
        """a: the weight of each event for each head, before any softmax, [T, heads]."""
        one, other = self.query(query).index_select(0, row), self.key(events.key)
        alike = (one * other).unflatten(1, (self.heads, -1))
        crossed = lookup([[Part(table, ids) for table, ids in slot] for slot in events.slots], len(row))
        return alike.sum(2) / alike.shape[2] ** 0.5 + (crossed * self.compress).sum(2) @ self.beta

    def found(self, score: Tensor, row: Tensor) -> Tensor:
        """bool [T, heads]: the `top` events of each example and head; of equal ones the earliest."""
        found = torch.empty_like(score, dtype=torch.bool)
        for head, own in enumerate(score.unbind(1)):
            order = own.argsort(descending=True, stable=True)
            order = order[row[order].argsort(stable=True)]
            begins = torch.searchsorted(row, row)  # rows ascend
            found[order, head] = torch.arange(len(row), device=row.device) - begins < self.top
        return found


def build(config: Config, spec: DataSpec) -> LongPast:
    """Searched attention over the whole past, attention over the latest events, MLP, one logit."""
    inputs = EventInputs(config, spec)
    return LongPast(config, spec, inputs, SearchedAttention(inputs, config))


INFO = ModelInfo(
    name="twin",
    family="classical",
    view="pointwise",
    config=Config,
    build=build,
    summary="past events searched by the weight that then attends to them, and attention over latest ones",
    paper="Chang et al. 2023, arXiv:2302.02352",
    code="own",
    checked="its search and attention against loops over examples, heads and events, float64, values and gradients to 1e-9",
    differs=(
        "written from the paper's description of its attention; there is no code of the authors to hold it against",
        "each head keeps events of its own; how the paper's heads share one search was not checked",
        "cross features are the action with the label, and the time gap; logged context of a past event stands among what it "
        "shares with the candidate",
        "an attention of DIN over the latest events stands beside it, as in SIM and SDIM here",
        "past events of both outcomes, not clicks alone",
        "nothing is projected ahead of requests: keys are computed again for each example, in the paper's service once an item",
        "search and attention have the same weights at every step; in the paper's service the search gets them with a delay",
        "the past is what `data.history_length` shows, the same for every model of a comparison",
    ),
    defaults="four heads of 16 were chosen here; the paper's search keeps 100 of up to 100,000 events, of which "
    "`data.history_length` shows 50 here. Sizes of DIN for the rest. No user id, as for every classical ranker here that reads "
    "the past",
    space={
        **MLP_SPACE,
        "heads": Choice((1, 2, 4)),
        "head_size": Choice((8, 16, 32)),
        "top": Choice((10, 20, 50)),
        "recent": Choice((5, 10, 20, 50)),
    },
)
