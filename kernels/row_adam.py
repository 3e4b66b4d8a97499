"""AdamW for embedding tables of which a step reads few rows: its cost grows with the rows that are read, not with the table.

The numbers are those of AdamW over whole tables (Loshchilov & Hutter 2019, arXiv:1711.05101), up to rounding. A row without a
gradient would still move, by its momentum and its decay; here it is left alone until it is next read, and then moved at once by
all that it missed, which is a geometric series (row_adam.cpp). Other "lazy" or "sparse" Adams leave that out, so that what they
train depends on how often a row comes.
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
from .embedding import Table
from .lookup import LIBRARY as LOOKUP
from .lookup import Places, RowGradient, of_rows

_TAIL = 4_000
"""Terms after which a series of powers of beta1 / sqrt(beta2) has ended."""


class _Table(ctypes.Structure):
    """As in row_adam.cpp."""

    _fields_ = [
        *((name, ctypes.c_void_p) for name in ("weight", "mean", "square", "last")),
        ("rows", ctypes.c_int64),
        ("dim", ctypes.c_int64),
    ]


class _Rule(ctypes.Structure):
    """As in row_adam.cpp."""

    _fields_ = [
        *((name, ctypes.c_double) for name in ("lr", "decay", "beta1", "beta2", "eps")),
        *((name, ctypes.c_void_p) for name in ("series", "beta1_power", "beta2_power", "decay_power", "ratio_power")),
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


class RowAdamW:
    """Steps tables from the gradients of the rows that were read; between steps, reading a table brings its rows up to date."""

    def __init__(
        self,
        tables: Sequence[Table],
        lr: float,
        weight_decay: float = 0.0,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
    ) -> None:
        """
        Args:
            tables: of float32 on the CPU. From here on their gradients hold the rows alone that were read.
        """
        self.tables = tuple(tables)
        self.lr, self.decay, self.betas, self.eps = lr, 1 - lr * weight_decay, betas, eps
        self.steps = 0
        self.mean = [torch.zeros_like(table.weight) for table in self.tables]
        self.square = [torch.zeros_like(table.weight) for table in self.tables]
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

    def step(self) -> None:
        """After `gather`."""
        self.steps += 1
        if self.steps + 1 >= len(self.series):
            self._grow(2 * len(self.series))
        for at, gradient in enumerate(self.gradients):
            if gradient is not None:
                rows, values = gradient
                LIBRARY().row_adam_step(self._table(at), self._rule(), len(rows), rows.data_ptr(), values.data_ptr(), self.steps)

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

    def release(self) -> None:
        """Let go of the tables, up to date."""
        self.settle()
        for table in self.tables:
            of_rows(table.weight, None)
            table.before_read = None

    def state_dict(self) -> dict[str, Any]:
        return {"steps": self.steps, "mean": self.mean, "square": self.square, "last": self.last}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.steps = state["steps"]
        for own, saved in ((self.mean, state["mean"]), (self.square, state["square"]), (self.last, state["last"])):
            for to, given in zip(own, saved, strict=True):
                to.copy_(given)
        while self.steps + 1 >= len(self.series):
            self._grow(2 * len(self.series))

    def _read(self, at: int, ids: Tensor) -> None:
        if self.steps and len(ids):
            ids = ids.contiguous()
            LIBRARY().row_adam_catch_up(self._table(at), self._rule(), len(ids), ids.data_ptr(), self.steps)

    def _table(self, at: int) -> _Table:
        weight = self.tables[at].weight
        tensors = (weight, self.mean[at], self.square[at], self.last[at])
        return _Table(*(tensor.data_ptr() for tensor in tensors), *weight.shape)

    def _rule(self) -> _Rule:
        arrays = (self.series, *self.powers)
        return _Rule(self.lr, self.decay, *self.betas, self.eps, *(array.data_ptr() for array in arrays))

    def _grow(self, steps: int) -> None:
        """Tables of the series and the powers for so many steps."""
        beta1, beta2 = self.betas
        ratio = beta1 / (math.sqrt(beta2) * self.decay)
        if not 0 <= ratio < 1:
            raise ValueError(f"betas {self.betas} with this decay: what momentum does has no end")
        at = torch.arange(steps + _TAIL + 1, dtype=torch.float64)
        correction = (torch.sqrt(1 - beta2**at) / (1 - beta1**at)).tolist()
        # F(s) = r (c(s + 1) + F(s + 1)), from where c hardly changes any more.
        series = [ratio / (1 - ratio) * correction[-1]]
        for later in reversed(correction[1:]):
            series.append(ratio * (later + series[-1]))
        self.series = torch.tensor(series[::-1][:steps], dtype=torch.float64)
        self.powers = tuple(base ** at[:steps] for base in (beta1, beta2, self.decay, ratio))


def _why_unavailable() -> str | None:
    return LIBRARY.why_unavailable() or LOOKUP.why_unavailable()


register(
    "table_update",
    Implementation("cpu", RowAdamW, device="cpu", dtypes=(torch.float32,), probe=_why_unavailable),
    Implementation("torch", torch.optim.AdamW),
)
