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

_FLOAT = "float"
_MARKED = r"^\x00(float|datetime64\[[^\]]*\])\x00"
"""What a value begins with that a file holds as a floating point number or a moment, and its kind, which for moments is their
type: how they are written is decided by all of them, whether all are whole or have no more than a date."""


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
    if pd.api.types.is_float_dtype(column.dtype):
        return f"\0{_FLOAT}\0" + column.astype("str")
    if not pd.api.types.is_datetime64_any_dtype(column.dtype):
        return column.astype("str")
    known = column.dropna()
    return (f"\0{column.dtype}\0" + known.astype("int64").astype("str")).reindex(column.index)


class Values:
    """The distinct values of a column by their codes, in the type that files have them in: floating point numbers, moments, or
    text; text if several types occur. Some hundred thousand are in memory at a time."""

    def __init__(self, path: Path) -> None:
        self._path, self._length = path, 0
        self._wordings: dict[str, Wording] = {}
        for text in self._read():
            self._length += len(text)
            for kind, rows in _kinds(text):
                self._wordings.setdefault(kind, Wording()).note(_as(kind, cast(pd.Series, text[rows])))

    def __len__(self) -> int:
        return self._length

    @property
    def kinds(self) -> frozenset[str]:
        """Types of the values: "" for text, what others are called."""
        return frozenset(self._wordings)

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
        if len(self._wordings) < 2:
            return _as(next(iter(self._wordings), ""), text)
        parts = [self._wordings[kind].write(_as(kind, cast(pd.Series, text[rows]))) for kind, rows in _kinds(text)]
        return cast(pd.Series, pd.concat(parts).reindex(text.index))


def _kinds(text: pd.Series) -> Iterator[tuple[str, np.ndarray]]:
    """Which kinds of values there are, and bool [values]: which of them are so."""
    if not text.str.startswith("\0").any():
        yield "", np.ones(len(text), dtype=bool)
        return
    kind = cast(pd.Series, text.str.extract(_MARKED, expand=False)).fillna("")
    yield from ((str(one), (kind == one).to_numpy(dtype=bool)) for one in kind.unique())


def _as(kind: str, text: pd.Series) -> pd.Series:
    """Values of one kind in its type."""
    if not kind:
        return text
    bare = text.str.slice(len(kind) + 2)
    if kind == _FLOAT:
        return bare.astype("float64")
    zoned = pd.DatetimeTZDtype.construct_from_string(kind) if "," in kind else None
    moments = pd.Series(bare.astype("int64").to_numpy().view(f"datetime64[{zoned.unit}]" if zoned else kind), index=text.index)
    return moments.dt.tz_localize("UTC").dt.tz_convert(zoned.tz) if zoned else moments
