"""Files in the form in which publishers give their data sets, made of rows that a test thinks up, and what was read of them."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.feather as feather
import pyarrow.parquet as pq

from rankbench.bench.data import sources
from rankbench.bench.data.cleaning import CleaningReport
from rankbench.bench.data.sources.schema import DataRoots
from support.converted import Tables, converted

Rows = Sequence[Mapping[str, Any]]


def write_csv(path: Path, columns: str, rows: Rows, header: bool = True, separator: str = ",") -> Path:
    """Columns in this order, `columns` with commas between them; gzipped where the name ends so."""
    names = columns.split(",")
    lines = [separator.join(names)] * header
    for row in rows:
        cells = [str(row[name]) for name in names]
        if separator == ",":
            cells = [f'"{cell}"' if "," in cell else cell for cell in cells]
        lines.append(separator.join(cells))
    return _write(path, lines)


def write_arrow(path: Path, types: Mapping[str, Any], rows: Rows) -> Path:
    """A parquet or feather file, by its name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pa.table({name: pa.array([row[name] for row in rows], type=kind) for name, kind in types.items()})
    if path.suffix == ".parquet":
        pq.write_table(table, path)
    else:
        feather.write_feather(table, str(path))
    return path


def read(name: str, root: Path) -> tuple[Tables, CleaningReport]:
    """The converted log of a data set whose files lie below `root`."""
    return converted(sources.load(name, DataRoots(root, root / "cache")))


def told(events: pd.DataFrame, *columns: str) -> list[tuple[str, ...]]:
    """Columns of a log as texts, row by row, sorted."""
    return sorted(zip(*(events[column].astype(str) for column in columns), strict=True))


def as_told(rows: Iterable[Sequence[Any]]) -> list[tuple[str, ...]]:
    """The same of rows that a test has."""
    return sorted(tuple(str(cell) for cell in row) for row in rows)


def write_json_lines(path: Path, rows: Rows) -> Path:
    """An object a line; gzipped where the name ends so."""
    return _write(path, [json.dumps(row) for row in rows])


def _write(path: Path, lines: list[str]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "".join(f"{line}\n" for line in lines)
    if path.suffix == ".gz":
        with gzip.open(path, "wt") as packed:
            packed.write(text)
    else:
        path.write_text(text)
    return path
