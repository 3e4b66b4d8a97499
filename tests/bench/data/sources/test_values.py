"""Ids stay apart or are refused, numbers are read as they are written, and texts do not depend on a column's type."""

import warnings
from decimal import Decimal
from pathlib import Path

import hypothesis.strategies as st
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given

from rankbench.bench.data.sources.files import read_blocks
from rankbench.bench.data.sources.labels import parse_label
from rankbench.bench.data.sources.values import Ids, as_numbers, as_text, present
from rankbench.bench.errors import UserError


def written(column: pd.Series) -> pd.Series:
    """A column of ids in one block."""
    ids = Ids(f"t: column {column.name!r}")
    ids.note(column)
    text = ids.write(column)
    if ids.padded:
        ids.look_again(text)
    return text


@pytest.fixture(autouse=True)
def no_warnings() -> None:
    warnings.simplefilter("error")


def stored(tmp_path: Path, values: pa.Array) -> pd.Series:
    """A column as it comes out of a parquet file."""
    pq.write_table(pa.table({"user": values}), tmp_path / "t.parquet")
    return pd.concat(read_blocks(tmp_path / "t.parquet", ["user"]))["user"]


@pytest.mark.parametrize(
    ("kind", "values", "limit"),
    [("float16", [1, 2048], "2,048"), ("float32", [1, 2**24], "16,777,216"), ("float64", [1, 2**53], "9,007,199,254,740,992")],
)
def test_ids_that_their_type_cannot_keep_apart_are_refused(kind: str, values: list[int], limit: str, tmp_path: Path) -> None:
    column = stored(tmp_path, pa.array(np.array(values, dtype=kind)))
    with pytest.raises(UserError, match=f"t: column 'user' holds ids as {kind}, in which numbers from {limit} on fall together"):
        written(column)
    small = stored(tmp_path, pa.array(np.array([1, values[1] - 1, np.nan], dtype=kind), from_pandas=True))
    assert written(small).tolist()[:2] == ["1", str(values[1] - 1)] and written(small).isna().tolist()[2]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([1.0, 2.5], "holds 2.5 as an id: store whole numbers or text"),
        ([1.0, np.inf], "fall together"),
        (["a\0b", "c"], r"the id 'a\\x00b' holds a NUL character"),
        (["1.23E+18", "5"], "the id '1.23E\\+18' was rounded by a spreadsheet"),
        ([" 1", "1"], "the ids ' 1' and '1' differ in white space alone: strip them"),
        (["x", "y\t", "y"], r"the ids 'y\\t' and 'y' differ in white space alone"),
    ],
)
def test_ids_that_fell_or_would_fall_together_are_refused(values: list[object], message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        written(pd.Series(values, name="user"))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (pa.array([2**63 + 1, 2**64 - 1], pa.uint64()), [str(2**63 + 1), str(2**64 - 1)]),
        (pa.array([-(2**63), 2**63 - 1]), [str(-(2**63)), str(2**63 - 1)]),
        (pa.array([5, 7, 5]).dictionary_encode(), ["5", "7", "5"]),
        (pa.array(["007", "7"]).dictionary_encode(), ["007", "7"]),
        (pa.array([Decimal("7.00"), Decimal("12345678901234567890.00")], pa.decimal128(30, 2)), ["7", "12345678901234567890"]),
        (pa.array([Decimal("7.50"), Decimal("8.00")], pa.decimal128(30, 2)), ["7.50", "8.00"]),
        (pa.array(["9" * 5_000, "1"]), ["9" * 5_000, "1"]),
        (pa.array([" a b ", "ä"]), [" a b ", "ä"]),
    ],
)
def test_ids_of_every_type_stay_apart(values: pa.Array, expected: list[str], tmp_path: Path) -> None:
    assert written(stored(tmp_path, values)).tolist() == expected


@given(st.lists(st.one_of(st.none(), st.integers(-(2**40), 2**40)), min_size=1))
def test_whole_numbers_have_one_text_whatever_their_type(values: list[int | None]) -> None:
    forms = [
        pd.Series(values, dtype="Int64"),
        pd.Series(values, dtype="float64"),
        pd.Series([None if one is None else f"{one}.0" for one in values], dtype="str"),
        pd.Series([None if one is None else str(one) for one in values], dtype="str"),
    ]
    texts = [as_text(form).fillna("").tolist() for form in forms]
    assert texts == [["" if one is None else str(one) for one in values]] * 4


@given(st.lists(st.one_of(st.none(), st.booleans()), min_size=1))
def test_flags_have_one_text_whatever_their_case(values: list[bool | None]) -> None:
    for form in (str, str.upper, str.lower):
        column = pd.Series([None if one is None else form(str(one)) for one in values], dtype="str")
        assert as_text(column).fillna("").tolist() == ["" if one is None else str(one).lower() for one in values]


def test_texts_that_are_not_all_of_one_kind_stay_as_they_are() -> None:
    for values in (["1.0", "1"], ["1.0", "x"], ["true", "yes"], ["01.0", "2.0"]):
        assert as_text(pd.Series(values, dtype="str")).tolist() == values


@pytest.mark.parametrize(
    ("text", "point", "comma"),
    [
        ("1.5", 1.5, None),
        ("1,5", None, 1.5),
        ("1.234,5", None, 1234.5),
        ("1.234", 1.234, 1234),
        ("-7", -7, -7),
        ("12.34", 12.34, None),
    ],
)
def test_the_decimal_sign_is_the_stated_one(text: str, point: float | None, comma: float | None) -> None:
    column = pd.Series([text, None, "", "x"], dtype="str")
    for sign, expected in ((".", point), (",", comma)):
        numbers = as_numbers(column, sign)  # type: ignore[arg-type]
        assert np.isnan(numbers[1:]).all()
        assert np.isnan(numbers[0]) if expected is None else numbers[0] == expected
    assert present(column).tolist() == [True, False, False, True]


def test_labels_know_the_decimal_sign_and_say_when_a_column_holds_no_numbers() -> None:
    column = pd.Series(["4,5", "3,0", None], dtype="str")
    rule = parse_label("rating >= 4")
    assert rule.apply(column, ",").tolist()[:2] == [1, 0]
    with pytest.raises(
        UserError, match="label 'rating >= 4': column 'rating' should hold numbers, but 2 of 2 values are none"
    ) as caught:
        rule.apply(column)
    assert str(caught.value).endswith("""such as '4,5': write decimal: "," if the comma is a decimal one""")
