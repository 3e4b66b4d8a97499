"""How dates that are not ISO 8601 are written: what to tell the user, who must name the form."""

from __future__ import annotations

import re
from datetime import date, datetime

import pandas as pd

ISO = re.compile(r"\d{4}-\d{2}-\d{2}(?:[T ]\d{2}(?::\d{2}(?::\d{2}(?:[.,]\d+)?)?)?(?: ?(?:[Zz]|[+-]\d{2}(?::?\d{2})?))?)?")
"""A date, or a date and a time of day, with or without a zone."""

_NUMERIC = re.compile(r"(?P<one>\d{1,2})(?P<sign>[./-])(?P<two>\d{1,2})(?P=sign)(?P<year>\d{4}|\d{2})(?P<rest>\D.*)?")
_YEAR_FIRST = re.compile(r"\d{4}(?P<sign>[./-])(?P<one>\d{1,2})(?P=sign)(?P<two>\d{1,2})(?P<rest>\D.*)?")
_CLOCK = re.compile(
    r"(?P<gap>,? |T)\d{1,2}:\d{2}(?P<second>:\d{2}(?P<fraction>\.\d{1,6})?)?(?P<half> ?[AaPp][Mm])?(?P<zone> ?[+-]\d{2}:?\d{2})?"
)
_COMPACT = ("%Y%m%d", "%Y%m%d%H%M%S", "%Y%m%dT%H%M%S", "%Y%m%dT%H%M%SZ")
_DAYS = (
    *("%d %b %Y", "%d %B %Y", "%d-%b-%Y", "%d/%b/%Y", "%d-%b-%y", "%d.%B %Y"),
    *("%b %d, %Y", "%B %d, %Y", "%b %d %Y", "%B %d %Y", "%a, %d %b %Y"),
)
_CLOCKS = ("", " %H:%M", " %H:%M:%S", ":%H:%M:%S", " %H:%M:%S %z", ":%H:%M:%S %z", " %I:%M %p", " %I:%M:%S %p")
_WORDS = (
    *("%a %b %d %H:%M:%S %Y", "%a %b %d %H:%M:%S %z %Y"),
    *(f"{day}{clock}" for day in _DAYS for clock in _CLOCKS),
)


def form_of(texts: pd.Series) -> str:
    """What dates, none of them ISO 8601, are, and the line to write for them; empty if they are no dates of a known form.

    Where day and month can be told apart in no value, both readings are given.
    """
    values = texts.drop_duplicates()
    if len(values) == 0:
        return ""
    for pattern in (_NUMERIC, _YEAR_FIRST):
        rows = [match for match in map(pattern.fullmatch, values) if match]
        if rows:
            return _day_or_month_first(rows, year_first=pattern is _YEAR_FIRST)
    first = str(values.iloc[0])
    for form in (*_COMPACT, *_WORDS):
        # Digits alone are a date only if all of them are: a number of seconds may look like one by chance.
        some = values if form in _COMPACT else values.iloc[:1]
        if all(_parses(str(value), form) for value in some):
            return f'{first!r} is a date, but not ISO 8601: write time_unit: datetime and time_format: "{form}"'
    return ""


def _parses(text: str, form: str) -> bool:
    if form == "%Y%m%d" and len(text) != 8:
        return False
    try:
        return 1990 <= datetime.strptime(text, form).year < 2050
    except ValueError:
        return False


def _day_or_month_first(rows: list[re.Match[str]], year_first: bool) -> str:
    row = rows[0]
    sign = row["sign"]
    year = "%Y" if year_first or len(row["year"]) == 4 else "%y"
    clock = _clock(row["rest"] or "")
    forms = {
        order: (f"{year}{sign}{one}{sign}{two}" if year_first else f"{one}{sign}{two}{sign}{year}") + clock
        for order, one, two in (("day", "%d", "%m"), ("month", "%m", "%d"))
    }
    # A first or second number above 12 cannot be a month.
    above = [next((match for match in rows if int(match[name]) > 12), None) for name in ("one", "two")]
    if above[0] and above[1]:
        return f"{above[0][0]!r} has the day first and {above[1][0]!r} the month: bring the dates into one form, best ISO 8601"
    known = above[0] or above[1]
    if known:
        order = "day" if above[0] else "month"
        return (
            f'{known[0]!r} is not ISO 8601 and has the {order} first: write time_unit: datetime and time_format: "{forms[order]}"'
        )
    if year_first:
        return f'{row[0]!r} is not ISO 8601: write time_unit: datetime and time_format: "{forms["month"]}" (or "{forms["day"]}")'
    one, two = int(row["one"]), int(row["two"])
    full = int(row["year"]) if len(row["year"]) == 4 else 2000 + int(row["year"])
    readings = [_spelled(full, two, one), _spelled(full, one, two)]
    return (
        f"{row[0]!r} is {readings[0]} (day first) or {readings[1]} (month first): write time_unit: datetime and time_format: "
        f'"{forms["day"]}" or "{forms["month"]}"'
    )


def _spelled(year: int, month: int, day: int) -> str:
    try:
        return f"{day} {date(year, month, day):%B %Y}"
    except ValueError:
        return f"{day}.{month}.{year}"


def _clock(rest: str) -> str:
    """The form of what follows the day."""
    match = _CLOCK.fullmatch(rest)
    if match is None:
        return "..." if rest.strip() else ""
    text = match["gap"] + ("%I" if match["half"] else "%H") + ":%M"
    text += ":%S" if match["second"] else ""
    text += ".%f" if match["fraction"] else ""
    text += match["half"][:-2] + "%p" if match["half"] else ""
    return text + (match["zone"][: len(match["zone"]) - len(match["zone"].lstrip())] + "%z" if match["zone"] else "")
