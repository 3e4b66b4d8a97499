"""Batches of both families, cut from the same examples: rows with their history, or packed segments of sequences.

Everything is gathered from columns and offsets, without a Python loop over rows. One order of examples per (seed, epoch).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from ...kernels.time_buckets import time_buckets
from ..contract import ITEM, ITEM_CODES, UNKNOWN, History, Ids, Jagged, PointwiseBatch, SequenceBatch
from .columns import blocks, collected, numbered, ranges, scratch, shuffled, sorted_rows, user_blocks
from .dataset import RankingData
from .eventlog import Multi
from .examples import Examples
from .keys import example_keys
from .pools import bounds_in_segments
from .segments import chunk_start
from .vocabulary import FieldTable
from .whole_requests import batches_of, request_offsets


class Batches(Protocol):
    """A role's examples in one of the two views. A plan names the rows of one batch; assembling it costs the work."""

    examples: Examples
    """What the plans of the latest `plans` call cover, each exactly once."""

    def rows(self, plan: np.ndarray) -> np.ndarray:
        """int64 [n]: which of the examples the batch of a plan has, in its order."""
        ...

    def plans(self, epoch: int | None) -> list[np.ndarray]:
        """The batches of an epoch, shuffled; or, of the first epoch's examples, unshuffled batches without an epoch."""
        ...

    def assemble(self, plan: np.ndarray, rng: np.random.Generator | None) -> PointwiseBatch | SequenceBatch:
        """The batch of a plan; with `rng` (training) a share of its ids becomes unknown, see DataConfig.unknown_rate."""
        ...


def make_batches(
    data: RankingData,
    view: str,
    role: str,
    batch_size: int,
    batch_events: int,
    seed: int = 0,
    whole_requests: bool = False,
) -> Batches:
    """The examples of `role` as a model's card wants to read them.

    Args:
        whole_requests: shuffled batches have all of a request's examples, or none.
    """
    if view == "pointwise":
        return PointwiseBatches(data, role, batch_size, seed, whole_requests)
    return SequenceBatches(data, role, batch_events, seed, whole_requests)


def int64(values: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(values, dtype=np.int64))


def ids_of(table: FieldTable, rows: np.ndarray) -> Ids:
    """Model ids of one field for the given rows of its owner."""
    if isinstance(table.ids, Multi):
        values, offsets = table.ids
        positions, row_offsets = ranges(offsets[rows], offsets[rows + 1] - offsets[rows])
        return Jagged(int64(values[positions]), int64(row_offsets))
    return int64(table.ids[rows])


def gather(tables: Sequence[FieldTable], rows: np.ndarray) -> dict[str, Ids]:
    return {table.field.name: ids_of(table, rows) for table in tables}


def _example_fields(data: RankingData, event: np.ndarray, item: np.ndarray) -> dict[str, Ids]:
    """User, item and context fields of events, as they are known at the request."""
    vocabulary = data.vocabulary
    fields = gather(vocabulary.user, data.log.user_of(event))
    fields |= gather(vocabulary.item, item)
    fields |= gather(vocabulary.context, event)
    if data.spec.time == "request":
        fields |= {name: int64(ids) for name, ids in data.request_fields(event).items()}
    return fields


def _hide(ids: Ids, rng: np.random.Generator, rate: float, rows: np.ndarray | None = None) -> Tensor:
    """The ids of one field, a share `rate` of them unknown: each for itself, or with `rows`, so many neighbours alike."""
    assert isinstance(ids, Tensor)
    hidden = rng.random(len(ids)) < rate if rows is None else np.repeat(rng.random(len(rows)) < rate, rows)
    return torch.where(torch.from_numpy(hidden), UNKNOWN, ids)


def _hide_items(fields: dict[str, Ids], rng: np.random.Generator, rate: float, behind_ids: FieldTable | None) -> None:
    """Hide a share of the items' ids, in place; where codes stand in for ids they do so for those that are hidden."""
    shown = fields[ITEM]
    hidden = _hide(shown, rng, rate)
    fields[ITEM] = hidden
    if behind_ids is not None:
        assert isinstance(shown, Tensor)
        row = (hidden != shown).nonzero().squeeze(1)
        codes, revealed = fields[ITEM_CODES], ids_of(behind_ids, shown[row].numpy())
        assert isinstance(codes, Jagged) and isinstance(revealed, Jagged)
        fields[ITEM_CODES] = _put(codes, row, revealed)


def _put(ids: Jagged, row: Tensor, given: Jagged) -> Jagged:
    """`ids` with `given` at the named rows, which are empty before."""
    own = torch.repeat_interleave(torch.arange(len(ids.lengths)), ids.lengths)
    order = torch.cat([own, torch.repeat_interleave(row, given.lengths)]).argsort(stable=True)
    lengths = ids.lengths.index_copy(0, row, given.lengths)
    return Jagged(torch.cat([ids.values, given.values])[order], torch.cat([lengths.new_zeros(1), lengths.cumsum(0)]))


class PointwiseBatches:
    """Examples as rows, each with the events it may see."""

    def __init__(self, data: RankingData, role: str, batch_size: int, seed: int = 0, whole_requests: bool = False) -> None:
        self.data, self.role, self.batch_size, self.seed, self.whole_requests = data, role, batch_size, seed, whole_requests
        self.examples, self._epoch = data.examples(role, seed), 0

    def plans(self, epoch: int | None) -> list[np.ndarray]:
        if self._epoch != (epoch or 0):
            del self.examples  # scratch files of one epoch are gone before those of the next are made
            self._epoch = epoch or 0
            self.examples = self.data.examples(self.role, self.seed, self._epoch)
        near = self.data.log.near
        if self.whole_requests and epoch is not None:
            offsets = request_offsets(self.data, self.examples.event)
            parts = blocks(len(offsets) - 1)
            size = collected((np.diff(offsets[part.start : part.stop + 1]) for part in parts), np.int64, near)
            order = shuffled(len(size), np.random.default_rng([self.seed, epoch]), near)
            return batches_of(offsets, size, order, self.batch_size, near)
        count, size = len(self.examples), self.batch_size
        rows = numbered(count, near) if epoch is None else shuffled(count, np.random.default_rng([self.seed, epoch]), near)
        return [rows[begin : begin + size] for begin in range(0, count, size)]

    def rows(self, plan: np.ndarray) -> np.ndarray:
        return plan

    def assemble(self, plan: np.ndarray, rng: np.random.Generator | None) -> PointwiseBatch:
        batch = pointwise_batch(self.data, self.examples.take(plan))
        if rng is not None and (rate := self.data.config.unknown_rate) > 0:
            batch.fields["user"] = _hide(batch.fields["user"], rng, rate)
            for fields in (batch.fields, batch.history.fields):
                _hide_items(fields, rng, rate, self.data.vocabulary.behind_ids)
        return batch


def pointwise_batch(data: RankingData, examples: Examples) -> PointwiseBatch:
    """Rows that score each example's item at the request of its event."""
    event = examples.event
    log = data.log
    past, offsets = data.seen(event)
    history_fields = gather(data.vocabulary.item, np.asarray(log.item[past])) | gather(data.vocabulary.context, past)
    gap = None
    if data.spec.time != "none":
        gap = time_buckets(int64(np.repeat(data.query_time(event), np.diff(offsets)) - log.time[past]))
    return PointwiseBatch(
        example=int64(examples.ids()),
        label=torch.from_numpy(examples.label.astype(np.float32)),
        fields=_example_fields(data, event, examples.item),
        history=History(
            offsets=int64(offsets),
            fields=history_fields,
            action=int64(data.past_action(past)),
            label=torch.from_numpy(data.past_label(past)),
            gap=gap,
        ),
        further=data.further_labels(event),
        key=int64(example_keys(log, log.user_of(event), examples.item, data.request_start[event], examples.draw)),
    )


class SequenceBatches:
    """Segments of user sequences in which the examples of a role are the targets.

    Dense supervision: a user's sequence is cut at fixed positions into chunks; a segment is a chunk's events up to its last
    target, preceded by one history length of context. Where an event belongs depends on what it sees alone, so no score
    depends on the future, on events that it does not see, or on batch mates. So all targets of a request are in one segment. By
    impression: a segment for each target.
    Sampled items stand behind the events of their segment and are seen by nothing; so does every example where histories do not
    hold all events.
    """

    def __init__(self, data: RankingData, role: str, batch_events: int, seed: int = 0, whole_requests: bool = False) -> None:
        self.data, self.role, self.batch_events, self.seed = data, role, batch_events, seed
        self.whole_requests = whole_requests
        self._epoch = 0
        self._cut(data.examples(role, seed))

    def _cut(self, examples: Examples) -> None:
        self.examples, near = examples, self.data.log.near
        begins = collected(self._begins(), np.int64, near)
        self.offsets = collected([begins, np.array([len(examples)])], np.int64, near)
        """Segment s has the examples offsets[s]:offsets[s + 1]."""
        parts = list(blocks(len(begins)))
        starts = (segment_start(self.data, examples.event[begins[part]])[0] for part in parts)
        self.start = collected(starts, np.int64, near)
        last = (examples.event[self.offsets[part.start + 1 : part.stop + 1] - 1] for part in parts)
        ends = (event + 1 if self.data.places is None else self.data.hi[event] for event in last)
        self.end = collected(ends, np.int64, near)
        self.past = self.end - self.start if self.data.pools is None else collected(self._in_pools(parts), np.int64, near)
        """Events of each segment, those aside that stand behind."""
        self.extra = scratch(len(begins), np.int64, near)
        """Examples of each segment that stand behind its events."""
        if self.data.places is not None:
            for part in parts:
                self.extra[part] = np.diff(self.offsets[part.start : part.stop + 1])
        elif examples.sampled:
            for part in blocks(len(examples)):
                first, last = np.searchsorted(self.offsets, [part.start, part.stop - 1], side="right") - 1
                bounds = self.offsets[first : last + 2].clip(part.start, part.stop) - part.start
                behind = np.concatenate([[0], np.cumsum(self._behind(examples.take(part)))])
                self.extra[first : last + 1] += np.diff(behind[bounds])

    def _in_pools(self, parts: list[slice]) -> Iterator[np.ndarray]:
        """How many events the segments hold where not all that lie between their ends belong to them."""
        for part in parts:
            yield np.diff(self.data.seen(self.examples.event[self.offsets[part]])[1])

    def _begins(self) -> Iterator[np.ndarray]:
        """The examples at which segments begin."""
        latest = np.full((2, 1), -1)
        for part in blocks(len(self.examples)):
            event = self.examples.event[part]
            # Users without a place in histories begin where the next one does.
            where = np.stack([segment_start(self.data, event)[1], self.data.log.user_of(event)])
            yield part.start + np.flatnonzero((np.diff(where, prepend=latest) != 0).any(0))
            latest = where[:, -1:]

    def _behind(self, examples: Examples) -> np.ndarray:
        """bool [n]: examples that are no event of a history."""
        return examples.draw > 0 if self.data.places is None else np.ones(len(examples), dtype=bool)

    def plans(self, epoch: int | None) -> list[np.ndarray]:
        if self.role == "train" and self._epoch != (epoch or 0):
            del self.examples  # as of rows
            self._epoch = epoch or 0
            self._cut(self.data.examples(self.role, self.seed, self._epoch))
        count, near = len(self.start), self.data.log.near
        if self.whole_requests and epoch is not None:  # a dense segment has all of its requests already
            first = collected((self.examples.event[self.offsets[part]] for part in blocks(count)), np.int64, near)
            offsets = request_offsets(self.data, first)
            sizes = (
                np.add.reduceat(self._size(segments), offsets[requests] - segments.start)
                for requests, segments in user_blocks(offsets)
            )
            size = collected(sizes, np.int64, near)
            order = shuffled(len(size), np.random.default_rng([self.seed, epoch]), near)
            return batches_of(offsets, size, order, self.batch_events, near)
        if epoch is None:  # of similar length together: less padding where a kernel pads
            order = sorted_rows(count, self._size, near)
        else:
            order = shuffled(count, np.random.default_rng([self.seed, epoch]), near)
        batches, begin, filled = [], 0, 0
        for part in blocks(count):
            for at, events in enumerate(self._size(order[part]).tolist(), part.start):
                if filled and filled + events > self.batch_events:
                    batches.append(order[begin:at])
                    begin, filled = at, 0
                filled += events
        batches.append(order[begin:])
        return batches

    def _size(self, segments: np.ndarray | slice) -> np.ndarray:
        """int64: events of segments, and examples behind them."""
        return self.past[segments] + self.extra[segments]

    def rows(self, plan: np.ndarray) -> np.ndarray:
        return ranges(self.offsets[plan], self.offsets[plan + 1] - self.offsets[plan])[0]

    def assemble(self, plan: np.ndarray, rng: np.random.Generator | None) -> SequenceBatch:
        first, last = self.offsets[plan], self.offsets[plan + 1]
        examples = self.examples.take(self.rows(plan))
        user = self.data.log.user_of(self.examples.event[first])
        places, logged_offsets = self._held(user, self.start[plan], self.end[plan])
        logged_events = self.data.past(places)
        offsets = logged_offsets + np.concatenate([[0], np.cumsum(self.extra[plan])])
        event, item = np.empty(offsets[-1], dtype=np.int64), np.empty(offsets[-1], dtype=np.int64)
        # The logged events of each segment come first, then what stands behind them in the order of the examples.
        place, _ = ranges(offsets[:-1], np.diff(logged_offsets))
        event[place], item[place] = logged_events, self.data.log.item[logged_events]
        segment = np.repeat(np.arange(len(plan)), last - first)
        target = examples.event - self.start[plan][segment] + offsets[segment]
        behind = np.flatnonzero(self._behind(examples))
        target[behind], _ = ranges(offsets[1:] - self.extra[plan], self.extra[plan])
        event[target[behind]], item[target[behind]] = examples.event[behind], examples.item[behind]
        bounds = segment_bounds(self.data, event, self.start[plan], offsets, places, logged_offsets)
        batch = sequence_batch(self.data, event, item, *bounds, offsets, target, examples)
        if rng is not None and (rate := self.data.config.unknown_rate) > 0:
            batch.fields["user"] = _hide(batch.fields["user"], rng, rate, np.diff(offsets))
            _hide_items(batch.fields, rng, rate, self.data.vocabulary.behind_ids)
        return batch

    def _held(self, user: np.ndarray, start: np.ndarray, end: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The places of the events of segments, end to end, and the segments' offsets [n + 1]."""
        return ranges(start, end - start) if self.data.pools is None else self.data.seen_places(user, start, end)


def segment_start(data: RankingData, event: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The places where the segment of each event starts, and where its chunk does (which tells segments of a user apart)."""
    if data.config.supervision == "impression":
        return data.lo[event], event
    begin = data.places_before(data.log.user_offsets[data.log.user_of(event)])
    return chunk_start(data.spec.history_length, begin, data.hi[event])


def segment_bounds(
    data: RankingData,
    event: np.ndarray,
    start: np.ndarray,
    offsets: np.ndarray,
    places: np.ndarray,
    past_offsets: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """What each packed event sees of its segment, as packed positions: lo, hi, int64 [E]. Every segment must start at or before
    what its events see, or they see less.

    Args:
        event: positions in the log, one segment after the other, [E].
        start: place of each segment's first event, [S].
        offsets: of the segments, [S + 1].
        places: of the past events of the segments, end to end; past_offsets: of the segments among them, [S + 1].
    """
    segment = np.repeat(np.arange(len(start)), np.diff(offsets))
    if data.pools is not None:
        return offsets[segment], offsets[segment] + bounds_in_segments(places, past_offsets, segment, data.hi[event])
    # What the first events of a segment see may lie before the segment: context of the context, cut off.
    lo, hi = (np.maximum(bound[event], start[segment]) - start[segment] + offsets[segment] for bound in (data.lo, data.hi))
    return lo, hi


def sequence_batch(
    data: RankingData,
    event: np.ndarray,
    item: np.ndarray,
    lo: np.ndarray,
    hi: np.ndarray,
    offsets: np.ndarray,
    target: np.ndarray,
    examples: Examples,
) -> SequenceBatch:
    """Packed events with their bounds.

    Args:
        event: positions in the log, one segment after the other, [E].
        item: item code shown at each of them.
        lo, hi: of `segment_bounds`.
        offsets: of the segments, [S + 1].
        target: which of the E are the examples, [n].
    """
    log = data.log
    last_hi = np.maximum.reduceat(hi, offsets[:-1]) if len(event) else hi
    observed = np.arange(len(event)) < np.repeat(last_hi, np.diff(offsets))
    fields = _example_fields(data, event, item)
    timed = data.spec.time != "none"
    return SequenceBatch(
        offsets=int64(offsets),
        fields=fields,
        action=int64(np.where(observed, data.past_action(event), 0)),
        past_label=torch.from_numpy(np.where(observed, data.past_label(event), 0).astype(np.float32)),
        observed=torch.from_numpy(observed),
        lo=int64(lo),
        hi=int64(hi),
        time=int64(np.asarray(log.time[event])) if timed else None,
        query_time=int64(data.query_time(event)) if timed else None,
        target=int64(target),
        example=int64(examples.ids()),
        label=torch.from_numpy(examples.label.astype(np.float32)),
        further=data.further_labels(examples.event),
    )
