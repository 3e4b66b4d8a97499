"""Label rules: a column that holds 0 and 1, or a comparison of one column with a number, a word or a list of words."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from ...errors import UserError
from .values import Decimal, as_numbers, as_text, present

_OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    ">=": operator.ge,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    "<": operator.lt,
}
_MEMBER = re.compile(r"(?P<column>[^<>=!]+?)\s+in\s+\[(?P<words>[^\[\]]*)\]")
_COMPARISON = re.compile(r"(?P<column>[^<>=!]+?)\s*(?P<operator>>=|<=|==|!=|>|<)\s*(?P<value>[^<>=!]+)")


@dataclass(frozen=True)
class LabelRule:
    """How the label follows from one column."""

    text: str
    """As the rule is written in one way only: column, operator and value with a space between."""
    column: str
    operator: str = ""
    """Empty: the column holds the label itself."""
    value: float | str | tuple[str, ...] = ""

    def apply(self, column: pd.Series, decimal: Decimal = ".", times: np.ndarray | None = None) -> np.ndarray:
        """float32 [rows]: 0, 1, or NaN where the column is missing or, for a comparison with a number, is not a number.

        Args:
            column: its index holds the rows, for messages.
            times: int64 [rows], how often each value stands in the table, if the column holds distinct values.

        Raises:
            UserError: no comparison was given and the column holds something other than 0 and 1; or a comparison with a number,
                and less than half of the column are numbers.
        """
        if not self.operator:
            return self._zero_one(column, decimal)
        if isinstance(self.value, tuple):
            # Words are compared as ids are: 4 and 4.0 are one.
            text = as_text(column).str.removesuffix(".0")
            words = [word.removesuffix(".0") for word in self.value]
            return np.where(column.notna(), text.isin(words), np.nan).astype(np.float32)
        compare = _OPERATORS[self.operator]
        if isinstance(self.value, str):
            known = column.notna().to_numpy()
            text, value = as_text(column), self.value
            if value.lower() in ("true", "false"):
                text, value = text.str.lower(), value.lower()
            outcome = compare(text.to_numpy(dtype=object), value)
        else:
            numbers = as_numbers(column, decimal)
            refuse_mostly_unread(f"label {self.text!r}: column {self.column!r}", column, numbers, decimal, times)
            known = ~np.isnan(numbers)
            outcome = compare(numbers, self.value)
        return np.where(known, outcome, np.nan).astype(np.float32)

    def _zero_one(self, column: pd.Series, decimal: Decimal) -> np.ndarray:
        if not pd.api.types.is_numeric_dtype(column.dtype):
            column = column.replace({"true": "1", "True": "1", "TRUE": "1", "false": "0", "False": "0", "FALSE": "0"})
        labels = as_numbers(column, decimal).astype(np.float32)
        wrong = column.notna().to_numpy() & (labels != 0) & (labels != 1)
        if wrong.any():
            row = int(wrong.argmax())
            raise UserError(
                f"label column {self.column!r} holds {column.iloc[row]!r} in data row {int(column.index[row]) + 1}, not 0 or 1: "
                f"write a rule, such as label: {self.column} >= 4"
            )
        return labels


@dataclass
class Unread:
    """Counts values that are there, but not numbers, of a column that comes in blocks."""

    what: str
    """The column, for messages."""
    decimal: Decimal
    there: int = 0
    count: int = 0
    first: str = ""
    """The first of them."""

    def note(self, column: pd.Series, numbers: np.ndarray, times: np.ndarray | None = None) -> None:
        """One more block; `times`: int64 [rows], how often each value stands in the table, once if left out."""
        filled = present(column)
        unread = filled & np.isnan(numbers)
        if unread.any() and not self.count:
            self.first = str(column.iloc[int(unread.argmax())])
        self.there += int(filled.sum() if times is None else times[filled].sum())
        self.count += int(unread.sum() if times is None else times[unread].sum())

    def finish(self) -> int:
        """Their number, once all blocks were read.

        Raises:
            UserError: they are more than half of the values that are there.
        """
        if 2 * self.count > self.there:
            comma = self.decimal == "." and any(sign.isdecimal() for sign in self.first) and "," in self.first
            remedy = 'write decimal: "," if the comma is a decimal one' if comma else "correct them or use another column"
            raise UserError(
                f"{self.what} should hold numbers, but {self.count:,} of {self.there:,} values are none, such as "
                f"{self.first[:40]!r}: {remedy}"
            )
        return self.count


def refuse_mostly_unread(
    what: str, column: pd.Series, numbers: np.ndarray, decimal: Decimal, times: np.ndarray | None = None
) -> int:
    """Number of values of a whole column that are there, but not numbers.

    Raises:
        UserError: they are more than half of the values that are there.
    """
    unread = Unread(what, decimal)
    unread.note(column, numbers, times)
    return unread.finish()


def parse_label(text: str) -> LabelRule:
    """The rule of a label text such as `rating >= 4`, `behaviour == buy`, `behaviour in [buy, cart]` or `is_click`.

    Raises:
        UserError: neither a column name nor one comparison.
    """
    stripped = text.strip()
    if member := _MEMBER.fullmatch(stripped):
        column, words = member["column"], tuple(word.strip().strip("'\"") for word in member["words"].split(","))
        if not all(words):
            raise UserError(f"label {text!r}: the list between [ and ] has an empty place")
        return LabelRule(f"{column} in [{', '.join(words)}]", column, "in", words)
    match = _COMPARISON.fullmatch(stripped)
    if match is None:
        if not stripped or any(sign in stripped for sign in "<>=!"):
            raise UserError(
                f"label {text!r} is neither a column nor a rule: write column, one of {' '.join(_OPERATORS)}, and a value"
            )
        return LabelRule(stripped, stripped)
    column, sign, word = match["column"].strip(), match["operator"], match["value"].strip()
    try:
        number = float(word)
        text = f"{column} {sign} {int(number) if number.is_integer() else number}"
        return LabelRule(text, column, sign, number)
    except ValueError:
        if sign not in ("==", "!="):
            raise UserError(f"label {text!r} compares with {word!r}, which is not a number; words allow == and != only") from None
        word = word.strip("'\"")
        return LabelRule(f"{column} {sign} {word}", column, sign, word)
