"""From codes of the log to ids of a model: 0 padding, 1 unknown, 2.. for values seen in training events, most frequent first."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from ..contract import UNKNOWN, Field
from .eventlog import EventLog, Multi, Owner
from .semantic_ids.codes import ItemCodes

QUANTILE_BINS = 16
"""Bins of a numeric feature, cut at quantiles of its values in training events."""


@dataclass(frozen=True)
class FieldTable:
    """One input field: the model's id (or ids) of every row of its owner (user, item or event)."""

    field: Field
    owner: Owner
    ids: np.ndarray | Multi
    """int32, one per row, or Multi."""


@dataclass(frozen=True)
class Vocabulary:
    """All fields of a split."""

    user: tuple[FieldTable, ...]
    item: tuple[FieldTable, ...]
    context: tuple[FieldTable, ...]
    action: FieldTable
    action_of_event: np.ndarray
    """int32 [events]"""
    codes: ItemCodes | None = None
    """Semantic ids of items, where data.item_id asks for them."""
    behind_ids: FieldTable | None = None
    """Where codes stand in for ids: the codes of an item by its id, for ids that are hidden in training batches."""


def build_vocabulary(log: EventLog, train: np.ndarray, left_out: Collection[str] = ()) -> Vocabulary:
    """Vocabularies and quantiles from the training events `train` (bool [events]) only.

    Args:
        left_out: features that become no field.
    """
    weight = {
        "user": np.bincount(log.user[train], minlength=log.meta.users),
        "item": np.bincount(log.item[train], minlength=log.meta.items),
        "context": train.astype(np.int64),
    }
    tables: dict[str, list[FieldTable]] = {
        "user": [categorical("user", "user", np.arange(log.meta.users), weight["user"])],
        "item": [categorical("item", "item", np.arange(log.meta.items), weight["item"])],
        "context": [],
    }
    for owner, feature in log.meta.features:
        if feature.column in left_out:
            continue
        values = log.feature(feature.column)
        if isinstance(values, Multi):
            table = _multi(feature.column, owner, values, weight[owner])
        elif feature.kind == "number":
            table = _binned(feature.column, owner, np.asarray(values), weight[owner])
        else:
            table = categorical(feature.column, owner, np.asarray(values), weight[owner])
        tables[owner].append(table)
    action = categorical("action", "context", np.asarray(log.action), weight["context"])
    assert isinstance(action.ids, np.ndarray)
    return Vocabulary(tuple(tables["user"]), tuple(tables["item"]), tuple(tables["context"]), action, action.ids)


def _lookup(codes: np.ndarray, weight: np.ndarray, size: int) -> np.ndarray:
    """int32 [size]: code -> id, by falling training count (ties: smaller code first); unknown where the count is 0."""
    count = np.bincount(codes, weights=weight, minlength=size)
    order = np.argsort(-count, kind="stable")
    seen = order[: np.count_nonzero(count)]
    lookup = np.full(size, UNKNOWN, dtype=np.int32)
    lookup[seen] = np.arange(2, 2 + len(seen), dtype=np.int32)
    return lookup


def categorical(name: str, owner: Owner, codes: np.ndarray, weight: np.ndarray) -> FieldTable:
    """A field of one value a row; values of weight 0 in training are unknown."""
    lookup = _lookup(codes, weight, int(codes.max(initial=0)) + 1)
    return FieldTable(Field(name, int(lookup.max(initial=UNKNOWN)) + 1), owner, lookup[codes])


def _multi(name: str, owner: Owner, codes: Multi, weight: np.ndarray) -> FieldTable:
    lookup = _lookup(codes.values, np.repeat(weight, np.diff(codes.offsets)), int(codes.values.max(initial=0)) + 1)
    field = Field(name, int(lookup.max(initial=UNKNOWN)) + 1, multi=True)
    return FieldTable(field, owner, Multi(lookup[codes.values], np.asarray(codes.offsets)))


def _binned(name: str, owner: Owner, values: np.ndarray, weight: np.ndarray) -> FieldTable:
    known = np.isfinite(values)
    seen = known & (weight > 0)
    # Quantiles over training events, not over users or items: repeat each value as often as it occurs.
    order = np.argsort(values[seen], kind="stable")
    mass = np.cumsum(weight[seen][order])
    at = np.searchsorted(mass, np.linspace(0, mass[-1], QUANTILE_BINS + 1)[1:-1]) if len(mass) else np.array([], dtype=int)
    edges = np.unique(values[seen][order][at])
    ids = np.where(known, np.searchsorted(edges, values, side="right") + 2, UNKNOWN).astype(np.int32)
    return FieldTable(Field(name, len(edges) + 3), owner, ids)
