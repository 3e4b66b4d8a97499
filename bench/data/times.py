"""Times of rows as milliseconds since 1970: numbers of a stated unit or dates of a stated form, never guessed.

Dates are ISO 8601 unless `time_format` names another form. A date without a zone is read in `time_zone`: an hour that daylight
saving repeats is the first of the two, one that it leaves out is read with the offset before it. Numbers are checked against the
calendar, because a wrong unit moves a whole log to January 1970 without any other sign.
"""

from __future__ import annotations

import re
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


def milliseconds(column: pd.Series, schema: Schema, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Times as int64 [rows] in ms since 1970 (0 where unreadable) and bool [rows]: readable.

    Raises:
        UserError: a negative time, one that shows a wrong unit, dates of another form than stated, more than half of the times
            unreadable.
    """
    zone_of(schema.time_zone, name)
    if schema.time_format and schema.time_unit != "datetime":
        raise UserError(f"{name}: time_format is the form of dates: write time_unit: datetime beside it, not {schema.time_unit}")
    if schema.time_unit == "datetime":
        stamps = _dates(column, schema, name)
        known = stamps.notna().to_numpy()
        exact = np.where(known, stamps.dt.as_unit("ms").dt.tz_localize(None).to_numpy().astype(np.int64), 0).astype(np.float64)
    else:
        if pd.api.types.is_datetime64_any_dtype(column.dtype):
            raise UserError(f"{name}: column time holds dates, but time_unit is {schema.time_unit!r}: write time_unit: datetime")
        exact = as_numbers(column, schema.decimal) * MS[schema.time_unit]
        known = np.isfinite(exact)
    _check_readable(column, known, schema, name)
    _check_range(column, exact, known, schema, name)
    return np.round(np.where(known, exact, 0)).astype(np.int64), known


def _check_readable(column: pd.Series, known: np.ndarray, schema: Schema, name: str) -> None:
    there = present(column)
    count, lost = int(there.sum()), int((there & ~known).sum())
    if known.any() and 2 * lost <= count:
        return
    first = str(column.iloc[int((there & ~known).argmax())] if lost else column.iloc[0])
    stated = f"time_format is {schema.time_format!r}" if schema.time_format else f"time_unit is {schema.time_unit!r}"
    what = "no row has a readable time" if not known.any() else f"{lost:,} of {count:,} times cannot be read"
    remedy = ""
    if schema.time_unit != "datetime" and ISO.fullmatch(first):
        remedy = ": write time_unit: datetime"
    elif not schema.time_format and (form := form_of(cast(pd.Series, as_text(column)[there & ~known]))):
        remedy = f": {form.said}"
    raise UserError(f"{name}: {what}; the first is {first[:60]!r} and {stated}{remedy}")


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


def _check_range(column: pd.Series, ms: np.ndarray, known: np.ndarray, schema: Schema, name: str) -> None:
    unit = schema.time_unit
    if (wrong := known & (ms < 0)).any():
        row = int(wrong.argmax())
        raise UserError(
            f"{name}: time {_shown(column, row)} in data row {row + 1} is negative; times count from 1970: correct it or the unit"
        )
    latest = LATEST_MS if schema.calendar and unit != "datetime" else _END_MS
    earliest = EARLIEST_MS if schema.calendar and unit != "datetime" else 0
    if not (wrong := known & ((ms < earliest) | (ms > latest))).any():
        return
    row, count = int(wrong.argmax()), int(wrong.sum())
    value = _shown(column, row)
    if wrong[known].all() and (better := _better_unit(column, known)):
        span = _span(ms[known])
        raise UserError(f"{name}: with time_unit {unit!r} all times lie {span}, such as {value}: {better}")
    year = "after the year 2050" if ms[row] > LATEST_MS and latest == LATEST_MS else "after the year 2200"
    what = "before 1990" if ms[row] < earliest else year
    relative = "; if times count from a start of their own, write time_origin: relative" if schema.calendar else ""
    raise UserError(
        f"{name}: time {value} in data row {row + 1} is {what} if time_unit is {unit!r} (as {count:,} of {int(known.sum()):,} "
        f"are): correct time_unit, or leave broken times empty{relative}"
    )


def _shown(column: pd.Series, row: int) -> str:
    value = column.iloc[row]
    return repr(value) if isinstance(value, str) else str(value)


def _span(ms: np.ndarray) -> str:
    first, last = float(ms.min()), float(ms.max())
    if first > _END_MS:
        return "after the year 2200"
    day = [datetime.fromtimestamp(min(one, _END_MS) / 1000, UTC) for one in (first, last)]
    if (day[0].year, day[0].month) == (day[1].year, day[1].month):
        return f"in {day[0]:%B %Y}"
    return f"between {day[0].year} and {day[1].year if last <= _END_MS else 'after 2200'}"


def _better_unit(column: pd.Series, known: np.ndarray) -> str:
    """The unit, or the form of dates, with which all times are those of a calendar; empty if there is none."""
    numbers = as_numbers(column)[known]
    if form := form_of(cast(pd.Series, as_text(column)[known])):
        return form.said
    fitting = [unit for unit, ms in MS.items() if numbers.min() * ms >= EARLIEST_MS and numbers.max() * ms <= LATEST_MS]
    return f"time_unit is probably {fitting[0]}" if fitting else ""
