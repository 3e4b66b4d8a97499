"""What a table of one's own may not be: one clear line for everything that can be wrong with its description and its files."""

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from rankbench.bench.errors import UserError
from support.shop_table import EVENTS, load, log_of


def test_feature_that_changes_with_time_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="user feature 'device' of 'u2' changes between events: list it under context_features"):
        log_of(load(tmp_path, user_features=["device"], context_features=None))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"lable": "stars"}, "unknown key in .*shop.yaml 'lable'; did you mean 'label'"),
        ({"label": None}, "lacks the key 'label'"),
        ({"events": None}, "lacks the key 'events'"),
        ({"events": "absent.csv"}, "absent.csv does not exist"),
        ({"events": "folder"}, "the folder .*folder has no .csv, .tsv, .jsonl"),
        ({"events": "e*.tsv"}, r"no file is of the form .*e\*.tsv"),
        ({"events": ["events.csv", "e*.csv"]}, "events lists .*events.csv twice"),
        ({"events": [""]}, "events lists an empty name"),
        ({"events": ""}, "the key 'events' has no value"),
        ({"users": "users.csv"}, "users is given, but no user_features: list the columns to use"),
        ({"user_key": "uid"}, "user_key is the key of a table of users, and none is given"),
        ({"events": "book.xlsx"}, "book.xlsx is neither csv, JSON lines, parquet nor feather: convert it"),
        ({"events": "lines.csv"}, r"if these are JSON lines, let the file's name end in .jsonl"),
        ({"events": "lines.jsonl"}, r"lines.jsonl has no column 'sku'; it has: uid"),
        ({"events": "broken.jsonl"}, r"broken.jsonl, line 2 is not JSON \(.*\): every line must hold one object"),
        ({"events": "array.jsonl"}, "array.jsonl, line 1 holds no object: every line must hold one"),
        ({"events": "nested.jsonl"}, "nested.jsonl, line 1: 'stars' is an object in itself"),
        ({"events": "listed.jsonl"}, "listed.jsonl: column 'stars' holds lists; only a feature of kind multi can"),
        ({"events": {"train": "events.csv"}}, "events has parts, but none is called test"),
        ({"events": {"train": "events.csv", "tset": "a.csv"}}, "unknown part of events in .* 'tset'; did you mean 'test'"),
        (
            {"events": {"train": "events.csv", "test": 7}},
            "events.test must be a file, a folder, a pattern or a list of these, not",
        ),
        ({"events": {"train": "events.csv", "test": "events.csv"}}, "events lists .*events.csv twice"),
        (
            {"events": {"train": "events.csv", "test": "x.csv"}, "split": "brand"},
            "both events and split say what is for training",
        ),
        ({"split": "brand"}, "column 'brand' holds 'x', which is none of train, valid, test, history: say under split"),
        ({"split": {"column": "brand", "train": "x", "test": "x"}}, "split gives 'x' two meanings"),
        ({"split": {"train": "x"}}, "split lacks column"),
        (
            {"behaviours": {"column": "stars", "examples": [9]}},
            "behaviours: no row has '9' in column 'stars'; there are: 1, 2, 4, 5",
        ),
        ({"behaviours": {"column": "stars"}}, "behaviours lacks examples"),
        ({"impressions": {"column": "brand", "outcome": "-"}}, "columns.item and impressions name the items twice"),
        ({"impressions": {"column": "brand"}, "columns": {"user": "uid", "time": "ts"}}, "impressions needs either outcome"),
        (
            {"impressions": {"column": "brand", "outcome": "-"}, "columns": {"user": "uid", "time": "ts"}},
            "column 'brand': no entry has the sign '-' before its outcome, such as 'x'",
        ),
        ({"label": "stars in [1, ]"}, r"the list between \[ and \] has an empty place"),
        ({"events": "semicolons.csv"}, r"\(is the delimiter ';'\? Then write delimiter: \";\"\)"),
        ({"events": "headless.csv"}, r"it has: u1, 007, .* and 8 more \(if its first row is data, write header: false"),
        ({"utc_offset_hours": 30}, "utc_offset_hours must be a number of hours between -24 and 24, not 30"),
        ({"utc_offset_hours": float("nan")}, "utc_offset_hours must be"),
        ({"utc_offset_hours": 1e30}, "utc_offset_hours must be"),
        ({"request_window": -1}, "request_window must be"),
        ({"request_window": float("inf")}, "request_window must be"),
        ({"user_features": ["uid"]}, "user_features lists 'uid', the column of an id or a time"),
        ({"labels": {"a": None}}, "labels.a must be a column or a rule such as rating >= 5, not None"),
        ({"name": "n" * 300}, "name nnn.* has 300 letters; 100 are allowed"),
        ({"columns": {"user": "uid", "item": "uid", "time": "ts"}}, "columns names one column for two of user, item, time"),
        ({"columns": {"user": "", "item": "sku", "time": "ts"}}, "columns.user has no value"),
        ({"time_zone": "Europe/Atlantis", "time_unit": "datetime"}, "unknown time_zone 'Europe/Atlantis'"),
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
        (
            {"events": "floats.parquet"},
            "'uid' holds ids as float64, in which numbers from 9,007,199,254,740,992 on fall together",
        ),
        ({"events": "single.parquet"}, "'uid' holds ids as float32, in which numbers from 16,777,216 on fall together"),
        ({"events": "half.parquet"}, "'uid' holds ids as float16, in which numbers from 2,048 on fall together"),
        ({"user": "uid"}, "unknown key in .*shop.yaml 'user': write columns: {user: uid}"),
        ({"time": None, "request": "uid"}, "unknown key in .*shop.yaml 'request': write columns: {request: uid}"),
        ({"events": "lists.parquet"}, "column 'stars' holds lists; only a feature of kind multi can"),
    ],
)
def test_bad_descriptions_and_files(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    (tmp_path / "users.csv").write_text("uid,age\nu1,30\nu1,31\n")
    (tmp_path / "items.parquet").write_text("not parquet")
    (tmp_path / "watch.csv").write_text("uid,sku,ts,time,market,device\nu1,1,5,9,de,web\n")
    (tmp_path / "folder").mkdir()
    (tmp_path / "lines.jsonl").write_text('{"uid": 1}\n')
    (tmp_path / "lines.csv").write_text('{"uid": 1}\n')
    whole = '{"uid": 1, "sku": 1, "ts": 1, "stars": STARS, "market": "de", "device": null}\n'
    (tmp_path / "broken.jsonl").write_text(whole.replace("STARS", "5") + '{"uid": \n')
    (tmp_path / "array.jsonl").write_text("[1, 2]\n")
    (tmp_path / "nested.jsonl").write_text(whole.replace("STARS", '{"a": 1}'))
    (tmp_path / "listed.jsonl").write_text(whole.replace("STARS", "[5]"))
    (tmp_path / "book.xlsx").write_text("x")
    (tmp_path / "semicolons.csv").write_text(EVENTS.replace(",", ";"))
    (tmp_path / "headless.csv").write_text("u1,007,100,5," + ",".join(["x" * 300] * 16) + "\n")
    (tmp_path / "latin.csv").write_bytes(EVENTS.replace("phone", "Fön").encode("latin-1"))
    (tmp_path / "ragged.csv").write_text(EVENTS.replace("u2,7,50,2", "u2,7,50,2,9,9,9"))
    (tmp_path / "short.csv").write_text(EVENTS + "u9,007")
    (tmp_path / "binary.csv").write_bytes(bytes(range(128)) * 2000)
    (tmp_path / "twice.csv").write_text(EVENTS.replace("unused", "stars"))
    (tmp_path / "cut.csv.gz").write_bytes(gzip.compress(EVENTS.encode())[:-20])
    frame = pd.DataFrame({"uid": [2.0**60], "sku": ["a"], "ts": [1], "stars": [[5]], "market": ["de"], "device": ["web"]})
    frame.to_parquet(tmp_path / "lists.parquet")
    frame.assign(stars=5).to_parquet(tmp_path / "floats.parquet")
    frame.assign(stars=5, uid=np.float32(2**24)).to_parquet(tmp_path / "single.parquet")
    frame.assign(stars=5, uid=np.float16(2**11)).to_parquet(tmp_path / "half.parquet")
    with pytest.raises(UserError, match=message) as caught:
        log_of(load(tmp_path, **changes))
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 900


@pytest.mark.parametrize(
    ("text", "message"), [("", "events.csv is empty"), ("uid,sku,ts,stars,market,device\n", "shop has no rows")]
)
def test_empty_tables(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message):
        log_of(load(tmp_path, text))
