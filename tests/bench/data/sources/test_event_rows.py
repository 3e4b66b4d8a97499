"""Rows that stand for something else than one example: impression lists, declared parts, other behaviours."""

from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pandas as pd
import yaml
from hypothesis import given

from rankbench.bench.config import DataConfig
from rankbench.bench.data.eventlog import EventLog
from rankbench.bench.data.logs import open_dataset
from rankbench.bench.data.pools import MAIN_LABEL, held_places
from rankbench.bench.data.sources.event_rows import one_row_an_entry
from rankbench.bench.data.sources.schema import ROLE_WORDS, DataRoots
from rankbench.bench.data.sources.table_config import Impressions


def opened(folder: Path, text: str, name: str = "log.csv", **keys: Any) -> EventLog:
    (folder / name).write_text(text)
    (folder / "own.yaml").write_text(yaml.safe_dump({"events": name, "time_origin": "relative", **keys}))
    return open_dataset(str(folder / "own.yaml"), DataRoots(None, folder / "cache"))


def rows_of(log: EventLog) -> list[tuple[str, str, int, int]]:
    users, items = log.dictionary("user"), log.dictionary("item")
    at = range(log.meta.events)
    return [(users[log.user[row]], items[log.item[row]], int(log.time[row]) // 1000, int(log.label[row])) for row in at]


LISTS = "1\tU1\t100\tN9 N8\tN1-0 N2-1 a-b-1\n2\tU2\t50\t\tN2-0\n3\tU1\t200\tN9\tN1-1\n4\tU1\t300\tN9\t\n"
COLUMNS = {"header": False, "impressions": {"column": 5, "outcome": "-"}}


def test_every_entry_of_an_impression_list_is_a_row_of_the_cells_request(tmp_path: Path) -> None:
    log = opened(tmp_path, LISTS, "log.tsv", columns={"request": 1, "user": 2, "time": 3}, **COLUMNS)
    expected = [("U1", "N1", 100, 0), ("U1", "N2", 100, 1), ("U1", "a-b", 100, 1), ("U1", "N1", 200, 1), ("U2", "N2", 50, 0)]
    assert sorted(rows_of(log)) == sorted(expected)
    assert log.request_id is not None and log.request_id.tolist() == [0, 0, 0, 1, 2]
    assert log.meta.content.actions == ("outcome",) and log.meta.content.label == "outcome"


def test_cells_are_requests_where_no_column_names_them_and_equal_cells_of_two_moments_are_two(tmp_path: Path) -> None:
    text = LISTS + "5\tU1\t400\tN9\tN1-1\n"
    log = opened(tmp_path, text, "log.tsv", columns={"user": 2, "time": 3}, **COLUMNS)
    again = opened(tmp_path, "".join(text.splitlines(True)[::-1]), "log.tsv", columns={"user": 2, "time": 3}, **COLUMNS)
    assert log.request_id is not None and log.request_id.tolist() == [0, 0, 0, 1, 2, 3]
    assert log.meta.content_hash == again.meta.content_hash


def test_lists_of_what_was_shown_and_what_was_clicked(tmp_path: Path) -> None:
    table = pd.DataFrame(
        {
            "user": ["u", "v"],
            "time": [1, 2],
            "inview": [[10, 11, 12], [10]],
            "clicked": [[11], None],
        }
    )
    table.to_parquet(tmp_path / "log.parquet")
    keys = {"events": "log.parquet", "time_origin": "relative", "impressions": {"column": "inview", "clicked": "clicked"}}
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(keys))
    log = open_dataset(str(tmp_path / "own.yaml"), DataRoots(None, tmp_path / "cache"))
    assert rows_of(log) == [("u", "10", 1, 0), ("u", "11", 1, 1), ("u", "12", 1, 0), ("v", "10", 2, 0)]


ENTRY = st.tuples(st.text("ab-1", min_size=1, max_size=3).map(lambda item: item + "x"), st.sampled_from(["0", "1", None]))


@given(st.lists(st.lists(ENTRY, max_size=4), min_size=1, max_size=5))
def test_lists_are_cut_as_a_loop_would_cut_them(cells: list[list[tuple[str, str | None]]]) -> None:
    if not any(outcome for cell in cells for _, outcome in cell):
        return
    texts = [" ".join(item if outcome is None else f"{item}-{outcome}" for item, outcome in cell) for cell in cells]
    events = pd.DataFrame({"user": range(len(cells)), "list": pd.Series(texts, dtype="str")})
    found = one_row_an_entry(events, Impressions("list", outcome="-"), "here")
    expected = []
    for user, text in enumerate(texts):
        for entry in text.split():
            item, sign, outcome = entry.rpartition("-")
            expected.append((user, item, outcome) if sign else (user, entry, None))
    assert [
        tuple(row) for row in found[["user", "item", "outcome"]].astype(object).where(found.notna(), None).to_numpy()
    ] == expected


CLICKS = "user,item,time,y,fold\n" + "".join(f"u{n % 3},i{n % 5},{n},{int(n % 2 == 0)},{n // 20}\n" for n in range(60))


def test_parts_in_files_of_their_own_and_in_a_column_are_one_log(tmp_path: Path) -> None:
    column = opened(tmp_path, CLICKS, label="y", split={"column": "fold", "train": [0], "valid": 1, "test": [2]})
    head, *lines = CLICKS.splitlines(True)
    for at, name in enumerate(("train", "valid", "test")):
        (tmp_path / f"{name}.csv").write_text(head + "".join(lines[20 * at : 20 * at + 20]))
    files = opened(tmp_path, "", "empty.csv", label="y", events={name: f"{name}.csv" for name in ("train", "valid", "test")})
    assert column.meta.content_hash == files.meta.content_hash and column.meta.default_split == "declared"
    assert column.declared is not None and sorted(column.declared.tolist()) == [1] * 20 + [2] * 20 + [3] * 20
    plain = opened(tmp_path, CLICKS, label="y")
    assert plain.declared is None and plain.meta.content_hash != column.meta.content_hash


def test_a_row_of_both_training_and_test_is_tested(tmp_path: Path) -> None:
    (tmp_path / "test.csv").write_text("user,item,time,y\nu,i,5,0\nu,i,6,1\n")
    log = opened(tmp_path, "user,item,time,y\nu,i,5,1\nu,i,4,0\n", label="y", events={"train": "log.csv", "test": "test.csv"})
    assert log.declared is not None and [ROLE_WORDS[code] for code in log.declared] == ["train", "test", "test"]
    assert log.label.tolist() == [0, 0, 1] and log.meta.cleaning.conflicting == 1


SHOP = "user,item,time,what\n" + "".join(f"u{n % 3},i{n % 5},{n},{['view', 'buy', 'cart', 'scroll'][n % 4]}\n" for n in range(40))


def test_behaviours_that_are_no_examples_are_history_or_left_out(tmp_path: Path) -> None:
    chosen = {"column": "what", "examples": ["view", "buy"], "history": "cart"}
    log = opened(tmp_path, SHOP, label="what == buy", behaviours=chosen)
    assert (
        log.meta.cleaning.left_out == 10
        and "10 more rows are left out, as the source or its description says" in log.meta.cleaning.lines()
    )
    what = log.dictionary("action")[log.action]
    assert log.asked is not None and log.asked[:].tolist() == [word != "cart" for word in what] and "scroll" not in what
    assert (
        np.array_equal(log.label == 1, what == "buy")
        and np.concatenate([*log.example_labels()]).mean() == 0.5
        and not log.positive_only
    )
    every = opened(tmp_path, SHOP, label="what in [buy]", behaviours={"column": "what", "examples": ["view", "buy"]})
    assert every.meta.cleaning.left_out == 0 and every.meta.events == 40


def test_what_is_history_needs_no_label(tmp_path: Path) -> None:
    text = "user,item,time,what,y\nu,a,1,view,1\nu,b,2,cart,\nu,c,3,view,0\nu,d,4,view,\n"
    log = opened(tmp_path, text, label="y", behaviours={"column": "what", "examples": "view"})
    assert rows_of(log) == [("u", "a", 1, 1), ("u", "b", 2, 0), ("u", "c", 3, 0)] and log.meta.cleaning.missing_label == 1


def test_where_all_examples_are_positive_what_is_history_is_not(tmp_path: Path) -> None:
    """Else a history of the target alone (data.behaviours) would hold every kind of event."""
    log = opened(tmp_path, SHOP, label="all", behaviours={"column": "what", "examples": "buy", "history": ["view", "cart"]})
    what = log.dictionary("action")[log.action]
    assert log.positive_only and np.array_equal(log.label == 1, what == "buy")
    places = held_places(log, DataConfig("own", behaviours=(MAIN_LABEL,)))
    assert places is not None and np.array_equal(places.event, np.flatnonzero(what == "buy"))
