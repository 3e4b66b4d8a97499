"""How dates that are not ISO 8601 are written: what to tell the user, who must name the form."""

from __future__ import annotations

import re
from dataclasses import dataclass
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


@dataclass(frozen=True)
class DateForm:
    """How dates are written that are not ISO 8601."""

    forms: tuple[str, ...]
    """As for strptime. Two where no value tells day and month apart; none where values contradict each other."""
    what: str
    """What is seen of a value."""
    remedy: str
    """What to write or do."""

    @property
    def said(self) -> str:
        """Both, in one line."""
        return f"{self.what}: {self.remedy}"


def form_of(texts: pd.Series) -> DateForm | None:
    """The form of dates, none of them ISO 8601; None if they are no dates of a known form."""
    values = texts.drop_duplicates()
    if len(values) == 0:
        return None
    for pattern in (_NUMERIC, _YEAR_FIRST):
        rows = [match for match in map(pattern.fullmatch, values) if match]
        if rows:
            return _day_or_month_first(rows, year_first=pattern is _YEAR_FIRST)
    first = str(values.iloc[0])
    for form in (*_COMPACT, *_WORDS):
        # Digits alone are a date only if all of them are: a number of seconds may look like one by chance.
        some = values if form in _COMPACT else values.iloc[:1]
        if all(_parses(str(value), form) for value in some):
            return DateForm((form,), f"{first!r} is a date, but not ISO 8601", f'write time_format: "{form}"')
    return None


def _parses(text: str, form: str) -> bool:
    if form == "%Y%m%d" and len(text) != 8:
        return False
    try:
        return 1990 <= datetime.strptime(text, form).year < 2050
    except ValueError:
        return False


def _day_or_month_first(rows: list[re.Match[str]], year_first: bool) -> DateForm:
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
        what = f"{above[0][0]!r} has the day first and {above[1][0]!r} the month"
        return DateForm((), what, "bring the dates into one form, best ISO 8601")
    known = above[0] or above[1]
    if known:
        order = "day" if above[0] else "month"
        form = forms[order]
        return DateForm((form,), f"{known[0]!r} is not ISO 8601 and has the {order} first", f'write time_format: "{form}"')
    both = (forms["month"], forms["day"]) if year_first else (forms["day"], forms["month"])
    if year_first:
        return DateForm(both, f"{row[0]!r} is not ISO 8601", f'write time_format: "{both[0]}" (or "{both[1]}")')
    one, two = int(row["one"]), int(row["two"])
    full = int(row["year"]) if len(row["year"]) == 4 else 2000 + int(row["year"])
    readings = [_spelled(full, two, one), _spelled(full, one, two)]
    what = f"{row[0]!r} is {readings[0]} (day first) or {readings[1]} (month first)"
    return DateForm(both, what, f'write time_format: "{both[0]}" or "{both[1]}"')


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
