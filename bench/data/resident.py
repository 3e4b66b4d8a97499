"""Batches of sequences that are put together where the model computes: the log's columns lie there, and a step sends offsets.

The batches are those of `SequenceBatches`, number by number. Gathering is done in torch's operations on whatever device it is; of
a batch the host sends which segments it has and which ids are hidden, a few bytes an event, and never waits for the device.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ...kernels.time_buckets import time_buckets
from ..contract import UNKNOWN, Ids, Jagged, SequenceBatch
from ..errors import UserError
from .batches import SequenceBatches
from .columns import Column
from .dataset import RankingData
from .eventlog import Multi
from .negatives import Examples
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


class _Lengths(NamedTuple):
    """How many values a multi-valued field has."""

    before: np.ndarray
    """int64 [events + 1]: in all events before each."""
    length: np.ndarray
    """int64: of each row of its owner."""
    of_items: bool


class ResidentSequences(SequenceBatches):
    """`SequenceBatches` whose `assemble` gathers on a device, and whose batches lie there.

    Raises:
        UserError: the data are made of more than such gathering knows.
    """

    def __init__(
        self, data: RankingData, role: str, batch_events: int, device: torch.device, seed: int = 0, whole_requests: bool = False
    ) -> None:
        if reason := why_not_resident(data):
            raise UserError(f"train.assembly=device does not work with these data: {reason}; use host")
        self.device = device
        super().__init__(data, role, batch_events, seed, whole_requests)
        log, timed, vocabulary = data.log, data.spec.time != "none", data.vocabulary
        self._item, self._lo, self._hi = (self._there(column) for column in (log.item, data.lo, data.hi))
        self._label = self._there(log.label)
        self._user_offsets = self._there(log.user_offsets)
        self._action = self._there(vocabulary.action_of_event) if data.config.outcomes == "action" else None
        self._time = self._there(log.time) if timed else None
        self._request = self._there(data.request_start) if data.spec.time == "request" else None
        self._further = [self._there(log.further_label(name)) for name in data.config.labels]
        self._tables = [
            [self._table(table) for table in tables] for tables in (vocabulary.user, vocabulary.item, vocabulary.context)
        ]
        self._lengths = {table.field.name: self._values_before(table) for table in (*vocabulary.user, *vocabulary.item)}
        self._lengths |= {table.field.name: self._values_before(table) for table in vocabulary.context}

    def _there(self, column: Column) -> Tensor:
        return torch.from_numpy(np.array(column[:])).to(self.device)

    def _table(self, table: FieldTable) -> _Table:
        if isinstance(table.ids, Multi):
            return _Table(table.field.name, self._there(table.ids.values), self._there(table.ids.offsets))
        return _Table(table.field.name, self._there(table.ids), None)

    def _values_before(self, table: FieldTable) -> _Lengths | None:
        """Of a multi-valued field, on the host, which so knows the sizes of batches; None of other fields."""
        if not isinstance(table.ids, Multi):
            return None
        length, log = np.diff(table.ids.offsets), self.data.log
        owner = {"user": log.user_of, "item": lambda event: np.asarray(log.item[event]), "context": lambda event: event}
        of_event = length[owner[table.owner](np.arange(log.meta.events))]
        return _Lengths(np.concatenate([[0], np.cumsum(of_event)]), length, table.owner == "item")

    def _values(self, plan: np.ndarray) -> dict[str, int]:
        """How many values a batch has of each multi-valued field."""
        found, behind = {}, None
        for name, of in self._lengths.items():
            if of is None:
                continue
            found[name] = int((of.before[self.end[plan]] - of.before[self.start[plan]]).sum())
            if self._drawn is not None:
                behind = self._drawn_of(plan) if behind is None else behind
                own = of.length[behind.item] if of.of_items else np.diff(of.before)[behind.event]
                found[name] += int(own.sum())
        return found

    def _drawn_of(self, plan: np.ndarray) -> Examples:
        """The examples of a batch that stand behind its events."""
        examples = self.examples.take(self.rows(plan))
        return examples.take(examples.draw > 0)

    def _fields(self, event: Tensor, item: Tensor, values: dict[str, int]) -> dict[str, Ids]:
        """As `batches.sequence_batch` has them."""
        user = torch.searchsorted(self._user_offsets, event, right=True) - 1
        rows = zip(self._tables, (user, item, event), strict=True)
        fields = {table.name: table.of(row, values.get(table.name, 0)) for tables, row in rows for table in tables}
        if self._request is not None and self._time is not None:
            # As `RankingData.time_fields`.
            asked, hi = self._request[event], self._hi[event]
            local = asked + int(self.data.log.meta.utc_offset_hours * _HOUR_MS)
            seen = hi > self._lo[event]
            gap = (asked - self._time[(hi - 1).clamp(min=0)]).where(seen, 0)
            fields["hour"] = local.div(_HOUR_MS, rounding_mode="floor") % 24 + 2
            fields["weekday"] = (local.div(_DAY_MS, rounding_mode="floor") + 3) % 7 + 2
            fields["since_last"] = (time_buckets(gap) + 2).where(seen, 1)
        return fields

    def _query_time(self, event: Tensor) -> Tensor | None:
        """As `RankingData.query_time`."""
        if self._time is None or self._request is not None:
            return None if self._request is None else self._request[event]
        hi = self._hi[event]
        return self._time[(hi - 1).clamp(min=0)].where(hi > self._lo[event], 0)

    def _cut(self, examples: Examples) -> None:
        super()._cut(examples)
        self._events = self._there(examples.event)
        self._drawn = (self._there(examples.item), self._there(examples.draw)) if examples.sampled else None

    def observed(self, plan: np.ndarray) -> int:
        """How many events of a batch are observed. Within a user, later events see no less, so the last of a segment tells."""
        return int(np.maximum(self.data.hi[self.end[plan] - 1] - self.start[plan], 0).sum())

    def assemble(self, plan: np.ndarray, rng: np.random.Generator | None) -> SequenceBatch:
        device, log = self.device, self.data.log
        counts = np.stack([self.start[plan], self.past[plan], self.extra[plan], self.offsets[plan], self.offsets[plan + 1]])
        start, past, extra, first, last = torch.from_numpy(counts).to(device)
        events, examples = int((counts[1] + counts[2]).sum()), int((counts[4] - counts[3]).sum())
        offsets, segments = F.pad((past + extra).cumsum(0), (1, 0)), torch.arange(len(plan), device=device)
        segment = torch.repeat_interleave(segments, past + extra, output_size=events)
        within = torch.arange(events, device=device) - offsets[segment]
        event = torch.where(within < past[segment], start[segment] + within, 0)
        # The examples of each segment stand end to end among all examples.
        of = torch.repeat_interleave(segments, last - first, output_size=examples)
        row = torch.arange(examples, device=device) + (first - F.pad((last - first).cumsum(0), (1, 0))[:-1])[of]
        asked = self._events[row]
        target, example, label = asked - start[of] + offsets[of], asked, self._label[asked].float()
        item = self._item[event].long()
        if self._drawn is not None:
            drawn_item, draw = (column[row] for column in self._drawn)
            behind = (draw > 0).long()
            place = behind.cumsum(0) - behind - F.pad(extra.cumsum(0), (1, 0))[:-1][of]
            target = torch.where(draw > 0, offsets[of + 1] - extra[of] + place, target)
            event, item = event.index_copy(0, target, asked), item.index_copy(0, target, drawn_item)
            example, label = asked + draw * log.meta.events, (draw == 0).float()
        lo, hi = (bound[event].maximum(start[segment]) - start[segment] + offsets[segment] for bound in (self._lo, self._hi))
        last_hi = torch.zeros_like(start).scatter_reduce(0, segment, hi, "amax")
        observed = torch.arange(events, device=device) < last_hi[segment]
        fields = self._fields(event, item, self._values(plan))
        if rng is not None and (rate := self.data.config.unknown_rate) > 0:
            # As the host draws them: the user of each segment, then the item of each event.
            users, items = torch.from_numpy(rng.random(len(plan)) < rate), torch.from_numpy(rng.random(events) < rate)
            fields["user"] = fields["user"].masked_fill(users.to(device)[segment], UNKNOWN)  # type: ignore[union-attr]
            fields["item"] = fields["item"].masked_fill(items.to(device), UNKNOWN)  # type: ignore[union-attr]
        action = self._action[event].long() if self._action is not None else torch.full_like(event, UNKNOWN)
        told = self._label[event].float() if self.data.config.outcomes != "none" else torch.zeros(events, device=device)
        return SequenceBatch(
            offsets=offsets,
            fields=fields,
            action=action.where(observed, 0),
            past_label=told.where(observed, 0),
            observed=observed,
            lo=lo,
            hi=hi,
            time=None if self._time is None else self._time[event],
            query_time=self._query_time(event),
            target=target,
            example=example,
            label=label,
            further=torch.stack([of_label[asked] for of_label in self._further], 1).float() if self._further else None,
        )
