"""Cells that hold several values each, out of core: from the code of a cell in every row to the codes of its values."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd

from .coding import as_they_are
from .dictionary import Dictionary
from .growing_column import GrowingColumn
from .merge import Texts

BLOCK_ROWS = 200_000
"""Rows that are written at a time."""


def spread(
    cells: Iterable[np.ndarray], seen: np.ndarray, codes: np.ndarray, separator: str, target: Path, work: Path, at: int
) -> Texts:
    """Write the values of the cells of all rows, end to end, into `target`.npy (int32), and offsets into `target`.offsets.npy.

    Args:
        cells: texts of all cells in order of their codes, object [n] arrays of which one is in memory at a time.
        seen: bool [cells]: those that rows have; values of others are forgotten.
        codes: int32 [rows], the cell of each row; may lie in `target`.npy.
        work: a folder for other files, whose names begin with the number `at`.

    Returns:
        The values' texts, in order of their codes.
    """
    parts = Dictionary(work, f"cells{at}")
    length, blocks, begin = np.zeros(len(seen), dtype=np.int64), 0, 0
    for texts in cells:
        chosen = begin + np.flatnonzero(seen[begin : begin + len(texts)])
        lists = [[part for part in str(text).split(separator) if part] for text in texts[chosen - begin]]
        length[chosen] = [len(one) for one in lists]
        every = pd.Series([part for one in lists for part in one], dtype="str")
        np.save(work / f"{blocks}.parts{at}.npy", parts.add(blocks, every))
        begin, blocks = begin + len(texts), blocks + 1
    found = as_they_are(parts.finish(blocks), work / f"cells{at}.texts")
    values = GrowingColumn(work / f"cells{at}.npy", np.dtype(np.int32))
    for block in range(blocks):
        values.append(found.rank[parts.codes(block, np.load(work / f"{block}.parts{at}.npy"))])
    values.close()
    _gather(np.load(work / f"cells{at}.npy", mmap_mode="r"), length, codes, target)
    return found.texts


def _gather(every: np.ndarray, length: np.ndarray, codes: np.ndarray, target: Path) -> None:
    """
    Args:
        every: int32: values of the cells, end to end; `length`: int64 [cells], how many each has.
    """
    start = np.cumsum(length) - length
    values = GrowingColumn(target.with_name(f"{target.name}.values"), np.dtype(np.int32))
    offsets = GrowingColumn(target.with_name(f"{target.name}.offsets.npy"), np.dtype(np.int64))
    offsets.append(np.zeros(1, dtype=np.int64))
    total = 0
    for begin in range(0, len(codes), BLOCK_ROWS):
        cell = np.asarray(codes[begin : begin + BLOCK_ROWS])
        ends = np.cumsum(length[cell])
        row = np.repeat(np.arange(len(cell)), length[cell])
        within = np.arange(len(row)) - (ends - length[cell])[row]
        values.append(every[start[cell][row] + within])
        offsets.append(total + ends)
        total += int(ends[-1]) if len(ends) else 0
    values.close()
    offsets.close()
    target.with_name(f"{target.name}.values").replace(target.with_name(f"{target.name}.npy"))
