"""Records survive a round trip, are read strictly, and are written whole or not at all."""

import dataclasses
import json
import os
from pathlib import Path

import pandas as pd
import pytest

from rankbench.bench.errors import UserError
from rankbench.bench.records import provenance
from rankbench.bench.records.schema import from_json, to_json
from rankbench.bench.records.store import Store
from rankbench.bench.records.view import View
from support.records import predictions, record


@pytest.mark.parametrize("frame", [predictions(1.0), None], ids=["ok", "failed"])
def test_round_trip(frame: pd.DataFrame | None) -> None:
    made = record("din", frame)
    assert from_json(to_json(made), "x") == made


def test_undefined_numbers_become_null() -> None:
    made = record("din", predictions(1.0))
    assert made.cost is not None
    text = to_json(dataclasses.replace(made, cost=dataclasses.replace(made.cost, latency_ms_100_candidates=float("nan"))))
    assert "NaN" not in text and json.loads(text)["cost"]["latency_ms_100_candidates"] is None


@pytest.mark.parametrize(
    ("damage", "complaint"),
    [
        (lambda raw: raw.pop("device"), "it lacks device"),
        (lambda raw: raw.update(extra=1), "unknown key 'extra'"),
        (lambda raw: raw["cost"].pop("steps"), "cost lacks steps"),
        (lambda raw: raw["identity"].update(seed="0"), "identity.seed must be a whole number, not '0'"),
        (lambda raw: raw.update(status="maybe"), "unknown value of status 'maybe'"),
        (lambda raw: raw.update(schema_version=0), "schema version 0"),
    ],
)
def test_reading_is_strict(damage, complaint: str) -> None:
    raw = json.loads(to_json(record("din", predictions(1.0))))
    damage(raw)
    with pytest.raises(UserError, match=complaint):
        from_json(json.dumps(raw), "some/file.json")


def test_a_torn_file_is_one_clear_line() -> None:
    with pytest.raises(UserError, match=r"record some/file\.json is not JSON .* delete it") as error:
        from_json(to_json(record("din", None))[:200], "some/file.json")
    assert "\n" not in str(error.value)


def test_finished_means_record_and_predictions_of_the_same_cell(tmp_path: Path) -> None:
    store, made = Store(tmp_path), record("din", predictions(1.0))
    assert store.finished(made.identity) is None
    store.write(made, predictions(1.0))
    assert store.finished(made.identity) == made
    for other in ({"split_hash": "0" * 64}, {"content_hash": "0" * 64}, {"seed": 1}, {"config_hash": "ba" * 6}):
        assert store.finished(dataclasses.replace(made.identity, **other)) is None, other
    pd.testing.assert_frame_equal(View(store, ()).predictions(made.identity), predictions(1.0))
    store.scores_path(made.identity).unlink()
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


def test_a_broken_record_in_the_store_is_named(tmp_path: Path) -> None:
    store, made = Store(tmp_path), record("din", predictions(1.0))
    store.write(made, predictions(1.0))
    store.record_path(made.identity).write_text("{")
    with pytest.raises(UserError, match=r"seed-0\.json is not JSON"):
        store.finished(made.identity)


def test_names_chosen_by_users_stay_below_the_folder(tmp_path: Path) -> None:
    made = record("din", None)
    odd = dataclasses.replace(made, identity=dataclasses.replace(made.identity, dataset="../../my data/Ünique"))
    store = Store(tmp_path)
    store.write(odd, None)
    assert tmp_path in store.record_path(odd.identity).resolve().parents
    assert [found.identity.dataset for found in store.records()] == ["../../my data/Ünique"]


def test_environment_names_versions_but_no_place(tmp_path: Path) -> None:
    import torch

    found = provenance.environment(torch.device("cpu"))
    assert found.versions["torch"] == torch.__version__.partition("+")[0] or found.versions["torch"] == torch.__version__
    text = str(found)
    assert str(Path.home()) not in text.replace(str(Path("/")), "", 0) or str(Path.home()) == "/"
    assert os.uname().nodename not in text
