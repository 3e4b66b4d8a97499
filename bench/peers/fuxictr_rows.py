"""Our examples as the tables and the feature columns that FuxiCTR reads: same rows, same labels, same knowledge.

FuxiCTR takes one table a role in which a history is a text of tokens, `12^7^40`, oldest first. Tokens are our ids, so that a
value without training events is the same `unknown` for both sides; from them FuxiCTR's own processor makes its vocabularies,
over the training table alone.

Three variants of what its models see of the past:

- `liked`: its usual usage. The ids of the latest L items that the user liked before; the candidate's id looks at them.
- `all`: what our models see without time information. The latest L events of either outcome, each with its item's fields,
  its logged context and its outcome; the candidate looks at them with the same fields and a constant in the outcome's place.
  A past event can have but one value a field in FuxiCTR, so that a set of genres is one value of its own there.
- `ids`: the events of `all`, of each its item's id alone; for comparing speed.
"""

from __future__ import annotations

import hashlib
import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from ..contract import UNKNOWN
from ..data.columns import ranges
from ..data.dataset import RankingData
from ..data.eventlog import Multi
from ..data.splits import ROLES
from ..data.vocabulary import FieldTable

VARIANTS = ("liked", "all", "ids")
BETWEEN = "^"
"""Between the tokens of a sequence; FuxiCTR's usual separator."""

ASKED = "asked"
"""Stands for the candidate's outcome, which is what is asked."""


@dataclass(frozen=True)
class PeerRows:
    """What FuxiCTR is given."""

    tables: dict[str, pd.DataFrame]
    """Role -> one row an example, in our order: `label` and the columns below as text."""
    columns: list[dict[str, Any]]
    """FuxiCTR's `feature_cols`."""
    target: tuple[str, ...]
    """Columns with which the candidate looks at the past, and those of the past, pair by pair."""
    past: tuple[str, ...]

    @property
    def digest(self) -> str:
        """sha256 of all tables."""
        digest = hashlib.sha256()
        for role, table in self.tables.items():
            for name in table:
                digest.update("\n".join([role, str(name), *table[name].astype(str)]).encode())
        return digest.hexdigest()


def past_events(data: RankingData, event: np.ndarray, variant: str) -> tuple[np.ndarray, np.ndarray]:
    """The events that each of `event` sees in a variant, end to end and oldest first, and their offsets [n + 1]."""
    hi = data.hi[event]
    if variant != "liked":
        return data.seen(event)
    held = np.arange(data.log.meta.events) if data.places is None else data.places.event
    liked = np.flatnonzero(data.log.label[held])
    begin = np.searchsorted(liked, data.places_before(data.log.user_offsets[data.log.user_of(event)]))
    end = np.searchsorted(liked, hi)
    begin = np.maximum(begin, end - data.spec.history_length)
    at, offsets = ranges(begin, end - begin)
    return data.past(liked[at]), offsets


def peer_rows(data: RankingData, variant: str) -> PeerRows:
    """The examples of every role; `data` must have exposed negatives and no time information."""
    vocabulary = data.vocabulary
    shared = (*vocabulary.item, *vocabulary.context)
    fields = {table.field.name: table for table in (*vocabulary.user, *shared)}
    seen = fields["item"], *(table for table in shared if table.field.name != "item")
    keys = {_key(table): table for table in (seen if variant == "all" else seen[:1])}
    columns = [_column(name, data, table) for name, table in fields.items()]
    columns += [_column(name, data) for name in keys if name not in fields]
    if variant == "all":
        columns.append(_column("outcome", data))
    target = (*keys, *(["outcome"] if variant == "all" else []))
    columns += [
        {**_column(f"past_{name}", data), **_sequence(data.spec.history_length), "feature_encoder": None, "share_embedding": name}
        for name in target
    ]
    outcome = _tokens(vocabulary.action_of_event[:]) + ":" + np.asarray(data.log.label).astype(str).astype(object)
    tables = {}
    for role in ROLES:
        event = data.split.examples(role)
        past, offsets = past_events(data, event, variant)
        values: dict[str, Any] = {"label": np.asarray(data.log.label[event], dtype=np.float64)}
        values |= {name: _texts(table, _owner(data, table, event)) for name, table in fields.items()}
        for name, table in keys.items():
            tokens = _single(table)
            values[name] = tokens[_owner(data, table, event)]
            values[f"past_{name}"] = _joined(tokens[_owner(data, table, past)], offsets)
        if variant == "all":
            values["outcome"] = np.full(len(event), ASKED, dtype=object)
            values["past_outcome"] = _joined(outcome[past], offsets)
        tables[role] = pd.DataFrame(values)
    return PeerRows(tables, columns, target, tuple(f"past_{name}" for name in target))


def _key(table: FieldTable) -> str:
    """A past event's column: a field of several values becomes one of its own."""
    return f"{table.field.name}_set" if table.field.multi else table.field.name


def _column(name: str, data: RankingData, table: FieldTable | None = None) -> dict[str, Any]:
    column: dict[str, Any] = {"name": name, "active": True, "dtype": "str", "type": "categorical"}
    if table is not None and isinstance(table.ids, Multi):
        column |= _sequence(int(np.diff(table.ids.offsets).max()))
    return column


def _sequence(longest: int) -> dict[str, Any]:
    return {"type": "sequence", "splitter": BETWEEN, "max_len": longest, "padding": "post"}


def _owner(data: RankingData, table: FieldTable, event: np.ndarray) -> np.ndarray:
    """Rows of a field's table for events."""
    if table.owner == "user":
        return data.log.user_of(event)
    return np.asarray(data.log.item[event]) if table.owner == "item" else event


def _tokens(ids: np.ndarray) -> np.ndarray:
    """Ids as text, object [n]."""
    return np.where(ids == UNKNOWN, "unknown", ids.astype(str)).astype(object)


def _single(table: FieldTable) -> np.ndarray:
    """One token for each row of a field's owner; a set of values is one token, whatever their order."""
    if not isinstance(table.ids, Multi):
        return _tokens(np.asarray(table.ids))
    values, offsets = table.ids
    rows = itertools.pairwise(offsets.tolist())
    return np.array(["+".join(map(str, sorted(values[a:b].tolist()))) or "none" for a, b in rows], dtype=object)


def _texts(table: FieldTable, rows: np.ndarray) -> np.ndarray:
    """The field of each example as FuxiCTR reads it."""
    if not isinstance(table.ids, Multi):
        return _tokens(table.ids[rows])
    values, offsets = table.ids
    return _joined(_tokens(np.asarray(values)), offsets)[rows]


def _joined(tokens: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """One text a row, object [n]; an empty row is an empty text, which FuxiCTR reads as padding alone."""
    texts = [BETWEEN.join(tokens[a:b]) for a, b in itertools.pairwise(offsets.tolist())]
    result = np.empty(len(texts), dtype=object)
    result[:] = texts
    return result
