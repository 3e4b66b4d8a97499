"""Items as vectors, of their side information or of what training events say of them. Nothing else of the log is looked at."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from ..columns import Column, blocks, user_blocks
from ..eventlog import EventLog, Multi

SIZE = 64
"""Numbers in a vector, at most."""
_FARTHEST = 3.0
"""Standard deviations from the mean at which a number is cut off."""


@dataclass(frozen=True)
class Vectors:
    """One for each item."""

    values: np.ndarray
    """float32 [items, d]"""
    known: np.ndarray
    """bool [items]: something is known of the item."""


def feature_vectors(log: EventLog, train: Column) -> Vectors:
    """Of the side information: each value of a category is a direction, values of a list share the length of one, numbers are
    standardised. Values, means and directions are those of items with training events, `train` bool [events]."""
    trained = trained_items(log, train)
    parts = [_part(log, feature.column, trained) for owner, feature in log.meta.features if owner == "item"]
    if not parts:
        return Vectors(np.zeros((log.meta.items, 1), dtype=np.float32), np.zeros(log.meta.items, dtype=bool))
    table = sp.csr_matrix(sp.hstack([part for part, _ in parts], dtype=np.float32))
    known = np.logical_or.reduce([told for _, told in parts])
    return Vectors(_reduced(table, trained & known), known)


def trained_items(log: EventLog, train: Column) -> np.ndarray:
    """bool [items]: those with events among `train`, bool [events]."""
    trained = np.zeros(log.meta.items, dtype=bool)
    for events in blocks(log.meta.events):
        trained[log.item[events][train[events]]] = True
    return trained


def event_vectors(log: EventLog, train: Column) -> Vectors:
    """Of the training events: factors of the table of items and users, by outcome (a truncated SVD, as PureSVD of Cremonesi et
    al. 2010), each vector of length one. An item without training events has none."""
    parts = []
    for users, events in user_blocks(log.user_offsets):
        event = events.start + np.flatnonzero(train[events])
        row = 2 * (log.user_of(event) - users.start) + log.label[event]
        shape = (2 * (users.stop - users.start), log.meta.items)
        parts.append(sp.csr_matrix((np.ones(len(event), dtype=np.float32), (row, log.item[event])), shape=shape))
    table = sp.csr_matrix(sp.vstack(parts).T)
    known = np.asarray(table.sum(1)).ravel() > 0
    values = _reduced(_unit(table), known)
    length = np.linalg.norm(values, axis=1, keepdims=True)
    return Vectors(values / np.maximum(length, 1e-12), known)


def _part(log: EventLog, name: str, trained: np.ndarray) -> tuple[sp.csr_matrix, np.ndarray]:
    """Columns of one feature, and of which items it says something."""
    values = log.feature(name)
    if not isinstance(values, Multi) and np.asarray(values).dtype.kind == "f":
        number = np.asarray(values, dtype=np.float64)
        told = np.isfinite(number)
        seen = number[told & trained]
        mean, spread = (seen.mean(), seen.std()) if len(seen) else (0.0, 0.0)
        scaled = np.where(told, np.clip((number - mean) / (spread or 1.0), -_FARTHEST, _FARTHEST), 0.0)
        return sp.csr_matrix(scaled[:, None]), told
    if isinstance(values, Multi):
        code, row = np.asarray(values.values), np.repeat(np.arange(len(trained)), np.diff(values.offsets))
    else:
        code, row = np.asarray(values), np.arange(len(trained))
    texts = log.dictionary(f"feature.{name}")
    kept = np.zeros(len(texts), dtype=bool)
    kept[code[trained[row]]] = True
    kept[np.flatnonzero(texts == "")] = False
    column, shown = np.cumsum(kept) - 1, kept[code]
    of = (np.ones(int(shown.sum()), dtype=np.float32), (row[shown], column[code[shown]]))
    table = _unit(sp.csr_matrix(of, shape=(len(trained), int(kept.sum()))))
    return table, np.diff(table.indptr) > 0


def _unit(table: sp.csr_matrix) -> sp.csr_matrix:
    """With rows of length one, or empty."""
    length = np.sqrt(np.asarray(table.multiply(table).sum(1)).ravel())
    return sp.csr_matrix(sp.diags(1 / np.maximum(length, 1e-12)) @ table)


def _reduced(table: sp.csr_matrix, training: np.ndarray) -> np.ndarray:
    """float32 [n, SIZE at most]: centred, and projected to the main directions of the training rows where there are more."""
    from sklearn.decomposition import TruncatedSVD

    rows, width = sp.csr_matrix(table[training]), table.get_shape()[1]
    size = min(SIZE, width, max(int(training.sum()), 1))
    if size < width:
        svd = TruncatedSVD(size, random_state=0).fit(rows)
        values = np.asarray(svd.transform(table))
    else:
        values = table.toarray()
    centre = values[training].mean(0) if training.any() else 0.0
    return np.asarray(values - centre, dtype=np.float32)
