"""Logs of many items whose features stand in every event, to see what they cost:

    python examples/many_items.py 1_000_000 many
    rankbench data get many/own.yaml
    rankbench data get yambda-50m --data-root many

Each item has two events, far apart, two artists, two albums. own.yaml describes a table with brand, title and price of the item
in each event; the other log is in Yambda's published form, whose artists and albums lie in files of their own.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

PART = 500_000
DESCRIPTION = """\
events: own.parquet
label: click
action: [click]
item_features: [brand, title, {column: price, kind: number}]
"""


def main(items: int, folder: Path) -> None:
    home = folder / "yambda-50m"
    home.mkdir(parents=True, exist_ok=True)
    _write(folder / "own.parquet", _own(items))
    (folder / "own.yaml").write_text(DESCRIPTION, encoding="utf-8")
    _write(home / "multi_event.parquet", _listens(items))
    for owner, distinct in (("artist", 100_000), ("album", 300_000)):
        _write(home / f"{owner}_item_mapping.parquet", _mapping(items, owner, distinct))


def _events(items: int) -> Iterator[np.ndarray]:
    """Numbers of events, in parts."""
    return (np.arange(begin, min(begin + PART, 2 * items)) for begin in range(0, 2 * items, PART))


def _own(items: int) -> Iterator[pd.DataFrame]:
    for at in _events(items):
        item = at % items
        frame = {"user": at % 50_021, "item": item, "time": 1_600_000_000 + at, "click": at % 2, "brand": item % 5_000}
        yield pd.DataFrame(frame).assign(title=[f"title of item {one}" for one in item.tolist()], price=item % 777 / 10)


def _listens(items: int) -> Iterator[pd.DataFrame]:
    for at in _events(items):
        frame = {
            "uid": at % 50_021,
            "timestamp": 5 * at,
            "item_id": at % items,
            "is_organic": at % 2,
            "played_ratio_pct": at % 101,
        }
        yield pd.DataFrame(frame).assign(track_length_seconds=at % items % 600, event_type="listen")


def _mapping(items: int, owner: str, distinct: int) -> Iterator[pd.DataFrame]:
    for at in _events(items):
        yield pd.DataFrame({"item_id": at % items, f"{owner}_id": at * 7_919 % distinct})


def _write(path: Path, parts: Iterator[pd.DataFrame]) -> None:
    writer: pq.ParquetWriter | None = None
    for part in parts:
        table = pa.Table.from_pandas(part, preserve_index=False)
        writer = writer or pq.ParquetWriter(path, table.schema)
        writer.write_table(table)
    if writer is not None:
        writer.close()


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
