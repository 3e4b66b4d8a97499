"""Embedding tables of categorical fields: the same lookup and the same start for every model of both families."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import torch
from torch import Tensor, nn


class FieldLike(Protocol):
    """A field as the contract describes it: name, table size, whether it holds several values a row."""

    @property
    def name(self) -> str: ...
    @property
    def size(self) -> int: ...
    @property
    def multi(self) -> bool: ...


def segment_mean(values: Tensor, offsets: Tensor) -> Tensor:
    """Mean of each jagged row: values [T, D], offsets [n + 1] -> [n, D]; zeros for an empty row."""
    lengths = offsets[1:] - offsets[:-1]
    row = torch.repeat_interleave(torch.arange(len(lengths), device=values.device), lengths, output_size=len(values))
    total = values.new_zeros(len(lengths), values.shape[1]).index_add_(0, row, values)
    return total / lengths.clamp(min=1).unsqueeze(1).to(values.dtype)


class FieldEmbeddings(nn.Module):
    """One table a field; a multi-valued field is the mean of its values' rows.

    Rows start at N(0, std); padding and unknown start at zero, so that an id never seen says nothing rather than noise.
    """

    def __init__(self, fields: tuple[FieldLike, ...], dim: int, std: float = 0.02) -> None:
        super().__init__()
        self.dim = dim
        # A list, because a ModuleDict refuses names such as `type` or `a.b`, which users' columns may have.
        self.tables = nn.ModuleList(nn.Embedding(field.size, dim) for field in fields)
        self.index = {field.name: at for at, field in enumerate(fields)}
        for table in self.tables:
            assert isinstance(table, nn.Embedding)
            nn.init.normal_(table.weight, std=std)
            with torch.no_grad():
                table.weight[:2] = 0

    def lookup(self, name: str, ids: Tensor | tuple[Tensor, Tensor]) -> Tensor:
        """[n, dim] for one field: ids int64 [n], or (values, offsets) of n jagged rows."""
        table = self.tables[self.index[name]]
        if isinstance(ids, Tensor):
            return table(ids)
        values, offsets = ids
        return segment_mean(table(values), offsets)

    def forward(self, ids: Mapping[str, Tensor | tuple[Tensor, Tensor]], names: tuple[str, ...]) -> Tensor:
        """[n, len(names), dim]: the named fields side by side, in the order of `names`."""
        return torch.stack([self.lookup(name, ids[name]) for name in names], dim=1)
