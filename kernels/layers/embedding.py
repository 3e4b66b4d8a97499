"""Embedding tables of categorical fields: the same lookup and the same start for every model of both families."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

import torch
from torch import Tensor, nn

from ..lookup import Part, lookup


class FieldLike(Protocol):
    """A field as the contract describes it: name, table size, whether it holds several values a row."""

    @property
    def name(self) -> str: ...
    @property
    def size(self) -> int: ...
    @property
    def multi(self) -> bool: ...


class Table(nn.Embedding):
    """The rows of one field."""

    by_rows = True
    """Read by lookups alone, so that an optimiser may leave rows alone that no lookup reads."""
    before_read: Callable[[Tensor], None] | None = None
    """Called with the ids that are about to be read: an optimiser that leaves rows alone meanwhile brings them up to date."""
    elsewhere: Callable[[Tensor], Tensor] | None = None
    """Gives the rows of ids, int64 [n] -> [n, dim], where they lie in other processes too; there is no weight then."""


class FieldEmbeddings(nn.Module):
    """One table a field; a multi-valued field is the mean of its values' rows.

    Rows start at N(0, std); padding and unknown start at zero, so that an id never seen says nothing rather than noise.
    """

    def __init__(self, fields: tuple[FieldLike, ...], dim: int, std: float = 0.02, by_rows: bool = True) -> None:
        super().__init__()
        self.dim = dim
        # A list, because a ModuleDict refuses names such as `type` or `a.b`, which users' columns may have.
        self.tables = nn.ModuleList(Table(field.size, dim) for field in fields)
        self.index = {field.name: at for at, field in enumerate(fields)}
        for table in self.tables:
            assert isinstance(table, Table)
            table.by_rows = by_rows
            nn.init.normal_(table.weight, std=std)
            with torch.no_grad():
                table.weight[:2] = 0

    def part(
        self, name: str, ids: Tensor | tuple[Tensor, Tensor], row: Tensor | None = None, weight: Tensor | None = None
    ) -> Part:
        """One field for `lookup`: ids int64 [n], or (values, offsets) of n jagged rows."""
        table = self.tables[self.index[name]]
        assert isinstance(table, Table)
        values, offsets = (ids, None) if isinstance(ids, Tensor) else ids
        if table.before_read is not None:
            table.before_read(values)
        if table.elsewhere is not None:
            different, place = values.unique(return_inverse=True)
            return Part(table.elsewhere(different), place, offsets, row, weight)
        return Part(table.weight, values, offsets, row, weight)

    def lookup(self, name: str, ids: Tensor | tuple[Tensor, Tensor]) -> Tensor:
        """[n, dim] for one field."""
        return lookup([[self.part(name, ids)]], rows_of(ids)).squeeze(1)

    def forward(self, ids: Mapping[str, Tensor | tuple[Tensor, Tensor]], names: tuple[str, ...]) -> Tensor:
        """[n, len(names), dim]: the named fields side by side, in the order of `names`."""
        return lookup([[self.part(name, ids[name])] for name in names], rows_of(ids[names[0]]))


def rows_of(ids: Tensor | tuple[Tensor, Tensor]) -> int:
    """n of ids [n], or of (values, offsets [n + 1])."""
    return len(ids) if isinstance(ids, Tensor) else len(ids[1]) - 1
