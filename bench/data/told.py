"""A past that is told with a request, not looked up in the log: what a user did since the log was made, or a user it lacks.

The past becomes the log of one user, with the columns, ids and bounds that the same events would have in the data set's own
log, so that every batch is cut from it as from that.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from ..contract import Jagged
from ..errors import UserError
from .columns import Computed
from .dataset import RankingData
from .eventlog import EventLog, Multi
from .source_names import SourceNames
from .visibility import visible_intervals, windowed_requests
from .vocabulary import FieldTable


@dataclass(frozen=True)
class PastEvent:
    """What a user did, with names as in the source data; what the log does not know is unknown to the model."""

    item: str
    time: int
    """Milliseconds since 1970."""
    label: bool
    """The outcome that the model predicts of candidates."""
    action: str = ""
    """What the user did, as the log names it: the values of the columns that the data set's description calls `action`, with |
    between them where there are several."""
    context: Mapping[str, str] = field(default_factory=dict)
    """Logged context by column; what is left out is missing."""


def told(names: SourceNames, past: Sequence[PastEvent]) -> RankingData:
    """The data of `names` with the one user who did `past`; split, sizes and ids stay theirs.

    Where the log names its requests, past events are of one request if they have the same time.

    Args:
        past: at least one event, in any order; events of one time keep theirs.

    Raises:
        UserError: histories of these data hold chosen events or are frozen; a context field that is a number is none.
    """
    data = names.data
    if data.places is not None or data.config.test_history == "frozen":
        raise UserError(
            "this model's histories are no plain past (data.pools, data.behaviours or data.test_history=frozen): leave the "
            "history out, and the log tells it"
        )
    past = sorted(past, key=lambda event: event.time)
    log, count = _log_of(names, past), len(past)
    window, delay = round((data.config.request_window or 0) * 1000), round(data.config.feedback_delay * 1000)
    requests = windowed_requests(log.user_offsets, log.time, window, log.meta.utc_offset_hours)
    lo, hi = visible_intervals(log.user_offsets, log.time, requests, data.config.history_length, delay)
    ids = names.action_ids([event.action for event in past])
    vocabulary = dataclasses.replace(
        data.vocabulary,
        context=tuple(_context(names, table, past) for table in data.vocabulary.context),
        action_of_event=Computed(count, lambda event: ids[event]),
    )
    return dataclasses.replace(
        data, log=log, vocabulary=vocabulary, lo=lo, hi=hi, request_start=requests.start, request=requests.first
    )


def _log_of(names: SourceNames, past: Sequence[PastEvent]) -> EventLog:
    """The columns of the past in place of those on the disk; dictionaries and facts stay those of the data set."""
    log = EventLog(names.data.log.folder, names.data.log.meta)
    log.__dict__.update(
        user_offsets=np.array([0, len(past)], dtype=np.int64),
        item=names.codes("item", [event.item for event in past]),
        time=np.array([event.time for event in past], dtype=np.int64),
        label=np.array([event.label for event in past], dtype=np.uint8),
    )
    return log


def _context(names: SourceNames, table: FieldTable, past: Sequence[PastEvent]) -> FieldTable:
    """Ids of a logged context field at the past events."""
    rows = [names.context_row(table, event.context.get(table.field.name)) for event in past]
    parts = [np.asarray(row.values if isinstance(row, Jagged) else row, dtype=np.int32) for row in rows]
    values = np.concatenate([np.empty(0, dtype=np.int32), *parts])
    if not table.field.multi:
        return dataclasses.replace(table, ids=values)
    return dataclasses.replace(table, ids=Multi(values, np.cumsum([0, *map(len, parts)])))
