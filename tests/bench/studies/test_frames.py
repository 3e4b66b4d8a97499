"""Rows of several runs together, and rows that several data sets have in common."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from rankbench.bench.config import DataConfig
from rankbench.bench.data.dataset import prepare_log, requests_of
from rankbench.bench.data.eventlog import EventLog, write_log
from rankbench.bench.data.steps.apply import apply_steps
from rankbench.bench.data.steps.declared import KCore, SampleUsers
from rankbench.bench.errors import UserError
from rankbench.bench.evaluation import evaluator
from rankbench.bench.evaluation.predictions import align
from rankbench.bench.evaluation.scores import rounded
from rankbench.bench.records.store import Store
from rankbench.bench.records.view import View
from rankbench.bench.studies.frames import common, joined
from support.logs import raw_log
from support.records import predictions, record


def scored(log: EventLog) -> pd.DataFrame:
    """Its test rows; the score of each follows from what the row is, not from how a log calls it."""
    rows = evaluator.rows(prepare_log(log, DataConfig("tiny")), "test")
    texts = log.dictionary("user")[rows["user"]] + log.dictionary("item")[rows["item"]]
    return rows.assign(score=[(sum(map(ord, text)) % 97) / 97 for text in texts])


def test_data_sets_are_compared_on_the_rows_that_all_of_them_judge(tmp_path: Path) -> None:
    whole = write_log(raw_log(), tmp_path / "whole")
    steps = {"core": KCore(5, 12, rows="all"), "half": SampleUsers(0.5, rows="training")}
    logs = {"whole": whole}
    for name, step in steps.items():
        logs[name] = apply_steps(whole, [step], lambda one: requests_of(one, 0), tmp_path / name)
    frames = {name: [scored(log)] for name, log in logs.items()}
    found = common(frames, logs)
    shown = align(dict(found))  # refuses tables that are not about the same rows
    rows = [set(zip(logs[name].dictionary("user")[f["user"]], logs[name].dictionary("item")[f["item"]], f["time"], strict=True))
            for name, (f,) in frames.items()]  # fmt: skip
    assert 0 < len(shown.label) == len(rows[0] & rows[1] & rows[2]) < len(rows[0])
    # A row's score stays with it, whatever its codes are in each log.
    for (table,) in found.values():
        assert np.array_equal(table["score"], found["whole"][0]["score"])


def test_data_sets_without_a_common_row_cannot_be_compared(tmp_path: Path) -> None:
    log = write_log(raw_log(), tmp_path / "whole")
    frame = scored(log)
    with pytest.raises(UserError, match="no rows of both labels in common"):
        common({"a": [frame], "b": [frame.assign(time=frame["time"] + 1)]}, {"a": log, "b": log})


def test_of_a_row_that_several_runs_judge_the_later_counts(tmp_path: Path) -> None:
    store, frame = Store(tmp_path), predictions(1.0, users=20)
    late = frame[frame["example"] >= 400].assign(score=rounded(np.full(200, 0.25)))
    runs = []
    for at, table in enumerate((frame, late)):
        made = record(f"m{at}", table)
        store.write(made, table)
        runs.append(made)
    (rows,) = joined(View(store, tuple(runs)), {"both": runs})["both"]
    assert np.array_equal(rows["example"], frame["example"])
    assert (rows["score"][400:] == rows["score"][400]).all() and np.array_equal(rows["score"][:400], frame["score"][:400])
