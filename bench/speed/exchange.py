"""What processes that train together send each other at a step, by kind, and what that would be for many cards.

Counted for a model and a batch, not timed: a step is one sum over the processes of everything that `training.team.exchanged`
names, in fp32, whatever the precision of the model. Sent around a ring, of N cards each sends 2 (N - 1) / N times the size of the
sum (Patarasuk & Yuan 2009, Bandwidth optimal all-reduce algorithms, section 3: reduce-scatter, then all-gather). Beside it stands
what tables would cost if each card gathered from the others only the rows that their batches read: (N - 1) times those of one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from ..contract import to_device
from ..data.dataset import RankingData
from ..training.course import course_of
from ..training.team import exchanged
from .train import at_defaults

NUMBER = 4
"""Bytes of a number in the sum, which has one dtype, that of the weights: fp32."""
ROW_ID = 8
"""Bytes of the number of a table's row."""


@dataclass(frozen=True)
class Exchange:
    """Bytes that a process puts into the sum at a step."""

    model: str
    examples: int
    """Of the batch; the other processes have as many."""
    dense: int
    """Gradients of all weights that are no embedding table."""
    tables: int
    """Gradients of embedding tables, all of their rows."""
    averages: int
    """Moving averages, such as those of batch statistics."""
    counts: int
    """The loss, examples, errors, and for each parameter whether anything reached it."""
    rows_read: int
    """Rows of tables with a gradient in this batch."""
    rows_bytes: int
    """Their gradients and numbers, which are not what is sent: the rows alone."""

    @property
    def total(self) -> int:
        return self.dense + self.tables + self.averages + self.counts

    def ring(self, cards: int) -> float:
        """Bytes that each of so many cards sends, and receives, at a step."""
        return 2 * (cards - 1) / cards * self.total

    def rows_alone(self, cards: int) -> float:
        """The same if tables went by rows, gathered from all, and all else as it does."""
        return 2 * (cards - 1) / cards * (self.total - self.tables) + (cards - 1) * self.rows_bytes


def sizes(model: nn.Module) -> dict[str, int]:
    """Bytes of the sum by kind: dense, tables, averages, counts."""
    parameters, averages = exchanged(model)
    tables = {id(module.weight) for module in model.modules() if isinstance(module, nn.Embedding)}
    numbers = {
        "dense": sum(one.numel() for one in parameters if id(one) not in tables),
        "tables": sum(one.numel() for one in parameters if id(one) in tables),
        "averages": sum(one.numel() for one in averages),
        "counts": 3 + len(parameters),
    }
    return {kind: NUMBER * count for kind, count in numbers.items()}


def count(name: str, data: RankingData, device: torch.device) -> Exchange:
    """Of a model at its defaults, for the first batch of the first epoch.

    Raises:
        UserError: the model is not trained by gradients.
    """
    info, experiment = at_defaults(name, data, "exchange")
    torch.manual_seed(0)
    model = info.build(experiment.params, data.spec).to(device)
    lessons = course_of(data, info, experiment.train, 0).lessons(0)
    batch = to_device(lessons.assemble(lessons.plans(0)[0], np.random.default_rng(0)), device)
    # Whatever the loss, its gradient reaches the rows that the outputs depend on.
    outputs, auxiliary = model(batch).float().sum(), model.auxiliary_loss()
    (outputs if auxiliary is None else outputs + auxiliary.float()).backward()
    rows, row_bytes = _read(model)
    return Exchange(name, len(batch), **sizes(model), rows_read=rows, rows_bytes=row_bytes)


def _read(model: nn.Module) -> tuple[int, int]:
    """Rows of tables that have a gradient, and the bytes of these rows and their numbers."""
    rows = size = 0
    for module in model.modules():
        if isinstance(module, nn.Embedding) and module.weight.grad is not None:
            read = int(module.weight.grad.ne(0).any(1).sum())
            rows, size = rows + read, size + read * (ROW_ID + NUMBER * module.embedding_dim)
    return rows, size


def lines(found: Sequence[Exchange], cards: Sequence[int], gigabytes: float) -> list[str]:
    """Two tables: bytes by kind, and the projection; `gigabytes` a second go into and out of a card at once."""
    shown = ("model", "examples", "sum", "dense gradients", "table gradients", "averages", "counts", "rows read", "rows' bytes")
    kinds = [
        (one.model, one.examples, one.total, one.dense, one.tables, one.averages, one.counts, one.rows_read, one.rows_bytes)
        for one in found
    ]
    result = _table(shown, [[name, *(f"{value:,}" for value in values)] for name, *values in kinds])
    projected = [
        [one.model, str(n), *(text for sent in (one.ring(n), one.rows_alone(n)) for text in _sent(sent, gigabytes))]
        for one in found
        for n in cards
    ]
    heads = ("model", "cards", "MB a card sends", "ms", "MB with tables by rows", "ms by rows")
    return [*result, "", f"At {gigabytes:g} GB/s into and out of each card, delays left out:", "", *_table(heads, projected)]


def _sent(count: float, gigabytes: float) -> tuple[str, str]:
    return f"{count / 1e6:,.3f}", f"{count / (gigabytes * 1e6):,.3f}"


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    return [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}", *(f"| {' | '.join(row)} |" for row in rows)]
