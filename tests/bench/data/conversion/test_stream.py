"""Conversion in blocks gives the log, hash and counts of a literal one in memory, whatever the blocks and the order of rows."""

import dataclasses
import shutil
from pathlib import Path

import hypothesis.strategies as st
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings

from rankbench.bench.data.conversion import merge, rows, stream
from rankbench.bench.data.conversion.growing_column import GrowingColumn
from rankbench.bench.data.eventlog import EventLog, write_log
from rankbench.bench.data.sources.schema import ROLE_WORDS, Feature, Label, RawLog, Schema
from rankbench.bench.errors import UserError
from support.in_memory import assert_as_in_memory

SCHEMA = Schema(
    label="rating >= 4",
    action=("rating", "page"),
    labels=(Label("loved", "rating >= 5"),),
    user_features=(Feature("age", "number"), Feature("town")),
    item_features=(Feature("genres", "multi"),),
    context_features=(Feature("place"), Feature("price", "number"), Feature("tags", "multi", "|")),
    time_zone="Asia/Shanghai",
)
EVENT = st.tuples(
    st.sampled_from(["1", "2", "10", "u", None, ""]),
    st.sampled_from(["007", "7", "x"]),
    st.sampled_from(["100", "200", "200.0", "soon"]),
    st.sampled_from(["1", "4", "5"]),
    st.sampled_from(["home", None, "search", "10", "9"]),
    st.sampled_from(["3.0", "2.0", None]),
    st.sampled_from(["1.5", None, "-0", "0"]),
    st.sampled_from(["a|b", "b", "", None, "10|9"]),
    st.sampled_from(["r1", "r2", None]),
    st.sampled_from(ROLE_WORDS),
)
BOTH = [(str(at), "x", "50", str(at * 4), "home", "3.0", "1", "a", "r1", "") for at in (1, 2)] + [
    ("1", "7", "60", "1", "9", None, "2.5", "b|b", "r2", "")
] * 2
COLUMNS = ["user", "item", "time", "rating", "page", "place", "price", "tags", "request", "role"]


def raw_log(events: list[tuple[str | None, ...]], **changes: bool) -> RawLog:
    return RawLog(
        name="toy",
        events=pd.DataFrame(events, columns=COLUMNS, dtype="str"),
        users=pd.DataFrame({"age": ["30", None, "x"], "town": ["a", "b", ""]}, index=["1", "2", "10"], dtype="str"),
        items=pd.DataFrame({"genres": ["b a", "a"]}, index=["007", "x"], dtype="str"),
        schema=dataclasses.replace(SCHEMA, **changes),  # type: ignore[arg-type]
        files=(),
        licence="none",
        citation="none",
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("logs")


def in_blocks(raw: RawLog, folder: Path, size: int, partition: int, merged: int) -> EventLog:
    shutil.rmtree(folder / "log", ignore_errors=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rows, "PARTITION_ROWS", partition)
        patch.setattr(merge, "RANGE", merged)
        patch.setattr(stream, "BLOCK_ROWS", size)
        return write_log(raw, folder / "log", size)


@pytest.mark.long
@pytest.mark.parametrize("changes", [{}, {"request_ids": True, "roles": True}, {"roles": True, "label": "all"}])
@settings(max_examples=12, deadline=None)
@given(st.data(), st.integers(1, 9), st.integers(1, 9), st.integers(1, 9))
def test_blocks_change_nothing(folder: Path, changes: dict, data: st.DataObject, size: int, partition: int, merged: int) -> None:
    events = data.draw(st.permutations([*BOTH, *data.draw(st.lists(EVENT, max_size=14))]))
    raw = raw_log(events, **changes)
    log = in_blocks(raw, folder, size, partition, merged)
    assert_as_in_memory(log, raw)
    whole = in_blocks(raw_log(events[::-1], **changes), folder, 100, 100, 1000)
    assert whole.meta.content_hash == log.meta.content_hash


def test_a_fault_names_its_row_in_the_whole_table_not_in_its_block(folder: Path) -> None:
    events = [("1", "x", str(at), rating, "home", None, "1", "a", "r", "") for at, rating in enumerate("010107")]
    wrong = dataclasses.replace(raw_log(events), schema=dataclasses.replace(SCHEMA, label="rating"))
    with pytest.raises(UserError, match="'7' in data row 6, not 0 or 1"):
        in_blocks(wrong, folder, 2, 2, 1)
    with pytest.raises(UserError, match="time '-1' in data row 5 is negative"):
        in_blocks(raw_log([*events[:4], ("1", "x", "-1", "5", "", "", "", "", "", "")]), folder, 2, 2, 1)
    assert [path.name for path in folder.iterdir() if path.name.startswith(".")] == [], "nothing half-written stays"


@given(st.lists(st.lists(st.integers(-5, 5), max_size=4), max_size=5))
def test_a_growing_column_is_a_file_that_numpy_reads(folder: Path, parts: list[list[int]]) -> None:
    column = GrowingColumn(folder / "column.npy", np.dtype(np.int32))
    for part in parts:
        column.append(np.array(part))
    column.close()
    assert np.load(folder / "column.npy", mmap_mode=None).tolist() == [value for part in parts for value in part]
