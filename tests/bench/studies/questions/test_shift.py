"""What the study of shift must find in a world that turns, and must not find in one that stands still."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from rankbench.bench.analysis.study_statements import Candidates, Differences
from rankbench.bench.config import DataConfig, Settings
from rankbench.bench.data.dataset import prepare_log
from rankbench.bench.data.sources.schema import DataRoots
from rankbench.bench.errors import UserError
from rankbench.bench.records.schema import RunRecord
from rankbench.bench.records.store import Store
from rankbench.bench.records.view import View
from rankbench.bench.runs.schedule import Options
from rankbench.bench.studies import grid, output
from rankbench.bench.studies.grid import StudyResult
from rankbench.bench.studies.points import Scope, cells
from rankbench.bench.studies.questions import shift
from rankbench.bench.studies.questions.shift import AGAIN, AS_MANY, ONCE, STUDY
from rankbench.bench.studies.verdicts import about_reading
from support.logs import DAY, log_of_days
from support.records import predictions, record
from support.studies import scope


def answer(folder: Path, drift: float) -> StudyResult:
    """Logistic regression on a log in which nothing but the popularity of items says anything."""
    path = folder / "world.yaml"
    path.write_text(
        "source: simulator\nevents: 12000\nusers: 150\nitems: 40\ncategories: 10\nintercept: 0\npopularity: 1.5\n"
        f"long_term_taste: 0\nrecent_interest: 0\ntime_of_day: 0\ntarget_match: 0\ndrift: {drift}\n"
    )
    settings = Settings(data={"dataset": str(path), "history_length": 5}, train={"epochs": 6, "lr": 0.02})
    options = Options(Store(folder / "results"), DataRoots(None, folder / "cache"), quiet=True, jobs=1)
    return grid.run(STUDY, Scope(("lr",)), settings, 2, options)


@pytest.mark.long
def test_fresh_events_help_where_the_world_turns_and_bring_nothing_where_it_does_not(tmp_path: Path) -> None:
    found = {}
    for name, drift in (("turning", 2.0), ("steady", 0.0)):
        (tmp_path / name).mkdir()
        finding = answer(tmp_path / name, drift)
        pairs = {one.one.point.factor: one for one in finding.pairs["auc"]}
        assert set(pairs) == {AGAIN, AS_MANY} and all(one.other.point.factor == ONCE for one in pairs.values())
        found[name] = finding, pairs[AS_MANY]
    finding, fresh = found["turning"]
    assert fresh.verdict == "better" and fresh.difference.value > 0.05
    later = shift.by_window(finding, "auc", fresh)
    assert [one.window.at for one in later] == [2, 3] and later[1].difference.value > later[0].difference.value > 0
    steady, fresh = found["steady"]
    for one in (finding, steady):
        told = [said for said in shift.statements(one) if isinstance(said, Differences)]
        assert told and all(said.part == "window by window" for said in told if said.metric == "auc"), (
            "runs have levels of their own"
        )
    assert fresh.verdict in ("equivalent", "not settled") and abs(fresh.difference.value) < 0.01


def test_retraining_on_as_many_keeps_the_number_of_events_where_borders_move(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = log_of_days(tmp_path / "log", 12)
    monkeypatch.setattr(shift, "open_dataset", lambda name, roots: log)
    for asked in ({"request_window": DAY}, {"request_window": DAY, "held_out_items": 0.3, "train_share": 0.9}):
        data = DataConfig(**asked)
        scope = STUDY.prepare(Scope(("din",), settings=Settings(data=asked)), DataRoots(None, tmp_path))
        once, again, as_many = STUDY.grid(scope)
        windows = len(again.parts) + 1
        assert windows > 2 and once.settings == (f"data.split=windows-{windows}",)
        splits = [f"data.split=window-{n}-of-{windows}" for n in range(2, windows + 1)]
        assert [part.settings for part in again.parts] == [(split,) for split in splits]

        def trained(*settings: str, data: DataConfig = data) -> int:
            changes = dict(one.removeprefix("data.").split("=") for one in settings)
            share = float(changes.get("train_share", data.train_share))
            return len(prepare_log(log, dataclasses.replace(data, split=changes["split"], train_share=share)).examples("train"))

        counts = [trained(*part.settings) for part in as_many.parts]
        assert counts == pytest.approx([trained(*once.settings)] * (windows - 1), rel=0.01)
        assert max(counts) < 0.9 * trained(*again.parts[-1].settings)


def in_three_windows(folder: Path, models: tuple[str, ...], users: int) -> StudyResult:
    """A finding whose runs judge the windows that their splits say; the later, the fresher the model."""
    study_scope = scope(models, "full")
    store, points = Store(folder), STUDY.grid(study_scope)
    groups: dict[str, list[RunRecord]] = {}
    chosen = {point.label: point.candidates[-1] for point in points}
    whole = predictions(1.0, users=users)
    window = np.arange(len(whole)) * 3 // len(whole) + 1
    for point in points:
        groups[point.label] = []
        for cell in cells(point, chosen[point.label], Settings(), 2, chosen):
            assert f"{point.model}.train.lr={cell.experiment.train.lr:.3g}" == chosen[f"{point.model} @ {ONCE}"][0]
            one = re.fullmatch(r"window-(\d)-of-3", cell.experiment.data.split)
            frame = predictions(1.0 if one else 0.4, cell.seed, users=users)
            frame = frame[window == int(one[1])] if one else frame
            made = record(point.model, frame, seed=cell.seed)
            identity = dataclasses.replace(made.identity, config_hash=cell.experiment.hash)
            groups[point.label].append(dataclasses.replace(made, identity=identity))
            store.write(groups[point.label][-1], frame)
    view = View(store, tuple(run for runs in groups.values() for run in runs))
    return dataclasses.replace(grid.read(STUDY, points, chosen, groups, view), scope=study_scope)


@pytest.fixture(scope="module")
def finding(tmp_path_factory: pytest.TempPathFactory) -> StudyResult:
    return in_three_windows(tmp_path_factory.mktemp("results"), ("din",), 12)


def test_what_is_compared_are_the_windows_from_the_second_on(finding: StudyResult) -> None:
    whole = finding.view.predictions(finding.measurements[0].records[0].identity)
    later = np.arange(len(whole)) * 3 // len(whole) > 0
    assert np.array_equal(finding.measured.predictions.label, whole["label"][later])
    found = shift.windows(finding)
    assert [one.at for one in found] == [2, 3] and np.all(found[0].mask ^ found[1].mask) and len(found[0].mask) == later.sum()
    for one in finding.measurements:
        scores = [finding.view.predictions(run.identity) for run in one.records[: len(one.point.parts)]]
        expected = scores[0]["score"][later] if one.point.factor == ONCE else pd.concat(scores)["score"]
        assert np.array_equal(finding.measured.predictions.scores[one.row.label][0], expected.to_numpy(np.float64))


def test_a_model_is_retrained_with_the_rate_of_its_first_training(finding: StudyResult) -> None:
    (said,) = (one for one in about_reading(finding) if isinstance(one, Candidates))
    assert (said.fewest, said.most, said.some_single) == (3, 3, False)
    report = output.StudyReport(STUDY, finding.scope, finding, "", (), {one.point.label: {} for one in finding.measurements})
    chosen = [output.cells(report, one)[-1] for one in finding.measurements]
    assert chosen[0].startswith("din.train.lr=") and chosen[1:] == [f"as din @ {ONCE}"] * 2


@pytest.mark.long
def test_a_title_says_which_verdicts_are_single_comparisons(tmp_path: Path) -> None:
    titles = {name: one.get_suptitle() for name, one in shift.figures(in_three_windows(tmp_path, ("din", "hstu"), 60)).items()}
    assert {name: "single comparisons" in " ".join(one.split()) for name, one in titles.items()} == {
        "windows-request_gauc": False,
        "windows-auc": True,
    }


def test_a_log_that_has_no_windows_or_no_impressions_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    roots = DataRoots(None, tmp_path)
    for sampled in (Scope(("din",), positive_only=True), Scope(("din",), settings=Settings(data={"test_negatives": "uniform"}))):
        with pytest.raises(UserError, match="logged impressions of both labels"):
            shift.prepare(sampled, roots)
    log = log_of_days(tmp_path / "log", 1)
    monkeypatch.setattr(shift, "open_dataset", lambda name, roots: log)
    with pytest.raises(UserError, match="two windows of whole requests"):
        shift.prepare(Scope(("din",), settings=Settings(data={"request_window": DAY})), roots)
