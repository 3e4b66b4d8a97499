"""Columns as texts, numbers and ids, the same whatever type a file gives them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Literal, cast

import numpy as np
import pandas as pd

from ...errors import UserError

Decimal = Literal[".", ","]

_WHOLE = re.compile(r"-?(?:0|[1-9][0-9]*)\.0")
_FLAGS = ("true", "false")
_COMMA = re.compile(r"\s*([+-]?[0-9]+(?:,[0-9]+)?|[+-]?[0-9]{1,3}(?:\.[0-9]{3})+(?:,[0-9]+)?)\s*")
"""A number with a decimal comma, and points, if any, between all groups of three digits."""
_ROUNDED = re.compile(r"[0-9](?:[.,][0-9]+)?[eE]\+[0-9]+")
"""What a spreadsheet makes of a long number."""


def as_numbers(column: pd.Series, decimal: Decimal = ".") -> np.ndarray:
    """float64 [rows]: the column as numbers, NaN where it is missing or not a number."""
    if decimal == "," and not pd.api.types.is_numeric_dtype(column.dtype):
        text = cast(pd.Series, column.astype("str"))
        plain = text.str.replace(".", "", regex=False).str.replace(",", ".", regex=False)
        column = plain.where(text.str.fullmatch(_COMMA.pattern).fillna(False).astype(bool))
    numbers = cast(pd.Series, pd.to_numeric(column, errors="coerce"))
    return numbers.to_numpy(dtype=np.float64, na_value=np.nan)


def as_feature(exact: np.ndarray) -> np.ndarray:
    """float32: numbers of a feature, NaN where there is none; equal values have equal bytes."""
    with np.errstate(over="ignore"):
        numbers = exact.astype(np.float32)
    # Adding 0 turns -0 into 0.
    return np.where(np.isfinite(numbers), numbers, np.float32(np.nan)) + np.float32(0)


def present(column: pd.Series) -> np.ndarray:
    """bool [rows]: neither missing nor an empty text."""
    filled = column.notna().to_numpy()
    return filled if pd.api.types.is_numeric_dtype(column.dtype) else filled & (column != "").to_numpy(dtype=bool, na_value=True)


@dataclass
class Wording:
    """How a column that comes in blocks is written as text; all of its values decide that together."""

    whole: bool = True
    """All floating point numbers are whole, and exact."""
    dotted: bool = True
    """All texts are whole numbers with `.0`."""
    flags: bool = True
    """All texts are true or false."""
    _finest: pd.Series | None = None
    """One of the moments with the most detail, from days to nanoseconds: all are written with as much."""

    def note(self, column: pd.Series) -> None:
        """One more block."""
        if pd.api.types.is_float_dtype(column.dtype):
            if self.whole:
                known = column.dropna().astype("float64")
                self.whole = bool((known % 1 == 0).all()) and bool((known.abs() < 2**53).all())
            return
        if pd.api.types.is_datetime64_any_dtype(column.dtype):
            known = column.dropna() if self._finest is None else pd.concat([self._finest, column.dropna()], ignore_index=True)
            if len(known):
                at = int(_detail(known).argmax())
                self._finest = known.iloc[at : at + 1]
            return
        known = cast(pd.Series, column.astype("str")).dropna()
        if len(known):
            self.dotted = self.dotted and bool(_WHOLE.fullmatch(known.iloc[0]) and known.str.fullmatch(_WHOLE.pattern).all())
            self.flags = self.flags and bool(known.iloc[0].lower() in _FLAGS and known.str.lower().isin(_FLAGS).all())

    def write(self, column: pd.Series) -> pd.Series:
        """A block as strings, missing where it was missing."""
        if pd.api.types.is_float_dtype(column.dtype):
            column = column.astype("float64").astype("Int64") if self.whole else column
            return cast(pd.Series, column.astype("str"))
        if self._finest is not None:
            return cast(pd.Series, pd.concat([column, self._finest]).astype("str").iloc[:-1])
        text = cast(pd.Series, column.astype("str"))
        if self.dotted:
            return text.str.removesuffix(".0")
        return text.str.lower() if self.flags else text


def _detail(moments: pd.Series) -> np.ndarray:
    """int [rows]: 0 for a day, 1 for seconds, up to 4 for nanoseconds."""
    count = moments.dt.as_unit("ns").astype("int64").to_numpy()
    return np.sum([count % unit != 0 for unit in (86_400 * 10**9, 10**9, 10**6, 10**3)], axis=0)


def as_text(column: pd.Series) -> pd.Series:
    """The column as strings, missing where it was missing, and the same strings whatever type a file gives the column.

    Whole numbers are written without a decimal point, also in text where all of a column have `.0`, which is how pandas writes
    whole numbers beside missing ones; true and false are in small letters if a column holds nothing else.
    """
    wording = Wording()
    wording.note(column)
    return wording.write(column)


@dataclass
class Ids:
    """Ids that come in blocks, and whether any have fallen together already, or would look the same."""

    name: str
    """The file and column, for messages."""
    wording: Wording = field(default_factory=Wording)
    _padded: dict[object, str] = field(default_factory=dict)
    """Ids with white space at their ends, by what stands between."""

    def note(self, column: pd.Series) -> None:
        """One more block of raw values.

        Raises:
            UserError: floating point numbers that are not whole or too large for their type.
        """
        apart(column, self.name)
        self.wording.note(column)

    def write(self, column: pd.Series) -> pd.Series:
        """A block as strings, once all were noted.

        Raises:
            UserError: an id with a NUL, or one that a spreadsheet has rounded.
        """
        text = self.wording.write(column)
        for one in text.dropna().unique():
            if "\0" in one:
                raise UserError(f"{self.name}: the id {one[:40]!r} holds a NUL character: remove it")
            if _ROUNDED.fullmatch(one):
                raise UserError(f"{self.name}: the id {one!r} was rounded by a spreadsheet: export the column as text")
            if one != one.strip():
                self._refuse(one, self._padded.setdefault(one.strip(), one))
        return text

    @property
    def padded(self) -> bool:
        """Whether any has white space at its ends."""
        return bool(self._padded)

    def look_again(self, text: pd.Series) -> None:
        """A block that was written, once all were.

        Raises:
            UserError: two ids differ in white space at their ends alone.
        """
        for one in text.dropna().unique():
            self._refuse(str(one), self._padded.get(str(one).strip(), str(one)))

    def _refuse(self, one: str, other: str) -> None:
        if one != other:
            raise UserError(f"{self.name}: the ids {other[:40]!r} and {one[:40]!r} differ in white space alone: strip them")


def apart(column: pd.Series, name: str) -> None:
    """Ids that are numbers can be told apart by the type that a file holds them in, which must be asked before it is changed.

    Args:
        name: of the column and its file, for messages.

    Raises:
        UserError: floating point numbers that are not whole, or too large for their type.
    """
    if not pd.api.types.is_float_dtype(column.dtype):
        return
    exact = 2 ** (np.finfo(str(column.dtype).lower()).nmant + 1)
    known = column.dropna().to_numpy(dtype=np.float64)
    if bool((np.abs(known) >= exact).any()):
        raise UserError(
            f"{name} holds ids as {str(column.dtype).lower()}, in which numbers from {exact:,} on fall together: "
            "store whole numbers or text"
        )
    broken = known[known % 1 != 0]
    if len(broken):
        raise UserError(f"{name} holds {broken[0]} as an id: store whole numbers or text")
