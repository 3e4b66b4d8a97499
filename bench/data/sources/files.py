"""Reading columns of csv and parquet files as text, with one clear line for whatever is wrong with a file."""

from __future__ import annotations

import csv
import gzip
import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from ...errors import UserError
from .schema import SourceFile

MISSING = ("", "NULL", "null", "NaN", "nan", "\\N", "<NA>")
"""Texts that stand for a missing value in a text file. `NA` and `None` are not among them: both occur as names."""


def source_file(path: Path, origin: str) -> SourceFile:
    """The identity of a file that was read."""
    with readable(path), path.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return SourceFile(path.name, origin, digest, path.stat().st_size)


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Turns every way in which reading `path` can fail into a UserError of one line that names it."""
    try:
        yield
    except FileNotFoundError:
        raise UserError(f"{path} does not exist") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not {error.encoding} text: convert it") from None
    except (OSError, EOFError, ValueError, csv.Error, pa.ArrowException) as error:
        raise UserError(f"{path} cannot be read: {' '.join(str(error).split())}") from None


@dataclass(frozen=True)
class TextFormat:
    """How a delimited text file is written."""

    delimiter: str = ","
    quoted: bool = True
    """False: quotation marks are ordinary characters."""
    encoding: str = "utf8"
    header: bool = True
    """False: columns are named "0", "1", ... by position."""


def header_of(path: Path, form: TextFormat = TextFormat()) -> list[str]:
    """Names of the columns of a delimited text file, .gz or plain."""
    opened = gzip.open if path.suffix == ".gz" else open
    with readable(path), opened(path, "rt", encoding=form.encoding, newline="") as stream:
        rows = csv.reader(stream, delimiter=form.delimiter, quoting=csv.QUOTE_MINIMAL if form.quoted else csv.QUOTE_NONE)
        first = next(rows, [])
    if not first:
        raise UserError(f"{path} is empty")
    return [name.removeprefix("\ufeff") for name in first] if form.header else [str(position) for position in range(len(first))]


def read_text(path: Path, columns: Sequence[str], form: TextFormat = TextFormat()) -> pd.DataFrame:
    """Columns of a delimited text file as strings, missing where a field is one of MISSING.

    Strings keep ids beyond 2**63, leading zeros and flags apart exactly as written; cleaning turns into numbers what is one.

    Raises:
        UserError: the file is missing, empty or unreadable, or a row has more or fewer fields than the first.
    """
    names = header_of(path, form)
    convert = pa_csv.ConvertOptions(
        include_columns=list(columns),
        column_types={name: pa.string() for name in columns},
        null_values=list(MISSING),
        strings_can_be_null=True,
    )
    parse = pa_csv.ParseOptions(
        delimiter=form.delimiter, quote_char='"' if form.quoted else False, newlines_in_values=form.quoted
    )
    read = pa_csv.ReadOptions(encoding=form.encoding, column_names=names, skip_rows=int(form.header))
    with readable(path):
        return pa_csv.read_csv(path, read, parse, convert).to_pandas()


def read_columns(
    path: Path, columns: Iterable[str], delimiter: str = ",", joined: Mapping[str, str] | None = None
) -> pd.DataFrame:
    """The named columns of a csv, csv.gz or parquet file; columns that are not named are never held in memory.

    Args:
        joined: column -> separator, for list columns of a parquet file, which become one string a row.

    Returns:
        Strings, except floating point numbers and timestamps of a parquet file, which keep their type.

    Raises:
        UserError: the file is missing, empty, unreadable or lacks a column.
    """
    wanted = list(dict.fromkeys(columns))
    form = TextFormat(delimiter)
    with readable(path):
        present = pq.read_schema(path).names if path.suffix == ".parquet" else header_of(path, form)
    for column in wanted:
        if present.count(column) != 1:
            fault = "more than one column" if column in present else "no column"
            raise UserError(f"{path} has {fault} {column!r}; it has: {', '.join(present)}")
    if path.suffix != ".parquet":
        return read_text(path, wanted, form)
    with readable(path):
        table = pq.read_table(path, columns=wanted)
        return pd.DataFrame({name: _arrow_column(path, table, name, joined or {}) for name in wanted})


def _arrow_column(path: Path, table: pa.Table, name: str, joined: Mapping[str, str]) -> pd.Series:
    column = table.column(name)
    kind = column.type
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        if name not in joined:
            raise UserError(f"{path}: column {name!r} holds lists; only a feature of kind multi can")
        column = pc.call_function("binary_join", [column.cast(pa.list_(pa.string())), joined[name]])
    elif pa.types.is_date(kind):
        column = column.cast(pa.timestamp("ms"))
    elif not pa.types.is_floating(kind) and not pa.types.is_timestamp(kind):
        column = column.cast(pa.string())
    return column.to_pandas().reset_index(drop=True)


def column_of(table: pd.DataFrame, name: str) -> pd.Series:
    """One column, typed as one."""
    return cast(pd.Series, table[name])


def columns_of(table: pd.DataFrame, names: Iterable[str]) -> pd.DataFrame:
    """Some columns in this order, typed as a frame."""
    return cast(pd.DataFrame, table[list(names)])


def as_numbers(column: pd.Series) -> np.ndarray:
    """float64 [rows]: the column as numbers, NaN where it is missing or not a number."""
    numbers = cast(pd.Series, pd.to_numeric(column, errors="coerce"))
    return numbers.to_numpy(dtype=np.float64, na_value=np.nan)


def as_text(column: pd.Series) -> pd.Series:
    """The column as strings, missing where it was missing, and the same strings whatever type a file gives the column.

    Whole numbers are written without a decimal point, also in text where all of a column have `.0`, which is how pandas writes
    whole numbers beside missing ones; true and false are in small letters if a column holds nothing else.
    """
    if pd.api.types.is_float_dtype(column.dtype):
        known = column.dropna()
        if bool((known % 1 == 0).all()) and bool((known.abs() < 2**53).all()):
            column = column.astype("Int64")
        return column.astype("str")
    text = cast(pd.Series, column.astype("str"))
    known = text.dropna()
    if len(known) == 0:
        return text
    if _WHOLE.fullmatch(known.iloc[0]) and bool(known.str.fullmatch(_WHOLE.pattern).all()):
        return text.str.removesuffix(".0")
    if known.iloc[0].lower() in _FLAGS and bool(known.str.lower().isin(_FLAGS).all()):
        return text.str.lower()
    return text


_WHOLE = re.compile(r"-?(?:0|[1-9][0-9]*)\.0")
_FLAGS = ("true", "false")
