"""The distinct values of a column that comes in blocks, without the texts of the rows, or all distinct ones, in memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import cast

import numpy as np
import pandas as pd
import pyarrow as pa

from ..sources.values import Wording
from .merge import merge_runs, read_texts, write_run

_FLOAT = "\0float:"
"""Marks a value that a file holds as a floating point number: whether all of them are whole decides how they are written."""


class Dictionary:
    """Distinct values of one column. Codes of a block are its own until `codes` translates them."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder, self._name = folder, name

    def add(self, block: int, column: pd.Series) -> np.ndarray:
        """int32 [rows]: codes within the block, -1 where a value is missing."""
        texts = pa.array(_marked(column), type=pa.large_string(), from_pandas=True)
        whole = texts.combine_chunks() if isinstance(texts, pa.ChunkedArray) else texts
        codes = np.full(len(whole), -1, dtype=np.int32)
        codes[~whole.is_null().to_numpy(zero_copy_only=False)] = write_run(whole.drop_null(), self._path(block, "run"))
        return codes

    def finish(self, blocks: int) -> Values:
        """All distinct values, sorted; no block may come afterwards. What was merged before is not merged again."""
        merged = self._folder / f"{self._name}.values"
        if not merged.exists():
            numbers = range(blocks)
            runs, codes = ([self._path(block, kind) for block in numbers] for kind in ("run", "npy"))
            merge_runs(runs, merged, codes)
        return Values(merged)

    def codes(self, block: int, local: np.ndarray) -> np.ndarray:
        """int32 [rows]: codes among all values, -1 where missing."""
        return np.append(np.load(self._path(block, "npy")), np.int32(-1))[local]

    def _path(self, block: int, kind: str) -> Path:
        return self._folder / f"{block}.{self._name}.{kind}"


def _marked(column: pd.Series) -> pd.Series:
    text = column.astype("str")
    return _FLOAT + text if pd.api.types.is_float_dtype(column.dtype) else text


class Values:
    """The distinct values of a column by their codes, in the type that files have them in: floating point numbers, or text; text
    if both occur. Some hundred thousand are in memory at a time."""

    def __init__(self, path: Path) -> None:
        self._path, self._length = path, 0
        self._floats, self._texts, self._numbers, self._words = False, False, Wording(), Wording()
        for text in self._read():
            floats = text.str.startswith(_FLOAT).to_numpy(dtype=bool)
            self._length += len(text)
            self._floats, self._texts = self._floats or bool(floats.any()), self._texts or not floats.all()
            if floats.any():
                self._numbers.note(_number(text[floats]))
            self._words.note(cast(pd.Series, text[~floats]))

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[tuple[slice, pd.Series]]:
        """Codes, and their values."""
        begin = 0
        for text in self._read():
            yield slice(begin, begin + len(text)), self._native(text)
            begin += len(text)

    def whole(self) -> pd.Series:
        """All of them at once."""
        parts = [part for _, part in self]
        return pd.concat(parts, ignore_index=True) if parts else pd.Series(dtype="str")

    def _read(self) -> Iterator[pd.Series]:
        return (batch.to_pandas().astype("str") for batch in read_texts(self._path))

    def _native(self, text: pd.Series) -> pd.Series:
        if not self._floats:
            return text
        floats = text.str.startswith(_FLOAT).to_numpy(dtype=bool)
        if not self._texts:
            return _number(text)
        text[floats] = self._numbers.write(_number(text[floats]))
        text[~floats] = self._words.write(cast(pd.Series, text[~floats]))
        return text


def _number(text: object) -> pd.Series:
    assert isinstance(text, pd.Series)
    return text.str.removeprefix(_FLOAT).astype("float64")
