"""Features in the event table are what they were when each id had a row in memory, whatever the blocks."""

import dataclasses
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import cast

import hypothesis.strategies as st
import pandas as pd
import pytest
from hypothesis import given, settings

from rankbench.bench.data.conversion import cells, merge
from rankbench.bench.data.eventlog import EventLog, write_log
from rankbench.bench.data.sources.schema import Feature, RawLog, Schema, Within
from rankbench.bench.data.sources.values import as_text
from rankbench.bench.errors import UserError
from support.in_memory import assert_as_in_memory

FEATURES = (
    Feature("brand"),
    Feature("tags", "multi", "|"),
    Feature("price", "number"),
    Feature("weight", "number"),
    Feature("size"),
    Feature("since"),
)
TYPES = {"brand": "str", "tags": "str", "price": "str", "weight": "float64", "size": "float64", "since": "datetime64[ms]"}
NAMES = list(TYPES)
MOMENTS = [None, *pd.to_datetime(["2020-01-01", "2020-01-02T03:00", "2020-01-03T00:00:00.25"], format="ISO8601")]
VALUES = st.tuples(
    st.sampled_from(["1.0", "2.0", "10.0", "x", "", None, "TRUE"]),
    st.sampled_from(["b|a", "b||10", "", None, "9"]),
    st.sampled_from(["1.5", "10", "9", None, ""]),
    st.sampled_from([0.1, -0.0, None, 1e300, 12.0]),
    st.sampled_from([9.0, 10.0, 0.5, None, -0.0]),
    st.sampled_from(MOMENTS),
)
IDS = st.sampled_from(["007", "7", "x", "10", None, "9"])
EVENTS = st.lists(st.tuples(IDS, st.sampled_from(["0", "1", None]), VALUES), max_size=12)


def least(events: pd.DataFrame) -> pd.DataFrame:
    """Each id with the smallest value of each column, all in memory."""
    rows = events[["item", *NAMES]].dropna(subset=["item"]).drop_duplicates()
    return cast(pd.DataFrame, rows.groupby("item", sort=False)[NAMES].min())


def same(parts: Sequence[pd.DataFrame], names: Sequence[str]) -> pd.DataFrame | str:
    """Each id with its only value of each column, all in memory; the first feature and id that have another one."""
    parts = [part[["item", *names]].dropna(subset=["item"]).copy() for part in parts]
    for name in ("item", *names):
        for kind in kinds if len(kinds := {str(part[name].dtype) for part in parts}) > 1 else ():
            alike = [part for part in parts if part[name].dtype == kind]
            text, begin = as_text(pd.concat([part[name] for part in alike], ignore_index=True)), 0
            for part in alike:
                part[name] = text.iloc[begin : begin + len(part)].to_numpy()
                begin += len(part)
    rows = pd.concat(parts, ignore_index=True)
    for name in names:
        distinct = rows[["item", name]].dropna().drop_duplicates()
        repeated = distinct["item"].duplicated()
        if repeated.any():
            return f"item feature '{name}' of '{distinct['item'].iloc[repeated.argmax()]}' changes between events"
    return cast(pd.DataFrame, rows.groupby("item", sort=False).first())


def log_of(events: pd.DataFrame, within: Within) -> RawLog:
    schema = Schema("click", ("click",), item_features=FEATURES)
    return RawLog("toy", events, None, None, schema, (), "none", "none", within=dict.fromkeys(NAMES, within))


def events_of(rows: list[tuple]) -> pd.DataFrame:
    """Two more rows make every log one: both labels, an id without values."""
    rows = [*rows, ("bare", "0", (None,) * 6), ("bare", "1", (None,) * 6)]
    frame = pd.DataFrame([(item, click, *values) for item, click, values in rows], columns=["item", "click", *NAMES])
    times = [str(10**9 + at) for at in range(len(rows))]
    return frame.assign(user="u", time=times).astype({"user": "str", "item": "str", "time": "str", "click": "str", **TYPES})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("within")


def in_blocks(raw: RawLog, folder: Path, block: int) -> EventLog:
    shutil.rmtree(folder / "log", ignore_errors=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cells, "BLOCK_ROWS", block)
        patch.setattr(merge, "RANGE", block)
        patch.setattr(merge, "_BATCH", block)
        return write_log(raw, folder / "log", rows=block)


@pytest.mark.long
@settings(max_examples=40, deadline=None)
@given(EVENTS, st.integers(1, 5))
def test_the_least_value_of_an_id_is_that_of_all_its_rows(folder: Path, rows: list[tuple], block: int) -> None:
    raw = log_of(events_of(rows), "least")
    assert isinstance(raw.events, pd.DataFrame)
    assert_as_in_memory(in_blocks(raw, folder, block), dataclasses.replace(raw, items=least(raw.events), within={}))


@pytest.mark.long
@settings(max_examples=40, deadline=None)
@given(st.dictionaries(IDS, VALUES), EVENTS, st.booleans(), st.integers(1, 5))
def test_one_value_of_an_id_is_taken_and_two_are_refused(
    folder: Path, table: dict[str, tuple], rows: list[tuple], any_values: bool, block: int
) -> None:
    """Each id says its value of the table, or nothing; with any values, an id often says two things."""
    said = [
        (item, click, tuple(table.get(item, values)) if at % 3 else (None,) * 6) for at, (item, click, values) in enumerate(rows)
    ]
    raw = log_of(events_of(rows if any_values else said), "same")
    assert isinstance(raw.events, pd.DataFrame)
    expected = same([raw.events], NAMES)
    if isinstance(expected, str):
        with pytest.raises(UserError, match=f"^toy: {expected}: list it under context_features, or give a table"):
            in_blocks(raw, folder, block)
    else:
        assert_as_in_memory(in_blocks(raw, folder, block), dataclasses.replace(raw, items=expected, within={}))


class Frames:
    """Blocks of different types, as different files give them."""

    def __init__(self, frames: list[pd.DataFrame]) -> None:
        self._frames = frames

    def __iter__(self) -> Iterator[pd.DataFrame]:
        return iter(self._frames)

    def finish(self, raw: RawLog) -> RawLog:
        return raw


def test_values_that_files_hold_in_different_types_are_the_same_by_their_texts(folder: Path) -> None:
    text = events_of([("7", "0", ("1", "", None, None, None, None)), ("9", "1", ("2", "", None, None, None, None))])
    number = text.assign(
        brand=[1.0, None, None, 4.0], item=[7.0, 9.0, 10.0, 11.0], time=[str(10**9 + 50 + at) for at in range(4)]
    )
    raw = dataclasses.replace(log_of(text, "same"), events=Frames([text, number]))
    expected = same([text, number], NAMES)
    assert isinstance(expected, pd.DataFrame) and expected["brand"].dropna().to_dict() == {"7": "1", "9": "2", "11": "4"}
    whole = pd.concat([text, number.assign(brand=["1", None, None, "4"], item=["7", "9", "10", "11"])], ignore_index=True)
    log = in_blocks(raw, folder, 9)
    assert_as_in_memory(log, dataclasses.replace(raw, events=whole, items=expected, within={}))
    other = dataclasses.replace(raw, events=Frames([text, number.assign(brand=[3.0, None, None, None])]))
    with pytest.raises(UserError, match="item feature 'brand' of '7' changes between events"):
        in_blocks(other, folder, 9)


def test_a_feature_may_stand_in_the_events_beside_a_table_of_others(folder: Path) -> None:
    events = events_of([("7", "0", ("b", "", None, None, None, None)), ("9", "1", ("a", "", None, None, None, None))])
    raw = log_of(events, "least")
    items = pd.DataFrame({"tags": ["x|y"], "price": ["2"]}, index=["7"], dtype="str")
    within = {name: how for name, how in raw.within.items() if name not in items}
    log = in_blocks(dataclasses.replace(raw, items=items, within=within), folder, 1)
    reference = least(events).drop(columns=["tags", "price"]).join(items)
    assert_as_in_memory(log, dataclasses.replace(raw, items=reference, within={}))
    with pytest.raises(UserError, match="toy: the event table has no column 'brand'"):
        in_blocks(dataclasses.replace(raw, events=events.drop(columns="brand")), folder, 1)


def test_a_column_within_the_events_that_holds_few_numbers_is_refused(folder: Path) -> None:
    """Ids are counted, not their events."""
    row = ("b", "", "cheap", None, None, None)
    events = events_of([("7", "0", row), ("7", "1", row), ("9", "1", row)])
    with pytest.raises(UserError, match="the item table of toy: feature 'price' should hold numbers, but 2 of 2 values are none"):
        in_blocks(log_of(events, "least"), folder, 1)


@pytest.mark.parametrize("block", [1, 2, 9])
def test_moments_of_an_event_have_one_text_whatever_the_blocks(folder: Path, block: int) -> None:
    """How exactly they are written follows from all of them."""
    events = events_of([("7", "0", (None,) * 6), ("9", "1", (None,) * 6)])
    events["seen"] = pd.to_datetime(["2020-01-01", "2020-01-02T03:00", None, "2020-01-01"], format="ISO8601").astype(
        "datetime64[ms]"
    )
    events["shown"] = events["seen"].dt.tz_localize("Asia/Shanghai")
    schema = Schema("click", ("click",), context_features=(Feature("seen"), Feature("shown")))
    raw = dataclasses.replace(log_of(events, "least"), schema=schema, within={})
    log = in_blocks(raw, folder, block)
    assert_as_in_memory(log, raw)
    assert log.dictionary("feature.seen").tolist() == ["", "2020-01-01 00:00:00", "2020-01-02 03:00:00"]
