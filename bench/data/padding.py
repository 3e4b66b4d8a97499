"""Batches of sequences filled up to a few shapes, so that steps over them can be recorded, or compiled, once a shape.

What fills a batch up stands in segments of its own behind the others: events that see nothing and that nobody sees, some of them
observed, and examples of weight 0. Scores and gradients of the rest are the same. A shape follows from its batch alone, so that a
resumed run pads as an uninterrupted one. Numbers are rounded up by at most a quarter.
"""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from ..contract import PADDING, Ids, Jagged, SequenceBatch

SMALLEST = 16
"""Numbers are rounded up to a multiple of it at least."""


class Shape(NamedTuple):
    """How many there are of everything in a batch."""

    events: int
    observed: int
    examples: int
    segments: int
    values: tuple[int, ...]
    """Of each multi-valued field, in the order of `SequenceBatch.fields`."""


def rung(count: int) -> int:
    """`count` rounded up to a quarter of the power of two below it: four sizes from one power to the next."""
    step = max(SMALLEST, 1 << max(count.bit_length() - 3, 0))
    return max(-(-count // step), 1) * step


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
        values=tuple(rung(len(ids.values)) for ids in batch.fields.values() if isinstance(ids, Jagged)),
    )


def padded(batch: SequenceBatch, observed: int | None = None) -> SequenceBatch:
    """The same examples in a batch of one of a few shapes; padding is on the batch's device.

    Args:
        observed: how many of its events are; None: counted, for which the host waits.
    """
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

    counts = iter(shape.values)
    fields = {name: _longer_ids(ids, more, counts) for name, ids in batch.fields.items()}
    missing = shape.segments + 1 - len(batch.offsets)
    return dataclasses.replace(
        batch,
        offsets=F.pad(_longer(batch.offsets, missing - 1, events), (0, 1), value=shape.events),
        fields=fields,
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


def _longer_ids(ids: Ids, more: int, counts: object) -> Ids:
    """Ids of what fills up; the last row of a multi-valued field has all the values that fill it up."""
    if isinstance(ids, Tensor):
        return _longer(ids, more, PADDING)
    count = next(counts)  # type: ignore[call-overload]
    offsets = F.pad(_longer(ids.offsets, more - 1, len(ids.values)), (0, 1), value=count)
    return Jagged(_longer(ids.values, count - len(ids.values), PADDING), offsets)
