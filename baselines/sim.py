"""SIM with hard search (Pi et al. 2020, arXiv:2006.05639): from a long past, look only at events like the candidate.

General search unit: keep the past events that share a category with the candidate, the latest `top` of them (section 3.2, hard
search). Exact search unit: attention of the candidate over these. The latest `recent` events, whatever they are, get an
attention of their own; both sums join the example's fields in an MLP.

Embeddings are looked up for the kept events alone, so that the cost of a long past (`data.history_length`) is one comparison
of ids an event.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..bench.contract import Choice, DataSpec, History, ModelInfo, PointwiseBatch, Ranker, Size
from ._inputs import EventInputs, category_field, example_of_event, latest, select_events, shared_value
from ._layers import MLP, MLP_SPACE, UNIT_SPACE, output_layer
from ._long_past import LongPastConfig
from .din import ActivationUnit, pooled


@dataclass(frozen=True)
class Config(LongPastConfig):
    """Hyper-parameters of SIM."""

    category: str = ""
    """The item field to search by; empty: the first side field, or the item id where there is none."""
    top: Size = 50
    """Events that the search keeps, at most."""


class SIM(Ranker):
    """Hard search, two attentions, MLP, one logit."""

    def __init__(self, config: Config, spec: DataSpec) -> None:
        super().__init__()
        self.softmax, self.top, self.recent = config.attention_softmax, config.top, config.recent
        self.category = category_field(spec, config.category).name
        self.inputs = EventInputs(config, spec)
        query, key = self.inputs.query_width, self.inputs.key_width
        self.of_search = ActivationUnit(query, key, config.attention_hidden, config.attention_activation)
        self.of_recent = ActivationUnit(query, key, config.attention_hidden, config.attention_activation)
        self.mlp = MLP(self.inputs.example_width + 2 * key, config.hidden, config.activation, config.dropout)
        self.out = output_layer(self.mlp.width, spec)

    def forward(self, batch: PointwiseBatch) -> Tensor:
        example, query = self.inputs(batch)
        found, recent = self.search(batch)
        interests = [self.interest(self.of_search, query, found), self.interest(self.of_recent, query, recent)]
        return self.out(self.mlp(torch.cat([example, *interests], dim=1))).squeeze(1)

    def search(self, batch: PointwiseBatch) -> tuple[History, History]:
        """The latest events that share the candidate's category, and the latest events."""
        history, row = batch.history, example_of_event(batch.history)
        hit = shared_value(batch.fields[self.category], history.fields[self.category], row)
        found = latest(hit, history.offsets, row, self.top)
        recent = latest(torch.ones_like(hit), history.offsets, row, self.recent)
        return select_events(history, found), select_events(history, recent)

    def interest(self, unit: ActivationUnit, query: Tensor, history: History) -> Tensor:
        """query [n, Q] -> weighted sum of the given events [n, K]; zeros where there are none."""
        row, events = example_of_event(history), self.inputs.events(history)
        return pooled(unit(query, events, history.offsets), events, row, len(query), self.softmax)


INFO = ModelInfo(
    name="sim",
    family="classical",
    view="pointwise",
    config=Config,
    build=SIM,
    summary="attention over past events of the candidate's category and latest ones",
    paper="Pi et al. 2020, arXiv:2006.05639",
    code="own",
    differs=(
        "hard search alone; an event with several categories is found by any of them",
        "DIN's activation unit for both parts; in the paper multi-head attention for the found events and DIEN for the latest",
        "a past event carries the action, label, logged context and time gap, not only the item",
        "past events of both outcomes, not clicks alone",
        "the past is what `data.history_length` shows, the same for every model of a comparison",
    ),
    defaults="sizes of DIN; the paper searches pasts of up to 54,000 events, where `data.history_length` shows 50 here. No "
    "user id, as for every classical ranker here that reads the past",
    space={
        **MLP_SPACE,
        "recent": Choice((5, 10, 20, 50)),
        "top": Choice((10, 20, 50)),
        "attention_hidden": UNIT_SPACE,
        "attention_softmax": Choice((False, True)),
    },
)
