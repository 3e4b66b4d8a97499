"""What rankers of several domains share: which domain an example belongs to, and networks of which each domain has its own."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ..bench.contract import UNKNOWN, DataSpec, PointwiseBatch


class Domains:
    """The domains that training knows, from the most frequent one on. Data without a declared domain are one domain.

    A domain that training has never met is taken for the most frequent one: there is nothing of its own that was learned.
    """

    def __init__(self, spec: DataSpec) -> None:
        self.name = spec.domain
        sizes = {field.name: field.size for field in spec.context}
        self.count = max(sizes[self.name] - UNKNOWN - 1, 1) if self.name else 1

    def of(self, batch: PointwiseBatch) -> Tensor:
        """int64 [n], below `count`."""
        if not self.name:
            return torch.zeros_like(batch.example)
        ids = batch.fields[self.name]
        assert isinstance(ids, Tensor), "a domain has one value a row"
        return (ids - UNKNOWN - 1).clamp(min=0)

    def apart(self, x: Tensor, domain: Tensor, network: Callable[[int, Tensor], Tensor]) -> Tensor:
        """Rows x [n, ...] through the network of each row's own domain, which is given its number and its rows."""
        if self.count == 1:
            return network(0, x)
        order = domain.argsort(stable=True)
        rows = x.index_select(0, order).split(torch.bincount(domain, minlength=self.count).tolist())
        result = torch.cat([network(at, part) for at, part in enumerate(rows)])
        return result.index_select(0, order.argsort())
