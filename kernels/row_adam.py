"""AdamW for embedding tables of which a step reads few rows: its cost grows with the rows that are read, not with the table.

The numbers are those of AdamW over whole tables (Loshchilov & Hutter 2019, arXiv:1711.05101), up to rounding. A row without a
gradient would still move, by its momentum and its decay; here it is left alone until it is next read, and then moved at once by
all that it missed (row_adam.cpp), each missed step at the rate that it had. Other "lazy" or "sparse" Adams leave that out, so
that what they train depends on how often a row comes. An exponential moving average of the weights is kept in the same way.
"""

from __future__ import annotations

import ctypes
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from . import native
from .dispatch import Implementation, register
from .layers.embedding import Table
from .lookup import LIBRARY as LOOKUP
from .lookup import Places, RowGradient, of_rows

_EARLY = 100 + 64 + 2
"""First steps whose rates are kept one by one, as row_adam.cpp wants them: EARLY + TERMS + 2."""
_NOTHING = 1e-20
"""A power of beta1 / sqrt(beta2) below which momentum has ended."""


class _Table(ctypes.Structure):
    """As in row_adam.cpp."""

    _fields_ = [
        *((name, ctypes.c_void_p) for name in ("weight", "mean", "square", "average", "last")),
        ("rows", ctypes.c_int64),
        ("dim", ctypes.c_int64),
    ]


class _Rule(ctypes.Structure):
    """As in row_adam.cpp."""

    _fields_ = [
        *((name, ctypes.c_double) for name in ("rate", "weight_decay", "beta1", "beta2", "eps", "keep")),
        *((name, ctypes.c_void_p) for name in ("kept", "moved", "average_kept", "average_moved", "rates")),
        *((name, ctypes.c_void_p) for name in ("beta1_power", "beta2_power", "keep_power", "ratio_power")),
        ("base", ctypes.c_int64),
    ]


def _declare(library: ctypes.CDLL) -> None:
    number, address = ctypes.c_int64, ctypes.c_void_p
    table, rule = ctypes.POINTER(_Table), ctypes.POINTER(_Rule)
    library.row_adam_catch_up.argtypes = [table, rule, number, address, number]
    library.row_adam_catch_up_all.argtypes = [table, rule, number]
    library.row_adam_collect.argtypes = [number, number, *[address] * 5, number]
    library.row_adam_forget.argtypes = [number, address, address]
    library.row_adam_step.argtypes = [table, rule, number, address, address, number]
    for name in ("catch_up", "catch_up_all", "forget", "step"):
        getattr(library, f"row_adam_{name}").restype = None
    library.row_adam_collect.restype = number


LIBRARY = native.Library(Path(__file__).with_suffix(".cpp"), Path(__file__).with_name("simd.h"), declare=_declare)


_BY_ROW = ("mean", "square", "average", "last")
"""What is kept for each row of each table."""


class RowAdamW:
    """Steps tables from the gradients of the rows that were read; between steps, reading a table brings its rows up to date."""

    def __init__(
        self,
        tables: Sequence[Table],
        lr: float,
        weight_decay: float = 0.0,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        ema: float = 0.0,
    ) -> None:
        """
        Args:
            tables: of float32 on the CPU. From here on their gradients hold the rows alone that were read.
            lr: the largest rate of a step.
            ema: decay of a moving average of the weights, see `averages`; 0: none is kept.
        """
        self.tables = tuple(tables)
        self.lr, self.weight_decay, self.betas, self.eps, self.ema = lr, weight_decay, betas, eps, ema
        self.ratio = betas[0] / math.sqrt(betas[1])
        if not 0 <= self.ratio < 1 - lr * weight_decay:
            raise ValueError(f"betas {betas} with this decay: what momentum does has no end")
        self.steps = self.base = 0
        """Steps taken; the step up to which every row is current."""
        self.since = torch.zeros(4, 1 << 10, dtype=torch.float64)
        """For rows that are current up to step base + i, in column i: what is left of a weight until now, how far momentum has
        moved it, and the sums of both that the average takes."""
        self.since[0, 0] = 1
        self.rates = torch.zeros(_EARLY, dtype=torch.float64)
        self.mean = [torch.zeros_like(table.weight) for table in self.tables]
        self.square = [torch.zeros_like(table.weight) for table in self.tables]
        self.average = [torch.zeros_like(table.weight) for table in self.tables] if ema else []
        self.last = [torch.zeros(table.num_embeddings, dtype=torch.int32) for table in self.tables]
        self.places = [torch.full((table.num_embeddings,), -1, dtype=torch.int32) for table in self.tables]
        self.given: list[list[RowGradient]] = [[] for _ in self.tables]
        self.gradients: list[RowGradient | None] = [None] * len(self.tables)
        self._grow(1 << 12)
        for at, table in enumerate(self.tables):
            of_rows(table.weight, Places(self.places[at], self.given[at]))
            table.before_read = lambda ids, at=at: self._read(at, ids)

    @property
    def parameters(self) -> list[nn.Parameter]:
        return [cast(nn.Parameter, table.weight) for table in self.tables]

    def gather(self) -> list[Tensor]:
        """Sum up what the lookups of a step gave to the same rows; the values of all gradients, to be clipped in place."""
        for at, parts in enumerate(self.given):
            if self.parameters[at].grad is not None:
                raise ValueError("a table was read in another way than by lookup: its gradient has all rows")
            self.gradients[at] = parts[0] if len(parts) == 1 else self._sum(at, parts) if parts else None
            parts.clear()
        return [gradient.values for gradient in self.gradients if gradient is not None]

    def step(self, share: float = 1.0) -> None:
        """After `gather`. `share` of the rate is what this step takes."""
        rate = share * self.lr
        self._advance(rate)
        for at, gradient in enumerate(self.gradients):
            if gradient is not None:
                rows, values = gradient
                rule = self._rule(rate)
                LIBRARY().row_adam_step(self._table(at), rule, len(rows), rows.data_ptr(), values.data_ptr(), self.steps)

    def _advance(self, rate: float) -> None:
        """What rows miss that are not read at the next step."""
        self.steps += 1
        t, n = self.steps, self.steps - self.base
        if t + 1 >= len(self.powers[0]):
            self._grow(2 * len(self.powers[0]))
        if n >= self.since.shape[1]:
            self.since = torch.cat([self.since, torch.zeros_like(self.since)], dim=1)
        if t < _EARLY:
            self.rates[t] = rate
        kept, moved, average_kept, average_moved = self.since[:, :n]
        left, last = 1 - rate * self.weight_decay, min(n, len(self.fading))
        corrected = math.sqrt(1 - self.betas[1] ** t) / (1 - self.betas[0] ** t)
        if left != 1:
            kept *= left
            moved *= left
        moved[n - last :] += rate * corrected * self.fading[len(self.fading) - last :]
        if self.ema:
            for total, value in ((average_kept, kept), (average_moved, moved)):
                total.mul_(self.ema).add_(value)
        self.since[:, n] = torch.tensor([1.0, 0.0, 0.0, 0.0], dtype=torch.float64)

    def zero_grad(self) -> None:
        for parts in self.given:
            parts.clear()
        self.gradients = [None] * len(self.tables)

    def _sum(self, at: int, parts: list[RowGradient]) -> RowGradient:
        """One gradient of several, each of which has a row once at most."""
        library, place, dim, found = LIBRARY(), self.places[at], self.tables[at].embedding_dim, 0
        most = sum(len(part.rows) for part in parts)
        unique, sums = torch.empty(most, dtype=torch.int64), torch.empty(most, dim)
        for rows, values in parts:
            found = library.row_adam_collect(
                len(rows), dim, rows.data_ptr(), values.data_ptr(), place.data_ptr(), unique.data_ptr(), sums.data_ptr(), found
            )
        library.row_adam_forget(found, unique.data_ptr(), place.data_ptr())
        return RowGradient(unique[:found], sums[:found])

    def settle(self) -> None:
        """Bring every row up to date, before tables are read in another way than by a lookup, compared or stored as a result."""
        for at in range(len(self.tables)):
            LIBRARY().row_adam_catch_up_all(self._table(at), self._rule(), self.steps)
        self.base, self.since = self.steps, torch.zeros_like(self.since)
        self.since[0, 0] = 1

    def averages(self) -> list[Tensor]:
        """Of each table, settled before: the mean of the weights after each step, those of i steps ago weighted by ema**i."""
        return [average / (1 - self.ema**self.steps) for average in self.average]

    def release(self) -> None:
        """Let go of the tables, up to date."""
        self.settle()
        for table in self.tables:
            of_rows(table.weight, None)
            table.before_read = None

    def state_dict(self) -> dict[str, Any]:
        return {
            "steps": self.steps,
            "base": self.base,
            "since": self.since[:, : self.steps - self.base + 1].clone(),
            "rates": self.rates,
            **{name: getattr(self, name) for name in _BY_ROW},
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.steps, self.base, self.since = state["steps"], state["base"], state["since"].clone()
        self.rates.copy_(state["rates"])
        for name in _BY_ROW:
            for to, given in zip(getattr(self, name), state[name], strict=True):
                to.copy_(given)
        while self.steps + 1 >= len(self.powers[0]):
            self._grow(2 * len(self.powers[0]))

    def _read(self, at: int, ids: Tensor) -> None:
        if self.steps and len(ids):
            ids = ids.contiguous()
            LIBRARY().row_adam_catch_up(self._table(at), self._rule(), len(ids), ids.data_ptr(), self.steps)

    def _table(self, at: int) -> _Table:
        weight = self.tables[at].weight
        average = self.average[at].data_ptr() if self.average else None
        others = (tensor.data_ptr() for tensor in (weight, self.mean[at], self.square[at]))
        return _Table(*others, average, self.last[at].data_ptr(), *weight.shape)

    def _rule(self, rate: float = 0.0) -> _Rule:
        arrays = (*self.since, self.rates, *self.powers)
        addresses = (array.data_ptr() for array in arrays)
        return _Rule(rate, self.weight_decay, *self.betas, self.eps, self.ema, *addresses, self.base)

    def _grow(self, steps: int) -> None:
        """Tables of powers for so many steps."""
        at = torch.arange(steps + 1, dtype=torch.float64)
        self.powers = tuple(base**at for base in (*self.betas, self.ema, self.ratio))
        terms = math.ceil(math.log(_NOTHING) / math.log(self.ratio)) if self.ratio else 1
        self.fading = self.ratio ** torch.arange(terms, 0, -1, dtype=torch.float64)


def _why_unavailable() -> str | None:
    return LIBRARY.why_unavailable() or LOOKUP.why_unavailable()


register(
    "table_update",
    Implementation(
        "cpu", RowAdamW, device="cpu", dtypes=(torch.float32,), probe=_why_unavailable,
        what="AdamW over the rows that a step reads; the numbers are those of AdamW over the whole table",
    ),
    Implementation("torch", torch.optim.AdamW, what="torch's AdamW over the whole table"),
    users="embedding tables of 50,000 rows and more",
)  # fmt: skip
