"""Batches that are put together where the model computes, from a log that lies there: those of `batches`, number by number.

Of a batch the host sends which segments or examples it has and which ids are hidden, a few bytes an event.
"""

from __future__ import annotations

import weakref

import numpy as np
import torch
from torch.nn import functional as F

from ...kernels.time_buckets import time_buckets
from ..contract import History, PointwiseBatch, SequenceBatch
from .batches import Batches, PointwiseBatches, SequenceBatches, make_batches
from .dataset import RankingData
from .examples import Examples
from .keys import example_keys
from .padding import padded
from .resident_log import ResidentLog

_logs: weakref.WeakValueDictionary[tuple[int, str], ResidentLog] = weakref.WeakValueDictionary()
"""By data and device, as long as some batches are cut from them: training and validation after each epoch share the columns."""


def _log_at(data: RankingData, device: torch.device) -> ResidentLog:
    key = (id(data), str(device))
    log = _logs.get(key)
    if log is None or log.data is not data:
        log = _logs[key] = ResidentLog(data, device)
    return log


def filled_up(batches: Batches, plan: np.ndarray, batch: PointwiseBatch | SequenceBatch) -> PointwiseBatch | SequenceBatch:
    """The batch of a plan in one of a few shapes, see `padded`; the host does not wait for a device."""
    return padded(batch, batches.observed(plan) if isinstance(batches, ResidentSequences) else None)


def batches_at(
    place: torch.device | None,
    data: RankingData,
    view: str,
    role: str,
    batch_size: int,
    batch_events: int,
    seed: int = 0,
    whole_requests: bool = False,
) -> Batches:
    """As `make_batches`: put together on a device, from a log that lies there, or, at None, on the host.

    Raises:
        UserError: the data are made of more than gathering on a device knows.
    """
    if place is None:
        return make_batches(data, view, role, batch_size, batch_events, seed, whole_requests)
    log = _log_at(data, place)
    if view == "pointwise":
        return ResidentRows(log, role, batch_size, seed, whole_requests)
    return ResidentSequences(log, role, batch_events, seed, whole_requests)


class ResidentRows(PointwiseBatches):
    """`PointwiseBatches` whose `assemble` gathers on a device, and whose batches lie there."""

    def __init__(self, log: ResidentLog, role: str, batch_size: int, seed: int = 0, whole_requests: bool = False) -> None:
        self.log = log
        super().__init__(log.data, role, batch_size, seed, whole_requests)

    def assemble(self, plan: np.ndarray, rng: np.random.Generator | None) -> PointwiseBatch:
        data, device, examples = self.data, self.log.device, self.examples.take(plan)
        event, lo, hi = examples.event, data.lo[examples.event], data.hi[examples.event]
        offsets = np.concatenate([[0], np.cumsum(hi - lo)])
        key = example_keys(data.log, data.log.user_of(event), examples.item, data.request_start[event], examples.draw)
        numbers = np.stack([event, examples.item, examples.ids(), key.astype(np.int64), lo, examples.label.astype(np.int64)])
        asked, item, ids, keys, first, label = torch.from_numpy(numbers).to(device, non_blocking=True)
        begins = torch.from_numpy(offsets).to(device, non_blocking=True)
        row = torch.repeat_interleave(torch.arange(len(plan), device=device), begins.diff(), output_size=int(offsets[-1]))
        past = torch.arange(len(row), device=device) - begins[row] + first[row]
        now, time = self.log.query_time(asked), self.log.time
        shown = {name: of.of(event, examples.item) for name, of in self.log.lengths.items()}
        held = {name: int((of.before[hi] - of.before[lo]).sum()) for name, of in self.log.lengths.items()}
        fields = self.log.fields(asked, item, shown)
        past_fields = self.log.past_fields(past, self.log.item[past].long(), held)
        if rng is not None and (rate := data.config.unknown_rate) > 0:
            # As the host draws them: users, items, then items of past events.
            fields["user"] = self.log.hidden(fields["user"], rng.random(len(plan)) < rate)
            fields["item"] = self.log.hidden(fields["item"], rng.random(len(plan)) < rate)
            past_fields["item"] = self.log.hidden(past_fields["item"], rng.random(len(row)) < rate)
        return PointwiseBatch(
            example=ids,
            label=label.float(),
            fields=fields,
            history=History(
                offsets=begins,
                fields=past_fields,
                action=self.log.past_action(past),
                label=self.log.past_label(past),
                gap=None if now is None or time is None else time_buckets(now[row] - time[past]),
            ),
            further=self.log.further_labels(asked),
            key=keys,
        )


class ResidentSequences(SequenceBatches):
    """`SequenceBatches` whose `assemble` gathers on a device, and whose batches lie there."""

    def __init__(self, log: ResidentLog, role: str, batch_events: int, seed: int = 0, whole_requests: bool = False) -> None:
        self.log = log
        super().__init__(log.data, role, batch_events, seed, whole_requests)

    def _values(self, plan: np.ndarray) -> dict[str, int]:
        """How many values a batch has of each multi-valued field."""
        found, lengths = {}, self.log.lengths
        behind = self._drawn_of(plan) if lengths and self._drawn is not None else None
        for name, of in lengths.items():
            found[name] = int((of.before[self.end[plan]] - of.before[self.start[plan]]).sum())
            if behind is not None:
                found[name] += of.of(behind.event, behind.item)
        return found

    def _drawn_of(self, plan: np.ndarray) -> Examples:
        """The examples of a batch that stand behind its events."""
        examples = self.examples.take(self.rows(plan))
        return examples.take(examples.draw > 0)

    def _cut(self, examples: Examples) -> None:
        super()._cut(examples)
        there = self.log.there
        self._events = there(examples.event)
        self._drawn = (there(examples.item), there(examples.draw)) if examples.sampled else None

    def observed(self, plan: np.ndarray) -> int:
        """How many events of a batch are observed. Within a user, later events see no less, so the last of a segment tells."""
        return int(np.maximum(self.data.hi[self.end[plan] - 1] - self.start[plan], 0).sum())

    def assemble(self, plan: np.ndarray, rng: np.random.Generator | None) -> SequenceBatch:
        device, log = self.log.device, self.log
        counts = np.stack([self.start[plan], self.past[plan], self.extra[plan], self.offsets[plan], self.offsets[plan + 1]])
        start, past, extra, first, last = torch.from_numpy(counts).to(device, non_blocking=True)
        events, examples = int((counts[1] + counts[2]).sum()), int((counts[4] - counts[3]).sum())
        offsets, segments = F.pad((past + extra).cumsum(0), (1, 0)), torch.arange(len(plan), device=device)
        segment = torch.repeat_interleave(segments, past + extra, output_size=events)
        within = torch.arange(events, device=device) - offsets[segment]
        event = torch.where(within < past[segment], start[segment] + within, 0)
        # The examples of each segment stand end to end among all examples.
        of = torch.repeat_interleave(segments, last - first, output_size=examples)
        row = torch.arange(examples, device=device) + (first - F.pad((last - first).cumsum(0), (1, 0))[:-1])[of]
        asked = self._events[row]
        target, example, label = asked - start[of] + offsets[of], asked, log.label[asked].float()
        item = log.item[event].long()
        if self._drawn is not None:
            drawn_item, draw = (column[row].long() for column in self._drawn)
            behind = (draw > 0).long()
            place = behind.cumsum(0) - behind - F.pad(extra.cumsum(0), (1, 0))[:-1][of]
            target = torch.where(draw > 0, offsets[of + 1] - extra[of] + place, target)
            event, item = event.index_copy(0, target, asked), item.index_copy(0, target, drawn_item)
            example, label = asked + draw * self.data.log.meta.events, (draw == 0).float()
        lo, hi = (bound[event].maximum(start[segment]) - start[segment] + offsets[segment] for bound in (log.lo, log.hi))
        last_hi = torch.zeros_like(start).scatter_reduce(0, segment, hi, "amax")
        observed = torch.arange(events, device=device) < last_hi[segment]
        fields = log.fields(event, item, self._values(plan))
        if rng is not None and (rate := self.data.config.unknown_rate) > 0:
            # As the host draws them: the user of each segment, then the item of each event.
            fields["user"] = log.hidden(fields["user"], rng.random(len(plan)) < rate, segment)
            fields["item"] = log.hidden(fields["item"], rng.random(events) < rate)
        return SequenceBatch(
            offsets=offsets,
            fields=fields,
            action=log.past_action(event).where(observed, 0),
            past_label=log.past_label(event).where(observed, 0),
            observed=observed,
            lo=lo,
            hi=hi,
            time=None if log.time is None else log.time[event],
            query_time=log.query_time(event),
            target=target,
            example=example,
            label=label,
            further=log.further_labels(asked),
        )
