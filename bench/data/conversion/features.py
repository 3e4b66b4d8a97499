"""Features of users and items in their final form: from the codes of their values to those of the log."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from ..sources.schema import Feature
from ..sources.values import Wording, as_numbers
from .cells import spread
from .coding import as_they_are, coded
from .dictionary import Values
from .growing_column import GrowingColumn
from .merge import Texts

PARTITION_ROWS = 500_000
"""Values of features with several that are sorted at a time; one id alone may have more."""


def write_words(
    feature: Feature, values: Values, wording: Wording, codes: np.ndarray, folder: Path, work: Path, at: int
) -> Texts:
    """Write a category, or cells of several values, for each id of a log.

    Args:
        wording: how `values` are written.
        codes: int32 [ids] among `values`, -1 where missing.
        work: a folder for other files, of which the number `at` is part of the names.

    Returns:
        The texts of the codes that are written.
    """
    used = np.zeros(len(values) + 1, dtype=bool)
    used[codes] = True
    target = folder / f"feature.{feature.column}"
    if feature.kind == "category":
        found = coded(values, wording, used, work / f"words{at}")
        np.save(target.with_name(f"{target.name}.npy"), found.rank[codes])
        return found.texts
    cells = (wording.write(part).fillna("").to_numpy(dtype=object) for _, part in values)
    every = itertools.chain(cells, [np.array([""], dtype=object)])
    return spread(every, used, np.where(codes < 0, len(values), codes), feature.separator, target, work, at)


Pairs = Callable[[], Iterable[tuple[np.ndarray, np.ndarray]]]
"""Blocks of rows, each with the code of an id, and with that of a value or -1 where it is missing."""


def write_all(feature: Feature, pairs: Pairs, values: Values, ids: int, folder: Path, work: Path, at: int) -> Texts:
    """Write all values of each id, which stand in a row each: each value once, in order of their numbers, then of text.

    Args:
        pairs: may be asked for more than once.
        values: texts, of which rows have all.
        ids: how many the log has.
        work, at: as for `write_words`.

    Returns:
        The texts of the codes that are written.
    """
    assert feature.kind == "multi", f"{feature.column} cannot have several values"
    found = as_they_are(values, work / f"words{at}")
    number = np.concatenate([np.empty(0), *(as_numbers(pd.Series(texts, dtype="str")) for texts in found.texts.blocks())])
    order = np.argsort(number, kind="stable")
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.arange(len(order))
    place = place[found.rank[:-1]]

    def keys() -> Iterator[np.ndarray]:
        """int64: one number for each of some pairs, in the order in which they are written."""
        for code, value in pairs():
            known = value >= 0
            yield np.unique(code[known] * np.int64(len(order)) + place[value[known]])

    rows = np.zeros(ids, dtype=np.int64)
    for key in keys():
        rows += np.bincount(key // len(order), minlength=ids)
    part = np.cumsum(rows) // PARTITION_ROWS
    parts = [work / f"pairs{at}.{one}" for one in range(int(part.max(initial=-1)) + 1)]
    for key in keys():
        bounds = np.searchsorted(part[key // len(order)], np.arange(len(parts) + 1))
        for path, begin, end in zip(parts, bounds, bounds[1:], strict=False):
            if begin < end:
                with path.open("ab") as stream:
                    key[begin:end].tofile(stream)
    target = folder / f"feature.{feature.column}"
    column, length = GrowingColumn(target.with_name(f"{target.name}.npy"), np.dtype(np.int32)), np.zeros(ids, dtype=np.int64)
    for path in parts:
        key = np.unique(np.fromfile(path, dtype=np.int64)) if path.exists() else np.empty(0, dtype=np.int64)
        column.append(order[key % len(order)])
        length += np.bincount(key // len(order), minlength=ids)
    column.close()
    np.save(target.with_name(f"{target.name}.offsets.npy"), np.concatenate([[0], np.cumsum(length)]).astype(np.int64))
    return found.texts
