"""A place is read once for all that is made of it, and runs stand side by side only where that means something."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rankbench.bench.analysis import leaderboard
from rankbench.bench.analysis.details import details
from rankbench.bench.records import store as stores
from rankbench.bench.records.schema import RunRecord
from rankbench.bench.records.store import Store
from rankbench.bench.records.view import View, shared_settings
from support.records import predictions, record


def under(made: RunRecord, finished: str = "2026-01-01T00:01:00+00:00", **data: Any) -> RunRecord:
    """The same run under changed data settings, as if from a log whose own they are not."""
    config = {**made.config, "data": {**made.config["data"], **data}}
    changed = {f"data.{key}": value for key, value in data.items()}
    identity = dataclasses.replace(made.identity, config_hash=stores.short_hash(data))
    return dataclasses.replace(made, config=config, changed=changed, identity=identity, finished=finished)


def elsewhere(made: RunRecord, content: str, finished: str) -> RunRecord:
    """The same run on other data."""
    parts = (dataclasses.replace(part, content_hash=content * 64) for part in (made.identity, made.data))
    identity, data = parts
    return dataclasses.replace(made, identity=identity, data=data, finished=finished)  # type: ignore[arg-type]


def test_a_board_reads_each_record_and_each_score_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = Store(tmp_path)
    for model in ("din", "hstu"):
        for seed in (0, 1):
            frame = predictions(1.0, seed)
            store.write(record(model, frame, seed), frame)
    read: list[str] = []

    def counted(module: Any, name: str) -> None:
        function = getattr(module, name)
        monkeypatch.setattr(module, name, lambda *given, **options: read.append(name) or function(*given, **options))

    counted(stores, "from_json")
    counted(np, "load")
    (group,) = View.of(store).groups()
    board = leaderboard.build(group)
    assert len(details(group, board).reliability) == 2
    assert (read.count("from_json"), read.count("load")) == (4, 4)


def test_groups_are_called_after_the_settings_that_are_not_the_datas_own(tmp_path: Path) -> None:
    made = record("din", predictions(1.0))
    runs = (made, under(made, history_length=20), under(made, request_window=3600.0), under(made, train_share=0.5))
    groups = View(Store(tmp_path), runs).groups()
    assert {group.place: len(group.records) for group in groups} == {
        "toy@global-time": 2,  # what one model alone is taught decides nothing about what all are asked
        "toy@global-time+history_length=20": 1,
        "toy@global-time+request_window=3600.0": 1,
    }
    assert not any(group.superseded for group in groups)


def test_of_changed_data_the_last_run_has_the_name(tmp_path: Path) -> None:
    made = record("din", predictions(1.0))
    runs = [elsewhere(made, name, f"2026-01-0{day}T00:00:00+00:00") for name, day in (("a", 1), ("b", 3), ("d", 2))]
    groups = View(Store(tmp_path), tuple(runs)).groups()
    now = [group for group in groups if not group.superseded]
    assert [group.place for group in now] == ["toy@global-time"] and now[0].records[0] is runs[1]
    others = {group.variant for group in groups if group.superseded}
    assert len(others) == 2 and all(name.startswith("data-") for name in others)


def test_what_is_inert_in_a_test_of_impressions_keeps_nobody_apart() -> None:
    made = record("din", predictions(1.0))
    assert shared_settings(made) == shared_settings(under(made, test_negative_rate=3, repeats=True))
    sampled = under(made, test_negatives="uniform")
    assert shared_settings(sampled) != shared_settings(under(sampled, test_negatives="uniform", test_negative_rate=3))
