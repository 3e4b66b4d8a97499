"""One content, one log and one hash, whatever the order of the rows and the format of the files; any change, another hash."""

import dataclasses
import shutil
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import yaml
from hypothesis import given, settings

from rankbench.bench.data.content import order_of
from rankbench.bench.data.eventlog import EventLog, Multi, write_log
from rankbench.bench.data.logs import open_dataset
from rankbench.bench.data.sources.schema import DataRoots, Feature, Label, RawLog, Schema

SCHEMA = Schema(
    label="rating >= 4",
    action=("rating",),
    user_features=(Feature("age", "number"), Feature("town")),
    item_features=(Feature("genres", "multi"),),
    context_features=(Feature("page"), Feature("price", "number")),
    labels=(Label("loved", "rating >= 5"),),
)
EVENT = st.tuples(
    st.sampled_from(["1", "2", "10", "u"]),
    st.sampled_from(["007", "7", "x"]),
    st.sampled_from(["100", "200", "200.0"]),
    st.sampled_from(["1", "4", "5"]),
    st.sampled_from(["home", "", "search"]),
    st.sampled_from(["1.5", "", "-0", "0"]),
    st.sampled_from(["r1", "r2"]),
)
BOTH_CLASSES = [("1", "x", "50", "5", "home", "1", "r1"), ("2", "x", "50", "1", "home", "2", "r1")]


def raw_log(rows: list[tuple[str, ...]], schema: Schema = SCHEMA, **changes: Any) -> RawLog:
    return RawLog(
        name="toy",
        events=pd.DataFrame(rows, columns=["user", "item", "time", "rating", "page", "price", "request"], dtype="str"),
        users=pd.DataFrame({"age": ["30", None, "x"], "town": ["a", "b", ""]}, index=["1", "2", "10"], dtype="str"),
        items=pd.DataFrame({"genres": ["b a", "a"]}, index=["007", "x"], dtype="str"),
        schema=dataclasses.replace(schema, **changes),
        files=(),
        licence="none",
        citation="none",
    )


def columns_of(log: EventLog) -> dict[str, list[Any]]:
    """Everything that is stored, by name."""
    columns = {path.stem: np.asarray(np.load(path)).tolist() for path in sorted(log.folder.glob("*.npy"))}
    names = [path.name.removesuffix(".dictionary.feather") for path in sorted(log.folder.glob("*.dictionary.feather"))]
    return {**columns, **{f"{name} dictionary": log.dictionary(name).tolist() for name in names}}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("logs")


def convert(raw: RawLog, folder: Path) -> EventLog:
    shutil.rmtree(folder / "log", ignore_errors=True)
    return write_log(raw, folder / "log")


@pytest.mark.parametrize("requests", [False, True])
@settings(max_examples=15)
@given(st.data())
def test_the_order_of_the_rows_changes_nothing(folder: Path, requests: bool, data: st.DataObject) -> None:
    rows = [*BOTH_CLASSES, *data.draw(st.lists(EVENT, max_size=14))]
    again = [*data.draw(st.permutations(rows)), *data.draw(st.lists(st.sampled_from(rows), max_size=3))]
    first = convert(raw_log(rows, request_ids=requests), folder)
    columns = columns_of(first)
    shuffled = raw_log(again, request_ids=requests)
    second = convert(
        dataclasses.replace(
            shuffled,
            users=None if shuffled.users is None else shuffled.users.iloc[::-1],
            items=None if shuffled.items is None else shuffled.items.iloc[::-1],
        ),
        folder,
    )
    assert repr(columns) == repr(columns_of(second))
    assert first.meta.content_hash == second.meta.content_hash
    assert first.meta.cleaning.conflicting == second.meta.cleaning.conflicting
    assert second.meta.cleaning.repeated == first.meta.cleaning.repeated + len(again) - len(rows)


@settings(max_examples=15)
@given(st.lists(EVENT, max_size=14))
def test_events_are_in_order_of_user_time_and_item_and_each_is_there_once(folder: Path, rows: list[tuple[str, ...]]) -> None:
    log = convert(raw_log([*BOTH_CLASSES, *rows]), folder)
    keys = list(zip(log.user[:].tolist(), log.time.tolist(), log.item.tolist(), strict=True))
    assert keys == sorted(set(keys))
    assert len(keys) == len({(user, item, float(time)) for user, item, time, *_ in [*BOTH_CLASSES, *rows]})


def test_of_conflicting_rows_the_positive_one_is_kept_whatever_their_order(folder: Path) -> None:
    rows = [
        ("1", "x", "9", rating, page, "1", "r") for rating, page in [("1", "a"), ("5", "z"), ("4", "a"), ("1", "a"), ("5", "b")]
    ]
    for order in (rows, rows[::-1]):
        log = convert(raw_log([*order, *BOTH_CLASSES]), folder)
        at = int(np.flatnonzero(log.time == 9_000)[0])
        assert log.label[at] == 1 and log.further_label("loved")[at] == 1
        assert log.dictionary("action")[log.action[at]] == "5"
        page = log.feature("page")
        assert not isinstance(page, Multi) and log.dictionary("feature.page")[page[at]] == "b"
        assert (log.meta.cleaning.repeated, log.meta.cleaning.conflicting) == (1, 3)
        assert log.dictionary("feature.page").tolist() == ["b", "home"], "what only dropped rows had is gone"


def test_rows_of_two_requests_are_two_events_and_no_two_users_share_a_request(folder: Path) -> None:
    rows = [
        ("1", "x", "9", "1", "", "", "b"),
        ("1", "x", "9", "1", "", "", "a"),
        ("2", "x", "9", "1", "", "", "a"),
        *BOTH_CLASSES,
    ]
    log = convert(raw_log(rows, request_ids=True), folder)
    assert log.request_id is not None and log.request_id.dtype == np.int32
    assert log.user[:].tolist() == [0, 0, 0, 1, 1] and log.request_id.tolist() == [0, 1, 2, 3, 4]
    assert convert(raw_log(rows), folder).request_id is None


def test_rows_without_a_request_id_are_counted(folder: Path) -> None:
    log = convert(raw_log([*BOTH_CLASSES, ("1", "x", "9", "1", "", "", "")], request_ids=True), folder)
    assert log.meta.cleaning.missing_request == 1 and log.meta.events == 2
    assert "1 without request id" in log.meta.cleaning.lines()[0]


ROWS = [*BOTH_CLASSES, ("10", "007", "70", "4", "search", "3", "r2"), ("1", "7", "60", "1", "", "", "r1")]


def changed(position: int, value: str) -> list[tuple[str, ...]]:
    return [*ROWS[:3], tuple(value if at == position else old for at, old in enumerate(ROWS[3]))]


@pytest.mark.long
@pytest.mark.parametrize(
    "other",
    [
        raw_log(ROWS, label="rating >= 3"),
        raw_log(ROWS, labels=(Label("loved", "rating >= 4"),)),
        raw_log(ROWS, labels=(Label("liked", "rating >= 5"),)),
        raw_log(ROWS, labels=()),
        raw_log(ROWS, action=("rating", "request")),
        raw_log(ROWS, action=("request",)),
        raw_log(ROWS, context_features=(Feature("page"),)),
        raw_log(ROWS, context_features=(Feature("price", "number"), Feature("page"))),
        raw_log(ROWS, item_features=(Feature("genres"),)),
        raw_log(ROWS, item_features=(Feature("genres", "multi", "|"),)),
        raw_log(ROWS, utc_offset_hours=8),
        raw_log(ROWS, request_ids=True),
        raw_log(changed(0, "2")),
        raw_log(changed(1, "07")),
        raw_log(changed(2, "61")),
        raw_log(changed(3, "2")),
        raw_log(changed(3, "4")),
        raw_log(changed(4, "home")),
        raw_log(changed(5, "3")),
        raw_log(ROWS[:3]),
        dataclasses.replace(raw_log(ROWS), users=raw_log(ROWS).users.replace({"town": {"a": "c"}})),  # type: ignore[union-attr]
        dataclasses.replace(raw_log(ROWS), users=raw_log(ROWS).users.replace({"age": {"30": "31"}})),  # type: ignore[union-attr]
        dataclasses.replace(raw_log(ROWS), items=raw_log(ROWS).items.replace({"genres": {"b a": "b"}})),  # type: ignore[union-attr]
    ],
)
def test_any_change_of_what_can_be_seen_changes_the_hash(other: RawLog, folder: Path) -> None:
    assert convert(raw_log(ROWS), folder).meta.content_hash != convert(other, folder).meta.content_hash


@pytest.mark.parametrize(
    "other",
    [
        raw_log(ROWS, label="rating  >=4.0"),
        raw_log(ROWS, request_window=600),
        dataclasses.replace(raw_log(ROWS), name="other", licence="free", default_split="leave-one-out", notes=("a note",)),
        raw_log([*ROWS, ROWS[0], ("", "x", "1", "1", "", "", "")]),
        raw_log([*ROWS, ("1", "7", "60", "1", "zzz", "", "r1")]),
    ],
)
def test_what_cannot_be_seen_does_not_change_the_hash(other: RawLog, folder: Path) -> None:
    assert convert(raw_log(ROWS), folder).meta.content_hash == convert(other, folder).meta.content_hash


def test_facts_say_what_the_log_was_made_of(folder: Path) -> None:
    meta = convert(raw_log(ROWS, label="rating>=4", request_window=600), folder).meta
    assert meta.content.label == "rating >= 4" and meta.content.actions == ("rating",)
    assert meta.content.labels == (Label("loved", "rating >= 5"),) and meta.labels == ("loved",)
    assert meta.request_window == 600 and len(meta.content_hash) == 64


def test_file_names_and_formats_do_not_change_the_hash(tmp_path: Path) -> None:
    table = pd.DataFrame(
        {
            "user": [1, 2, 10, 1],
            "item": [5, 5, 7, 8],
            "time": [50, 50, 70, 60],
            "rating": [5.0, 1.0, 4.0, np.nan],
            "bought": [True, False, True, True],
            "segment": [3.0, np.nan, 4.0, 3.0],
            "price": [1.5, 2.25, np.nan, 0.1],
        }
    )
    table.to_csv(tmp_path / "a.csv", index=False)
    table.to_csv(tmp_path / "b.csv.gz", index=False)
    table.astype({"user": str, "item": "Int64", "rating": "Int64"}).to_csv(tmp_path / "c.csv", index=False)
    table.to_parquet(tmp_path / "d.parquet")
    table.astype({"user": str, "item": "category", "rating": "Int32", "segment": "Int64"}).to_parquet(tmp_path / "e.parquet")
    table.astype({"user": "uint64", "time": float}).sample(frac=1, random_state=1).to_parquet(tmp_path / "f.parquet")
    hashes = set()
    for path in sorted(tmp_path.iterdir()):
        text = {
            "events": path.name,
            "label": "bought == true",
            "time_origin": "relative",
            "action": ["rating", "bought"],
            "user_features": ["segment"],
            "context_features": [{"column": "price", "kind": "number"}],
        }
        (tmp_path / f"{path.name}.yaml").write_text(yaml.safe_dump(text))
        hashes.add(open_dataset(str(tmp_path / f"{path.name}.yaml"), DataRoots(None, tmp_path / "cache")).meta.content_hash)
    assert len(hashes) == 1


@given(st.lists(st.text("0123456789ab", max_size=6), unique=True))
def test_digits_are_ordered_by_value_and_other_ids_by_text(ids: list[str]) -> None:
    numbers = all(not one.strip("0123456789") for one in ids)
    expected = sorted(ids, key=lambda one: (int(one or "0"), len(one.lstrip("0")), one) if numbers else one)
    assert [ids[at] for at in order_of(pa.array(ids, type=pa.large_string()))] == expected


def test_ids_of_thousands_of_digits_are_ordered_by_value() -> None:
    ids = ["9" * 5_000, "1" + "0" * 5_000, "2"]
    assert order_of(pa.array(ids)).tolist() == [2, 0, 1]
