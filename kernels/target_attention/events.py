"""What the operations read: past events, of whose vectors a part is rows of small tables, and the weights of a unit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from ..lookup import Part, lookup


class Events(NamedTuple):
    """T past events. A vector of an event is its `key`, then one vector a slot; vectors of slots are never made, their tables
    are small and known to the operation."""

    key: Tensor
    """[T, Q], what is compared with the query."""
    slots: Sequence[Sequence[tuple[Tensor, Tensor]]] = ()
    """Of a slot the tables [V, D], whose rows are added up, and the ids int64 [T]; D is the same everywhere."""

    def whole(self) -> Tensor:
        """The vectors, [T, K] with K = Q + slots * D."""
        if not self.slots:
            return self.key
        slots = [[Part(table, ids) for table, ids in slot] for slot in self.slots]
        return torch.cat([self.key, lookup(slots, len(self.key)).flatten(1)], dim=1)


class Layers(NamedTuple):
    """Weights of an activation unit with one or two hidden layers of ReLU."""

    event: Tensor
    """[H1, K + Q]: columns for an event's vector, then for the products of query and key."""
    hidden: Tensor | None
    """[H2, H1]; None: one hidden layer."""
    hidden_bias: Tensor | None
    """[H2]"""
    out: Tensor
    """[1, H2] or [1, H1]"""
    out_bias: Tensor
    """[1]"""


def by_tables(events: Events, event: Tensor) -> tuple[Tensor, list[Tensor], list[Tensor]]:
    """The columns of the first layer for keys and products alone; what it makes of the rows of the slots' tables; their ids."""
    size, added, ids = events.key.shape[1], [], []
    for at, slot in enumerate(events.slots):
        for table, index in slot:
            first = size + at * table.shape[1]
            added.append(F.linear(table, event[:, first : first + table.shape[1]]))
            ids.append(index.contiguous())
    return torch.cat([event[:, :size], event[:, event.shape[1] - size :]], dim=1), added, ids
