"""What is finished is packed; all else stays where it is, and says why."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import pytest

from rankbench.bench.errors import UserError
from rankbench.bench.records import packing, run_files
from rankbench.bench.records.store import Store
from support.records import predictions, record

FRAME = predictions(1.0, users=40, rows=10)


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    """Two seeds of a model."""
    monkeypatch.setattr(os, "fsync", lambda handle: None)
    store = Store(tmp_path)
    for seed in (0, 1):
        store.write(record("din", FRAME, seed), FRAME, b"weights")
    return store


def test_a_finished_cell_is_packed_with_records_and_scores_alone(store: Store) -> None:
    before = store.records()
    (cell,) = packing.loose(store)
    assert cell.unfinished == "" and len(cell.files) == 4
    packing.pack(cell)
    assert packing.loose(store) == [] and packing.packed(store) == [cell.folder]
    assert store.records() == before and all(store.finished(one.identity) == one for one in before)
    assert {path.suffix for path in cell.folder.iterdir()} == {".safetensors"}
    packing.unpack(cell.folder)
    assert packing.packed(store) == [] and store.records() == before


def test_seeds_that_were_added_are_packed_too(store: Store) -> None:
    (cell,) = packing.loose(store)
    packing.pack(cell)
    store.write(record("din", FRAME, 2), FRAME)
    (further,) = packing.loose(store)
    assert [path.name for path in further.files] == ["seed-2.json", "seed-2.scores.npz"]
    packing.pack(further)
    assert len(store.records()) == 3 and packing.loose(store) == []


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("failed", "seed-1.json is of a run that failed"),
        ("without scores", "seed-1.json has no scores beside it"),
        ("another version", "seed-1.json is of another schema version"),
        ("another name", "notes.json is no record of a run"),
    ],
)
def test_a_cell_that_is_not_finished_stays_loose(store: Store, fault: str, said: str) -> None:
    made = record("din", FRAME, 1)
    path = store.record_path(made.identity)
    if fault == "failed":
        store.write(record("din", None, 1), None)
    elif fault == "without scores":
        store.scores_path(made.identity).unlink()
    elif fault == "another version":
        path.write_text(path.read_text().replace('"schema_version": 4', '"schema_version": 0'))
    else:
        path.with_name("notes.json").write_text("{}")
    (cell,) = packing.loose(store)
    assert (cell.files, cell.unfinished) == ((), said)


def test_a_zip_of_another_cell_is_named(store: Store) -> None:
    (cell,) = packing.loose(store)
    packing.pack(cell)
    zipped = run_files.archive(cell.folder)
    zipped.rename(zipped.with_name("ba" * 6 + "-01234567.zip"))
    for read in (store.records, lambda: packing.loose(store)):
        with pytest.raises(UserError, match=r"record seed-0\.json in \S+-01234567\.zip was copied or renamed: .* belongs at"):
            read()


def test_a_full_disk_is_one_line_and_nothing_is_lost(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    before = store.records()
    (cell,) = packing.loose(store)

    def full(*given: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", full)
        with pytest.raises(UserError, match=r"\.zip cannot be written \(No space left on device\)"):
            packing.pack(cell)
    assert store.records() == before and packing.packed(store) == []
    packing.pack(cell)
    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(UserError, match=r"cannot be written \(No space left on device\)"):
        packing.unpack(cell.folder)
    assert store.records() == before


def test_a_run_that_takes_the_place_of_a_packed_one_leaves_no_other_behind(store: Store) -> None:
    (cell,) = packing.loose(store)
    packing.pack(cell)
    again = dataclasses.replace(record("din", FRAME, 1), finished="2026-02-01T00:00:00+00:00")
    store.write(again, FRAME)
    assert packing.packed(store) == []
    assert store.records() == [record("din", FRAME, 0), again]
