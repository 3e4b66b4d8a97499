"""Tables of users and items are joined to a log in blocks, and give what they give when they are held in memory."""

import dataclasses
import shutil
from pathlib import Path

import hypothesis.strategies as st
import pandas as pd
import pytest
from hypothesis import given, settings

from rankbench.bench.data.conversion import cells, merge, side
from rankbench.bench.data.eventlog import EventLog, write_log
from rankbench.bench.data.sources import files
from rankbench.bench.data.sources.schema import Feature, RawLog, Repeated, Schema
from rankbench.bench.data.sources.side_files import SideFiles
from rankbench.bench.errors import UserError
from support.in_memory import assert_as_in_memory

FEATURES = (Feature("brand"), Feature("price", "number"), Feature("tags", "multi", "|"), Feature("since"))
MOMENTS = [None, *pd.to_datetime(["2020-01-01", "2020-01-02T03:00", "2020-01-03T00:00:00.25"], format="ISO8601")]
VALUES = st.tuples(
    st.sampled_from(["1.0", "2.0", "10.0", "x", None, "TRUE"]),
    st.sampled_from([1.5, -0.0, 0.0, None, 7.0]),
    st.sampled_from(["a|b", "b||10", "", None, "9"]),
    st.sampled_from(MOMENTS),
)
TABLE = st.dictionaries(st.sampled_from(["007", "7", "x", "10", "nobody", "9", "y"]), VALUES, max_size=7)


def log_of(items: pd.DataFrame | SideFiles, known: list[str]) -> RawLog:
    times = [str(10**9 + at) for at in range(len(known))]
    clicks = ["0", *["1"] * (len(known) - 1)]
    events = pd.DataFrame({"user": "u", "item": known, "time": times, "click": clicks}, dtype="str")
    schema = Schema("click", ("click",), item_features=FEATURES)
    return RawLog("toy", events, None, items, schema, (), "none", "none")


def table_of(rows: dict[str, tuple]) -> pd.DataFrame:
    frame = pd.DataFrame(list(rows.values()), columns=[one.column for one in FEATURES], index=pd.Index(list(rows), dtype="str"))
    return frame.astype({"brand": "str", "price": "float64", "tags": "str", "since": "datetime64[ms]"})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tables")


def in_blocks(folder: Path, frames: list[pd.DataFrame], known: list[str], block: int, repeated: Repeated) -> EventLog:
    shutil.rmtree(folder / "log", ignore_errors=True)
    paths = [folder / f"{at}.parquet" for at in range(len(frames))]
    for path, frame in zip(paths, frames, strict=True):
        frame.rename_axis("id").reset_index().to_parquet(path, index=False)
    items = SideFiles(paths, "id", [one.column for one in FEATURES], repeated=repeated)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files, "_BLOCK_ROWS", block)
        patch.setattr(cells, "BLOCK_ROWS", block)
        patch.setattr(merge, "RANGE", block)
        patch.setattr(merge, "_BATCH", block)
        return write_log(log_of(items, known), folder / "log")


@pytest.mark.long
@settings(max_examples=25, deadline=None)
@given(
    TABLE,
    st.lists(st.sampled_from(["007", "7", "x", "10", "nowhere", "9"]), min_size=2, max_size=6, unique=True),
    st.integers(1, 4),
    st.integers(0, 7),
)
def test_a_table_in_blocks_gives_the_log_of_one_in_memory(
    folder: Path, rows: dict[str, tuple], known: list[str], block: int, cut: int
) -> None:
    table = table_of(rows)
    # Rows that stand twice, in the same file and in another one, say what they said before.
    log = in_blocks(folder, [pd.concat([table[:cut], table[:1]]), table[cut:], table[:cut]], known, block, "equal")
    assert_as_in_memory(log, log_of(table, known))


ROW, OTHER = ("x", 1.0, "a", None), ("x", 1.0, "b", None)


@pytest.mark.parametrize("block", [1, 9])
def test_what_is_said_of_an_id_that_stands_more_than_once(folder: Path, block: int) -> None:
    known = ["7", "8"]
    first, second = table_of({"7": ROW, "8": OTHER}), table_of({"8": OTHER, "7": OTHER})
    log = in_blocks(folder, [first, second], known, block, "first")
    values, offsets = log.feature("tags")
    assert log.dictionary("feature.tags")[values].tolist() == ["a", "b"] and offsets.tolist() == [0, 1, 2]
    with pytest.raises(
        UserError, match=r"0\.parquet \(and 1 more\) lists '7' more than once with different values: keep one row for each id"
    ):
        in_blocks(folder, [first, second], known, block, "equal")
    with pytest.raises(UserError, match=r"0\.parquet \(and 1 more\) lists '8' more than once: keep one row for each id"):
        in_blocks(folder, [first, second[:1]], known, block, "refused")
    elsewhere = table_of({"7": ROW, "nobody": ROW}), table_of({"8": OTHER, "nobody": OTHER})
    for repeated in ("first", "equal", "refused"):
        assert in_blocks(folder, list(elsewhere), known, block, repeated).meta.content_hash == log.meta.content_hash


def test_a_feature_may_be_called_as_ids_often_are(tmp_path: Path) -> None:
    """Its values are ids of the log in another order: whoever takes them for ids finds every row."""
    items = pd.DataFrame({"sku": ["7", "8"], "id": ["8", "7"], "brand": ["of 7", "of 8"]}, dtype="str")
    items.to_csv(tmp_path / "items.csv", index=False)
    raw = log_of(SideFiles([tmp_path / "items.csv"], "sku", ["brand", "id"]), ["7", "8"])
    schema = dataclasses.replace(raw.schema, item_features=(Feature("brand"), Feature("id")))
    log = write_log(dataclasses.replace(raw, schema=schema), tmp_path / "log")
    for feature, values in (("brand", ["of 7", "of 8"]), ("id", ["8", "7"])):
        assert log.dictionary(f"feature.{feature}")[log.feature(feature)].tolist() == values


def test_what_can_be_seen_of_a_table_is_refused_before_the_events_are_read(folder: Path) -> None:
    table_of({"7": ROW}).drop(columns="tags").rename_axis("id").reset_index().to_parquet(folder / "short.parquet", index=False)
    raw = log_of(SideFiles([folder / "short.parquet"], "id", [one.column for one in FEATURES]), ["7", "8"])

    class Unread:
        def __iter__(self) -> object:
            raise AssertionError("events were read")

    with pytest.raises(UserError, match=r"short\.parquet has no column 'tags'"):
        write_log(dataclasses.replace(raw, events=Unread()), folder / "refused")  # type: ignore[arg-type]


def test_a_column_that_holds_few_numbers_is_refused(folder: Path) -> None:
    table = table_of({"7": ROW, "8": OTHER}).assign(price=["a", "b"])
    with pytest.raises(UserError, match="the item table of toy: feature 'price' should hold numbers, but 2 of 2 values are none"):
        in_blocks(folder, [table], ["7", "8"], 1, "equal")
    assert side.FrameTable(table, "the table").ids == "the table: its index"
