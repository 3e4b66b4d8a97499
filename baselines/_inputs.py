"""What pointwise rankers read: the example's fields, and the events that it may see, pooled or one by one.

A past event brings the fields of its item, its logged context, what the user did (action, label) and, with time
information, how long ago it was. Models without attention get the past as means; all of them the same ones.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from ..bench.contract import UNKNOWN, DataSpec, Field, History, IdentityConfig, Ids, Jagged, PointwiseBatch, Size, UserId
from ..kernels.layers.embedding import FieldEmbeddings
from ..kernels.lookup import Part, lookup
from ..kernels.target_attention import Events

Joined = Literal["concat", "sum"]


@dataclass(frozen=True)
class EmbeddingConfig(IdentityConfig):
    """What every classical ranker with embeddings can be told of its inputs."""

    embedding_dim: Size = 16
    """Of every field's table."""


@dataclass(frozen=True)
class EventConfig(EmbeddingConfig):
    """Of rankers that look at single events, also how an id and the features beside it make one input."""

    item_fields: Joined = "concat"
    """The vectors of an item's id and features side by side, or their sum; of candidates and past events alike."""
    user_fields: Joined = "concat"
    """The same of users."""


def example_fields(spec: DataSpec, user_id: UserId) -> tuple[Field, ...]:
    """All fields of an example: user, item, context."""
    return (*spec.user_fields(user_id), *spec.item, *spec.context)


def event_fields(spec: DataSpec) -> tuple[Field, ...]:
    """Fields that a past event shares with the example: item, then logged context."""
    return (*spec.item, *(field for field in spec.context if not field.derived))


def names(fields: tuple[Field, ...]) -> tuple[str, ...]:
    return tuple(field.name for field in fields)


def example_of_event(history: History) -> Tensor:
    """int64 [T]: to which example each past event belongs."""
    lengths = history.offsets[1:] - history.offsets[:-1]
    examples = torch.arange(len(lengths), device=lengths.device)
    return torch.repeat_interleave(examples, lengths, output_size=len(history.action))


class OutcomeEmbeddings(nn.Module):
    """What came of a past event and, with time information, how long ago it was: one vector each.

    The outcome is the sum of action and label vectors: the label is known even where the action was never seen in training.
    """

    def __init__(self, spec: DataSpec, dim: int) -> None:
        super().__init__()
        gap = (Field("gap", spec.gap_buckets),) if spec.time != "none" else ()
        self.fields = 1 + len(gap)
        # DIN's attention reads these tables as a whole.
        self.tables = FieldEmbeddings((Field("action", spec.action.size), Field("label", UNKNOWN + 3), *gap), dim, by_rows=False)

    def slots(self, history: History, row: Tensor | None = None, weight: Tensor | None = None) -> list[list[Part]]:
        """`fields` slots of the T past events: outcome, then gap."""
        label = history.label.long() + UNKNOWN + 1
        slots = [[self.tables.part("action", history.action, row, weight), self.tables.part("label", label, row, weight)]]
        if history.gap is not None and self.fields == 2:
            slots.append([self.tables.part("gap", history.gap, row, weight)])
        return slots

    def means(self, history: History, row: Tensor) -> Tensor:
        """Means over each example's past events [n, fields, dim]; row int64 [T]: event -> example."""
        lengths = history.offsets.diff()
        weight = lengths.clamp(min=1).to(history.label.dtype).reciprocal().index_select(0, row)
        return lookup(self.slots(history, row, weight), len(lengths))


class PooledInputs(nn.Module):
    """Example and pooled past as F vectors of one size: PointwiseBatch -> [n, F, dim].

    F holds, in this order: the example's fields; the mean over past events with label 0 of every field that they share
    with the example; the same over events with label 1; the mean of all outcomes; the mean of all gaps (unless time
    information is `none`). Past and example share the tables. An empty pool is zero.
    """

    def __init__(self, config: EmbeddingConfig, spec: DataSpec) -> None:
        super().__init__()
        fields, dim = example_fields(spec, config.user_id), config.embedding_dim
        self.example_names, self.event_names = names(fields), names(event_fields(spec))
        self.embeddings = FieldEmbeddings(fields, dim)
        self.outcomes = OutcomeEmbeddings(spec, dim)
        self.fields = len(self.example_names) + 2 * len(self.event_names) + self.outcomes.fields
        """F"""

    def forward(self, batch: PointwiseBatch) -> Tensor:
        history, row = batch.history, example_of_event(batch.history)
        example = self.embeddings(batch.fields, self.example_names)
        pools = means_by_label(self.embeddings, self.event_names, history, row)
        return torch.cat([example, pools.flatten(1, 2), self.outcomes.means(history, row)], dim=1)


Slots = tuple[tuple[str, ...], ...]
"""Names of the fields whose vectors are added up, slot by slot."""


def slots_of(fields: tuple[Field, ...], how: Joined) -> Slots:
    """A slot for each field, or one for all of them."""
    if how == "concat" or not fields:
        return tuple((name,) for name in names(fields))
    return (names(fields),)


class EventInputs(nn.Module):
    """Example and past events as vectors, nothing pooled, for models that look at single events. Both share the tables.

    A candidate's query holds the fields that it shares with past events. The key of a past event holds the same fields,
    then its outcome and, with time information, its gap. Fields of users or items may be one vector, their sum (EventConfig).
    """

    shared: Tensor
    """Which of an example's slots make the query."""

    def __init__(self, config: EmbeddingConfig, spec: DataSpec) -> None:
        super().__init__()
        fields, dim = example_fields(spec, config.user_id), config.embedding_dim
        of_users, of_items = (config.user_fields, config.item_fields) if isinstance(config, EventConfig) else ("concat", "concat")
        users, items = slots_of(spec.user_fields(config.user_id), of_users), slots_of(spec.item, of_items)
        self.example_slots: Slots = (*users, *items, *slots_of(spec.context, "concat"))
        self.event_slots: Slots = (*items, *slots_of(event_fields(spec)[len(spec.item) :], "concat"))
        self.embeddings = FieldEmbeddings(fields, dim)
        self.outcomes = OutcomeEmbeddings(spec, dim)
        shared = [self.example_slots.index(slot) for slot in self.event_slots]
        # On the model's device: a list would be sent there at every step.
        self.register_buffer("shared", torch.tensor(shared), persistent=False)
        self.example_width = len(self.example_slots) * dim
        self.query_width = len(self.event_slots) * dim
        """Q"""
        self.key_width = self.query_width + self.outcomes.fields * dim
        """K"""
        self.prior_width = (len(users) + len(items)) * dim
        """The first of the example's columns, which say who is asked about what."""

    def columns(self, name: str) -> slice:
        """Of a field that is a slot of its own among the example's columns; none for an empty name."""
        if not name:
            return slice(0, 0)
        at, dim = self.example_slots.index((name,)), self.embeddings.dim
        return slice(at * dim, (at + 1) * dim)

    def forward(self, batch: PointwiseBatch) -> tuple[Tensor, Tensor]:
        """The example's fields [n, F * dim], and the candidate's query [n, Q]."""
        example = lookup(self._parts(self.example_slots, batch.fields), len(batch.example))
        return example.flatten(1), example.index_select(1, self.shared).flatten(1)

    def events(self, history: History) -> Events:
        """T past events for attention: keys that match the query, then outcome and gap, whose tables are small."""
        keys = self._parts(self.event_slots, history.fields)
        slots = [[(part.table, part.ids) for part in slot] for slot in self.outcomes.slots(history)]
        return Events(lookup(keys, len(history.action)).flatten(1), slots)

    def keys(self, history: History) -> Tensor:
        """[T, K], of which the first Q columns match the query's: the same as one tensor."""
        events = self._parts(self.event_slots, history.fields)
        return lookup([*events, *self.outcomes.slots(history)], len(history.action)).flatten(1)

    def _parts(self, slots: Slots, fields: Mapping[str, Ids]) -> list[list[Part]]:
        return [[self.embeddings.part(name, fields[name]) for name in slot] for slot in slots]


def category_field(spec: DataSpec, name: str = "") -> Field:
    """The item side field of this name; without a name the first one, or the item id where there is none.

    Raises:
        ValueError: the items have no such field.
    """
    fields = {field.name: field for field in spec.item}
    if name and name not in fields:
        raise ValueError(f"items have no field {name!r}; they have {', '.join(fields)}")
    return fields[name] if name else spec.item[min(1, len(spec.item) - 1)]


def shared_value(candidate: Ids, event: Ids, row: Tensor) -> Tensor:
    """bool [T]: the past event has a value in common with its example's candidate; unknown values match nothing.

    Args:
        candidate: ids of n examples.
        event: ids of T past events of the same field.
        row: int64 [T], the example of each event.
    """
    if isinstance(candidate, Tensor) and isinstance(event, Tensor):
        return (candidate.index_select(0, row) == event) & (event > UNKNOWN)
    assert isinstance(candidate, Jagged) and isinstance(event, Jagged)
    owner, of_event = jagged_rows(candidate), jagged_rows(event)
    # Pairs (example, value) as one number each: ids are below 2**31.
    wanted = owner << 31 | candidate.values
    found = torch.isin(row.index_select(0, of_event) << 31 | event.values, wanted) & (event.values > UNKNOWN)
    return torch.zeros_like(row).index_add_(0, of_event, found.long()) > 0


def jagged_rows(jagged: Jagged) -> Tensor:
    """int64 [values]: the row of each value."""
    lengths = jagged.lengths
    return torch.repeat_interleave(torch.arange(len(lengths), device=lengths.device), lengths, output_size=len(jagged.values))


def latest(chosen: Tensor, offsets: Tensor, row: Tensor, count: int) -> Tensor:
    """bool [T]: of the events in `chosen` (bool [T]) the `count` latest ones of each example."""
    total = torch.cat([offsets.new_zeros(1), chosen.long().cumsum(0)])
    later = total.index_select(0, offsets[1:]).index_select(0, row) - total[1:]
    return chosen & (later < count)


def select_events(history: History, keep: Tensor) -> History:
    """The past with the events in `keep` (bool [T]) alone."""
    index, total = keep.nonzero().squeeze(1), torch.cat([keep.new_zeros(1).long(), keep.long().cumsum(0)])
    return History(
        offsets=total.index_select(0, history.offsets),
        fields={name: _take(ids, index) for name, ids in history.fields.items()},
        action=history.action.index_select(0, index),
        label=history.label.index_select(0, index),
        gap=None if history.gap is None else history.gap.index_select(0, index),
    )


def _take(ids: Ids, index: Tensor) -> Ids:
    if isinstance(ids, Tensor):
        return ids.index_select(0, index)
    lengths = ids.lengths.index_select(0, index)
    offsets = torch.cat([lengths.new_zeros(1), lengths.cumsum(0)])
    shift = torch.repeat_interleave(ids.offsets.index_select(0, index) - offsets[:-1], lengths)
    return Jagged(ids.values.index_select(0, shift + torch.arange(len(shift), device=shift.device)), offsets)


def means_by_label(tables: FieldEmbeddings, event_names: tuple[str, ...], history: History, row: Tensor) -> Tensor:
    """Means over each example's events with label 0, and with label 1, of the named fields: [n, 2, len(event_names), dim]."""
    n, pool = len(history.offsets) - 1, 2 * row + history.label.long()
    count = history.label.new_zeros(2 * n).index_add_(0, pool, torch.ones_like(history.label))
    weight = count.clamp(min=1).reciprocal().index_select(0, pool)
    slots = [[tables.part(name, history.fields[name], pool, weight)] for name in event_names]
    return lookup(slots, 2 * n).unflatten(0, (n, 2))
