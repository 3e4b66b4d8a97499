"""What unified rankers read: an example's fields cut into tokens, and its past events in rows of one length."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..baselines._inputs import EmbeddingConfig, EventInputs, PooledInputs, example_of_event
from ..baselines.din import ActivationUnit, pooled
from ..bench.contract import DataSpec, History, PointwiseBatch, Sizes
from ..kernels.segments import Padding, Segments
from ._per_token import PerTokenLinear


@dataclass(frozen=True)
class AttentiveConfig(EmbeddingConfig):
    """Of DIN's attention inside another ranker."""

    attention_hidden: Sizes = (80, 40)
    """Widths of the activation unit's hidden layers; at least one."""
    attention_softmax: bool = False
    """Weights of an example's events sum to 1."""


class FieldTokens(nn.Module):
    """Numbers laid end to end [n, inputs], cut into equal pieces, each projected by a matrix of its own -> [n, tokens, width].

    The last piece is filled up with zeros.
    """

    def __init__(self, inputs: int, tokens: int, width: int) -> None:
        super().__init__()
        self.piece = -(-inputs // tokens)
        self.filling = tokens * self.piece - inputs
        self.projection = PerTokenLinear(tokens, self.piece, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.projection(F.pad(x, (0, self.filling)).unflatten(1, (-1, self.piece)))


class Interest(nn.Module):
    """DIN's weighted sum of the visible past (Zhou et al. 2018): what `din` puts into its MLP beside the example's fields."""

    def __init__(self, config: AttentiveConfig, inputs: EventInputs) -> None:
        super().__init__()
        self.softmax, self.width = config.attention_softmax, inputs.key_width
        self.unit = ActivationUnit(inputs.query_width, inputs.key_width, config.attention_hidden, "relu")

    def forward(self, inputs: EventInputs, query: Tensor, history: History) -> Tensor:
        """query [n, Q] -> [n, K]; zeros where there is no past."""
        events = inputs.events(history)
        weight = self.unit(query, events, history.offsets)
        return pooled(weight, events, example_of_event(history), len(query), self.softmax)


class FieldRow(Protocol):
    """A module that makes of an example all numbers that field tokens are cut out of."""

    width: int

    def __call__(self, batch: PointwiseBatch) -> Tensor:
        """[n, width]"""
        ...


class PooledRow(nn.Module):
    """The example's fields and means of its past."""

    def __init__(self, config: EmbeddingConfig, spec: DataSpec) -> None:
        super().__init__()
        self.inputs = PooledInputs(config, spec)
        self.width = self.inputs.fields * config.embedding_dim

    def forward(self, batch: PointwiseBatch) -> Tensor:
        return self.inputs(batch).flatten(1)


class AttendedRow(nn.Module):
    """The example's fields and DIN's weighted sum of its past."""

    def __init__(self, config: AttentiveConfig, spec: DataSpec) -> None:
        super().__init__()
        self.inputs = EventInputs(config, spec)
        self.interest = Interest(config, self.inputs)
        self.width = self.inputs.example_width + self.interest.width

    def forward(self, batch: PointwiseBatch) -> Tensor:
        example, query = self.inputs(batch)
        return torch.cat([example, self.interest(self.inputs, query, batch.history)], dim=1)


def latest_first(end: Tensor, length: Tensor, longest: int) -> Padding:
    """Padding of rows that hold the `length` [n] events before `end` [n] (exclusive), `longest` of them at most."""
    back = torch.arange(longest, device=end.device)
    visible = back < length.unsqueeze(1)
    return Padding(torch.where(visible, end.unsqueeze(1) - back, 0), visible)


def longest_of(length: Tensor, most: int, fixed: bool) -> int:
    """L for rows of these lengths [n], each `most` at most; one at least. `most` where no shape may depend on values: if it is to
    be `fixed`, as in a padded batch, and where a model is exported."""
    if fixed or torch.compiler.is_exporting():
        return most
    return max(int(length.max()) if len(length) else 0, 1)


def past_of(batch: PointwiseBatch, most: int, history: History | None = None) -> Segments:
    """Where the past events of each example lie, `most` at most.

    Args:
        history: a part of the batch's; None: all of it.
    """
    offsets = (history or batch.history).offsets
    return Segments(offsets, longest_of(offsets.diff(), most, fixed=batch.weight is not None))


def latest(past: Segments, count: int) -> Padding:
    """The `count` latest tokens of each example."""
    return latest_first(past.offsets[1:], past.lengths, count)
