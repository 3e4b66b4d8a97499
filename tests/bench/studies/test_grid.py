"""A study from its grid to its files: what runs, what is kept, what is compared, and that a second call changes nothing."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Sequence
from pathlib import Path

import pytest

from rankbench.bench import cli
from rankbench.bench.analysis import study as study_file
from rankbench.bench.analysis.study_statements import Candidates
from rankbench.bench.config import Settings
from rankbench.bench.data.sources.schema import DataRoots
from rankbench.bench.records.schema import RunRecord
from rankbench.bench.records.store import Store
from rankbench.bench.reporting.words import sentences
from rankbench.bench.runs import schedule
from rankbench.bench.runs.cell import Cell
from rankbench.bench.studies import grid
from rankbench.bench.studies.grid import RunsFailed, Study
from rankbench.bench.studies.points import Point, Scope
from rankbench.bench.studies.verdicts import about_reading
from support.cache import own_cache
from support.records import predictions, record
from support.studies import made_up
from support.tables import click_table


@pytest.fixture(autouse=True)
def own_folders(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing is read from or written to the user's folders."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RANKBENCH_CACHE", str(own_cache(tmp_path)))
    monkeypatch.delenv("RANKBENCH_DATA", raising=False)


def study(*points: Point) -> Study:
    """Each later point against the first."""
    return Study(
        name="toy",
        title="A toy",
        question="Which?",
        axis="dropout",
        models={"small": ("din",), "full": ("din",)},
        points=lambda scope: points,
        statements=lambda finding: [],
        figures=lambda finding: {},
        pairs=lambda points: [(point, points[0]) for point in points[1:]],
    )


def point(at: float, *rates: float) -> Point:
    return Point("din", at, "din", (f"din.dropout={at}",), rates)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[list[Cell]]:
    """Of run_all, which here makes up a record with a validation AUC best at a learning rate of 0.3; from 1 on it fails."""
    asked: list[list[Cell]] = []

    def run_all(cells: Sequence[Cell], options: schedule.Options) -> list[RunRecord]:
        asked.append(list(cells))
        records = []
        for cell in cells:
            rate = cell.experiment.train.lr
            frame = predictions(cell.experiment.params.dropout, cell.seed, users=12)
            made = record("din", frame, seed=cell.seed)
            identity = dataclasses.replace(made.identity, config_hash=cell.experiment.hash)
            assert made.metrics is not None
            valid = {**made.metrics.valid, "all": {**made.metrics.valid["all"], "auc": min(rate, 0.09 / rate)}}
            made = dataclasses.replace(made, identity=identity, metrics=dataclasses.replace(made.metrics, valid=valid))
            if cell.experiment.params.dropout > 0.8 or rate >= 1:
                made = dataclasses.replace(record("din", None, seed=cell.seed), identity=identity)
            options.store.write(made, frame)
            records.append(made)
        return records

    monkeypatch.setattr(schedule, "run_all", run_all)
    return asked


def run(tmp_path: Path, asked: Study, seeds: int = 2) -> grid.StudyResult:
    roots = DataRoots(root=None, cache=tmp_path / "cache")
    settings = Settings(data={"dataset": str(click_table(tmp_path))})
    return grid.run(asked, Scope(("din",)), settings, seeds, schedule.Options(Store(tmp_path / "results"), roots))


def rates_of(calls: list[list[Cell]]) -> list[list[tuple[float, int]]]:
    return [[(cell.experiment.train.lr, cell.seed) for cell in cells] for cells in calls]


def test_the_best_rate_by_validation_gets_the_seeds(calls: list[list[Cell]], tmp_path: Path) -> None:
    finding = run(tmp_path, study(point(0.3), point(0.5, 0.1, 0.3, 0.9)))
    assert [one.chosen for one in finding.measurements] == [(), ("din.train.lr=0.3",)]
    assert [one.at_edge for one in finding.measurements] == [False, False]
    assert rates_of(calls) == [[(0.1, 0), (0.3, 0), (0.9, 0)], [(1e-3, 0), (1e-3, 1), (0.3, 0), (0.3, 1)]]
    assert finding.measurements[1].row.seeds == (0, 1)


def test_rates_are_extended_until_the_best_lies_inside(calls: list[list[Cell]], tmp_path: Path) -> None:
    """Each beyond its own edge; a rate at which training fails is worse than all others."""
    finding = run(tmp_path, study(point(0.3, 0.01, 0.03, 0.09), point(0.5, 0.4, 1.2)), seeds=1)
    low, high = finding.measurements
    assert (low.point.rates, low.chosen, low.at_edge) == ((0.01, 0.03, 0.09, 0.27, 0.81), ("din.train.lr=0.27",), False)
    assert (high.point.rates, high.chosen, high.at_edge) == ((0.133, 0.4, 1.2), ("din.train.lr=0.4",), False)
    assert rates_of(calls)[1:3] == [[(0.27, 0), (0.133, 0)], [(0.81, 0)]]
    (choice,) = [one for one in about_reading(finding) if isinstance(one, Candidates)]
    assert (choice.fewest, choice.most, choice.some_single, choice.at_edge) == (3, 5, False, ())


def test_a_best_rate_that_stays_at_the_edge_is_said(calls: list[list[Cell]], tmp_path: Path) -> None:
    finding = run(tmp_path, study(point(0.3, 1e-6, 3e-6), point(0.5, 0.1, 0.3, 0.9)), seeds=1)
    stuck = finding.measurements[0]
    assert len(stuck.point.rates) == 2 + grid.EXTENSIONS and stuck.chosen == ("din.train.lr=0.000243",) and stuck.at_edge
    (choice,) = [one for one in about_reading(finding) if isinstance(one, Candidates)]
    assert choice.at_edge == ("din @ 0.3",) and choice.points == 2


def test_a_monitor_of_loss_is_the_better_the_lower() -> None:
    made = record("din", predictions(0.5))
    assert made.metrics is not None
    assert grid._validation(made) == made.metrics.valid["all"]["auc"]
    config = {**made.config, "train": {**made.config["train"], "monitor": "logloss"}}
    assert grid._validation(dataclasses.replace(made, config=config)) == -float(made.metrics.valid["all"]["logloss"] or math.nan)


def test_one_experiment_of_two_points_runs_once(calls: list[list[Cell]], tmp_path: Path) -> None:
    again = dataclasses.replace(point(0.3), series="the same")
    finding = run(tmp_path, study(point(0.3), again), seeds=1)
    assert [len(cells) for cells in calls] == [1]
    ((one, other, difference),) = [(pair.one, pair.other, pair.difference) for pair in finding.comparisons]
    assert one.row.config_hash == other.row.config_hash and difference.value == 0 and not difference.shown


def test_failed_runs_are_all_named(calls: list[list[Cell]], tmp_path: Path) -> None:
    with pytest.raises(RunsFailed) as caught:
        run(tmp_path, study(point(0.3), point(0.9)))
    lines = str(caught.value).splitlines()
    said = [(status, model, seed) for status, model, _, _, seed, *_ in (line.split(" ") for line in lines)]
    assert said == [("failed:", "din", "0:"), ("failed:", "din", "1:")]
    assert all(line.endswith("ValueError: it broke") for line in lines)


def test_two_points_of_one_name_are_a_mistake() -> None:
    with pytest.raises(ValueError, match="two points of the study toy have one name"):
        study(point(0.3), point(0.3)).grid(Scope(("din",)))


def test_comparisons_hold_at_once_and_are_wider_than_single_ones(tmp_path: Path) -> None:
    finding = made_up(study(*(point(at / 10) for at in range(1, 7))), Scope(("din",)), tmp_path)
    assert len(finding.comparisons) == 5
    for pair in finding.comparisons:
        (single,) = finding.compare(pair.metric, [(pair.one, pair.other)])
        alone = single.difference
        assert (pair.at_once, single.at_once) == (5, 1) and alone.value == pair.difference.value
        assert pair.difference.low < alone.low < alone.value < alone.high < pair.difference.high


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.mark.long
def test_a_whole_study_twice(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One real, tiny one; the second call trains nothing, writes the same bytes and drops figures of another size."""
    asked = ["study", "time", "--models", "lr,hstu", "--dataset", str(click_table(tmp_path)), "--seeds", "1", "--jobs", "1"]
    asked += ["--set", "train.epochs=1", "--set", "hstu.width=8", "--set", "hstu.layers=1", "--device", "cpu"]
    assert cli.main(asked) == 0
    first = capsys.readouterr()
    assert "6 of 6" not in first.err
    folder = tmp_path / "results/local/studies/time/clicks@global-time"
    before = files(folder)
    assert set(before) == {"study.json", "table.md", "table.csv", "differences.svg", "differences.png"}
    (folder / "old.svg").write_text("of another size")
    assert cli.main(asked) == 0
    again = capsys.readouterr()
    assert "6 of 6 cells were finished before" in again.err and again.out == first.out
    assert files(folder) == before

    content = json.loads(before["study.json"])
    assert content["command"] == (
        "rankbench study time --models lr,hstu --dataset clicks.yaml --seeds 1 "
        "--set train.epochs=1 --set hstu.width=8 --set hstu.layers=1"
    )
    assert str(tmp_path) not in "".join(text.decode() for name, text in before.items() if not name.endswith(".png"))
    assert [(point["series"], point["at"]) for point in content["points"]] == [
        (model, at) for model in ("lr", "hstu") for at in ("none", "history", "request")
    ]
    assert content["models"] == ["lr", "hstu"] and content["figures"] == ["differences.svg"]
    assert [pair["other"] for pair in content["comparisons"] if pair["metric"] == "auc"] == [
        "lr @ none",
        "lr @ none",
        "hstu @ none",
        "hstu @ none",
    ]
    markdown = before["table.md"].decode()
    assert all(f"- {line}" in markdown for line in sentences(study_file.load(folder / "study.json").statements))
    assert len(before["table.csv"].decode().splitlines()) == 7


def test_a_failed_study_is_exit_code_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["study", "embedding", "--models", "dnn", "--dataset", str(click_table(tmp_path)), "--seeds", "1", "--jobs", "1"]
    assert cli.main([*asked, "--device", "cpu", "--quiet", "--set", "train.lr=1e30", "--set", "train.clip_norm=0"]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 6 and all(line.startswith("failed: dnn ") for line in lines[:-1])
    assert lines[-1] == "study embedding is not complete; the same command runs what is missing"
    assert not (tmp_path / "results/local/studies/embedding/clicks@global-time").exists()
