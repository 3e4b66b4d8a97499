"""Reading columns of csv, parquet, feather and JSON lines files as text; whatever is wrong with a file is one clear line."""

from __future__ import annotations

import csv
import glob
import gzip
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv as pa_csv

from ...errors import DAMAGED, UserError
from ...identity import file_hash
from .columnar import COLUMNAR, batches_of, is_whole_decimal, schema_of
from .schema import SourceFile

MISSING = ("", "NULL", "null", "NaN", "nan", "\\N", "<NA>")
"""Texts that stand for a missing value in a text file. `NA` and `None` are not among them: both occur as names."""

_BLOCK_BYTES, _BLOCK_ROWS = 1 << 24, 200_000
"""Of text, and of rows elsewhere, that are read at a time."""


def source_file(path: Path, origin: str) -> SourceFile:
    """The identity of a file that was read."""
    with readable(path):
        digest = file_hash(path)
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
    except (*DAMAGED, csv.Error, pa.ArrowException) as error:
        raise UserError(f"{path} cannot be read: {' '.join(str(error).split())}") from None


@dataclass(frozen=True)
class TextFormat:
    """How a delimited text file is written."""

    delimiter: str = ""
    """Empty: a tab in .tsv, a comma elsewhere."""
    quoted: bool = True
    """False: quotation marks are ordinary characters."""
    encoding: str = "utf8"
    header: bool = True
    """False: columns are named by position."""
    first: int = 0
    """Position of the first column of a file without a header."""

    @property
    def reading(self) -> str:
        """The encoding without a byte order mark, which would hide that a name is quoted."""
        return "utf-8-sig" if self.encoding in ("utf8", "utf-8") else self.encoding

    def sign(self, path: Path) -> str:
        """The delimiter of a file."""
        return self.delimiter or ("\t" if bare_name(path).endswith(".tsv") else ",")


def bare_name(path: Path) -> str:
    """The file's name without the ending of its compression."""
    return path.name.removesuffix(".gz")


def is_json_lines(path: Path) -> bool:
    """Whether each line of the file is an object, by the file's name."""
    return bare_name(path).endswith((".jsonl", ".ndjson", ".json"))


def header_of(path: Path, form: TextFormat = TextFormat()) -> list[str]:
    """Names of the columns of a delimited text file, .gz or plain."""
    opened = gzip.open if path.suffix == ".gz" else open
    with readable(path), opened(path, "rt", encoding=form.reading, newline="") as stream:
        rows = csv.reader(stream, delimiter=form.sign(path), quoting=csv.QUOTE_MINIMAL if form.quoted else csv.QUOTE_NONE)
        first = next(rows, [])
    if not first:
        raise UserError(f"{path} is empty")
    if form.header:
        return first
    return [str(form.first + position) for position in range(len(first))]


def read_text(path: Path, columns: Sequence[str], form: TextFormat = TextFormat()) -> pd.DataFrame:
    """Columns of a delimited text file as strings, missing where a field is one of MISSING.

    Strings keep ids beyond 2**63, leading zeros and flags apart exactly as written; cleaning turns into numbers what is one.

    Raises:
        UserError: the file is missing, empty or unreadable, or a row has more or fewer fields than the first.
    """
    parts = list(read_text_blocks(path, columns, form))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame({column: pd.Series(dtype="str") for column in columns})


def read_text_blocks(path: Path, columns: Sequence[str], form: TextFormat = TextFormat()) -> Iterator[pd.DataFrame]:
    """The rows of `read_text` as they come, some hundred thousand at a time."""
    names = header_of(path, form)
    convert = pa_csv.ConvertOptions(
        include_columns=list(columns),
        column_types={name: pa.string() for name in columns},
        null_values=list(MISSING),
        strings_can_be_null=True,
    )
    parse = pa_csv.ParseOptions(
        delimiter=form.sign(path), quote_char='"' if form.quoted else False, newlines_in_values=form.quoted
    )
    read = pa_csv.ReadOptions(encoding=form.encoding, column_names=names, skip_rows=int(form.header), block_size=_BLOCK_BYTES)
    with readable(path):
        if form.header and not _has_rows(path, form):
            return
        for batch in pa_csv.open_csv(path, read, parse, convert):
            yield batch.to_pandas()


def _has_rows(path: Path, form: TextFormat) -> bool:
    """Whether anything stands below the header, which may be all that there is."""
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rt", encoding=form.reading, newline="") as stream:
        rows = csv.reader(stream, delimiter=form.sign(path), quoting=csv.QUOTE_MINIMAL if form.quoted else csv.QUOTE_NONE)
        next(rows, None)
        return any(rows)


def read_blocks(
    path: Path, columns: Sequence[str], form: TextFormat = TextFormat(), joined: Mapping[str, str] | None = None
) -> Iterator[pd.DataFrame]:
    """The named columns of a file in csv, JSON lines (either may be .gz), parquet or feather, some hundred thousand rows at a
    time; other columns are never held in memory.

    Args:
        form: of csv files.
        joined: column -> separator, for columns of lists in parquet, feather or JSON lines, which become one string a row.

    Returns:
        Strings, except floating point numbers and timestamps of a parquet or feather file, which keep their type.

    Raises:
        UserError: the file is missing, empty, unreadable or lacks a column.
    """
    wanted = list(dict.fromkeys(columns))
    _check_format(path)
    if is_json_lines(path):
        with readable(path):
            yield from read_json_lines(path, wanted, joined or {})
        return
    with readable(path):
        present = schema_of(path).names if path.suffix in COLUMNAR else header_of(path, form)
    for column in wanted:
        if present.count(column) != 1:
            fault = "more than one column" if column in present else "no column"
            raise UserError(f"{path} has {fault} {column!r}; it has: {_short(present)}{_hint(path, present, form)}")
    if path.suffix not in COLUMNAR:
        yield from read_text_blocks(path, wanted, form)
        return
    with readable(path):
        whole = {name for name in wanted if is_whole_decimal(path, name)}
        for batch in batches_of(path, wanted, _BLOCK_ROWS):
            table = pa.Table.from_batches([batch])
            yield pd.DataFrame({name: _arrow_column(path, table, name, joined or {}, name in whole) for name in wanted})


def read_json_lines(path: Path, columns: Sequence[str], joined: Mapping[str, str]) -> Iterator[pd.DataFrame]:
    """Keys of the objects, one a line, as strings with the digits that the file has; missing where null or absent. In blocks.

    Raises:
        UserError: a line that is no object, a key that no object has, a nested object, a list where none can be.
    """
    values: dict[str, list[str | None]] = {column: [] for column in columns}
    met: set[str] = set()
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rt", encoding="utf-8-sig") as stream:
        for number, line in enumerate(stream, 1):
            if not line.strip():
                continue
            try:
                # Numbers stay as they are written: no id is too long, and 7.0 is told from 7 as in any text.
                one = json.loads(line, parse_int=str, parse_float=str, parse_constant=str)
            except (json.JSONDecodeError, RecursionError) as error:
                raise UserError(f"{path}, line {number} is not JSON ({error}): every line must hold one object") from None
            if not isinstance(one, dict):
                raise UserError(f'{path}, line {number} holds no object: every line must hold one, such as {{"user": 1, ...}}')
            met |= one.keys()
            for column, found in values.items():
                found.append(_json_text(path, number, column, one.get(column), joined))
            if number % _BLOCK_ROWS == 0:
                yield pd.DataFrame(values, dtype="str")
                values = {column: [] for column in columns}
    if not met:
        raise UserError(f"{path} is empty")
    for column in columns:
        if column not in met:
            raise UserError(f"{path} has no column {column!r}; it has: {_short(sorted(met))}")
    yield pd.DataFrame(values, dtype="str")


def _json_text(path: Path, number: int, column: str, value: object, joined: Mapping[str, str]) -> str | None:
    if isinstance(value, bool):
        return str(value).lower()
    if value is None or isinstance(value, str):
        return None if value in MISSING else value
    if not isinstance(value, list):
        raise UserError(f"{path}, line {number}: {column!r} is an object in itself: bring its keys to the outside")
    if column not in joined:
        raise _holds_lists(path, column)
    parts = [_json_text(path, number, column, one, {}) for one in value]
    known = [part for part in parts if part is not None]
    if split := next((part for part in known if joined[column] in part), None):
        raise _holds_separator(path, split, column, joined[column])
    return joined[column].join(known)


def _check_format(path: Path) -> None:
    if bare_name(path).endswith((".xlsx", ".xls", ".orc", ".zip", ".bz2", ".xz", ".zst")):
        raise UserError(
            f"{path} is neither csv, JSON lines, parquet nor feather: convert it, for example by "
            "pandas.read_excel(...).to_parquet(...)"
        )


def _short(names: Sequence[str]) -> str:
    """The first names, each cut short: a file without a header has its first row for names."""
    cut = [name if len(name) <= 40 else f"{name[:37]}..." for name in names[:12]]
    return ", ".join(cut) + (f" and {len(names) - 12} more" if len(names) > 12 else "")


def _hint(path: Path, names: Sequence[str], form: TextFormat) -> str:
    if path.suffix in COLUMNAR or not form.header:
        return ""
    if len(names) == 1 and names[0][:1] == "{":
        return " (if these are JSON lines, let the file's name end in .jsonl or .jsonl.gz)"
    other = next((sign for sign in ("\t", ";", "|", ",") if len(names) == 1 and sign in names[0]), None)
    if other is not None:
        return f" (is the delimiter {other!r}? Then write delimiter: {json.dumps(other)})"
    if len(set(names)) < len(names) or any(name.replace(".", "", 1).isdecimal() for name in names):
        return " (if its first row is data, write header: false and give columns by position, from 1)"
    return ""


def _arrow_column(path: Path, table: pa.Table, name: str, joined: Mapping[str, str], whole: bool) -> pd.Series:
    column = table.column(name)
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    kind = column.type
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return _joined(path, column, name, joined)
    if pa.types.is_date(kind):
        column = column.cast(pa.timestamp("ms"))
    elif pa.types.is_decimal(kind):
        column = column.cast(pa.decimal128(38, 0) if whole else kind).cast(pa.string())
    elif not pa.types.is_floating(kind) and not pa.types.is_timestamp(kind):
        column = column.cast(pa.string())
    return column.to_pandas().reset_index(drop=True)


def _joined(path: Path, column: pa.ChunkedArray, name: str, joined: Mapping[str, str]) -> pd.Series:
    """Lists as one string a row; missing values within a list are left out."""
    if name not in joined:
        raise _holds_lists(path, name)
    separator, rows = joined[name], []
    for values in column.cast(pa.list_(pa.string())).to_pylist():
        parts = [part for part in values or () if part is not None]
        if split := next((part for part in parts if separator in part), None):
            raise _holds_separator(path, split, name, separator)
        rows.append(None if values is None else separator.join(parts))
    return pd.Series(rows, dtype="str")


def _holds_lists(path: Path, name: str) -> UserError:
    return UserError(f"{path}: column {name!r} holds lists; only a feature of kind multi can, and the lists of impressions")


def _holds_separator(path: Path, value: str, name: str, separator: str) -> UserError:
    return UserError(
        f"{path}: {value!r} in the lists of column {name!r} holds the separator {separator!r} itself: name another separator"
    )


def files_of(folder: Path, entries: Sequence[str], where: str) -> list[Path]:
    """The files that a list of names, patterns (`part-*.csv`, `date=*/*.parquet`, `**/*.csv`) and folders stands for, those of a
    pattern or folder by name; a folder's subfolders belong to it.

    Raises:
        UserError: a pattern or folder without files, or a file that is listed twice.
    """
    found: list[Path] = []
    for entry in entries:
        path = folder / entry
        if is_folder(path):
            files = sorted(file for file in path.rglob("*") if _is_table(file, path))
            if not files:
                raise UserError(
                    f"{where}: the folder {path} has no .csv, .tsv, .jsonl (or one of these in .gz), .parquet or .feather file"
                )
        elif any(sign in entry for sign in "*?[") and not is_file(path):
            # A folder may be called what would be a pattern.
            root, pattern = (path.parent, path.name) if is_folder(path.parent) else (folder, entry)
            files = sorted(file for name in glob.glob(pattern, root_dir=root, recursive=True) if is_file(file := root / name))
            if not files:
                raise UserError(f"{where}: no file is of the form {path}")
        else:
            files = [path]
        found += files
    twice = next((path for at, path in enumerate(found) if path in found[:at]), None)
    if twice is not None:
        raise UserError(f"{where} lists {twice} twice")
    return found


def _is_table(path: Path, folder: Path) -> bool:
    """Whether a file somewhere in a folder is one; what begins with . or _ belongs to whatever wrote the folder."""
    known = (".csv", ".tsv", ".jsonl", ".ndjson", ".json", *COLUMNAR)
    hidden = any(part.startswith((".", "_")) for part in path.relative_to(folder).parts)
    return path.is_file() and not hidden and bare_name(path).endswith(known)


def is_file(path: Path) -> bool:
    """Whether there is such a file; no name is too odd to ask."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def is_folder(path: Path) -> bool:
    """Whether there is such a folder; no name is too odd to ask."""
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def column_of(table: pd.DataFrame, name: str) -> pd.Series:
    """One column, typed as one."""
    return cast(pd.Series, table[name])


def columns_of(table: pd.DataFrame, names: Iterable[str]) -> pd.DataFrame:
    """Some columns in this order, typed as a frame."""
    return cast(pd.DataFrame, table[list(names)])


def rows_of(table: pd.DataFrame, chosen: pd.Series | np.ndarray) -> pd.DataFrame:
    """The rows for which `chosen` is true, typed as a frame."""
    return cast(pd.DataFrame, table[chosen])
