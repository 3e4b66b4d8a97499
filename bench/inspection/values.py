"""What stands for a row before its outcome, as codes, and how often each code occurs: all that checks of columns need.

Codes of events are made in blocks; tables of users and items are in memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ..data.columns import Column, Computed, blocks
from ..data.eventlog import EventLog, Multi, Owner
from ..data.splits import KNOWN
from ..data.vocabulary import QUANTILE_BINS, quantile_edges

_LISTS = 1 << 18
"""Codes of the lists of events: a hash, so that two lists may share one."""


@dataclass(frozen=True)
class Values:
    """A column of a log as codes."""

    owner: Owner
    name: str
    codes: Column
    """int64 [events]; -1 where the value is missing."""
    size: int
    """Every code is smaller."""


def values_of(log: EventLog, ids: bool = True, features: bool = True) -> Iterator[Values]:
    """Users, items and their features and those of events. Numbers are cut at quantiles of their values; a list is one value,
    whatever its order.

    Args:
        ids, features: whether users and items themselves, and what is known of them, are among them.
    """
    of: dict[Owner, Column] = {"user": log.user, "item": log.item}
    if ids:
        yield Values("user", "user", _of_event(log.user, np.arange(log.meta.users)), log.meta.users)
        yield Values("item", "item", _of_event(log.item, np.arange(log.meta.items)), log.meta.items)
    for owner, feature in log.meta.features if features else ():
        values = log.feature(feature.column)
        if isinstance(values, Multi):
            codes, size = _of_lists(values, owner)
        elif feature.kind == "number":
            codes, size = _of_numbers(values)
        else:
            codes, size = _of_texts(values, log.dictionary(f"feature.{feature.column}"))
        yield Values(owner, feature.column, codes if owner == "context" else _of_event(of[owner], codes[:]), size)


def _of_event(owner: Column, codes: np.ndarray) -> Column:
    """Codes of users or items as those of their events."""
    return Computed(len(owner), lambda row: codes[owner[row]])


def _of_texts(values: np.ndarray, texts: np.ndarray) -> tuple[Column, int]:
    missing = texts == ""
    return Computed(len(values), lambda row: np.where(missing[values[row]], -1, values[row].astype(np.int64))), len(texts)


def _of_numbers(values: np.ndarray) -> tuple[Column, int]:
    edges = quantile_edges(values, None, 4 * QUANTILE_BINS)

    def codes(row: np.ndarray) -> np.ndarray:
        number = values[row]
        return np.where(np.isfinite(number), np.searchsorted(edges, number, side="right"), -1)

    return Computed(len(values), codes), len(edges) + 1


def _of_lists(values: Multi, owner: Owner) -> tuple[Column, int]:
    """Lists of events are many, and their codes are hashes; those of users and items are told apart for certain."""

    def sums(row: np.ndarray) -> np.ndarray:
        begin, end = values.offsets[row], values.offsets[row + 1]
        lengths = end - begin
        at = np.repeat(begin - np.append(0, np.cumsum(lengths)[:-1]), lengths) + np.arange(lengths.sum())
        mixed = (values.values[at].astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
        mixed ^= mixed >> np.uint64(29)
        total = np.zeros(len(row), dtype=np.uint64)
        np.add.at(total, np.repeat(np.arange(len(row)), lengths), mixed)
        return total

    def empty(row: np.ndarray) -> np.ndarray:
        return values.offsets[row + 1] == values.offsets[row]

    rows = len(values.offsets) - 1
    if owner == "context":
        mix = np.uint64(0x9E3779B97F4A7C15)
        bucket = lambda row: (sums(row) * mix >> np.uint64(46)).astype(np.int64)  # noqa: E731
        return Computed(rows, lambda row: np.where(empty(row), -1, bucket(row))), _LISTS
    every = np.arange(rows)
    names, codes = np.unique(sums(every), return_inverse=True)
    return np.where(empty(every), -1, codes), len(names)


def counted(values: Values, log: EventLog, role: Column) -> np.ndarray:
    """int32 [roles, 2, size + 1]: rows by role, label and code, of which the first is that of missing values.

    Args:
        role: uint8 [events], of a split, or one more.
    """
    rows = np.zeros((KNOWN + 2, 2, values.size + 1), dtype=np.int32)
    for block in blocks(log.meta.events):
        place = role[block].astype(np.int64) * 2 + log.label[block]
        np.add.at(rows.reshape(-1), place * (values.size + 1) + values.codes[block] + 1, 1)
    return rows
