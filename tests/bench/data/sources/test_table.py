"""Your own table: what a YAML file can say."""

import gzip
import shutil
from pathlib import Path

import pandas as pd
import pytest

from rankbench.bench.data import sources
from rankbench.bench.data.logs import open_dataset
from rankbench.bench.data.sources.schema import DataRoots, Feature
from rankbench.bench.errors import UserError
from support.converted import converted
from support.shop_table import EVENTS, load, log_of


def test_columns_of_the_event_table(tmp_path: Path) -> None:
    log = log_of(load(tmp_path))
    assert log.name == "shop"
    assert log.events["user"].tolist() == ["u1", "u1", "u2", "u2"]
    assert log.events["item"].tolist() == ["007", "99999999999999999999", "7", "007"]
    assert log.events["label"].tolist() == [1, 0, 0, 1]
    assert log.events["action"].tolist() == ["5", "1", "2", "4"]
    assert log.events["market"].tolist() == ["de", "de", "fr", "de"]
    assert log.events["device"].tolist() == ["phone", "", "phone", "web"]
    assert log.events["time"].tolist() == [100_000, 200_000, 50_000, 60_000]
    assert "unused" not in log.events
    assert [(file.name, file.origin) for file in log.files] == [("events.csv", "own table")]


def test_features_inside_the_event_table(tmp_path: Path) -> None:
    log = log_of(load(tmp_path, user_features=["segment"], item_features=["brand"]))
    assert log.users is not None and log.users["segment"].to_dict() == {"u1": "a", "u2": "b"}
    assert log.items is not None and log.items["brand"].to_dict() == {"007": "x", "7": "y", "99999999999999999999": ""}
    assert "segment" not in log.events


def test_separate_tables_in_csv_and_parquet(tmp_path: Path) -> None:
    with gzip.open(tmp_path / "users.csv.gz", "wt") as file:
        file.write("uid,age\nu1,30\nu2,\n")
    items = pd.DataFrame(
        {"id": ["007", "7"], "price": [1.5, None], "genres": [["a", "b"], []], "kind": pd.array([3, None], "Int64")}
    )
    items.set_index("id").to_parquet(tmp_path / "items.parquet")
    features = ["kind", {"column": "price", "kind": "number"}, {"column": "genres", "kind": "multi", "separator": "|"}]
    raw = load(
        tmp_path,
        users="users.csv.gz",
        items="items.parquet",
        item_key="id",
        user_features=[{"column": "age", "kind": "number"}],
        item_features=features,
    )
    log, report = converted(raw)
    assert log.users is not None and log.users["age"].iloc[0] == 30 and log.users["age"].isna().tolist() == [False, True]
    assert log.items is not None and log.items["genres"].tolist() == ["a|b", "", ""]
    assert log.items["kind"].tolist() == ["3", "", ""]
    assert log.schema.item_features[2] == Feature("genres", "multi", "|")
    assert "1 items are not in the table of items: their features are missing" in report.lines()
    assert [file.name for file in log.files] == ["events.csv", "users.csv.gz", "items.parquet"]


def test_parquet_events_keep_ids_times_and_flags(tmp_path: Path) -> None:
    events = pd.DataFrame(
        {
            "user": pd.array([2**63 + 1, 2**63 + 2, None], "UInt64"),
            "item": ["a", "b", "c"],
            "time": pd.to_datetime(["2024-01-01 00:00:00.5", "2024-01-02 00:00:00", None], format="ISO8601"),
            "bought": [True, False, True],
        }
    )
    events.to_parquet(tmp_path / "e.parquet")
    raw = load(
        tmp_path, events="e.parquet", columns=None, label="bought", domain=None, context_features=None, time_unit="datetime"
    )
    log, report = converted(raw)
    assert log.events["user"].tolist() == [str(2**63 + 1), str(2**63 + 2)]
    assert log.events["time"].tolist() == [1704067200500, 1704153600000]
    assert log.events["label"].tolist() == [1, 0]
    assert report.missing_user == 1


def test_csv_and_parquet_of_the_same_rows_agree(tmp_path: Path) -> None:
    first = log_of(load(tmp_path, user_features=["segment"]))
    pd.read_csv(tmp_path / "events.csv", dtype={"sku": str}).to_parquet(tmp_path / "e.parquet")
    second = log_of(load(tmp_path, user_features=["segment"], events="e.parquet"))
    pd.testing.assert_frame_equal(first.events, second.events)


def test_quotes_line_breaks_marks_and_missing_words(tmp_path: Path) -> None:
    text = (
        '\ufeffuid,sku,ts,stars,market,device\r\nNA,"a, ""b""\nc",1,5,de,NULL\r\nnull,x,2,1,de,web\r\n\r\nNone,x,3,1,nan,web\r\n'
    )
    log, report = converted(load(tmp_path, text))
    assert report.rows_read == 3 and report.missing_user == 1
    assert log.events["user"].tolist() == ["NA", "None"]
    assert log.events["item"].tolist() == ['a, "b"\nc', "x"]
    assert log.events["market"].tolist() == ["de", ""]


def test_tab_separated_and_named_action(tmp_path: Path) -> None:
    text = EVENTS.replace(",", "\t")
    log = log_of(load(tmp_path, text, delimiter="\t", action=["stars", "device"], context_features=None, name="my-shop"))
    assert log.name == "my-shop"
    assert log.events["action"].tolist() == ["5|phone", "1|", "2|phone", "4|web"]


def test_renaming_columns_changes_what_identifies_the_log(tmp_path: Path) -> None:
    swapped = load(tmp_path, columns={"user": "sku", "item": "uid", "time": "ts"})
    assert swapped.notes != load(tmp_path).notes


def test_files_without_a_header_are_read_by_position_from_one(tmp_path: Path) -> None:
    rows = "\n".join(EVENTS.splitlines()[1:]) + "\n"
    (tmp_path / "bare.csv").write_text(rows)
    named = {"events": "bare.csv", "header": False, "columns": {"user": 1, "item": 2, "time": 3}}
    bare = log_of(load(tmp_path, **named, label="4 >= 4", domain=5, context_features=[6], user_features=[{"column": 7}]))
    full = log_of(load(tmp_path, user_features=["segment"]))
    assert bare.users is not None and full.users is not None
    for one, other in {"user": "user", "item": "item", "time": "time", "label": "label", "5": "market", "6": "device"}.items():
        assert bare.events[one].tolist() == full.events[other].tolist()
    assert bare.users["7"].tolist() == full.users["segment"].tolist()
    with pytest.raises(UserError, match="no column '10'; it has: 1, 2, 3, 4, 5, 6, 7, 8, 9"):
        ten = {**named, "columns": {"user": 10, "item": 2, "time": 3}}
        log_of(load(tmp_path, **ten, label="4 >= 4", domain=None, context_features=None))


def test_lists_patterns_and_folders_of_files_are_one_table(tmp_path: Path) -> None:
    whole = log_of(load(tmp_path, user_features=["segment"]))
    head, *rows = EVENTS.splitlines()
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "a.csv").write_text("\n".join([head, *rows[2:]]) + "\n")
    pd.read_csv(tmp_path / "events.csv", dtype={"sku": str}).iloc[:2].to_parquet(tmp_path / "parts" / "b.parquet")
    (tmp_path / "parts" / "_SUCCESS").write_text("")
    (tmp_path / "parts" / "notes.txt").write_text("not a table")
    for day, name in enumerate(("a.csv", "b.parquet")):  # as engines write a table that is parted by a column
        (tmp_path / "deep" / f"day={day}").mkdir(parents=True)
        shutil.copy(tmp_path / "parts" / name, tmp_path / "deep" / f"day={day}" / name)
    (tmp_path / "deep" / "_temporary").mkdir()
    shutil.copy(tmp_path / "parts" / "a.csv", tmp_path / "deep" / "_temporary")
    listed = ["parts/b.parquet", "parts/a.csv"]
    for events in ("parts", listed, ["parts/*.csv", "pa*/*.parquet"], "deep", "deep/day=*/*", "deep/d*/**/?.*"):
        log = log_of(load(tmp_path, user_features=["segment"], events=events))
        pd.testing.assert_frame_equal(log.events, whole.events)
        assert sorted(file.name for file in log.files) == ["a.csv", "b.parquet"]


def test_json_lines_keep_digits_flags_and_lists(tmp_path: Path) -> None:
    rows = [
        '{"uid": 99999999999999999999, "sku": "007", "ts": 100, "bought": true, "price": 1.50, "tags": ["a b", null, "c"]}',
        '{"sku": "7", "ts": 200, "bought": false, "price": null, "tags": [], "uid": 1, "unused": {"a": 1}}',
        "",
        '{"uid": 1, "sku": "8", "ts": 300, "bought": true}',
    ]
    with gzip.open(tmp_path / "e.jsonl.gz", "wt") as file:
        file.write("\n".join(rows))
    features = [{"column": "price", "kind": "number"}, {"column": "tags", "kind": "multi", "separator": "|"}]
    log = log_of(load(tmp_path, events="e.jsonl.gz", label="bought", domain=None, context_features=features))
    assert log.events["user"].tolist() == ["1", "1", "99999999999999999999"]
    assert log.events["item"].tolist() == ["7", "8", "007"] and log.events["label"].tolist() == [0, 1, 1]
    assert log.events["tags"].tolist() == ["", "", "a b|c"] and log.events["price"].fillna(-1).tolist() == [-1, -1, 1.5]


def test_lists_in_parquet_are_the_values_of_a_multi_feature_and_keep_their_spaces(tmp_path: Path) -> None:
    items = pd.DataFrame({"sku": ["007", "7"], "genres": [["space opera", None, "war"], None]})
    items.to_parquet(tmp_path / "items.parquet")
    feature = {"column": "genres", "kind": "multi"}
    with pytest.raises(UserError, match="'space opera' in the lists of column 'genres' holds the separator ' ' itself"):
        log_of(load(tmp_path, items="items.parquet", item_features=[feature]))
    log = log_of(load(tmp_path, items="items.parquet", item_features=[{**feature, "separator": "|"}]))
    assert log.items is not None and log.items["genres"].tolist() == ["space opera|war", "", ""]


def test_decimal_commas_are_read_if_stated_and_else_refused_with_the_key_to_write(tmp_path: Path) -> None:
    text = "user;item;time;rating;price\n" + "".join(f"u{n};i{n};{n};{n % 5},5;{n},25\n" for n in range(6))
    (tmp_path / "german.csv").write_text(text)
    keys = {"events": "german.csv", "delimiter": ";", "columns": None, "domain": None, "label": "rating >= 2"}
    price = {"context_features": [{"column": "price", "kind": "number"}]}
    log = log_of(load(tmp_path, **keys, **price, decimal=","))
    assert log.events["label"].tolist() == [0, 0, 1, 1, 1, 0] and log.events["price"].tolist() == [n + 0.25 for n in range(6)]
    with pytest.raises(UserError, match=r"column 'rating' should hold numbers, but 6 of 6 .* write decimal: \",\" if"):
        log_of(load(tmp_path, **keys, context_features=None))
    with pytest.raises(
        UserError, match=r"feature 'price' should hold numbers, but 6 of 6 .* such as '0,25': write decimal: \",\""
    ):
        log_of(load(tmp_path, **{**keys, "label": "item == i3"}, **price))


def test_single_values_that_are_no_numbers_are_counted(tmp_path: Path) -> None:
    (tmp_path / "users.csv").write_text("uid,age\nu1,30\nu2,many\nu3,31\n")
    _, report = converted(load(tmp_path, users="users.csv", user_features=[{"column": "age", "kind": "number"}]))
    assert report.unread_numbers == (("age", 1),) and report.counts()["unread_numbers.age"] == 1
    assert report.lines()[-1] == "values that are not numbers, and count as missing: 1 of age"


def test_a_zone_rules_dates_and_the_hour_of_the_day(tmp_path: Path) -> None:
    text = (
        EVENTS.replace(",100,", ",2020-07-01 12:00,").replace(",50,", ",2020-07-02 12:00,").replace(",200,", ",2020-07-03 12:00,")
    )
    text = text.replace(",60,", ",2020-01-01 12:00,")
    log = log_of(load(tmp_path, text, time_unit="datetime", time_zone="Europe/Berlin", time_origin=1970))
    assert log.schema.utc_offset_hours == 1, "daylight saving aside"
    assert sorted(log.events["time"].tolist())[0] == 1577876400000
    log = log_of(load(tmp_path, time_unit="datetime", time_zone="Europe/Berlin", time_origin="1970", utc_offset_hours=-3.5))
    assert log.schema.utc_offset_hours == -3.5


def test_requests_of_the_table_belong_to_one_user_each(tmp_path: Path) -> None:
    columns = {"user": "uid", "item": "sku", "time": "ts", "request": "brand"}
    raw = load(tmp_path, columns=columns, request_window=600)
    assert raw.schema.request_ids and raw.schema.request_window == 600
    log, report = converted(raw)
    assert log.events["request_id"].tolist() == [0, 1, 2] and report.missing_request == 1


def test_the_declared_name_is_the_only_one(tmp_path: Path) -> None:
    load(tmp_path, name="my-shop")
    path = str(tmp_path / "shop.yaml")
    assert sources.name_of(path) == "my-shop"
    log = open_dataset(path, DataRoots(None, tmp_path / "cache"))
    assert log.meta.name == "my-shop" and log.folder.name.startswith("my-shop-")
    load(tmp_path)
    assert sources.name_of(path) == open_dataset(path, DataRoots(None, tmp_path / "cache")).meta.name == "shop"
    assert sources.name_of("ml-100k") == "ml-100k" and sources.name_of("my-shop") == "my-shop"


def test_a_changed_file_or_key_is_read_afresh(tmp_path: Path) -> None:
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "a.csv").write_text(EVENTS)
    load(tmp_path, events="parts")
    path, roots = str(tmp_path / "shop.yaml"), DataRoots(None, tmp_path / "cache")
    first = open_dataset(path, roots)
    assert open_dataset(path, roots).folder == first.folder
    (tmp_path / "parts" / "b.csv").write_text(EVENTS.splitlines()[0] + "\nu3,007,300,5,de,phone,a,x,1\n")
    second = open_dataset(path, roots)
    assert second.meta.events == first.meta.events + 1 and second.meta.content_hash != first.meta.content_hash
    load(tmp_path, events="parts", default_split="leave-one-out", licence="mine")
    third = open_dataset(path, roots)
    assert (third.meta.default_split, third.meta.licence) == ("leave-one-out", "mine")
    assert third.meta.content_hash == second.meta.content_hash


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"no-such-folder", b"../../elsewhere"])
def test_a_damaged_pointer_costs_nothing_but_time(tmp_path: Path, content: bytes) -> None:
    load(tmp_path)
    path, roots = str(tmp_path / "shop.yaml"), DataRoots(None, tmp_path / "cache")
    log = open_dataset(path, roots)
    (pointer,) = (tmp_path / "cache" / "logs").glob("*.pointer")
    right = pointer.read_bytes()
    pointer.write_bytes(content)
    assert open_dataset(path, roots).folder == log.folder and pointer.read_bytes() == right


def test_a_cache_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    load(tmp_path)
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(
        UserError, match=r"the cache folder .*cache cannot be written .*: set RANKBENCH_CACHE to one that can"
    ) as caught:
        open_dataset(str(tmp_path / "shop.yaml"), DataRoots(None, tmp_path / "cache"))
    assert "\n" not in str(caught.value)


def test_names_that_are_too_long_for_a_file_are_unknown_names(tmp_path: Path) -> None:
    for name in ("x" * 300, "x" * 5_000, "x" * 300 + ".yaml", "a\0b"):
        with pytest.raises(UserError):
            open_dataset(name, DataRoots(None, tmp_path / "cache"))


def test_a_byte_order_mark_before_a_quoted_name_is_no_part_of_it(tmp_path: Path) -> None:
    names, rest = EVENTS.split("\n", 1)
    quoted = ",".join(f'"{name}"' for name in names.split(","))
    (tmp_path / "events.csv").write_bytes(b"\xef\xbb\xbf" + f"{quoted}\n{rest}".encode())
    log = log_of(load(tmp_path))
    (tmp_path / "events.csv").write_text(EVENTS)
    pd.testing.assert_frame_equal(log.events, log_of(load(tmp_path)).events)


def test_json_lines_may_hold_what_python_writes_for_no_number(tmp_path: Path) -> None:
    """NaN is missing, as everywhere; Infinity is there and no number that can be used."""
    rows = [f'{{"uid": {n}, "sku": "{n}", "ts": {n}, "bought": {n % 2}, "price": {price}}}' for n, price in enumerate(
        ["NaN", "1.5", "2.5", "Infinity", "3.5"])]  # fmt: skip
    (tmp_path / "e.jsonl").write_text("\n".join(rows))
    features = [{"column": "price", "kind": "number"}]
    log = log_of(load(tmp_path, events="e.jsonl", label="bought", domain=None, context_features=features))
    assert log.events["price"].isna().tolist() == [True, False, False, True, False]
