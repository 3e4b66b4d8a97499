"""Times mean what the description says: forms of dates are named, zones applied, wrong units found; nothing is guessed."""

import warnings
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import hypothesis.strategies as st
import pandas as pd
import pytest
from hypothesis import given, settings

from rankbench.bench.data.sources.schema import Schema
from rankbench.bench.data.times import milliseconds, standard_offset_hours, zone_of
from rankbench.bench.errors import UserError


def read(values: Any, **schema: Any) -> list[int | None]:
    """Milliseconds of every value, None where it is no time."""
    settings = Schema("click", (), **{"time_unit": "datetime", "calendar": True, **schema})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        column = (
            values if isinstance(values, pd.Series) else pd.Series(values, dtype=None if isinstance(values[0], float) else "str")
        )
        ms, known = milliseconds(column, settings, "shop")
    return [int(one) if there else None for one, there in zip(ms, known, strict=True)]


def refusal(values: Any, **schema: Any) -> str:
    with pytest.raises(UserError) as caught:
        read(values, **schema)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 400
    return str(caught.value)


def at(*parts: int, zone: Any = UTC, fold: int = 0) -> int:
    return int(datetime(*parts, tzinfo=zone, fold=fold).timestamp() * 1000)  # type: ignore[misc, arg-type]


def test_iso_dates_are_read_with_and_without_time_and_zone_in_one_column() -> None:
    texts = ["2020-02-03", "2020-02-03T04:05", "2020-02-03 04:05:06.789", "2020-02-03T04:05:06Z", "2020-02-03 04:05:06+05:30"]
    expected = [at(2020, 2, 3), at(2020, 2, 3, 4, 5), at(2020, 2, 3, 4, 5, 6) + 789, at(2020, 2, 3, 4, 5, 6)]
    assert read(texts) == [*expected, at(2020, 2, 2, 22, 35, 6)]


def test_dates_without_a_zone_are_read_in_the_stated_one_and_others_in_their_own() -> None:
    texts = ["2020-07-01 12:00:00", "2020-01-01 12:00:00", "2020-07-01 12:00:00Z"]
    expected = [at(2020, 7, 1, 10), at(2020, 1, 1, 11), at(2020, 7, 1, 12)]
    assert read(texts, time_zone="Europe/Berlin") == expected
    naive = pd.Series(pd.to_datetime(["2020-07-01 12:00:00", None]))
    assert read(naive, time_zone="Europe/Berlin") == [at(2020, 7, 1, 10), None]
    assert read(naive.dt.tz_localize("Asia/Tokyo"), time_zone="Europe/Berlin") == [at(2020, 7, 1, 3), None]


def test_hours_that_daylight_saving_repeats_or_leaves_out_are_read_one_way() -> None:
    zone = ZoneInfo("Europe/Berlin")
    repeated, left_out = "2020-10-25 02:30:00", "2020-03-29 02:30:00"
    assert read([repeated, left_out], time_zone="Europe/Berlin") == [at(2020, 10, 25, 0, 30), at(2020, 3, 29, 1, 30)]
    assert at(2020, 10, 25, 2, 30, zone=zone, fold=0) == at(2020, 10, 25, 0, 30)


@settings(max_examples=40)
@given(
    st.lists(
        st.datetimes(datetime(1991, 1, 1), datetime(2037, 1, 1)).map(lambda one: one.replace(microsecond=0, fold=0)), min_size=1
    ),
    st.sampled_from(["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "UTC"]),
)
def test_local_dates_are_those_of_the_standard_library(dates: list[datetime], zone: str) -> None:
    expected = [int(one.replace(tzinfo=ZoneInfo(zone)).timestamp() * 1000) for one in dates]
    assert read([one.isoformat(" ") for one in dates], time_zone=zone) == expected
    named = read([one.strftime("%d.%m.%Y %H:%M:%S") for one in dates], time_zone=zone, time_format="%d.%m.%Y %H:%M:%S")
    assert named == expected


def test_dates_with_the_day_first_are_never_read_with_the_month_first() -> None:
    days = [f"{day:02}/0{month}/2020 10:30" for month in (1, 2, 3) for day in range(1, 29)]
    message = refusal(days)
    assert "'13/01/2020 10:30' is not ISO 8601 and has the day first" in message and 'time_format: "%d/%m/%Y %H:%M"' in message
    assert read(days, time_format="%d/%m/%Y %H:%M")[1] == at(2020, 1, 2, 10, 30)
    assert 'time_format: "%m/%d/%Y"' in refusal(["01/31/2020", "02/03/2020"])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (["3/4/2020", "5/6/2020"], "'3/4/2020' is 3 April 2020 (day first) or 4 March 2020 (month first)"),
        (["3/4/2020", "5/6/2020"], 'write time_format: "%d/%m/%Y" or "%m/%d/%Y"'),
        (["03.04.20 10:11:12.5"], '"%d.%m.%y %H:%M:%S.%f" or "%m.%d.%y %H:%M:%S.%f"'),
        (["3-4-2020 1:05 PM"], '"%d-%m-%Y %I:%M %p" or "%m-%d-%Y %I:%M %p"'),
        (
            ["31/01/2020", "01/31/2020"],
            "'31/01/2020' has the day first and '01/31/2020' the month: bring the dates into one form",
        ),
        (["2020/01/31", "2020/02/01"], 'has the month first: write time_format: "%Y/%m/%d"'),
        (["2020.01.02 10:00"], '"%Y.%m.%d %H:%M" (or "%Y.%d.%m %H:%M")'),
        (["20200131"], 'write time_format: "%Y%m%d"'),
        (["31 Jan 2020", "1 Feb 2020"], '"%d %b %Y"'),
        (["Jan 31, 2020 10:11"], '"%b %d, %Y %H:%M"'),
        (["Fri Jan 31 10:11:12 2020"], '"%a %b %d %H:%M:%S %Y"'),
        (["2020-01-31", "3/4/2020"], "'3/4/2020' is 3 April 2020 (day first)"),
        (["1580428800", "1580428801"], "no row has a readable time; the first is '1580428800' and time_unit is 'datetime'"),
        (["soon", "later"], "no row has a readable time; the first is 'soon'"),
        (["2020-01-31", "soon", "later"], "2 of 3 times cannot be read; the first is 'soon'"),
        (["1969-12-31"], "time '1969-12-31' in data row 1 is negative"),
    ],
)
def test_other_forms_are_refused_with_their_readings(values: list[str], message: str) -> None:
    assert message in refusal(values)


def test_a_stated_form_that_most_dates_do_not_have_is_refused() -> None:
    days = [f"{day:02}/01/2020" for day in range(1, 29)]
    assert "16 of 28 times cannot be read; the first is '13/01/2020' and time_format is '%m/%d/%Y'" in refusal(
        days, time_format="%m/%d/%Y"
    )
    assert "time_format '%Q' is no form of dates" in refusal(days, time_format="%Q")
    assert "time_format is the form of dates: write time_unit: datetime" in refusal(["5"], time_format="%d", time_unit="s")


def test_single_broken_dates_are_unreadable_and_no_error() -> None:
    assert read(["2020-01-31", "2020-02-31", "soon", None, "2020-01-01", "2020-01-02"])[:4] == [at(2020, 1, 31), None, None, None]


def test_numbers_may_be_dates_of_a_stated_form() -> None:
    assert read(pd.Series([20200131, 20200201]), time_format="%Y%m%d") == [at(2020, 1, 31), at(2020, 2, 1)]
    zoned = read(["31/Jan/2020:10:00:00 +0200"], time_format="%d/%b/%Y:%H:%M:%S %z", time_zone="Asia/Tokyo")
    assert zoned == [at(2020, 1, 31, 8)]


@pytest.mark.parametrize(
    ("values", "unit", "message"),
    [
        ([1_580_428_800, 1_580_515_200], "ms", "with time_unit 'ms' all times lie in January 1970, such as 1580428800"),
        ([1_580_428_800, 1_580_515_200], "ms", "time_unit is probably s"),
        ([1_580_428_800_000], "s", "all times lie after the year 2200, such as 1580428800000: time_unit is probably ms"),
        ([1_580_428_800_000_000], "ms", "time_unit is probably us"),
        ([18_292, 18_293], "s", "all times lie in January 1970, such as 18292: time_unit is probably day"),
        ([20200131, 20200201], "s", 'in August 1970, such as 20200131: \'20200131\' is a date, but not ISO 8601'),
        ([20200131], "day", 'write time_format: "%Y%m%d"'),
        ([20200131], "ms", 'time_format: "%Y%m%d"'),
        ([100, 200], "s", "time 100 in data row 1 is before 1990 if time_unit is 's' (as 2 of 2 are)"),
        ([100, 200], "s", "if times count from a start of their own, write time_origin: relative"),
        ([1_580_428_800, 0], "s", "time 0 in data row 2 is before 1990 if time_unit is 's' (as 1 of 2 are): correct"),
        ([44_000], "day", "after the year 2050"),
    ],
)  # fmt: skip
def test_a_wrong_unit_is_found(values: list[int], unit: str, message: str) -> None:
    assert message in refusal(pd.Series(values), time_unit=unit)


def test_dates_given_to_a_unit_of_numbers_are_told_to_be_dates() -> None:
    assert "the first is '2020-01-31' and time_unit is 's': write time_unit: datetime" in refusal(["2020-01-31"], time_unit="s")
    slashes = refusal(["3/4/2020", "5/6/2020"], time_unit="s")
    assert "time_unit is 's': '3/4/2020' is 3 April 2020 (day first) or 4 March 2020 (month first)" in slashes
    assert "column time holds dates" in refusal(pd.Series(pd.to_datetime(["2020-01-31"])), time_unit="s")


def test_counters_from_a_start_of_their_own_are_taken_as_they_are() -> None:
    assert read(pd.Series([0, 5, 1_580_428_800]), time_unit="s", calendar=False) == [0, 5_000, 1_580_428_800_000]


def test_old_dates_written_out_need_no_confirmation() -> None:
    assert read(["1971-01-01", "1989-12-31"]) == [at(1971, 1, 1), at(1989, 12, 31)]


def test_an_unknown_zone_is_refused_whatever_the_unit() -> None:
    for unit, value in (("datetime", "2020-01-01"), ("s", "1580428800")):
        assert "unknown time_zone 'Europe/Atlantis': write an IANA name" in refusal(
            [value], time_unit=unit, time_zone="Europe/Atlantis"
        )
    for odd in ("Europe", "../etc/passwd", "", "a\0b"):
        assert "unknown time_zone" in refusal(["2020-01-01"], time_zone=odd)


def test_the_offset_of_a_zone_leaves_daylight_saving_out() -> None:
    berlin = zone_of("Europe/Berlin", "shop")
    assert standard_offset_hours(berlin, at(2020, 7, 1)) == standard_offset_hours(berlin, at(2020, 1, 1)) == 1
    assert standard_offset_hours(zone_of("Asia/Kolkata", "shop"), at(2020, 1, 1)) == 5.5
