"""Batches filled up to a few shapes, so that steps over them can be recorded, or compiled, once a shape.

What fills a batch of sequences up stands in segments of its own behind the others: events that see nothing and that nobody sees,
some of them observed, and examples of weight 0; numbers are rounded up by at most a quarter. What fills rows up are rows of
weight 0, whose past has the spare events, a sixteenth at most; none of them sees more events than the others do on average.
Scores and gradients of the rest are the same. A shape follows from its batch alone, so that a resumed run pads as an
uninterrupted one.
"""

from __future__ import annotations

import dataclasses
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor
from torch.nn import functional as F

from ..contract import PADDING, History, Ids, Jagged, PointwiseBatch, SequenceBatch

SMALLEST = 16
"""Numbers are rounded up to a multiple of it at least."""
ROWS, STEPS = 64, 16
"""Rows with a past of their own are rounded up to a multiple of the first; their past events to one of so many sizes from one
power of two to the next."""

B = TypeVar("B", bound=PointwiseBatch | SequenceBatch)


class Shape(NamedTuple):
    """How many there are of everything in a batch."""

    events: int
    observed: int
    examples: int
    segments: int


def rung(count: int, steps: int = 4) -> int:
    """`count` rounded up to one of so many sizes (a power of two) from one power of two to the next."""
    step = max(SMALLEST, (1 << max(count.bit_length() - 1, 0)) // steps)
    return max(-(-count // step), 1) * step


def padded(batch: B, observed: int | None = None) -> B:
    """The same examples in a batch of one of a few shapes; padding is on the batch's device.

    Args:
        observed: how many events of a batch of sequences are; None: counted, for which the host waits.
    """
    if isinstance(batch, PointwiseBatch):
        return _padded_rows(batch)  # type: ignore[return-value]
    assert isinstance(batch, SequenceBatch)
    return _padded_sequences(batch, observed)  # type: ignore[return-value]


def _padded_rows(batch: PointwiseBatch) -> PointwiseBatch:
    """The same examples, then one row at least of weight 0. Such rows share the past events that fill the batch up evenly."""
    history, examples, device = batch.history, len(batch.example), batch.label.device
    # More than a sixteenth of the rows for less than a sixteenth of the events, so that no row gets more than the mean.
    rows = -(-(examples + max(examples // STEPS, SMALLEST) + 1) // ROWS) * ROWS
    more, spare = rows - examples, rung(len(history.action) + 1, STEPS) - len(history.action)
    shared = torch.arange(1, more + 1, device=device) * spare // more + len(history.action)

    def further(values: Tensor) -> Tensor:
        return _longer(values, more, 0)

    return dataclasses.replace(
        batch,
        example=further(batch.example),
        label=further(batch.label),
        fields={name: _longer_ids(ids, more) for name, ids in batch.fields.items()},
        history=History(
            offsets=torch.cat([history.offsets, shared]),
            fields={name: _longer_ids(ids, spare) for name, ids in history.fields.items()},
            action=_longer(history.action, spare, PADDING),
            label=_longer(history.label, spare, 0),
            gap=None if history.gap is None else _longer(history.gap, spare, 0),
        ),
        further=None if batch.further is None else further(batch.further),
        key=further(batch.key),
        weight=torch.arange(rows, device=device).lt(examples).float(),
        real=examples,
    )


def shape_of(batch: SequenceBatch, observed: int) -> Shape:
    """What the batch is filled up to.

    Args:
        observed: how many of its events are.
    """
    events, seen = len(batch.lo), rung(observed)
    return Shape(
        events=rung(events + max(seen - observed, 1)),
        observed=seen,
        examples=rung(len(batch.example)),
        segments=rung(len(batch.offsets)),
    )


def _padded_sequences(batch: SequenceBatch, observed: int | None) -> SequenceBatch:
    observed = int(batch.observed.sum()) if observed is None else observed
    shape, events, examples = shape_of(batch, observed), len(batch.lo), len(batch.example)
    more, device = shape.events - events, batch.lo.device
    own = shape.observed - observed
    # A stable sort puts the events that are observed first, in their order; the host knows how many there are.
    seen = batch.observed.logical_not().sort(stable=True).indices[:observed]

    def filled(values: Tensor, with_: float = 0) -> Tensor:
        return _longer(values, more, with_)

    def further(values: Tensor) -> Tensor:
        return _longer(values, shape.examples - examples, 0)

    missing = shape.segments + 1 - len(batch.offsets)
    return dataclasses.replace(
        batch,
        offsets=F.pad(_longer(batch.offsets, missing - 1, events), (0, 1), value=shape.events),
        fields={name: _longer_ids(ids, more) for name, ids in batch.fields.items()},
        action=filled(batch.action),
        past_label=filled(batch.past_label),
        observed=torch.cat([batch.observed, torch.arange(more, device=device) < own]),
        lo=filled(batch.lo, events),
        hi=filled(batch.hi, events),
        time=None if batch.time is None else filled(batch.time),
        query_time=None if batch.query_time is None else filled(batch.query_time),
        target=_longer(batch.target, shape.examples - examples, shape.events - 1),
        example=further(batch.example),
        label=further(batch.label),
        further=None if batch.further is None else further(batch.further),
        seen_at=torch.cat([seen, torch.arange(events, events + own, device=device)]),
        weight=torch.arange(shape.examples, device=device).lt(examples).float(),
        real=examples,
    )


def _longer(values: Tensor, more: int, with_: float) -> Tensor:
    """`more` rows of one value behind the others."""
    return torch.cat([values, values.new_full((more, *values.shape[1:]), with_)])


def _longer_ids(ids: Ids, more: int) -> Ids:
    """Ids of what fills up, of one row at least; the last row of a multi-valued field has all the values that fill it up."""
    if isinstance(ids, Tensor):
        return _longer(ids, more, PADDING)
    count = rung(len(ids.values))
    offsets = F.pad(_longer(ids.offsets, more - 1, len(ids.values)), (0, 1), value=count)
    return Jagged(_longer(ids.values, count - len(ids.values), PADDING), offsets)
