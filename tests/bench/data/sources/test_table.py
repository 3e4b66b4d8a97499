"""Your own table: what a YAML file can say, and one clear line for everything that can be wrong with it."""

import gzip
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from rankbench.bench.data import sources
from rankbench.bench.data.cleaning import CleanLog, clean
from rankbench.bench.data.sources.schema import DataRoots, Feature, RawLog
from rankbench.bench.errors import UserError

EVENTS = """uid,sku,ts,stars,market,device,segment,brand,unused
u1,007,100,5,de,phone,a,x,1
u2,7,50,2,fr,phone,b,y,2
u1,99999999999999999999,200,1,de,,a,,3
u2,007,60,4,de,web,b,x,4
"""
BASE = {
    "events": "events.csv",
    "columns": {"user": "uid", "item": "sku", "time": "ts"},
    "label": "stars >= 4",
    "domain": "market",
    "context_features": ["device"],
}


def load(folder: Path, text: str = EVENTS, **changes: Any) -> RawLog:
    if not (folder / "events.csv").exists():
        (folder / "events.csv").write_text(text)
    (folder / "shop.yaml").write_text(
        yaml.safe_dump({key: value for key, value in {**BASE, **changes}.items() if value is not None})
    )
    return sources.load(str(folder / "shop.yaml"), DataRoots(None, folder / "cache"))


def log_of(raw: RawLog) -> CleanLog:
    return clean(raw)[0]


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


def test_feature_that_changes_with_time_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="user feature 'device' of 'u2' changes between events: list it under context_features"):
        load(tmp_path, user_features=["device"], context_features=None)


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
    log = log_of(raw)
    assert log.users is not None and log.users["age"].iloc[0] == 30 and log.users["age"].isna().tolist() == [False, True]
    assert log.items is not None and log.items["genres"].tolist() == ["a|b", ""]
    assert log.items["kind"].tolist() == ["3", ""]
    assert log.schema.item_features[2] == Feature("genres", "multi", "|")
    assert "1 items are not in items.parquet: their features are missing" in log.notes
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
    log, report = clean(raw)
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
    log, report = clean(load(tmp_path, text))
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


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"lable": "stars"}, "unknown key in .*shop.yaml 'lable'; did you mean 'label'"),
        ({"label": None}, "lacks the key 'label'"),
        ({"events": None}, "lacks the key 'events'"),
        ({"events": "absent.csv"}, "absent.csv does not exist"),
        ({"events": "."}, "cannot be read"),
        ({"columns": {"usr": "uid"}}, "unknown key in .*columns 'usr'; did you mean 'user'"),
        ({"columns": {"user": "nobody", "item": "sku", "time": "ts"}}, "no column 'nobody'; it has: uid, sku, ts, stars"),
        ({"label": "starz >= 4"}, "no column 'starz'; it has: uid"),
        ({"label": "stars = 4"}, "neither a column nor a rule"),
        ({"action": "stars"}, "action must be a list"),
        ({"time_unit": "minutes"}, "unknown value of .*time_unit 'minutes'"),
        ({"context_features": [{"kind": "number"}]}, "context_features: write a column name or"),
        ({"context_features": [{"column": "device", "kind": "numbr"}]}, "unknown value of .*kind 'numbr'; did you mean 'number'"),
        ({"context_features": [{"column": "device", "kind": "multi", "separator": ""}]}, "separator of 'device' is empty"),
        ({"delimiter": "::"}, "delimiter must be one character, not '::'"),
        ({"events": "short.csv"}, "short.csv cannot be read: .*Expected 9 columns, got 2: u9,007"),
        ({"events": "binary.csv"}, "binary.csv (cannot be read|has no column)"),
        ({"events": "twice.csv"}, "twice.csv has more than one column 'stars'"),
        ({"events": "cut.csv.gz"}, "cut.csv.gz cannot be read"),
        ({"name": "a/b"}, "name 'a/b' may hold letters"),
        ({"users": "users.csv", "user_features": ["age"]}, "users.csv lists 'u1' more than once with different values"),
        ({"items": "items.parquet", "item_features": ["brand"]}, "items.parquet cannot be read"),
        (
            {"label": "time > 3", "columns": {"user": "uid", "item": "sku", "time": "ts"}, "events": "watch.csv"},
            "column 'time' is not the one",
        ),
        ({"events": "latin.csv"}, "latin.csv is not utf-8 text: convert it"),
        ({"events": "ragged.csv"}, "ragged.csv cannot be read: .*Expected 9 columns, got 12"),
        ({"events": "floats.parquet"}, "'uid' holds ids as floating point numbers beyond"),
        ({"events": "lists.parquet"}, "column 'stars' holds lists; only a feature of kind multi can"),
    ],
)
def test_bad_descriptions_and_files(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    (tmp_path / "users.csv").write_text("uid,age\nu1,30\nu1,31\n")
    (tmp_path / "items.parquet").write_text("not parquet")
    (tmp_path / "watch.csv").write_text("uid,sku,ts,time,market,device\nu1,1,5,9,de,web\n")
    (tmp_path / "latin.csv").write_bytes(EVENTS.replace("phone", "Fön").encode("latin-1"))
    (tmp_path / "ragged.csv").write_text(EVENTS.replace("u2,7,50,2", "u2,7,50,2,9,9,9"))
    (tmp_path / "short.csv").write_text(EVENTS + "u9,007")
    (tmp_path / "binary.csv").write_bytes(bytes(range(128)) * 2000)
    (tmp_path / "twice.csv").write_text(EVENTS.replace("unused", "stars"))
    (tmp_path / "cut.csv.gz").write_bytes(gzip.compress(EVENTS.encode())[:-20])
    frame = pd.DataFrame({"uid": [2.0**60], "sku": ["a"], "ts": [1], "stars": [[5]], "market": ["de"], "device": ["web"]})
    frame.to_parquet(tmp_path / "lists.parquet")
    frame.assign(stars=5).to_parquet(tmp_path / "floats.parquet")
    with pytest.raises(UserError, match=message) as caught:
        load(tmp_path, **changes)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"), [("", "events.csv is empty"), ("uid,sku,ts,stars,market,device\n", "shop has no rows")]
)
def test_empty_tables(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message):
        log_of(load(tmp_path, text))
