"""Label rules."""

import numpy as np
import pandas as pd
import pytest

from rankbench.bench.data.sources.labels import parse_label
from rankbench.bench.errors import UserError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("v >= 3", [0, 1, 1]),
        ("v > 3", [0, 0, 1]),
        ("v<=3", [1, 1, 0]),
        ("v < 3.0", [1, 0, 0]),
        ("v == 3", [0, 1, 0]),
        ("v != 3", [1, 0, 1]),
    ],
)
def test_comparisons_with_numbers(text: str, expected: list[int]) -> None:
    for column in (pd.Series([2, 3, 4]), pd.Series(["2", "3", "4.0"]), pd.Series([2.0, 3.0, 4.0])):
        assert parse_label(text).apply(column).tolist() == expected


def test_comparisons_with_words() -> None:
    column = pd.Series(["buy", "view", None], dtype="str")
    np.testing.assert_array_equal(parse_label("kind == buy").apply(column), np.array([1, 0, np.nan], dtype=np.float32))
    np.testing.assert_array_equal(parse_label("kind != 'buy'").apply(column), np.array([0, 1, np.nan], dtype=np.float32))


def test_missing_or_unreadable_is_missing() -> None:
    labels = parse_label("v >= 3").apply(pd.Series(["5", None, "many"], dtype="str"))
    assert np.isnan(labels).tolist() == [False, True, True]


@pytest.mark.parametrize("values", [[1, 0, None], ["1", "0", None], ["True", "False", None], ["1.0", "0.0", None]])
def test_column_of_zeros_and_ones(values: list[object]) -> None:
    np.testing.assert_array_equal(parse_label("v").apply(pd.Series(values)), np.array([1, 0, np.nan], dtype=np.float32))


@pytest.mark.parametrize("values", [[0, 1, 2], ["0", "1", "yes"], [0.0, 1.0, 0.5], ["0", "1", "-1"]])
def test_column_with_other_values(values: list[object]) -> None:
    with pytest.raises(UserError, match=r"label column 'v' holds .* in data row 3, not 0 or 1: write a rule"):
        parse_label("v").apply(pd.Series(values))


def test_column_names_with_spaces() -> None:
    rule = parse_label(" star rating >= 4 ")
    assert (rule.column, rule.operator, rule.value) == ("star rating", ">=", 4.0)


@pytest.mark.parametrize("text", ["", "v =", "v => 3", "v = 3", ">= 3", "v >= 3 > 2", "v > many", "v >= 3 and w < 2"])
def test_bad_rules(text: str) -> None:
    with pytest.raises(UserError, match=r"neither a column nor a rule|which is not a number"):
        parse_label(text)


@pytest.mark.parametrize("text", ["v in [4.0, 4.5, 5.0]", "v in [4, 4.5, 5]"])
@pytest.mark.parametrize("values", [[3.0, 4.0, 4.5, 5.0], ["3", "4", "4.5", "5"], ["3.0", "4.0", "4.5", "5.0"]])
def test_a_list_of_numbers_names_them_with_decimals_or_without(text: str, values: list[object]) -> None:
    assert parse_label(text).apply(pd.Series(values)).tolist() == [0, 1, 1, 1]
