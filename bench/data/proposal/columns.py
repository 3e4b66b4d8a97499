"""What a column seems to be, by its name and its values; what cannot be told from them is not told."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import pandas as pd

from ..date_forms import ISO, DateForm, form_of
from ..sources.schema import TimeUnit
from ..sources.values import as_numbers
from ..times import EARLIEST_MS, LATEST_MS, MS

NAMES: dict[str, tuple[str, ...]] = {
    "user": (
        *("user", "userid", "uid", "customer", "customerid", "visitor", "visitorid", "member", "memberid", "account"),
        *("accountid", "reviewerid", "client", "clientid", "profileid", "player", "playerid", "reader", "readerid", "listener"),
        *("listenerid", "viewer", "viewerid", "subscriber", "subscriberid", "buyer", "buyerid"),
    ),
    "item": (
        *("item", "itemid", "iid", "product", "productid", "sku", "movie", "movieid", "film", "filmid", "video", "videoid"),
        *("article", "articleid", "news", "newsid", "asin", "parentasin", "song", "songid", "track", "trackid", "ad", "adid"),
        *("adgroupid", "book", "bookid", "isbn", "offer", "offerid", "goods", "goodsid", "listing", "listingid", "game"),
        *("gameid", "business", "businessid", "brandid", "id"),
    ),
    "time": (
        *("time", "timestamp", "ts", "timems", "datetime", "date", "eventtime", "createdat", "reviewtime", "unixreviewtime"),
        *("visitdatetime", "requesttimestamp", "impressiontime", "shownat", "viewedat", "eventtimestamp", "when"),
        *("clickedat", "playedat", "seenat", "readat", "boughtat", "purchasedat", "orderedat", "occurredat"),
    ),
    "request": ("request", "requestid", "impression", "impressionid", "impid", "pageview", "pageviewid", "queryid", "searchid"),
    "label": (
        *("label", "click", "clicked", "isclick", "clicks", "longview", "like", "liked", "islike", "purchase", "purchased"),
        *("bought", "target", "conversion", "converted", "rating", "ratings", "stars", "overall", "score"),
    ),
    "behaviour": ("behaviour", "behavior", "behaviourtype", "behaviortype", "eventtype", "event", "action", "actiontype", "type"),
    "domain": ("domain", "market", "tab", "scene", "scenario", "country", "site", "channel", "platform", "marketplace"),
    "split": ("split", "fold", "subset", "partition", "set"),
}
"""What is usually called so, in small letters without signs; of several columns the first name here counts."""
_OF_IDS = re.compile(r"(?:hash|hashed|key|code|number|no|nr|uuid|guid)$")
"""What follows a name when its ids are of some kind."""

_OUTCOMES = re.compile(
    r"(?:^is_|play|watch|dwell|stay|duration_read|read_time|rating|score|click|like|bought|purchase|paid|price_paid)"
)
_ENTRY = re.compile(r"\S+?([-:#])[0-9](?:\.0)?")
_SEPARATORS = ("|", ";", ", ", ",", " ")


@dataclass(frozen=True)
class TimeGuess:
    """How the values of a column are times."""

    unit: TimeUnit | None
    form: DateForm | None
    """Of dates that are not ISO 8601."""
    first: str
    last: str
    """Dates of the earliest and latest value, as read; empty where that is open."""


def named(columns: list[str], role: str) -> str | None:
    """The column that is called as `role` usually is."""
    plain = {re.sub(r"[\W_]", "", column).lower(): column for column in reversed(columns)}
    found = next((plain[name] for name in NAMES[role] if name in plain), None)
    if found is not None or role not in ("user", "item"):
        return found
    plain = {_OF_IDS.sub("", name): column for name, column in plain.items()}
    return next((plain[name] for name in NAMES[role] if name in plain), None)


def time_of(values: pd.Series) -> TimeGuess | None:
    """How a column's values are times of the calendar; None if they are none."""
    text = values.str.strip()
    if len(text) == 0:
        return None
    iso = text.str.fullmatch(ISO.pattern).fillna(False).astype(bool)
    if iso.mean() > 0.95:
        return TimeGuess("datetime", None, str(text[iso].min()), str(text[iso].max()))
    if iso.mean() < 0.05 and (form := form_of(text.iloc[:5_000])) is not None:
        return TimeGuess("datetime", form, "", "")
    numbers = as_numbers(text)
    if not np.isfinite(numbers).all():
        return None
    for unit, ms in MS.items():
        low, high = numbers.min() * ms, numbers.max() * ms
        if low >= EARLIEST_MS and high <= LATEST_MS:
            first, last = (datetime.fromtimestamp(one / 1000, UTC).strftime("%Y-%m-%d %H:%M") for one in (low, high))
            return TimeGuess(unit, None, first, last)
    return None


def numbers_of(values: pd.Series) -> tuple[np.ndarray, bool]:
    """float64: the values as numbers, empty if they are none; and whether commas are decimal signs."""
    for decimal in (".", ","):
        numbers = as_numbers(values, decimal)
        if len(numbers) and np.isfinite(numbers).all():
            return numbers, decimal == ","
    return np.empty(0), False


def is_flag(values: pd.Series) -> bool:
    """Whether a column holds 0 and 1, or true and false, and both occur."""
    found = set(values.str.lower().str.removesuffix(".0").unique())
    return found in ({"0", "1"}, {"true", "false"})


def entry_sign(values: pd.Series) -> str | None:
    """The sign before the outcome of every entry of an impression list, as in `N1-0 N2-1`; None if the column holds none."""
    signs: set[str] = set()
    for cell in values.iloc[:500]:
        for entry in cell.split():
            match = _ENTRY.fullmatch(entry)
            if match is None:
                return None
            signs.add(match[1])
    several = values.str.contains(" ", regex=False).any()
    return signs.pop() if len(signs) == 1 and several else None


def separator_of(values: pd.Series) -> str | None:
    """What lies between the values of a column of lists in text: few values, which come again and again, in varying numbers."""
    for sign in _SEPARATORS:
        parts = values.str.split(sign, regex=False)
        length = parts.str.len()
        if (length > 1).mean() < 0.2 or length.nunique() < 2:
            continue
        every = parts.explode().str.strip()
        if every.nunique() <= 0.2 * len(every) and every.str.len().max() <= 40 and every.nunique() < values.nunique():
            return sign
    return None


def is_outcome(column: str) -> bool:
    """Whether a column's name sounds like something that is known only after an item was shown."""
    return _OUTCOMES.search(column.lower()) is not None
