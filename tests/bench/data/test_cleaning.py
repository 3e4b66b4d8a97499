"""Cleaning: every row is kept or counted once, times and labels mean what they say, and hopeless input stops with one line."""

from dataclasses import fields, replace

import hypothesis.strategies as st
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings

from rankbench.bench.data.cleaning import CleaningReport
from rankbench.bench.data.sources.schema import Feature, RawLog, Schema
from rankbench.bench.errors import UserError
from support.converted import converted


def raw_log(rows: list[tuple[object, ...]], schema: Schema | None = None, **changes: object) -> RawLog:
    """Rows of (user, item, time, rating, tab)."""
    events = pd.DataFrame(rows, columns=["user", "item", "time", "rating", "tab"])
    schema = schema or Schema("rating >= 4", ("rating",), context_features=(Feature("tab"),))
    return replace(RawLog("toy", events, None, None, schema, (), "none", "none"), **changes)  # type: ignore[arg-type]


GOOD = [("u", "a", "10", "5", "1"), ("u", "b", "20", "1", "2"), ("v", "a", "15", "4", None)]


def report_of(rows_read: int, **counts: int) -> CleaningReport:
    named = {field.name: 0 for field in fields(CleaningReport)} | counts
    fixed = {"rows_read": rows_read, "sorted_by_time": False, "unread_numbers": ()}
    return CleaningReport(**{**named, **fixed})  # type: ignore[arg-type]


def test_good_rows() -> None:
    log, report = converted(raw_log(GOOD))
    assert log.events["user"].tolist() == ["u", "u", "v"]
    assert log.events["item"].tolist() == ["a", "b", "a"]
    assert log.events["time"].tolist() == [10_000, 20_000, 15_000] and log.events["time"].dtype == np.int64
    assert log.events["label"].tolist() == [1, 0, 1] and log.events["label"].dtype == np.uint8
    assert log.events["action"].tolist() == ["5", "1", "4"]
    assert log.events["tab"].tolist() == ["1", "2", ""]
    assert report == report_of(3, rows_kept=3)


def test_each_broken_row_is_counted_once_under_its_first_fault() -> None:
    broken = [
        (None, None, "x", None, "1"),
        ("", "a", "5", "4", "1"),
        ("u", None, "x", "4", "1"),
        ("u", "c", "soon", None, "1"),
        ("u", "c", None, "4", "1"),
        ("u", "c", "inf", "4", "1"),
        ("u", "c", "30", None, "1"),
        ("u", "a", "10.0", "1", "9"),
        ("v", "a", "15", "4", ""),
    ]
    log, report = converted(raw_log([*GOOD, *broken]))
    assert report == report_of(
        12, missing_user=2, missing_item=1, unreadable_time=3, missing_label=1, repeated=1, conflicting=1, rows_kept=3
    )
    assert log.events["label"].tolist() == [1, 0, 1], "of rows that conflict the positive one is kept"
    lines = report.lines()
    assert lines[0] == (
        "rows: 12 read, 3 kept; dropped: 2 without user, 1 without item, 3 with unreadable time, 1 without label, 1 repeated, "
        "1 of the same user, item and time as another row, but otherwise different"
    )
    assert "not in order" in lines[1]


def test_report_of_a_sorted_log_without_faults() -> None:
    _, report = converted(raw_log([GOOD[0], GOOD[2], GOOD[1]]))
    assert report.lines() == ["rows: 3 read, 3 kept; dropped: none", "rows came in order of time"]


CELL = st.sampled_from([None, "", "1", "2", "x"])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(CELL, CELL, CELL, CELL, CELL), max_size=12))
def test_every_row_is_kept_or_counted(rows: list[tuple[object, ...]]) -> None:
    # Enough good ones: a log of which most times or labels cannot be read is refused.
    many = [("w", str(n), str(100 + n), "4", "1") for n in range(12)]
    rows = [*rows, *many]
    log, report = converted(raw_log([*GOOD, *rows]))
    faults = (report.missing_user, report.missing_item, report.unreadable_time, report.missing_label)
    dropped = sum(faults) + report.repeated + report.conflicting
    assert report.rows_read == len(rows) + 3 == dropped + report.rows_kept
    assert len(log.events) == report.rows_kept
    assert not log.events.isna().any().any()
    assert not log.events.duplicated(["user", "item", "time"]).any()
    usable = {(row[0], int(str(row[2])) * 1000, row[1]) for row in [*GOOD, *rows] if _usable(row)}
    assert [tuple(row) for row in log.events[["user", "time", "item"]].to_numpy()] == sorted(usable), "order of content"


def _usable(row: tuple[object, ...]) -> bool:
    user, item, time, rating, _ = row
    return bool(user) and bool(item) and str(time).isdigit() and str(rating).isdigit()


@pytest.mark.parametrize(
    ("unit", "values", "expected"),
    [
        ("s", ["881250949", "1.5"], [881250949000, 1500]),
        ("s", [881250949, 2], [881250949000, 2000]),
        ("ms", ["1650812741436", "7"], [1650812741436, 7]),
        ("day", ["1", "16000"], [86_400_000, 16000 * 86_400_000]),
        ("datetime", ["1970-01-02", "1970-01-01T00:00:01.250Z"], [86_400_000, 1250]),
        ("datetime", ["1970-01-01 08:00:00+08:00", "1970-01-01 00:00:01"], [0, 1000]),
        ("us", ["1650812741436000", "7000"], [1650812741436, 7]),
        ("ns", [1650812741436000000, 7000000], [1650812741436, 7]),
        ("datetime", pd.to_datetime(["1970-01-02", "1970-01-03"]), [86_400_000, 2 * 86_400_000]),
    ],
)
def test_time_units(unit: str, values: object, expected: list[int]) -> None:
    raw = raw_log(GOOD[:2], Schema("rating >= 4", ("rating",), time_unit=unit))  # type: ignore[arg-type]
    raw.events["time"] = values
    log, _ = converted(raw)
    assert log.events.set_index("item")["time"][["a", "b"]].tolist() == expected


def test_unreadable_dates_are_counted() -> None:
    rows = [
        ("u", "a", "2020-01-01", "5", "1"),
        ("u", "b", "2020-02-31", "1", "1"),
        ("u", "c", "2020-01-03", "1", "1"),
        ("u", "d", None, "1", "1"),
    ]
    _, report = converted(raw_log(rows, Schema("rating >= 4", ("rating",), time_unit="datetime")))
    assert (report.unreadable_time, report.rows_kept) == (2, 2)


def test_action_is_the_combination_of_its_columns() -> None:
    raw = raw_log([*GOOD, ("w", "a", "1", None, "2")], Schema("tab", ("rating", "tab"), time_unit="s"))
    raw.events["tab"] = ["1", "0", "1", "0"]
    raw.events["rating"] = [5.0, 1.0, np.nan, 2.5]
    log, _ = converted(raw)
    assert log.events["action"].tolist() == ["5.0|1", "1.0|0", "|1", "2.5|0"]
    raw.events["rating"] = [5.0, 1.0, np.nan, 2.0]
    assert converted(raw)[0].events["action"].tolist() == ["5|1", "1|0", "|1", "2|0"]
    assert converted(replace(raw, schema=Schema("tab", ())))[0].events["action"].tolist() == [""] * 4


@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("xyz"), st.sampled_from("01")), min_size=2, max_size=20))
@settings(max_examples=40, deadline=None)
def test_actions_spell_out_their_row(values: list[tuple[str, str, str]]) -> None:
    events = pd.DataFrame(values, columns=["p", "q", "r"]).assign(user="u", item="a", time=range(len(values)), label=0)
    events.loc[0, "label"] = 1
    raw = RawLog("toy", events, None, None, Schema("label", ("p", "q", "r")), (), "none", "none")
    assert converted(raw)[0].events["action"].tolist() == ["|".join(row) for row in values]


def test_side_tables_and_missing_feature_values() -> None:
    users = pd.DataFrame({"age": ["30", "old", "inf"], "town": ["x", None, "NA"]}, index=["v", "u", "w"])
    schema = Schema("rating >= 4", ("rating",), user_features=(Feature("age", "number"), Feature("town")))
    log, _ = converted(raw_log(GOOD, schema, users=users))
    assert log.users is not None and log.users["town"].tolist() == ["", "x"]
    assert log.users["age"].isna().tolist() == [True, False] and log.users["age"].dtype == np.float32


def bad(label: str = "rating >= 4", time_unit: str = "s", **features: tuple[Feature, ...]) -> Schema:
    return Schema(label, ("rating",), time_unit=time_unit, **features)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("rows", "schema", "message"),
    [
        ([], bad(), "toy has no rows"),
        ([("u", "a", "-5", "5", "1"), *GOOD], bad(), "time '-5' in data row 1 is negative"),
        (
            [*GOOD, ("u", "a", "1650812741436", "5", "1")],
            bad(),
            "'1650812741436' in data row 4 is after the year 2200 if time_unit is 's'",
        ),
        ([*GOOD, ("u", "a", "9" * 30, "5", "1")], bad(), "data row 4 is after the year 2200"),
        (
            [("u", "a", "2020-01-01", "5", "1")],
            bad(),
            "no row has a readable time; the first is '2020-01-01' and time_unit is 's'",
        ),
        ([("u", "a", 5, 5, "1")], bad(time_unit="datetime"), "column time holds numbers: time_unit must be s, ms, us, ns or day"),
        ([("u", "a", pd.Timestamp("2020"), 5, "1")], bad(), "column time holds dates, but time_unit is 's'"),
        ([("u", "a", "1960-01-01", "5", "1")], bad(time_unit="datetime"), "'1960-01-01' in data row 1 is negative"),
        (GOOD, bad("rating"), "label column 'rating' holds '5' in data row 1, not 0 or 1"),
        (GOOD, bad("rating >= 1"), "is 1 in all 3 rows; ranking needs both classes"),
        (GOOD, bad("rating > 5"), "is 0 in all 3 rows"),
        (GOOD, bad("stars >= 4"), "the event table has no column 'stars'; it has: user, item, time, rating, tab"),
        ([(None, "a", "1", "5", "1")], bad(), "no usable row; rows: 1 read, 0 kept; dropped: 1 without user"),
        (GOOD, bad(context_features=(Feature("rating"),)), "'rating' is an outcome"),
        (GOOD, bad(context_features=(Feature("tab"), Feature("tab"))), "'tab' is reserved, used twice"),
        (GOOD, bad(context_features=(Feature("hour"),)), "'hour' is reserved"),
        (GOOD, bad(context_features=(Feature("page"),)), "no column 'page'"),
        (GOOD, bad(user_features=(Feature("age"),)), "feature 'age' needs a user table"),
    ],
)
def test_hopeless_input(rows: list[tuple[object, ...]], schema: Schema, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        converted(raw_log(rows, schema))
    assert "\n" not in str(caught.value)


def test_side_table_with_a_repeated_id() -> None:
    users = pd.DataFrame({"town": ["x", "y"]}, index=["u", "u"])
    with pytest.raises(UserError, match="the user table of toy lists 'u' more than once"):
        converted(raw_log(GOOD, bad(user_features=(Feature("town"),)), users=users))
