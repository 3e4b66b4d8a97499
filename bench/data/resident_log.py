"""A log's columns where the model computes, so that batches are gathered there: a step sends positions and offsets alone.

Gathering is done in torch's operations on whatever device it is, and never waits for it: sizes are known to the host.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ...kernels.time_buckets import time_buckets
from ..contract import UNKNOWN, Ids, Jagged
from ..errors import UserError
from .columns import Column
from .dataset import RankingData
from .eventlog import Multi
from .vocabulary import FieldTable

_HOUR_MS, _DAY_MS = 3_600_000, 86_400_000


def why_not_resident(data: RankingData) -> str | None:
    """None if batches of these data can be put together on a device."""
    if data.places is not None:
        return "histories do not hold all events (data.behaviours, data.pools or examples apart from histories)"
    if data.vocabulary.codes is not None:
        return f"items have semantic ids (data.item_id={data.config.item_id})"
    return None


class _Table(NamedTuple):
    """Ids of one field on the device: one of each row of its owner, or several."""

    name: str
    values: Tensor
    offsets: Tensor | None

    def of(self, rows: Tensor, count: int | None) -> Ids:
        """Model ids of rows; of several a row, `count` in all."""
        if self.offsets is None:
            return self.values[rows].long()
        begin, length = self.offsets[rows], self.offsets[rows + 1] - self.offsets[rows]
        offsets = F.pad(length.cumsum(0), (1, 0))
        place = torch.arange(count or 0, device=rows.device)
        of_row = torch.repeat_interleave(torch.arange(len(rows), device=rows.device), length, output_size=count)
        return Jagged(self.values[begin[of_row] + place - offsets[of_row]].long(), offsets)


class Lengths(NamedTuple):
    """How many values a multi-valued field has, on the host."""

    before: np.ndarray
    """int64 [events + 1]: in all events before each."""
    length: np.ndarray
    """int64: of each row of its owner."""
    of_items: bool

    def of(self, event: np.ndarray, item: np.ndarray) -> int:
        """In all of `event` [n] together, at which the items [n] are shown."""
        return int((self.length[item] if self.of_items else self.before[event + 1] - self.before[event]).sum())


class ResidentLog:
    """What batches are gathered from.

    Raises:
        UserError: the data are made of more than such gathering knows.
    """

    def __init__(self, data: RankingData, device: torch.device) -> None:
        if reason := why_not_resident(data):
            raise UserError(f"train.assembly=device does not work with these data: {reason}; use host")
        self.data, self.device = data, device
        log, vocabulary = data.log, data.vocabulary
        self.item, self.lo, self.hi = (self.there(column) for column in (log.item, data.lo, data.hi))
        self.label = self.there(log.label)
        self.time = self.there(log.time) if data.spec.time != "none" else None
        self.lengths: dict[str, Lengths] = {}
        """Of the multi-valued fields."""
        self._user_offsets = self.there(log.user_offsets)
        self._action = self.there(vocabulary.action_of_event) if data.config.outcomes == "action" else None
        self._request = self.there(data.request_start) if data.spec.time == "request" else None
        self._further = [self.there(log.further_label(name)) for name in data.config.labels]
        self._user, self._items, self._context = (
            [self._table(table) for table in tables] for tables in (vocabulary.user, vocabulary.item, vocabulary.context)
        )

    def there(self, column: Column) -> Tensor:
        """A column on the device."""
        return torch.from_numpy(np.array(column[:])).to(self.device)

    def _table(self, table: FieldTable) -> _Table:
        if not isinstance(table.ids, Multi):
            return _Table(table.field.name, self.there(table.ids), None)
        length, log = np.diff(table.ids.offsets), self.data.log
        owner = {"user": log.user_of, "item": lambda event: np.asarray(log.item[event]), "context": lambda event: event}
        of_event = length[owner[table.owner](np.arange(log.meta.events))]
        before = np.concatenate([[0], np.cumsum(of_event)])
        self.lengths[table.field.name] = Lengths(before, length, table.owner == "item")
        return _Table(table.field.name, self.there(table.ids.values), self.there(table.ids.offsets))

    def fields(self, event: Tensor, item: Tensor, values: dict[str, int]) -> dict[str, Ids]:
        """User, item and context fields of events at their requests.

        Args:
            values: how many values each multi-valued field has in all of them.
        """
        user = torch.searchsorted(self._user_offsets, event, right=True) - 1
        fields = {table.name: table.of(user, values.get(table.name)) for table in self._user}
        fields |= self.past_fields(event, item, values)
        if self._request is not None and self.time is not None:
            # As `RankingData.time_fields`.
            asked, hi = self._request[event], self.hi[event]
            local = asked + int(self.data.log.meta.utc_offset_hours * _HOUR_MS)
            seen = hi > self.lo[event]
            gap = (asked - self.time[(hi - 1).clamp(min=0)]).where(seen, 0)
            fields["hour"] = local.div(_HOUR_MS, rounding_mode="floor") % 24 + 2
            fields["weekday"] = (local.div(_DAY_MS, rounding_mode="floor") + 3) % 7 + 2
            fields["since_last"] = (time_buckets(gap) + 2).where(seen, 1)
        return fields

    def past_fields(self, event: Tensor, item: Tensor, values: dict[str, int]) -> dict[str, Ids]:
        """Item fields and logged context fields of events; arguments as of `fields`."""
        fields = {table.name: table.of(item, values.get(table.name)) for table in self._items}
        return fields | {table.name: table.of(event, values.get(table.name)) for table in self._context}

    def query_time(self, event: Tensor) -> Tensor | None:
        """As `RankingData.query_time`."""
        if self.time is None or self._request is not None:
            return None if self._request is None else self._request[event]
        hi = self.hi[event]
        return self.time[(hi - 1).clamp(min=0)].where(hi > self.lo[event], 0)

    def past_action(self, event: Tensor) -> Tensor:
        """As `RankingData.past_action`."""
        return torch.full_like(event, UNKNOWN) if self._action is None else self._action[event].long()

    def past_label(self, event: Tensor) -> Tensor:
        """As `RankingData.past_label`."""
        return self.label[event].float() if self.data.config.outcomes != "none" else torch.zeros(len(event), device=self.device)

    def further_labels(self, event: Tensor) -> Tensor | None:
        """As `RankingData.further_labels`."""
        return torch.stack([label[event] for label in self._further], 1).float() if self._further else None

    def hidden(self, ids: Ids, drawn: np.ndarray, of: Tensor | None = None) -> Tensor:
        """Ids of which those that are drawn, bool [n], are unknown; `of`: which of the n each id belongs to."""
        assert isinstance(ids, Tensor)
        there = torch.from_numpy(drawn).to(self.device, non_blocking=True)
        return ids.masked_fill(there if of is None else there[of], UNKNOWN)
