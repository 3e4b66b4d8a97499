"""Random pointwise batches with what can go wrong in them: empty pasts, several values or none, unknown ids."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor

from rankbench.bench.contract import DataSpec, Field, History, Ids, Jagged, PointwiseBatch, TimeInformation

LONGEST = 7

USER = (Field("user", 30), Field("interests", 9, multi=True))
ITEM = (Field("item", 40), Field("genres", 8, multi=True), Field("year", 6))
LOGGED = (Field("tab", 5),)
REQUEST_TIME = tuple(Field(name, size, derived=True) for name, size in (("hour", 26), ("weekday", 9), ("since_last", 74)))


def new_spec(time: TimeInformation = "request") -> DataSpec:
    """A spec with every kind of field."""
    context = LOGGED + (REQUEST_TIME if time == "request" else ())
    return DataSpec(USER, ITEM, context, Field("action", 7), LONGEST, 5 * LONGEST, time, gap_buckets=72, positive_rate=0.3)


def jagged(lengths: Tensor, size: int, generator: torch.Generator) -> Jagged:
    offsets = torch.cat([torch.zeros(1, dtype=torch.long), lengths.cumsum(0)])
    return Jagged(torch.randint(1, size, (int(offsets[-1]),), generator=generator), offsets)


def new_batch(spec: DataSpec, n: int = 64, seed: int = 0, longest: int = LONGEST) -> PointwiseBatch:
    """n random examples that see 0 to `longest` events each; ids start at 1, unknown."""
    generator = torch.Generator().manual_seed(seed)

    def integers(low: int, high: int, count: int) -> Tensor:
        return torch.randint(low, high, (count,), generator=generator)

    def ids(field: Field, count: int) -> Ids:
        if field.multi:
            return jagged(integers(0, 4, count), field.size, generator)
        return integers(1, field.size, count)

    past = jagged(integers(0, longest + 1, n), 2, generator)
    events = len(past.values)
    example = 1000 + torch.randperm(n, generator=generator)
    return PointwiseBatch(
        example=example,
        key=example + seed * 2**40,
        label=integers(0, 2, n).float(),
        fields={field.name: ids(field, n) for field in (*spec.user, *spec.item, *spec.context)},
        history=History(
            offsets=past.offsets,
            fields={field.name: ids(field, events) for field in (*spec.item, *LOGGED)},
            action=integers(1, spec.action.size, events),
            label=integers(0, 2, events).float(),
            gap=None if spec.time == "none" else integers(0, spec.gap_buckets, events),
        ),
    )


def take(ids: Ids, rows: Tensor) -> Ids:
    """The given rows of one field."""
    if isinstance(ids, Tensor):
        return ids[rows]
    parts = [ids.values[ids.offsets[r] : ids.offsets[r + 1]] for r in rows.tolist()]
    offsets = torch.tensor([0, *(len(part) for part in parts)]).cumsum(0)
    return Jagged(torch.cat(parts) if parts else ids.values[:0], offsets)


def take_all(fields: Mapping[str, Ids], rows: Tensor) -> dict[str, Ids]:
    return {name: take(ids, rows) for name, ids in fields.items()}


def in_double(batch: PointwiseBatch) -> PointwiseBatch:
    """A batch whose labels, which models read as numbers, are float64."""
    return replace(batch, label=batch.label.double(), history=replace(batch.history, label=batch.history.label.double()))


def some_rows(batch: PointwiseBatch, rows: list[int]) -> PointwiseBatch:
    """A batch of the given examples alone."""
    index, past = torch.tensor(rows), batch.history
    events = take(Jagged(torch.arange(len(past.action)), past.offsets), index)
    assert isinstance(events, Jagged)
    history = History(
        offsets=events.offsets,
        fields=take_all(past.fields, events.values),
        action=past.action[events.values],
        label=past.label[events.values],
        gap=None if past.gap is None else past.gap[events.values],
    )
    return replace(
        batch,
        example=batch.example[index],
        key=batch.key[index],
        label=batch.label[index],
        fields=take_all(batch.fields, index),
        history=history,
    )
