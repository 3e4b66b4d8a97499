"""A table of one's own, as a user of the command line would have it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd


def click_table(folder: Path, rows: int = 1500) -> Path:
    """clicks.csv (user, item, time, click, age) and the clicks.yaml that describes it, in `folder`; some items are better.

    Returns:
        The path of clicks.yaml.
    """
    rng = np.random.default_rng(0)
    item, user = rng.integers(0, 20, rows), rng.integers(0, 30, rows)
    frame = pd.DataFrame(
        {
            "user": [f"u{one}" for one in user],
            "item": [f"i{one}" for one in item],
            "time": np.sort(rng.integers(1_600_000_000, 1_600_500_000, rows)),
            "click": (rng.random(rows) < 0.2 + 0.03 * item).astype(int),
            "age": 20 + user,
        }
    )
    frame.to_csv(folder / "clicks.csv", index=False)
    path = folder / "clicks.yaml"
    path.write_text("events: clicks.csv\nlabel: click\n")
    return path
