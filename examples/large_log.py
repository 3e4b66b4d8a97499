"""A log of any size as parquet files, simulated in parts, to see what size costs:

    python examples/large_log.py 100_000_000 large
    rankbench data get large/large.yaml

Each part has a million events of users of its own; items are shared. A third argument adds a table of so many items, of which the
log knows the first 100,000.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pandas as pd

from rankbench.bench.data.sources.simulator import SimulatorConfig, simulate

PART = 1_000_000
DESCRIPTION = """\
events: "*.parquet"
columns: {user: user, item: item, time: time}
label: click
action: [click, vote]
context_features: [device]
"""
ITEMS = """\
items: items/*.parquet
item_features: [brand, title, {column: price, kind: number}, {column: tags, kind: multi}]
"""


def main(events: int, folder: Path, items: int = 0) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for part in range(-(-events // PART)):
        config = SimulatorConfig(events=min(PART, events - part * PART), users=10_000, items=100_000, categories=200, seed=part)
        table = simulate(config, "large").events
        assert isinstance(table, pd.DataFrame), "a simulated log is in memory"
        table["user"] = f"{part:05d}-" + table["user"].astype(str)
        table["device"] = np.array(["phone", "tablet", "desktop"])[np.random.default_rng(part).integers(0, 3, len(table))]
        table.drop(columns="true_probability").to_parquet(folder / f"{part:05d}.parquet", index=False)
        print(f"{folder}: {min((part + 1) * PART, events):,} events", file=sys.stderr)
    for begin in range(0, items, PART):
        number = np.arange(begin, min(begin + PART, items))
        tags = [f"t{one % 97} t{one % 89}" for one in number.tolist()]
        names = "i" + pd.Series(number).astype("str")
        table = pd.DataFrame({"item": names, "brand": number % 1000, "title": names, "price": number % 777 / 10, "tags": tags})
        (folder / "items").mkdir(exist_ok=True)
        table.to_parquet(folder / "items" / f"{begin // PART:05d}.parquet", index=False)
    (folder / f"{folder.name}.yaml").write_text(DESCRIPTION + (ITEMS if items else ""), encoding="utf-8")


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else 0)
