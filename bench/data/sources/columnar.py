"""Parquet and feather files: what columns they have, and some rows of some columns at a time. Errors are those of pyarrow."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

COLUMNAR = (".parquet", ".feather")
"""Endings of the names of such files."""
_SCANNED = 1 << 16
"""Rows of one column that are looked at together."""


def schema_of(path: Path) -> pa.Schema:
    """Names and types of the columns."""
    if path.suffix == ".parquet":
        return pq.read_schema(path)
    with pa.memory_map(str(path)) as source:
        return pa.ipc.open_file(source).schema


def batches_of(path: Path, columns: Sequence[str], rows: int) -> Iterator[pa.RecordBatch]:
    """The named columns, so many rows at a time."""
    if path.suffix == ".parquet":
        yield from pq.ParquetFile(path).iter_batches(batch_size=rows, columns=list(columns))
        return
    with pa.memory_map(str(path)) as source:
        fields = sorted(schema_of(path).get_field_index(name) for name in columns)
        file = pa.ipc.open_file(source, options=pa.ipc.IpcReadOptions(included_fields=fields))
        for number in range(file.num_record_batches):
            batch = file.get_batch(number).select(list(columns))
            # The format is read as it lies in the file: offsets of a damaged one would point anywhere in memory.
            batch.validate(full=True)
            for begin in range(0, batch.num_rows, rows):
                yield batch.slice(begin, rows)


def is_whole_decimal(path: Path, name: str) -> bool:
    """Whether a column is of a decimal type and all of its values are whole: digits after the point belong to the type."""
    kind = schema_of(path).field(name).type
    if not pa.types.is_decimal(kind):
        return False
    for batch in batches_of(path, [name], _SCANNED):
        column = batch.column(0)
        if not column.cast(kind).equals(pc.call_function("floor", [column]).cast(kind)):
            return False
    return True
