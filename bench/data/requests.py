"""One request with K candidates: of an event of the log, or of a user at any time, with ids as they stand in the source data.

Candidates never see each other. A sequence ranker reads them behind the user's past in one segment, or, where it remembers
the past, alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ...kernels.time_buckets import time_buckets
from ..contract import UNKNOWN, History, Ids, Jagged, PointwiseBatch, SequenceBatch
from ..errors import UserError, unknown_name
from .batches import gather, ids_of, int64, segment_bounds, segment_start
from .dataset import RankingData
from .keys import example_keys
from .segments import chunk_start
from .source_names import SourceNames
from .visibility import window_start
from .vocabulary import FieldTable


@dataclass(frozen=True)
class Request:
    """Who asks, when, under which context, and which events may be seen."""

    user: int
    """Code of the log, -1 for a user without events."""
    time: int
    """Milliseconds since 1970: the start of the request, from which it looks back."""
    context: dict[str, Ids]
    """Ids of the logged context fields, one row each."""
    start: int
    """First place of the segment that a sequence ranker reads; at most lo."""
    lo: int
    """The request sees the places lo to hi (exclusive), which are events unless data.behaviours leaves some out."""
    hi: int
    """Where data.pools make histories, not all places between are seen, see RankingData.seen_places."""
    event: int
    """The event of the log whose request it is, or the number of events."""


def request_of(data: RankingData, event: int) -> Request:
    """The request of an event of the log."""
    at = np.array([event])
    start = segment_start(data, at)[0][0]
    context = gather(data.vocabulary.context, at)
    user, time = int(data.log.user_of(at)[0]), int(data.request_start[event])
    return Request(user, time, context, int(start), int(data.lo[event]), int(data.hi[event]), event)


def request_at(
    data: RankingData, user: str, time: int | None, context: Mapping[str, str], names: SourceNames | None = None
) -> Request:
    """The request of any user at any time; histories are live.

    Args:
        user: as in the source data; one that the log does not know has no history.
        time: milliseconds since 1970; the request looks back from the start of the window that holds it. None for the first
            request that sees all of the user's events.
        context: logged context by column, as in the source data; what is left out is missing.
        names: of the same data, kept by whoever asks more than once.

    Raises:
        UserError: a context field that does not exist, a number that is none, an unknown user without a time.
    """
    names = names or SourceNames(data)
    log, code = data.log, int(names.codes("user", [user])[0])
    if time is None and code < 0:
        raise UserError(f"user {user!r} is not in {log.meta.name}: say when the request is")
    events = (int(log.user_offsets[code]), int(log.user_offsets[code + 1])) if code >= 0 else (0, 0)
    return request_after(data, names, code, events, time, context)


def request_after(
    data: RankingData, names: SourceNames, user: int, events: tuple[int, int], time: int | None, context: Mapping[str, str]
) -> Request:
    """The request of a user whose past is known to be `events` of the log of `data`, first and end; else as `request_at`.

    Args:
        user: a code of the log, -1 for a user that it does not know.
        time: None only where there are events.
    """
    log, known = data.log, {table.field.name: table for table in names.data.vocabulary.context}
    for name in context:
        if name not in known:
            raise unknown_name(f"context field of {log.meta.name}", name, known)
    begin, end = events
    window, delay = round((data.config.request_window or 0) * 1000), round(data.config.feedback_delay * 1000)
    if time is None:
        # The first window that begins after the user's last event has become visible.
        time = int(log.time[end - 1]) + 1 + delay + max(window - 1, 0)
    time = int(window_start(np.array(time), window, log.meta.utc_offset_hours))
    seen = begin + int(np.searchsorted(log.time[begin:end], time - delay, side="left"))
    begin, hi = (int(place) for place in data.places_before(np.array([begin, seen])))
    lo = max(begin, hi - data.spec.history_length)
    if data.pools is not None:
        lo = int(data.pools.lows(np.array([begin]), np.array([hi]))[0])
    start = lo
    if data.config.supervision == "dense":
        start = int(chunk_start(data.spec.history_length, np.array([begin]), np.array([hi]))[0][0])
    rows = {name: names.context_row(table, context.get(name)) for name, table in known.items()}
    return Request(user, time, rows, start, lo, hi, log.meta.events)


def request_batch(data: RankingData, view: str, request: Request, items: np.ndarray) -> PointwiseBatch | SequenceBatch:
    """A request with K candidates: item codes `items` [K], -1 for items that the log does not know."""
    if view == "pointwise":
        return _rows(data, request, items)
    past, candidates = past_batch(data, request), candidate_batch(data, request, items)
    seen, count = len(past.lo), len(items)
    both = lambda one, two: None if one is None or two is None else torch.cat([one, two])  # noqa: E731
    return SequenceBatch(
        offsets=torch.tensor([0, seen + count]),
        fields={name: _joined(past.fields[name], candidates.fields[name]) for name in past.fields},
        action=torch.cat([past.action, candidates.action]),
        past_label=torch.cat([past.past_label, candidates.past_label]),
        observed=torch.cat([past.observed, candidates.observed]),
        lo=torch.cat([past.lo, candidates.lo + request.lo - request.start]),
        hi=torch.cat([past.hi, candidates.hi + seen]),
        time=both(past.time, candidates.time),
        query_time=both(past.query_time, candidates.query_time),
        target=candidates.target + seen,
        example=candidates.example,
        label=candidates.label,
    )


def past_batch(data: RankingData, request: Request) -> SequenceBatch:
    """The events that the request's segment holds, all of them observed, without examples."""
    log, place = data.log, _places(data, request, request.start)
    event = data.past(place)
    bounds = segment_bounds(data, event, *(np.array(one) for one in ([request.start], [0, len(place)], place, [0, len(place)])))
    timed = data.spec.time != "none"
    vocabulary = data.vocabulary
    user, item = np.full(len(event), request.user), np.asarray(log.item[event], dtype=np.int64)
    fields = _rows_of(vocabulary.user, user) | _rows_of(vocabulary.item, item) | gather(vocabulary.context, event)
    if data.spec.time == "request":
        fields |= {name: int64(ids) for name, ids in data.request_fields(event).items()}
    return SequenceBatch(
        offsets=torch.tensor([0, len(event)]),
        fields=fields,
        action=int64(data.past_action(event)),
        past_label=torch.from_numpy(data.past_label(event)),
        observed=torch.ones(len(event), dtype=torch.bool),
        lo=int64(bounds[0]),
        hi=int64(bounds[1]),
        time=int64(np.asarray(log.time[event])) if timed else None,
        query_time=int64(data.query_time(event)) if timed else None,
        target=torch.zeros(0, dtype=torch.int64),
        example=torch.zeros(0, dtype=torch.int64),
        label=torch.zeros(0),
    )


def candidate_batch(data: RankingData, request: Request, items: np.ndarray) -> SequenceBatch:
    """The candidates of a request alone, one segment in which nothing is seen."""
    count = len(items)
    nothing, timed = torch.zeros(count, dtype=torch.int64), data.spec.time != "none"
    return SequenceBatch(
        offsets=torch.tensor([0, count]),
        fields=_candidate_fields(data, request, items),
        action=nothing,
        past_label=torch.zeros(count),
        observed=torch.zeros(count, dtype=torch.bool),
        lo=nothing,
        hi=nothing,
        time=torch.full((count,), request.time) if timed else None,
        query_time=torch.full((count,), _query_time(data, request)) if timed else None,
        target=torch.arange(count),
        example=torch.full((count,), request.event),
        label=torch.zeros(count),
    )


def _rows(data: RankingData, request: Request, items: np.ndarray) -> PointwiseBatch:
    seen = data.past(_places(data, request, request.lo))
    log, count, past = data.log, len(items), np.tile(seen, len(items))
    fields = _rows_of(data.vocabulary.item, np.asarray(log.item[past], dtype=np.int64)) | gather(data.vocabulary.context, past)
    gap = time_buckets(_query_time(data, request) - int64(log.time[past])) if data.spec.time != "none" else None
    same = np.ones(count, dtype=np.int64)
    key = example_keys(log, same * request.user, np.asarray(items, dtype=np.int64), same * request.time, same * 0)
    return PointwiseBatch(
        key=int64(key),
        example=torch.full((count,), request.event),
        label=torch.zeros(count),
        fields=_candidate_fields(data, request, items),
        history=History(
            offsets=torch.arange(count + 1) * len(seen),
            fields=fields,
            action=int64(data.past_action(past)),
            label=torch.from_numpy(data.past_label(past)),
            gap=gap,
        ),
    )


def _places(data: RankingData, request: Request, start: int) -> np.ndarray:
    """int64: the places from `start` on that the request sees, or whose events these see in turn."""
    return data.seen_places(*(np.array([one]) for one in (request.user, start, request.hi)))[0]


def _query_time(data: RankingData, request: Request) -> int:
    """From when the request looks back, as RankingData.query_time."""
    if data.spec.time == "request":
        return request.time
    return int(data.log.time[data.past(np.array([request.hi - 1]))[0]]) if request.hi > request.lo else 0


def _candidate_fields(data: RankingData, request: Request, items: np.ndarray) -> dict[str, Ids]:
    users, vocabulary = np.full(len(items), request.user), data.vocabulary
    fields = _rows_of(vocabulary.user, users) | _rows_of(vocabulary.item, items)
    fields |= {name: _repeated(ids, len(items)) for name, ids in request.context.items()}
    if data.spec.time == "request":
        at = (np.array([value]) for value in (request.time, request.lo, request.hi))
        fields |= {name: int64(np.repeat(ids, len(items))) for name, ids in data.time_fields(*at).items()}
    return fields


def _rows_of(tables: Sequence[FieldTable], rows: np.ndarray) -> dict[str, Ids]:
    return {table.field.name: _known(table, rows) for table in tables}


def _known(table: FieldTable, rows: np.ndarray) -> Ids:
    """Ids of rows of users or items; -1 is unknown, without values in a multi-valued field."""
    ids = ids_of(table, np.maximum(rows, 0))
    known = torch.from_numpy(rows >= 0)
    if isinstance(ids, Tensor):
        return torch.where(known, ids, UNKNOWN)
    lengths = ids.lengths * known
    return Jagged(ids.values[torch.repeat_interleave(known, ids.lengths)], torch.cat([lengths.new_zeros(1), lengths.cumsum(0)]))


def _repeated(ids: Ids, count: int) -> Ids:
    if isinstance(ids, Tensor):
        return ids.repeat(count)
    return Jagged(ids.values.repeat(count), torch.arange(count + 1) * len(ids.values))


def _joined(one: Ids, two: Ids) -> Ids:
    if isinstance(one, Tensor) and isinstance(two, Tensor):
        return torch.cat([one, two])
    assert isinstance(one, Jagged) and isinstance(two, Jagged)
    return Jagged(torch.cat([one.values, two.values]), torch.cat([one.offsets, two.offsets[1:] + one.offsets[-1]]))
