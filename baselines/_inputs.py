"""What pointwise rankers read: the example's fields, and the events that it may see.

A past event brings the fields of its item, its logged context, what the user did (action, label) and, with time
information, how long ago it was. Models without attention get the past as means; all of them the same ones.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..bench.contract import UNKNOWN, DataSpec, Field, History, PointwiseBatch
from ..kernels.embedding import FieldEmbeddings, segment_mean

_REQUEST_TIME = ("hour", "weekday", "since_last")
"""Context fields that are derived from the time of the request; past events have none."""


def example_fields(spec: DataSpec) -> tuple[Field, ...]:
    """All fields of an example: user, item, context."""
    return (*spec.user, *spec.item, *spec.context)


def event_fields(spec: DataSpec) -> tuple[Field, ...]:
    """Fields that a past event shares with the example: item, then logged context."""
    derived = _REQUEST_TIME if spec.time == "request" else ()
    return (*spec.item, *(field for field in spec.context if field.name not in derived))


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
        self.tables = FieldEmbeddings((Field("action", spec.action.size), Field("label", UNKNOWN + 3), *gap), dim)

    def forward(self, history: History) -> list[Tensor]:
        """`fields` tensors [T, dim]: outcome, then gap."""
        label = history.label.long() + UNKNOWN + 1
        vectors = [self.tables.lookup("action", history.action) + self.tables.lookup("label", label)]
        if history.gap is not None and self.fields == 2:
            vectors.append(self.tables.lookup("gap", history.gap))
        return vectors


class PooledInputs(nn.Module):
    """Example and pooled past as F vectors of one size: PointwiseBatch -> [n, F, dim].

    F holds, in this order: the example's fields; the mean over past events with label 0 of every field that they share
    with the example; the same over events with label 1; the mean of all outcomes; the mean of all gaps (unless time
    information is `none`). Past and example share the tables. An empty pool is zero.
    """

    def __init__(self, spec: DataSpec, dim: int) -> None:
        super().__init__()
        self.example_names, self.event_names = names(example_fields(spec)), names(event_fields(spec))
        self.embeddings = FieldEmbeddings(example_fields(spec), dim)
        self.outcomes = OutcomeEmbeddings(spec, dim)
        self.fields = len(self.example_names) + 2 * len(self.event_names) + self.outcomes.fields
        """F"""

    def forward(self, batch: PointwiseBatch) -> Tensor:
        history = batch.history
        example = self.embeddings(batch.fields, self.example_names)
        events = self.embeddings(history.fields, self.event_names)
        outcomes = segment_mean(torch.cat(self.outcomes(history), dim=1), history.offsets)
        pools = _means_by_label(events.flatten(1), history)
        return torch.cat([example, *(x.unflatten(1, (-1, self.embeddings.dim)) for x in (pools, outcomes))], dim=1)


def _means_by_label(vectors: Tensor, history: History) -> Tensor:
    """Means over each example's events with label 0, and with label 1: [T, D] -> [n, 2 D]."""
    row, n = example_of_event(history), len(history.offsets) - 1
    total = vectors.new_zeros(2 * n, vectors.shape[1]).index_add_(0, 2 * row + history.label.long(), vectors)
    positives = history.label.new_zeros(n).index_add_(0, row, history.label)
    lengths = (history.offsets[1:] - history.offsets[:-1]).to(positives.dtype)
    count = torch.stack([lengths - positives, positives], dim=1).clamp(min=1).to(vectors.dtype)
    return (total.unflatten(0, (n, 2)) / count.unsqueeze(2)).flatten(1)
