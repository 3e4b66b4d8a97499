"""Times of rows as milliseconds since 1970: numbers of a stated unit or dates of a stated form, never guessed.

Dates are ISO 8601 unless `time_format` names another form. A date without a zone is read in `time_zone`: an hour that daylight
saving repeats is the first of the two, one that it leaves out is read with the offset before it. Numbers are checked against the
calendar, because a wrong unit moves a whole log to January 1970 without any other sign.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any, cast
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

import numpy as np
import pandas as pd

from ..errors import UserError
from .date_forms import ISO, form_of
from .sources.schema import Schema, TimeUnit
from .sources.values import as_numbers, as_text, present

MS: dict[TimeUnit, float] = {"s": 1e3, "ms": 1.0, "us": 1e-3, "ns": 1e-6, "day": 86_400_000.0}
"""Milliseconds of a unit."""

EARLIEST_MS, LATEST_MS = 631_152_000_000, 2_524_608_000_000
"""1990 and 2050: a calendar log outside of them has another unit than it says."""
_END_MS = 7_258_118_400_000
"""2200: no time is later, whatever it counts from."""


def zone_of(name: str, where: str) -> tzinfo:
    """The time zone of an IANA name.

    Raises:
        UserError: no such zone, or no database of zones on this machine.
    """
    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        if not available_timezones():
            raise UserError(f"{where}: this machine has no time zone database: pip install tzdata") from None
        raise UserError(f"{where}: unknown time_zone {name!r}: write an IANA name such as Europe/Berlin or UTC") from None


def standard_offset_hours(zone: tzinfo, time_ms: int) -> float:
    """Hours by which a zone is ahead of UTC at a time, daylight saving taken off."""
    local = datetime.fromtimestamp(time_ms / 1000, UTC).astimezone(zone)
    return ((local.utcoffset() or timedelta()) - (local.dst() or timedelta())).total_seconds() / 3600


@dataclass
class TimeReader:
    """Times of a column that comes in blocks. What only all of them can show, such as a wrong unit, `finish` refuses."""

    schema: Schema
    name: str
    """Of the data set, for messages."""
    _rows: int = 0
    _there: int = 0
    _known: int = 0
    _first: str = ""
    """The first value that cannot be read, or the very first."""
    _lost: pd.Series = field(default_factory=lambda: pd.Series(dtype="str"))
    """Some values that cannot be read, and how many there are in `_lost_count`."""
    _lost_count: int = 0
    _negative: tuple[str, int] | None = None
    """The first negative time and its row."""
    _outside: tuple[str, int, float] | None = None
    """The first time that is none of the calendar, its row and milliseconds."""
    _outside_count: int = 0
    _span: tuple[float, float] = (np.inf, -np.inf)
    """Milliseconds of the earliest and latest time."""
    _numbers: tuple[float, float] = (np.inf, -np.inf)
    _texts: pd.Series = field(default_factory=lambda: pd.Series(dtype="str"))
    """Some values, where any is none of the calendar."""

    def __post_init__(self) -> None:
        zone_of(self.schema.time_zone, self.name)
        if self.schema.time_format and self.schema.time_unit != "datetime":
            raise UserError(
                f"{self.name}: time_format is the form of dates: write time_unit: datetime beside it, not {self.schema.time_unit}"
            )

    def read(self, column: pd.Series) -> tuple[np.ndarray, np.ndarray]:
        """Times as int64 [rows] in ms since 1970 (0 where unreadable) and bool [rows]: readable.

        Raises:
            UserError: dates of another form than stated, or dates where numbers are stated.
        """
        schema = self.schema
        if schema.time_unit == "datetime":
            stamps = _dates(column, schema, self.name)
            known = stamps.notna().to_numpy()
            whole = np.where(known, stamps.dt.as_unit("ms").dt.tz_localize(None).to_numpy().astype(np.int64), 0)
            exact = whole.astype(np.float64)
        else:
            if pd.api.types.is_datetime64_any_dtype(column.dtype):
                raise UserError(
                    f"{self.name}: column time holds dates, but time_unit is {schema.time_unit!r}: write time_unit: datetime"
                )
            exact = as_numbers(column, schema.decimal) * MS[schema.time_unit]
            known = np.isfinite(exact)
        self._note_readable(column, known)
        self._note_range(column, exact, known)
        self._rows += len(column)
        # What is too large for a time is refused by `finish`.
        return np.round(np.where(known & (np.abs(exact) < 2.0**62), exact, 0)).astype(np.int64), known

    def finish(self) -> None:
        """Once all blocks were read.

        Raises:
            UserError: a negative time, one that shows a wrong unit, more than half of the times unreadable.
        """
        self._check_readable()
        self._check_range()

    @property
    def _calendar(self) -> bool:
        return self.schema.calendar and self.schema.time_unit != "datetime"

    def _note_readable(self, column: pd.Series, known: np.ndarray) -> None:
        there = present(column)
        lost = there & ~known
        if len(column) and (not self._first or (lost.any() and not self._lost_count)):
            self._first = str(column.iloc[int(lost.argmax()) if lost.any() else 0])
        self._there += int(there.sum())
        self._known += int(known.sum())
        self._lost_count += int(lost.sum())
        if lost.any():
            self._lost = _some(self._lost, cast(pd.Series, as_text(column)[lost]))

    def _note_range(self, column: pd.Series, ms: np.ndarray, known: np.ndarray) -> None:
        if not known.any():
            return
        self._span = (min(self._span[0], ms[known].min()), max(self._span[1], ms[known].max()))
        if self._negative is None and (wrong := known & (ms < 0)).any():
            row = int(wrong.argmax())
            self._negative = (_shown(column, row), self._rows + row)
        earliest, latest = (EARLIEST_MS, LATEST_MS) if self._calendar else (0, _END_MS)
        wrong = known & ((ms < earliest) | (ms > latest))
        self._outside_count += int(wrong.sum())
        if wrong.any():
            if self._outside is None:
                row = int(wrong.argmax())
                self._outside = (_shown(column, row), self._rows + row, float(ms[row]))
            self._texts = _some(self._texts, cast(pd.Series, as_text(column)[known]))
            numbers = as_numbers(column)[known]
            self._numbers = (min(self._numbers[0], numbers.min()), max(self._numbers[1], numbers.max()))

    def _check_readable(self) -> None:
        schema = self.schema
        if self._known and 2 * self._lost_count <= self._there:
            return
        stated = f"time_format is {schema.time_format!r}" if schema.time_format else f"time_unit is {schema.time_unit!r}"
        what = f"{self._lost_count:,} of {self._there:,} times cannot be read" if self._known else "no row has a readable time"
        remedy = ""
        if schema.time_unit != "datetime" and ISO.fullmatch(self._first):
            remedy = ": write time_unit: datetime"
        elif not schema.time_format and (form := form_of(self._lost)):
            remedy = f": {form.said}"
        raise UserError(f"{self.name}: {what}; the first is {self._first[:60]!r} and {stated}{remedy}")

    def _check_range(self) -> None:
        unit, name = self.schema.time_unit, self.name
        if self._negative is not None:
            value, row = self._negative
            raise UserError(
                f"{name}: time {value} in data row {row + 1} is negative; times count from 1970: correct it or the unit"
            )
        if self._outside is None:
            return
        value, row, ms = self._outside
        if self._outside_count == self._known and (better := self._better_unit()):
            raise UserError(
                f"{name}: with time_unit {unit!r} all times lie {_spelled_span(*self._span)}, such as {value}: {better}"
            )
        year = "after the year 2050" if self._calendar else "after the year 2200"
        what = "before 1990" if ms < EARLIEST_MS and self._calendar else year
        relative = "; if times count from a start of their own, write time_origin: relative" if self.schema.calendar else ""
        raise UserError(
            f"{name}: time {value} in data row {row + 1} is {what} if time_unit is {unit!r} (as {self._outside_count:,} of "
            f"{self._known:,} are): correct time_unit, or leave broken times empty{relative}"
        )

    def _better_unit(self) -> str:
        """The unit, or the form of dates, with which all times are those of a calendar; empty if there is none."""
        if form := form_of(self._texts):
            return form.said
        low, high = self._numbers
        fitting = [unit for unit, ms in MS.items() if low * ms >= EARLIEST_MS and high * ms <= LATEST_MS]
        return f"time_unit is probably {fitting[0]}" if fitting else ""


_SAMPLE = 5_000
"""Values that are kept to tell the form of dates."""


def _some(sample: pd.Series, more: pd.Series) -> pd.Series:
    """The first distinct values of both, so many that a form can be told."""
    if len(sample) >= _SAMPLE:
        return sample
    return cast(pd.Series, pd.concat([sample, more.drop_duplicates()], ignore_index=True)).drop_duplicates().iloc[:_SAMPLE]


def milliseconds(column: pd.Series, schema: Schema, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Times of a whole column, as `TimeReader` reads them in blocks.

    Raises:
        UserError: a negative time, one that shows a wrong unit, dates of another form than stated, more than half of the times
            unreadable.
    """
    reader = TimeReader(schema, name)
    read = reader.read(column)
    reader.finish()
    return read


def _dates(column: pd.Series, schema: Schema, name: str) -> pd.Series:
    """Timestamps in UTC, NaT where a value is no date."""
    zone = zone_of(schema.time_zone, name)
    if pd.api.types.is_datetime64_any_dtype(column.dtype):
        return _in_utc(column, zone)
    if not schema.time_format and pd.api.types.is_numeric_dtype(column.dtype):
        raise UserError(
            f"{name}: column time holds numbers: time_unit must be s, ms, us, ns or day, not datetime, or time_format must say "
            "how they are dates"
        )
    text = as_text(column).str.strip()
    if schema.time_format:
        return _of_form(text, schema.time_format, zone, name)
    iso = text.str.fullmatch(ISO.pattern).fillna(False).astype(bool)
    other = text[~iso & text.notna() & (text != "")]
    if len(other) and (found := form_of(other)):
        raise UserError(f"{name}: {found.said}")
    # Values without a zone are naive times of `zone`, those with one are not.
    zoned = text.str.contains(r"(?:[Zz]|[+-]\d{2}(?::?\d{2})?)$", regex=True).fillna(False).astype(bool) & (text.str.len() > 10)
    stamps = pd.Series(pd.NaT, index=text.index, dtype="datetime64[ms, UTC]")
    for rows, aware in ((iso & zoned, True), (iso & ~zoned, False)):
        if rows.any():
            parsed = cast(pd.Series, pd.to_datetime(text[rows], format="ISO8601", errors="coerce", utc=aware))
            stamps[rows] = _in_utc(parsed, zone)
    return stamps


def _of_form(text: pd.Series, form: str, zone: tzinfo, name: str) -> pd.Series:
    aware = "%z" in form or "%Z" in form
    try:
        parsed = pd.to_datetime(text, format=form, errors="coerce", utc=aware)
    except (ValueError, re.error) as error:
        raise UserError(f"{name}: time_format {form!r} is no form of dates: {' '.join(str(error).split())[:120]}") from None
    return _in_utc(cast(pd.Series, parsed), zone)


def _in_utc(stamps: pd.Series, zone: tzinfo) -> pd.Series:
    """Timestamps in UTC at milliseconds; naive ones are read in `zone`."""
    if isinstance(stamps.dtype, pd.DatetimeTZDtype):
        return stamps.dt.tz_convert(UTC).dt.as_unit("ms")
    naive = stamps.dt.as_unit("ms")
    if zone is UTC:
        return naive.dt.tz_localize(UTC)
    first = np.ones(len(naive), dtype=bool)
    local = naive.dt.tz_localize(cast(Any, zone), ambiguous=cast(Any, first), nonexistent="NaT")
    result = local.dt.tz_convert(UTC)
    for row in np.flatnonzero((local.isna() & naive.notna()).to_numpy()):
        # fold = 0: with the offset before the gap.
        result.iloc[row] = pd.Timestamp(naive.iloc[row].to_pydatetime().replace(tzinfo=zone).astimezone(UTC))
    return result


def _shown(column: pd.Series, row: int) -> str:
    value = column.iloc[row]
    return repr(value) if isinstance(value, str) else str(value)


def _spelled_span(first: float, last: float) -> str:
    if first > _END_MS:
        return "after the year 2200"
    day = [datetime.fromtimestamp(min(one, _END_MS) / 1000, UTC) for one in (first, last)]
    if (day[0].year, day[0].month) == (day[1].year, day[1].month):
        return f"in {day[0]:%B %Y}"
    return f"between {day[0].year} and {day[1].year if last <= _END_MS else 'after 2200'}"
