"""What is drawn behind a board: learning curves of what ended by validation, and of nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from rankbench.bench.analysis import leaderboard
from rankbench.bench.analysis.details import details
from rankbench.bench.records.store import Store
from rankbench.bench.records.view import View
from support.records import predictions, record


@pytest.mark.parametrize(("order", "drawn"), [("shuffled", {"din"}), ("time", set())])
def test_windows_of_a_pass_through_time_are_no_epochs(order: str, drawn: set[str], tmp_path: Path) -> None:
    store, frame = Store(tmp_path), predictions(1.0)
    made = record("din", frame)
    store.write(record("din", frame, config={**made.config, "train": {**made.config["train"], "order": order}}), frame)
    (group,) = View.of(store).groups()
    assert set(details(group, leaderboard.build(group)).curves) == drawn
