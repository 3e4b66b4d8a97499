"""Columns that are computed or kept in files hold what arrays in memory would, whatever the blocks."""

import tempfile
from pathlib import Path

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from rankbench.bench.data import columns
from rankbench.bench.data.columns import (
    Computed,
    blocks,
    chosen,
    collected,
    numbered,
    order_statistics,
    positions,
    scratch,
    shuffled,
    sorted_rows,
    user_blocks,
)
from rankbench.bench.errors import UserError


@pytest.fixture(params=[1 << 24, 0], ids=["in memory", "in files"])
def kept(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(columns, "IN_MEMORY", request.param)
    monkeypatch.setattr(columns, "BLOCK_ROWS", 7)


@pytest.mark.usefixtures("kept")
@pytest.mark.parametrize("rows", [0, 1, 50])
def test_an_order_is_that_of_a_permutation_in_memory(rows: int, tmp_path: Path) -> None:
    order = shuffled(rows, np.random.default_rng([3, rows]), tmp_path)
    assert order.tolist() == np.random.default_rng([3, rows]).permutation(rows).tolist()
    assert list(tmp_path.iterdir()) == [], "no name leads to scratch files"


@pytest.mark.usefixtures("kept")
def test_parts_are_collected_end_to_end_and_positions_are_those_of_the_whole(tmp_path: Path) -> None:
    parts = [np.arange(3), np.empty(0), np.arange(40)]
    assert collected(parts, np.int64, tmp_path).tolist() == [*range(3), *range(40)]
    wanted = np.random.default_rng(0).random(50) < 0.4
    assert positions(50, lambda block: wanted[block], tmp_path).tolist() == np.flatnonzero(wanted).tolist()
    values = np.arange(50)[::-1]
    assert chosen(values, lambda part: wanted[part], tmp_path).tolist() == values[wanted[values]].tolist()
    assert numbered(50, tmp_path).tolist() == list(range(50))
    assert [(part.start, part.stop) for part in blocks(5, 3)] == [(0, 2), (2, 4), (4, 5)]
    assert [(part.start, part.stop) for part in blocks(2, 99)] == [(0, 1), (1, 2)], "one row at least"
    assert not scratch(100, np.int32, tmp_path / "no such folder").any()


def test_a_scratch_file_without_room_is_refused_before_anything_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(columns.os, "posix_fallocate", full)
    with pytest.raises(UserError, match="no room for a scratch file of 80,000,000 bytes"):
        scratch(10_000_000, np.int64)


@given(st.lists(st.integers(-(2**62), 2**62) | st.integers(-3, 3), min_size=1, max_size=60), st.integers(1, 9))
def test_order_statistics_are_those_of_the_sorted_values(values: list[int], parts: int) -> None:
    column, places = np.array(values, dtype=np.int64), [0, len(values) // 3, len(values) - 1]
    assert order_statistics(lambda: np.array_split(column, parts), places) == [sorted(values)[place] for place in places]


@given(st.lists(st.integers(-(2**53), 2**53) | st.integers(-3, 3), max_size=60), st.sampled_from([0, 1 << 24]))
def test_rows_are_sorted_as_a_stable_sort_does(values: list[int], memory: int) -> None:
    key = np.array(values, dtype=np.int64)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(columns, "BLOCK_ROWS", 7)
        patch.setattr(columns, "IN_MEMORY", memory)
        order = sorted_rows(len(key), lambda block: key[block])
    assert order.tolist() == np.argsort(key, kind="stable").tolist()


@given(st.lists(st.integers(0, 9), max_size=20), st.integers(1, 12))
def test_blocks_hold_whole_users_and_no_more_rows_than_allowed_unless_one_user_has_them(lengths: list[int], rows: int) -> None:
    offsets = np.cumsum([0, *lengths])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(columns, "BLOCK_ROWS", rows)
        parts = list(user_blocks(offsets))
    assert [user for users, _ in parts for user in range(users.start, users.stop)] == list(range(len(lengths)))
    for users, events in parts:
        assert (events.start, events.stop) == (offsets[users.start], offsets[users.stop])
        assert events.stop - events.start <= rows or users.stop - users.start == 1


@given(st.lists(st.integers(0, 99), min_size=1, max_size=20), st.data())
def test_a_computed_column_is_read_as_an_array_is(values: list[int], data: st.DataObject) -> None:
    array = np.array(values)
    column = Computed(len(array), lambda rows: array[rows])
    rows = np.array(data.draw(st.lists(st.integers(0, len(array) - 1))), dtype=np.int64)
    for index in (rows, rows.reshape(-1, 1), array > 50, slice(1, 5), slice(None)):
        assert np.array_equal(column[index], array[index]) and column[index].shape == array[index].shape
    assert column[0] == array[0] and len(column) == len(array) and np.array_equal(np.asarray(column), array)


def test_scratch_files_hold_what_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(columns, "IN_MEMORY", 0)
    with tempfile.TemporaryDirectory() as folder:
        column = scratch(1000, np.int64, Path(folder))
        column[:] = np.arange(1000)
    assert column.tolist() == list(range(1000)), "also when its folder is gone"
