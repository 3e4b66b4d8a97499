"""shop.yaml and the events.csv that it describes: a small table that tests change key by key."""

from pathlib import Path
from typing import Any

import yaml

from rankbench.bench.data import sources
from rankbench.bench.data.sources.schema import DataRoots, RawLog
from support.converted import Tables, converted

EVENTS = """uid,sku,ts,stars,market,device,segment,brand,unused
u1,007,100,5,de,phone,a,x,1
u2,7,50,2,fr,phone,b,y,2
u1,99999999999999999999,200,1,de,,a,,3
u2,007,60,4,de,web,b,x,4
"""
BASE = {
    "events": "events.csv",
    "columns": {"user": "uid", "item": "sku", "time": "ts"},
    "label": "stars >= 4",
    "time_origin": "relative",
    "domain": "market",
    "context_features": ["device"],
}


def load(folder: Path, text: str = EVENTS, **changes: Any) -> RawLog:
    if not (folder / "events.csv").exists():
        (folder / "events.csv").write_text(text)
    (folder / "shop.yaml").write_text(
        yaml.safe_dump({key: value for key, value in {**BASE, **changes}.items() if value is not None})
    )
    return sources.load(str(folder / "shop.yaml"), DataRoots(None, folder / "cache"))


def log_of(raw: RawLog) -> Tables:
    return converted(raw)[0]
