"""Numbers that count later rows are found, whether items, users or events have them, and honest counts are none."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from rankbench.bench.config import DataConfig
from rankbench.bench.data.dataset import prepare_log
from rankbench.bench.data.eventlog import write_log
from rankbench.bench.data.sources.schema import Feature, RawLog
from rankbench.bench.data.sources.simulator import SimulatorConfig, simulate
from rankbench.bench.inspection import counts as module
from rankbench.bench.inspection.counts import counts

RAW = simulate(SimulatorConfig(events=12_000, users=150, items=200, categories=10), "shop")
assert isinstance(RAW.events, pd.DataFrame) and RAW.items is not None
TABLE = RAW.events.sort_values("time", kind="stable").reset_index(drop=True)
DAY = 86_400


def until(owner: str, moment: pd.Series | np.ndarray, weight: pd.Series | None = None, closed: bool = False) -> np.ndarray:
    """Rows of the same user or item before a moment, one by one; or at it."""
    rows, weights = TABLE[owner].to_numpy(), np.ones(len(TABLE)) if weight is None else weight.to_numpy()
    time, moments = TABLE["time"].to_numpy(), np.asarray(moment)
    found = np.zeros(len(TABLE))
    for one in np.unique(rows):
        own = np.flatnonzero(rows == one)
        total = np.append(0, np.cumsum(weights[own]))
        found[own] = total[np.searchsorted(time[own], moments[own], side="right" if closed else "left")]
    return found


def of_events(values: np.ndarray | pd.Series, kind: str = "number") -> RawLog:
    schema = dataclasses.replace(RAW.schema, context_features=(Feature("plays", kind),))  # type: ignore[arg-type]
    return dataclasses.replace(RAW, events=TABLE.assign(plays=np.asarray(values)), schema=schema)


def of_items(values: pd.Series, kind: str = "number") -> RawLog:
    assert RAW.items is not None
    features = (*RAW.schema.item_features, Feature("plays", kind))  # type: ignore[arg-type]
    items = RAW.items.assign(plays=values.reindex(RAW.items.index).fillna(0))
    return dataclasses.replace(RAW, items=items, schema=dataclasses.replace(RAW.schema, item_features=features))


def said(raw: RawLog, folder: Path) -> list[str]:
    return [fault.what for fault in counts(prepare_log(write_log(raw, folder / "log"), DataConfig("shop")))]


def by_popularity() -> RawLog:
    """Items are drawn by what the feature says, which counts nothing."""
    assert RAW.items is not None
    rng = np.random.default_rng(0)
    popularity = rng.lognormal(size=len(RAW.items))
    items = rng.choice(RAW.items.index, len(TABLE), p=popularity / popularity.sum())
    raw = of_items(pd.Series(popularity, index=RAW.items.index))
    return dataclasses.replace(raw, events=TABLE.assign(item=items))


SIZE = TABLE.groupby("item").size()
TIME, CLICK = TABLE["time"], TABLE["click"]
END_OF_DAY = (TIME // DAY + 1) * DAY
END_OF_TRAINING = float(TIME.quantile(0.8))

LATER: dict[str, tuple[str, Callable[[], RawLog]]] = {
    "plays at the end, in events": (
        "context feature plays is a count of rows of the whole log", lambda: of_events(TABLE["item"].map(SIZE)),
    ),
    "plays at the end, as a category": (
        "context feature plays is a count of rows of the whole log",
        lambda: of_events(TABLE["item"].map(SIZE).astype(str), "category"),
    ),
    "the user's events at the end": (
        "context feature plays is a count of rows of the whole log: .* of each user",
        lambda: of_events(TABLE.groupby("user")["item"].transform("size")),
    ),
    "most played first": ("item feature plays is a count of rows", lambda: of_items(SIZE.rank(ascending=False))),
    "counts of an item as a category": ("item feature plays is a count of rows", lambda: of_items(SIZE.astype(str), "category")),
    "an average at the end": (
        "item feature plays is the share of positive rows", lambda: of_items(TABLE.groupby("item")["click"].mean()),
    ),
    "plays that are still to come": (
        "counts rows until 14 days after the row of the item",
        lambda: of_events(until("item", TIME + 14 * DAY)),
    ),
    "until the end of the day": (
        "counts rows until the end of the row's day of the item: rank correlation 1.0000",
        lambda: of_events(until("item", END_OF_DAY)),
    ),
    "an average with the row's own": (
        "holds the row's own outcome: how it changes from one row of the item to the next",
        lambda: of_events(CLICK.groupby(TABLE["item"]).cumsum() / (TABLE.groupby("item").cumcount() + 1)),
    ),
    "clicks with the row's own": (
        "holds the row's own outcome: how it changes from one row of the item to the next",
        lambda: of_events(CLICK.groupby(TABLE["item"]).cumsum()),
    ),
}  # fmt: skip

HONEST: dict[str, Callable[[], RawLog]] = {
    "plays before the row": lambda: of_events(until("item", TIME)),
    "plays with the row": lambda: of_events(until("item", TIME, closed=True)),
    "clicks before the row": lambda: of_events(until("item", TIME, CLICK)),
    "the user's clicks before the row": lambda: of_events(until("user", TIME, CLICK)),
    "the average before the row": lambda: of_events(until("item", TIME, CLICK) / np.maximum(until("item", TIME), 1)),
    "plays until yesterday": lambda: of_events(until("item", TIME // DAY * DAY)),
    "plays of the week before": lambda: of_events(until("item", TIME) - until("item", TIME - 7 * DAY)),
    "plays in training, in events": lambda: of_events(TABLE["item"].map(TABLE[TIME < END_OF_TRAINING].groupby("item").size())),
    "how popular items are": lambda: by_popularity(),
    "plays in training": lambda: of_items(TABLE[TIME < END_OF_TRAINING].groupby("item").size()),
    "the time": lambda: of_events(TIME - TIME.min()),
    "the hour as a category": lambda: of_events((TIME // 3600 % 24).astype(str), "category"),
    "chance": lambda: of_events(np.random.default_rng(0).normal(size=len(TABLE))),
    "one value": lambda: of_events(np.ones(len(TABLE))),
    "chance in few rows": lambda: of_events(
        np.where(np.arange(len(TABLE)) % 200 == 7, np.random.default_rng(3).normal(size=len(TABLE)), np.nan)
    ),
    "none": lambda: of_events(np.where(np.arange(len(TABLE)) == 7, 3.0, np.nan)),
}


@pytest.mark.long
@pytest.mark.parametrize("case", LATER)
def test_a_count_of_later_rows_is_found(case: str, tmp_path: Path) -> None:
    expected, plant = LATER[case]
    found = pd.Series(said(plant(), tmp_path), dtype="str")
    assert len(found) == 1 and found.str.contains(expected).all(), found.tolist()


@pytest.mark.long
@pytest.mark.parametrize("case", HONEST)
def test_a_count_of_earlier_rows_is_no_fault(case: str, tmp_path: Path) -> None:
    assert said(HONEST[case](), tmp_path) == []


@pytest.mark.long
@pytest.mark.parametrize("case", ["plays at the end, in events", "until the end of the day"])
def test_some_of_the_items_tell_as_much(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ROWS", 6_000)
    found = pd.Series(said(LATER[case][1](), tmp_path), dtype="str")
    assert found.str.contains(LATER[case][0]).any(), found.tolist()


def test_rows_before_a_moment_are_counted_whatever_the_dates() -> None:
    """A row of the year 9999 and a hundred thousand users: owner and time in milliseconds are no number of 64 bits."""
    users, late = 100_000, 253_370_764_800_000
    time = np.sort(np.random.default_rng(0).integers(0, 1_000, (users, 3)))
    time[-1, -1] = late
    owner, row = np.repeat(np.arange(users), 3), np.arange(3 * users)
    drawn = module._Drawn(row, owner, np.arange(users), time.ravel(), row % 2, 0)
    for moment in (time.ravel(), time.ravel() + 400):
        expected = (time[owner] < moment[:, None]).sum(1)
        assert np.array_equal(drawn.until(moment), expected)
