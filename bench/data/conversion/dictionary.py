"""The distinct values of a column that comes in blocks: numbered as they come, without the texts of the rows in memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from ..sources.values import as_text

_FLOAT = "\0float:"
"""Marks a value that a file holds as a floating point number: whether all of them are whole decides how they are written."""
_PENDING = 1_000_000
"""Values of blocks that wait, at least, before they are merged into the whole."""


class Dictionary:
    """Distinct values of one column. Codes of a block are its own until `codes` translates them."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder, self._name = folder, name
        self._values = pa.array([], type=pa.large_string())
        self._pending: list[tuple[int, pa.Array]] = []

    def add(self, block: int, column: pd.Series) -> np.ndarray:
        """int32 [rows]: codes within the block, -1 where a value is missing."""
        texts = pa.array(_marked(column), type=pa.large_string(), from_pandas=True)
        whole = texts.combine_chunks() if isinstance(texts, pa.ChunkedArray) else texts
        encoded = whole.dictionary_encode()
        self._pending.append((block, encoded.dictionary))
        if sum(len(values) for _, values in self._pending) > max(_PENDING, len(self._values)):
            self._merge()
        return encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int32)

    def finish(self) -> pa.Array:
        """All distinct values; no block may come afterwards."""
        self._merge()
        return self._values

    def codes(self, block: int, local: np.ndarray) -> np.ndarray:
        """int32 [rows]: codes among all values, -1 where missing."""
        translation = np.load(self._path(block))
        return np.append(translation, np.int32(-1))[local]

    def _merge(self) -> None:
        if not self._pending:
            return
        every = pa.concat_arrays([self._values, *(values for _, values in self._pending)])
        # Values keep their places: the first of equal ones counts.
        self._values = pc.call_function("unique", [every])
        for block, values in self._pending:
            codes = pc.call_function("index_in", [values], pc.SetLookupOptions(self._values))
            np.save(self._path(block), codes.to_numpy(zero_copy_only=False).astype(np.int32))
        self._pending = []

    def _path(self, block: int) -> Path:
        return self._folder / f"{block}.{self._name}.npy"


def _marked(column: pd.Series) -> pd.Series:
    text = column.astype("str")
    return _FLOAT + text if pd.api.types.is_float_dtype(column.dtype) else text


def native(values: pa.Array) -> pd.Series:
    """Distinct values in the type that files have them in: floating point numbers, or text; text if both occur."""
    text = values.to_pandas().astype("str")
    floats = text.str.startswith(_FLOAT).to_numpy(dtype=bool)
    if not floats.any():
        return text
    numbers = text[floats].str.removeprefix(_FLOAT).astype("float64")
    if floats.all():
        return numbers
    text[floats] = as_text(numbers)
    text[~floats] = as_text(text[~floats])
    return text
