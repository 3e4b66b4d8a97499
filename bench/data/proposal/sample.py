"""The first rows of a file of unknown form: how it is written, and its columns as text."""

from __future__ import annotations

import csv
import gzip
import itertools
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pyarrow as pa

from ...errors import UserError
from ..date_forms import ISO
from ..sources.columnar import COLUMNAR, batches_of, schema_of
from ..sources.files import MISSING, is_json_lines, readable

ROWS = 20_000
"""Rows that are looked at."""
_SNIFFED = 200
"""Lines from which delimiter and header are told."""
_SIGNS = ("\t", ";", "|", ",")
_NUMBER = re.compile(r"\s*[+-]?\d+([.,]\d+)?([eE][+-]?\d+)?\s*")
_LIST = "\x1f"
"""Between the values of a list; occurs in no text."""


@dataclass(frozen=True)
class Sample:
    """What the first rows of a file tell."""

    path: Path
    delimiter: str
    """Empty: as the file's name says, or no text."""
    header: bool
    quoted: bool
    frame: pd.DataFrame
    """Columns as text, missing where empty; the values of lists joined by `LIST`."""
    lists: frozenset[str]
    """Columns that hold lists as such."""

    def values(self, column: str) -> pd.Series:
        """What is there of a column."""
        return self.frame[column].dropna()  # type: ignore[return-value]


def look_at(path: Path, rows: int = ROWS) -> Sample:
    """The first rows of a file.

    Raises:
        UserError: a file that cannot be read, is empty, or has no columns.
    """
    if path.suffix in COLUMNAR:
        sample = _columnar(path, rows)
    elif is_json_lines(path):
        sample = _json_lines(path, rows)
    else:
        sample = _text(path, rows)
    if len(sample.frame) == 0:
        raise UserError(f"{path} has no rows")
    return sample


def _lines(path: Path) -> Iterator[str]:
    opened = gzip.open if path.suffix == ".gz" else open
    with readable(path), opened(path, "rt", encoding="utf-8-sig", newline="") as stream:
        yield from stream


def _frame(columns: Mapping[str, Sequence[str | None]]) -> pd.DataFrame:
    plain = {name: [None if value in MISSING else value for value in values] for name, values in columns.items()}
    return pd.DataFrame(plain, dtype="str")


def _columnar(path: Path, rows: int) -> Sample:
    with readable(path):
        schema = schema_of(path)
        batch = next(batches_of(path, schema.names, rows), None)
        table = pa.Table.from_batches([batch] if batch is not None else [], schema)
    lists, columns = set(), {}
    for name in table.column_names:
        values = table.column(name).to_pylist()
        if any(isinstance(value, list) for value in values):
            lists.add(name)
        columns[name] = [_shown(value) for value in values]
    return Sample(path, "", True, True, _frame(columns), frozenset(lists))


def _json_lines(path: Path, most: int) -> Sample:
    rows = []
    for number, line in enumerate(itertools.islice(_lines(path), most), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line, parse_int=str, parse_float=str)
        except (json.JSONDecodeError, RecursionError):
            row = None
        if not isinstance(row, dict):
            raise UserError(f"{path}, line {number} holds no JSON object: every line must hold one")
        rows.append(row)
    names = dict.fromkeys(name for row in rows for name in row)
    lists = frozenset(name for name in names if any(isinstance(row.get(name), list) for row in rows))
    columns = {name: [_shown(row.get(name)) for row in rows] for name in names}
    return Sample(path, "", True, True, _frame(columns), lists)


def _shown(value: object) -> str | None:
    if value is None:
        return None
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return _LIST.join(str(one) for one in value if one is not None)
    return str(value)


def _text(path: Path, rows: int) -> Sample:
    head = [line for line in itertools.islice(_lines(path), _SNIFFED) if line.strip()]
    if not head:
        raise UserError(f"{path} is empty")
    sign = _delimiter(path, head)
    lines = list(itertools.islice(_lines(path), rows + 1))
    with readable(path):
        table, plain = (_rows(lines, sign, quoting) for quoting in (csv.QUOTE_MINIMAL, csv.QUOTE_NONE))
    # An open quote swallows lines, and a protected delimiter makes too many fields without quotes.
    quoted = _regular(table) >= _regular(plain)
    table = table if quoted else plain
    width = Counter(map(len, table)).most_common(1)[0][0]
    table = [row for row in table if len(row) == width]
    header = _is_header(table)
    names = table[0] if header else [str(at) for at in range(1, width + 1)]
    columns = {name: [row[at] for row in table[header:]] for at, name in enumerate(names)}
    usual = "\t" if path.name.removesuffix(".gz").endswith(".tsv") else ","
    return Sample(path, "" if sign == usual else sign, header, quoted, _frame(columns), frozenset())


def _rows(lines: list[str], sign: str, quoting: int) -> list[list[str]]:
    return [row for row in csv.reader(lines, delimiter=sign, quoting=quoting) if row]  # type: ignore[arg-type]


def _regular(rows: list[list[str]]) -> int:
    """Rows of the most frequent width."""
    return Counter(map(len, rows)).most_common(1)[0][1] if rows else 0


def _delimiter(path: Path, head: list[str]) -> str:
    """The sign that cuts the lines into the same number of fields, the largest there is."""
    found = []
    for sign in _SIGNS:
        for quoting in (csv.QUOTE_MINIMAL, csv.QUOTE_NONE):
            width, lines = Counter(map(len, _rows(head, sign, quoting))).most_common(1)[0]
            if width > 1 and lines >= 0.95 * len(head):
                found.append((lines == len(head), width, sign))
    if sum("::" in line for line in head) > 0.95 * len(head):
        raise UserError(
            f"{path}: fields lie between '::', and a delimiter is one sign: replace it, by sed 's/::/\\t/g' for example"
        )
    return max(found, key=lambda one: one[:2])[2] if found else ","


def _is_header(rows: list[list[str]]) -> bool:
    """Names are neither numbers nor dates, no two are the same, and they are not found again below."""
    first, *rest = rows
    if any(not name.strip() or _NUMBER.fullmatch(name) or ISO.fullmatch(name) for name in first) or len(set(first)) < len(first):
        return False
    again = [name in {row[at] for row in rest[:_SNIFFED]} for at, name in enumerate(first)]
    words = [re.fullmatch(r"\w[\w .:()/-]{0,60}", name) is not None for name in first]
    return not any(again) and all(words)
