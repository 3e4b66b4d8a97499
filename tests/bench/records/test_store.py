"""A record on the disk is whole, lies where it says, and belongs to the predictions beside it."""

import dataclasses
import os
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pandas as pd
import pytest

from rankbench.bench.errors import UserError
from rankbench.bench.records.schema import RunRecord
from rankbench.bench.records.store import Store
from rankbench.bench.records.view import View
from support.records import pack, predictions, record


@pytest.fixture(params=["loose", "packed"])
def settle(request: pytest.FixtureRequest) -> Callable[[Store], None]:
    """What is done to runs before they are read: nothing, or they are packed."""
    return pack if request.param == "packed" else lambda store: None


def _as(made: RunRecord, **identity: object) -> RunRecord:
    return dataclasses.replace(made, identity=dataclasses.replace(made.identity, **identity))  # type: ignore[arg-type]


def _files(folder: Path) -> list[Path]:
    """All but test rows, which runs share and no run takes away."""
    return [path for path in folder.rglob("*") if path.is_file() and "rows" not in path.parts]


def test_a_full_disk_keeps_the_earlier_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, made, frame = Store(tmp_path), record("din", predictions(1.0)), predictions(1.0)
    store.write(made, frame)
    before = {path: path.read_bytes() for path in _files(tmp_path)}

    def full(file: BinaryIO, **arrays: object) -> None:
        file.write(b"PK begun")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez_compressed", full)
    with pytest.raises(UserError, match=r"0123456789ab-[0-9a-f]{8} cannot be written \(No space left on device\)"):
        store.write(made, predictions(0.5))
    assert {path: path.read_bytes() for path in _files(tmp_path)} == before


def test_a_kill_between_the_two_files_leaves_no_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, made = Store(tmp_path), record("din", predictions(1.0))
    store.write(made, predictions(1.0))
    rename = os.replace

    def killed(source: Path, target: Path) -> None:
        if Path(target).suffix == ".json":
            raise KeyboardInterrupt
        rename(source, target)

    monkeypatch.setattr(os, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        store.write(made, predictions(0.5))
    assert _files(tmp_path) == [store.scores_path(made.identity)]
    assert store.finished(made.identity) is None


def test_a_failure_takes_the_earlier_predictions_away(tmp_path: Path, settle: Callable[[Store], None]) -> None:
    store = Store(tmp_path)
    store.write(record("din", predictions(1.0)), predictions(1.0))
    settle(store)
    store.write(record("din", None), None)
    assert [path.name for path in _files(tmp_path)] == ["seed-0.json"]


def test_files_can_be_read_by_everyone(tmp_path: Path) -> None:
    store, made = Store(tmp_path), record("din", predictions(1.0))
    store.write(made, predictions(1.0))
    assert {path.stat().st_mode & 0o777 for path in _files(tmp_path)} == {0o644}


def test_records_are_chosen_by_name_and_ordered_by_number(tmp_path: Path, settle: Callable[[Store], None]) -> None:
    store, made = Store(tmp_path), record("din", None)
    for seed in (10, 2, 0):
        store.write(_as(made, seed=seed), None)
    store.write(_as(made, dataset="other", split="leave-one-out"), None)
    settle(store)
    assert [found.identity.seed for found in store.records("toy", "global-time")] == [0, 2, 10]
    assert {found.identity.dataset for found in store.records(dataset="other")} == {"other"}
    assert {found.identity.split for found in store.records(split="global-time")} == {"global-time"}


def test_a_broken_record_of_another_data_set_is_not_in_the_way(tmp_path: Path, settle: Callable[[Store], None]) -> None:
    store, made = Store(tmp_path), record("din", None)
    other = _as(made, dataset="other")
    for each in (made, other):
        store.write(each, None)
    store.record_path(other.identity).write_text("{")
    settle(store)
    assert store.records("toy", "global-time") == [made]


def test_names_that_look_alike_in_a_file_name_stay_apart(tmp_path: Path, settle: Callable[[Store], None]) -> None:
    store, made = Store(tmp_path), record("din", None)
    names = ["my data", "my_data", "my/data", "..", "", "x" * 300]
    for name in names:
        store.write(_as(made, dataset=name), None)
    settle(store)
    assert sorted(found.identity.dataset for found in store.records()) == sorted(names)
    assert len(store.records("my data", "global-time")) == 1


def test_a_copied_record_is_not_another_seed(tmp_path: Path, settle: Callable[[Store], None]) -> None:
    store, made = Store(tmp_path), record("din", None)
    store.write(made, None)
    path = store.record_path(made.identity)
    path.with_name("seed-1.json").write_bytes(path.read_bytes())
    settle(store)
    with pytest.raises(UserError, match=r"seed-1\.json(?: in \S+\.zip)? was copied or renamed: .* belongs at .*seed-0\.json"):
        store.records()


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe\x00", b'{"schema_version": 4}'])
def test_a_corrupted_record_is_named_with_or_without_predictions(
    tmp_path: Path, content: bytes, settle: Callable[[Store], None]
) -> None:
    store, made = Store(tmp_path), record("din", predictions(1.0))
    store.write(made, predictions(1.0))
    store.record_path(made.identity).write_bytes(content)
    settle(store)
    for _ in range(2):
        with pytest.raises(UserError, match=r"record .*seed-0\.json .*; delete it and run the cell again"):
            store.finished(made.identity)
        store.scores_path(made.identity).unlink(missing_ok=True)


def test_a_record_of_another_version_is_run_again(tmp_path: Path, settle: Callable[[Store], None]) -> None:
    store, made = Store(tmp_path), record("din", predictions(1.0))
    store.write(made, predictions(1.0))
    path = store.record_path(made.identity)
    path.write_text(path.read_text().replace('"schema_version": 4', '"schema_version": 0'))
    settle(store)
    assert store.finished(made.identity) is None
    store.write(made, predictions(1.0))
    assert store.finished(made.identity) == made and store.records() == [made]


def test_test_rows_are_kept_once_for_all_runs(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for model in ("din", "hstu"):
        store.write(record(model, predictions(1.0)), predictions(1.0))
    store.write(record("dnn", predictions(1.0, rows=20)), predictions(1.0, rows=20))
    assert len(list((tmp_path / "rows").rglob("*.parquet"))) == 2


def test_scores_or_rows_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    store, made = Store(tmp_path), record("din", predictions(1.0))
    store.write(made, predictions(1.0))
    (path,) = (tmp_path / "rows").rglob("*.parquet")
    rows = pd.read_parquet(path)
    for table, message in (
        (rows.drop(columns=["label", "user"]), "lack the columns user, label; delete"),
        (rows.assign(label=1 - rows["label"]), "are not what their name says; delete"),
        (rows[1:], "are not what their name says; delete"),
    ):
        table.to_parquet(path)
        with pytest.raises(UserError, match=message):
            View(store, ()).predictions(made.identity)
    path.write_bytes(b"PAR1 torn")
    with pytest.raises(UserError, match=r"test rows .*\.parquet cannot be read"):
        View(store, ()).predictions(made.identity)
    assert View(store, ()).missing_rows(made.identity) is None
    path.unlink()
    assert View(store, ()).missing_rows(made.identity) == path.stem
    with pytest.raises(UserError, match=r"test rows .* are missing .*; rankbench board makes them again"):
        View(store, ()).predictions(made.identity)
    for content in (b"", b"PK torn", b"no zip"):
        store.scores_path(made.identity).write_bytes(content)
        with pytest.raises(UserError, match=r"scores .*seed-0\.scores\.npz cannot be read"):
            View(store, ()).predictions(made.identity)


def test_finished_means_record_and_predictions_of_the_same_cell(tmp_path: Path, settle: Callable[[Store], None]) -> None:
    store, made = Store(tmp_path), record("din", predictions(1.0))
    assert store.finished(made.identity) is None
    store.write(made, predictions(1.0))
    settle(store)
    assert store.finished(made.identity) == made
    for other in ({"split_hash": "0" * 64}, {"content_hash": "0" * 64}, {"seed": 1}, {"config_hash": "ba" * 6}):
        assert store.finished(dataclasses.replace(made.identity, **other)) is None, other
    pd.testing.assert_frame_equal(View(store, ()).predictions(made.identity), predictions(1.0))


def test_a_run_without_its_scores_is_not_finished(tmp_path: Path, settle: Callable[[Store], None]) -> None:
    store, made = Store(tmp_path), record("din", predictions(1.0))
    store.write(made, predictions(1.0))
    store.scores_path(made.identity).unlink()
    settle(store)
    assert store.finished(made.identity) is None
    with pytest.raises(UserError, match="are missing"):
        View(store, ()).predictions(made.identity)


def test_a_failed_run_is_a_record_but_not_finished(tmp_path: Path) -> None:
    store, made = Store(tmp_path), record("din", None)
    store.write(made, None)
    assert store.records() == [made]
    assert store.finished(made.identity) is None


@pytest.mark.parametrize("call", ["replace", "fsync"])
def test_a_full_disk_leaves_nothing_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    store, made = Store(tmp_path), record("din", predictions(1.0))

    def full(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, call, full)
    with pytest.raises(UserError, match=r"cannot be written \(No space left on device\)"):
        store.write(made, predictions(1.0))
    monkeypatch.undo()
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_names_chosen_by_users_stay_below_the_folder(tmp_path: Path) -> None:
    made = record("din", None)
    odd = dataclasses.replace(made, identity=dataclasses.replace(made.identity, dataset="../../my data/Ünique"))
    store = Store(tmp_path)
    store.write(odd, None)
    assert tmp_path in store.record_path(odd.identity).resolve().parents
    assert [found.identity.dataset for found in store.records()] == ["../../my data/Ünique"]
