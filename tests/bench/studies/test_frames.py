"""Rows of several runs together, and rows that several data sets have in common."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from rankbench.bench.analysis.comparison import measure
from rankbench.bench.config import DataConfig
from rankbench.bench.data.dataset import prepare_log
from rankbench.bench.data.eventlog import EventLog, write_log
from rankbench.bench.data.steps.apply import apply_steps
from rankbench.bench.data.steps.declared import KCore, SampleUsers
from rankbench.bench.data.visibility import requests_of
from rankbench.bench.errors import UserError
from rankbench.bench.evaluation import evaluator
from rankbench.bench.evaluation.metrics import grouped_auc
from rankbench.bench.evaluation.predictions import align
from rankbench.bench.evaluation.scores import rounded
from rankbench.bench.records.schema import RunRecord
from rankbench.bench.records.store import Store
from rankbench.bench.records.view import View
from rankbench.bench.studies.frames import common, joined, judged_by_all
from rankbench.bench.studies.points import PartOfPoint
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
    (rows,) = joined(View(store, tuple(runs)), {"both": (PartOfPoint(), PartOfPoint())}, {"both": runs})["both"]
    assert np.array_equal(rows["example"], frame["example"])
    assert (rows["score"][400:] == rows["score"][400]).all() and np.array_equal(rows["score"][:400], frame["score"][:400])


def test_points_that_judge_parts_of_a_test_are_compared_on_the_rows_of_all_of_them() -> None:
    frame = predictions(1.0, users=20)
    cuts = {"whole": (0, 600), "late": (200, 600), "early": (0, 400)}
    frames = {name: [frame[(frame["example"] >= low) & (frame["example"] < high)]] * 2 for name, (low, high) in cuts.items()}
    shown = align(dict(judged_by_all(frames)))
    assert np.array_equal(shown.label, frame["label"][200:400]) and all(len(of) == 2 for of in shown.scores.values())


def test_each_row_is_judged_by_the_model_of_its_domain(tmp_path: Path) -> None:
    store, frame = Store(tmp_path), predictions(1.0, users=20)
    groups: dict[str, list[RunRecord]] = {"each": []}
    for seed in range(2):
        for at in range(2):
            table = frame.assign(score=rounded(np.full(len(frame), 0.2 + 0.5 * at + 0.1 * seed)))
            made = record("din", table, seed=seed)
            made = dataclasses.replace(made, identity=dataclasses.replace(made.identity, config_hash=f"part{at}"))
            store.write(made, table)
            groups["each"].append(made)

    def domains(example: np.ndarray) -> np.ndarray:
        return np.array(["home", "cart", "search"], dtype=object)[example % 3]

    parts = (PartOfPoint(domains=("home",)), PartOfPoint(domains=("cart", "search")))
    view = View(store, tuple(groups["each"]))
    for seed, rows in enumerate(joined(view, {"each": parts}, groups, domains)["each"]):
        assert np.array_equal(rows["example"], frame["example"])
        home = rows["example"] % 3 == 0
        assert rows["score"][home].to_numpy() == pytest.approx(0.2 + 0.1 * seed, abs=1e-4)
        assert rows["score"][~home].to_numpy() == pytest.approx(0.7 + 0.1 * seed, abs=1e-4)


def test_models_of_one_domain_are_never_compared_across_domains_within_a_request(tmp_path: Path) -> None:
    store = Store(tmp_path)
    frame = predictions(1.0, users=20)
    frame = frame.assign(request=frame["user"])
    groups: dict[str, list[RunRecord]] = {"each": [], "one": []}
    # Each model ranks its own domain perfectly; their levels say the opposite of the labels.
    for name, at in (("each", 0), ("each", 1), ("one", 2)):
        table = frame.assign(score=rounded(0.1 * frame["label"].to_numpy(dtype=float) + 0.8 * (at == 0)))
        made = record("din", table)
        made = dataclasses.replace(made, identity=dataclasses.replace(made.identity, config_hash=f"part{at}"))
        store.write(made, table)
        groups[name].append(made)

    def domains(example: np.ndarray) -> np.ndarray:
        return np.array(["home", "cart"], dtype=object)[example % 2]

    parts = {"each": (PartOfPoint(domains=("home",)), PartOfPoint(domains=("cart",))), "one": (PartOfPoint(),)}
    view = View(store, tuple(run for runs in groups.values() for run in runs))
    frames = joined(view, parts, groups, domains)
    shown = align(frames)  # all points have the same requests
    assert len(np.unique(shown.request)) == 2 * frame["request"].nunique()
    rows = frames["each"][0]
    within = grouped_auc(rows["label"], rows["score"], rows["request"])
    whole = grouped_auc(rows["label"], rows["score"], rows["user"])
    assert within.value == 1.0 and whole.value is not None and whole.value < 0.9
    assert joined(view, {"one": parts["one"]}, {"one": groups["one"]}, domains)["one"][0]["request"].equals(frame["request"])


def test_models_side_by_side_are_as_large_as_all_of_them_and_successors_as_one(tmp_path: Path) -> None:
    store, frame = Store(tmp_path), predictions(1.0, users=20)
    runs = []
    for seed in range(2):
        for at, examples in enumerate((100, 300)):
            made = record("din", frame, seed=seed)
            assert made.cost is not None
            cost = dataclasses.replace(
                made.cost, parameters_dense=10 + at, flops_per_example=1000.0 * (at + 1), train_cpu_seconds=2
            )
            data = dataclasses.replace(made.data, examples={**made.data.examples, "train": examples})
            identity = dataclasses.replace(made.identity, config_hash=f"part{at}")
            runs.append(dataclasses.replace(made, cost=cost, data=data, identity=identity))
            store.write(runs[-1], frame)
    view, groups = View(store, tuple(runs)), {"both": runs}
    frames = joined(view, {"both": (PartOfPoint(), PartOfPoint())}, groups)
    (beside,) = measure(view, groups, frames=frames, side_by_side=["both"]).rows
    (after,) = measure(view, groups, frames=frames).rows
    assert (beside.parameters_dense, beside.flops_per_example) == (21, 1750.0)
    assert (after.parameters_dense, after.flops_per_example) == (10, 1000.0)
    assert beside.train_seconds == after.train_seconds == 4 and beside.seeds == after.seeds == (0, 1)
