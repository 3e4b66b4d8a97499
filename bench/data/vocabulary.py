"""From codes of the log to ids of a model: 0 padding, 1 unknown, 2.. for values seen in training events, most frequent first."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

import numpy as np

from ..contract import UNKNOWN, Field
from .columns import Column, Computed, blocks, order_statistics
from .eventlog import EventLog, Multi, Owner
from .semantic_ids.codes import ItemCodes

QUANTILE_BINS = 16
"""Bins of a numeric feature, cut at quantiles of its values in training events."""


@dataclass(frozen=True)
class FieldTable:
    """One input field: the model's id (or ids) of every row of its owner (user, item or event)."""

    field: Field
    owner: Owner
    ids: Column | Multi
    """int32, one per row, or Multi."""


@dataclass(frozen=True)
class Vocabulary:
    """All fields of a split."""

    user: tuple[FieldTable, ...]
    item: tuple[FieldTable, ...]
    context: tuple[FieldTable, ...]
    action: FieldTable
    action_of_event: Column
    """int32 [events]"""
    codes: ItemCodes | None = None
    """Semantic ids of items, where data.item_id asks for them."""
    behind_ids: FieldTable | None = None
    """Where codes stand in for ids: the codes of an item by its id, for ids that are hidden in training batches."""


def build_vocabulary(log: EventLog, train: Column, left_out: Collection[str] = (), measured: Column | None = None) -> Vocabulary:
    """Vocabularies and quantiles from the training events `train` (bool [events]) only.

    Args:
        left_out: features that become no field.
        measured: bool [events], of which quantiles are made; None: of `train`.
    """
    weight = _weights(log, train)
    quantiles = weight if measured is None else _weights(log, measured)
    users, items = (np.asarray(weight[owner]) for owner in ("user", "item"))
    tables: dict[str, list[FieldTable]] = {
        "user": [categorical("user", "user", np.arange(log.meta.users), users)],
        "item": [categorical("item", "item", np.arange(log.meta.items), items)],
        "context": [],
    }
    for owner, feature in log.meta.features:
        if feature.column in left_out:
            continue
        values = log.feature(feature.column)
        if isinstance(values, Multi):
            table = _multi(feature.column, owner, values, weight[owner])
        elif feature.kind == "number":
            table = _binned(feature.column, owner, values, quantiles[owner])
        else:
            table = categorical(feature.column, owner, values, weight[owner])
        tables[owner].append(table)
    action = categorical("action", "context", log.action, weight["context"])
    assert not isinstance(action.ids, Multi)
    return Vocabulary(tuple(tables["user"]), tuple(tables["item"]), tuple(tables["context"]), action, action.ids)


def _weights(log: EventLog, chosen: Column) -> dict[Owner, Column]:
    """How many of the chosen events each user and each item has, and which they are."""
    users, items = np.zeros(log.meta.users, dtype=np.int64), np.zeros(log.meta.items, dtype=np.int64)
    for block, user in log.users_of_blocks():
        part = chosen[block]
        users += np.bincount(user[part], minlength=len(users))
        items += np.bincount(log.item[block][part], minlength=len(items))
    return {"user": users, "item": items, "context": chosen}


def _lookup(count: np.ndarray) -> np.ndarray:
    """int32: code -> id, by falling training count (ties: smaller code first); unknown where the count is 0."""
    order = np.argsort(-count, kind="stable")
    seen = order[: np.count_nonzero(count)]
    lookup = np.full(len(count), UNKNOWN, dtype=np.int32)
    lookup[seen] = np.arange(2, 2 + len(seen), dtype=np.int32)
    return lookup


def _size(codes: np.ndarray) -> int:
    """How many codes there are, by the largest."""
    return 1 + max((int(codes[block].max()) for block in blocks(len(codes))), default=0)


def _looked_up(codes: np.ndarray, lookup: np.ndarray, owner: Owner) -> Column:
    """int32: the id of each code; of events, when it is asked for."""
    return Computed(len(codes), lambda row: lookup[codes[row]]) if owner == "context" else lookup[codes]


def categorical(name: str, owner: Owner, codes: np.ndarray, weight: Column) -> FieldTable:
    """A field of one value a row; values of weight 0 in training are unknown."""
    count = np.zeros(_size(codes))
    for block in blocks(len(codes)):
        count += np.bincount(codes[block], weights=weight[block], minlength=len(count))
    lookup = _lookup(count)
    return FieldTable(Field(name, int(lookup.max(initial=UNKNOWN)) + 1), owner, _looked_up(codes, lookup, owner))


def _multi(name: str, owner: Owner, codes: Multi, weight: Column) -> FieldTable:
    values, offsets = codes.values, codes.offsets
    assert isinstance(values, np.ndarray)
    count = np.zeros(_size(values))
    for block in blocks(len(offsets) - 1):
        bounds = offsets[block.start : block.stop + 1]
        times = np.repeat(np.asarray(weight[block], dtype=np.int64), np.diff(bounds))
        count += np.bincount(values[bounds[0] : bounds[-1]], weights=times, minlength=len(count))
    lookup = _lookup(count)
    field = Field(name, int(lookup.max(initial=UNKNOWN)) + 1, multi=True)
    return FieldTable(field, owner, Multi(_looked_up(values, lookup, owner), offsets))


def _binned(name: str, owner: Owner, values: np.ndarray, weight: Column) -> FieldTable:
    edges = quantile_edges(values, weight) if owner == "context" else _owner_edges(np.asarray(values), np.asarray(weight))

    def ids(row: np.ndarray) -> np.ndarray:
        number = values[row]
        return np.where(np.isfinite(number), np.searchsorted(edges, number, side="right") + 2, UNKNOWN).astype(np.int32)

    column = Computed(len(values), ids)
    return FieldTable(Field(name, len(edges) + 3), owner, column if owner == "context" else column[:])


def _owner_edges(values: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Quantiles over training events, not over users or items: each value counts as often as it occurs."""
    seen = np.isfinite(values) & (weight > 0)
    order = np.argsort(values[seen], kind="stable")
    mass = np.cumsum(weight[seen][order])
    at = np.searchsorted(mass, _targets(int(mass[-1]), QUANTILE_BINS)) if len(mass) else np.array([], dtype=int)
    return np.unique(values[seen][order][at])


def quantile_edges(values: np.ndarray, chosen: Column | None, bins: int = QUANTILE_BINS) -> np.ndarray:
    """float32 [bins - 1 at most]: quantiles of numbers that may be too many to be sorted, without those that are not finite.

    Args:
        values: float32 [n].
        chosen: bool [n], which of them count; None: all.
    """

    def seen() -> Iterator[np.ndarray]:
        for block in blocks(len(values)):
            value = values[block]
            counts = np.isfinite(value) if chosen is None else np.isfinite(value) & chosen[block]
            bits = value[counts].view(np.int32).astype(np.int64)
            # As integers, numbers of this kind are in order of size, negative ones the other way round.
            yield np.where(bits < 0, -(bits & 0x7FFFFFFF), bits)

    count = sum(len(part) for part in seen())
    if not count:
        return np.empty(0, dtype=np.float32)
    places = np.ceil(_targets(count, bins)).astype(np.int64) - 1
    found = np.array(order_statistics(seen, places.tolist()), dtype=np.int64)
    return np.unique(np.where(found < 0, -found | 0x80000000, found).astype(np.uint32).view(np.float32))


def _targets(mass: int, bins: int) -> np.ndarray:
    return np.linspace(0, mass, bins + 1)[1:-1]
