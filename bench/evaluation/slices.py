"""Parts of the test examples in which models differ: by what training knew of the user and of the item."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd


class Range(NamedTuple):
    """The rows whose column lies within both bounds."""

    column: str
    low: int
    high: int | None
    """Included, as `low` is; None for no upper bound."""

    @property
    def of_items(self) -> bool:
        """Whether it is made by item."""
        return self.column == "item_events"

    def mask(self, rows: pd.DataFrame) -> np.ndarray:
        """bool [rows]"""
        values = rows[self.column].to_numpy()
        return (values >= self.low) & (True if self.high is None else values <= self.high)


def _ranges(name: str, column: str, *bounds: tuple[int, int | None]) -> dict[str, Range]:
    def words(low: int, high: int | None) -> str:
        return "none" if low < 0 else f"{low}+" if high is None else str(low) if low == high else f"{low}-{high}"

    return {f"{name}: {words(low, high)}": Range(column, low, high) for low, high in bounds}


ALL = "all"

PARTS: dict[str, Range] = (
    _ranges("user_events", "user_events", (0, 0), (1, 19), (20, 49), (50, None))
    | _ranges("user_gap", "user_gap_days", (-1, -1), (0, 6), (7, 29), (30, 179), (180, None))
    | _ranges("item_events", "item_events", (0, 0), (1, 9), (10, 99), (100, None))
)
"""Name -> rows. The three kinds are three partitions of the test examples: the user's events in training, whole days from the
last of them to the request (`none` without any), and the item's events in training."""

COLUMNS = tuple(dict.fromkeys(part.column for part in PARTS.values()))


def masks(rows: pd.DataFrame) -> dict[str, np.ndarray]:
    """Slice -> bool [rows]; `all` first."""
    return {ALL: np.ones(len(rows), dtype=bool), **{name: part.mask(rows) for name, part in PARTS.items()}}
