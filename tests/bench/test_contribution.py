"""A foreign folder of runs: what is whole passes, and every way of being wrong is named."""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rankbench.bench import cli
from rankbench.bench.identity import config_hash
from rankbench.bench.records.schema import RunRecord
from rankbench.bench.records.store import Store
from support.records import predictions, record
from support.tables import click_table

COMMITTED = {"git_commit": "ab" * 20, "git_dirty": False}


def sound(model: str, seed: int, family: str = "classical") -> RunRecord:
    """A record with nothing wrong in it, of a data set that is not here."""
    made = record(model, predictions(1.0, seed), seed, family)
    config = {**made.config, "model": model, "data": {**made.config["data"], "dataset": "toy"}}
    identity = dataclasses.replace(made.identity, config_hash=config_hash(config))
    environment = dataclasses.replace(made.environment, **COMMITTED)
    return dataclasses.replace(made, config=config, identity=identity, environment=environment)


pytestmark = pytest.mark.usefixtures("own_folders")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path / "theirs")
    for model, family in (("din", "classical"), ("hstu", "generative")):
        for seed in (0, 1):
            store.write(sound(model, seed, family), predictions(1.0, seed))
    return store


def checked(capsys: pytest.CaptureFixture[str], *more: str) -> tuple[int, list[str]]:
    code = cli.main(["check", "theirs", *more])
    return code, capsys.readouterr().out.splitlines()


def test_a_whole_folder_passes_and_what_was_not_checked_is_said(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    code, lines = checked(capsys)
    assert code == 0
    assert lines == [
        "note: toy@global-time: split and metrics were not recomputed: the data set is not here (--dataset FILE.yaml)",
        "ok: theirs: 4 runs; nothing wrong was found",
    ]


def _environment(**changes: Any) -> Callable[[dict[str, Any]], None]:
    return lambda raw: raw["environment"].update(changes)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda raw: raw.update(extra=1), "unknown key 'extra'"),
        (lambda raw: raw["identity"].update(seed=7), "by its content it belongs at runs/toy@global-time/din/"),
        (lambda raw: raw["config"]["data"].update(history_length=3), "its config has the hash "),
        (lambda raw: raw["identity"].update(family="floor"), "din is classical, not floor"),
        (lambda raw: raw.update(simulated=True), "it was made on a simulated device"),
        (_environment(git_dirty=True), "the code differed from commit abababababab; commit first, then run"),
        (_environment(git_commit=None), "no commit is given; run from a checkout"),
        (lambda raw: raw["data"].update(split_hash="e" * 64), "has one split_hash in its identity and another in its data"),
    ],
)
def test_what_is_wrong_in_a_record_is_named(
    store: Store, change: Callable[[dict[str, Any]], None], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = store.record_path(sound("din", 0).identity)
    raw = json.loads(path.read_text())
    change(raw)
    path.write_text(json.dumps(raw))
    code, lines = checked(capsys)
    assert code == 1
    assert any(line.startswith("wrong: ") and said in line for line in lines), lines
    assert not any(line.startswith("ok: ") for line in lines)


def test_missing_scores_and_seeds_are_named(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    identity = sound("hstu", 1, "generative").identity
    store.scores_path(identity).unlink()
    code, lines = checked(capsys)
    assert code == 1 and any("its scores are not beside it (seed-1.scores.npz)" in line for line in lines)
    store.record_path(identity).unlink()
    code, lines = checked(capsys)
    assert code == 1
    assert [line for line in lines if line.startswith("wrong")] == [
        f"wrong: toy@global-time: hstu/{identity.config_hash} lacks the seeds 1, which other rows have"
    ]


def test_studies_are_checked_by_their_points(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    """Among runs of one seed a point's settings were chosen: only points need every seed."""
    study = store.of_study("heads")
    for seed in (0, 1):
        study.write(sound("sasrec", seed, "generative"), predictions(1.0, seed))
    tried = sound("llama", 0, "generative")
    study.write(tried, predictions(1.0, 0))
    table = study.study_folder("toy", "global-time") / "study.json"
    table.parent.mkdir()

    def of(*points: RunRecord) -> str:
        return json.dumps({"rows": [{"model": at.identity.model, "config_hash": at.identity.config_hash} for at in points]})

    table.write_text(of(sound("sasrec", 0, "generative")))
    code, lines = checked(capsys)
    assert code == 0 and lines[-1] == "ok: theirs: 7 runs; nothing wrong was found"
    assert sum(line.startswith("note: studies/heads/toy@global-time: split and metrics were not") for line in lines) == 1
    table.write_text(of(sound("sasrec", 0, "generative"), tried))
    lacks = f"wrong: studies/heads/toy@global-time: llama/{tried.identity.config_hash} lacks the seeds 1, which other rows have"
    assert checked(capsys)[1].count(lacks) == 1
    table.write_text("[1]")
    assert (
        "wrong: studies/heads/toy@global-time: study.json has no rows with model and config_hash; run the study again"
        in (checked(capsys)[1])
    )
    study.scores_path(tried.identity).unlink()
    assert any(line.startswith("wrong: studies/heads/runs/toy@global-time/llama/") for line in checked(capsys)[1])


def test_a_failed_run_is_a_note(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    failed = dataclasses.replace(
        sound("din", 2), status="failed", error="ValueError: it broke", metrics=None, cost=None, curve=None
    )
    store.write(failed, None)
    code, lines = checked(capsys)
    assert code == 0 and any(line.startswith("note: ") and "ValueError: it broke" in line for line in lines)


def test_an_empty_folder_is_wrong_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["check", "nothing"]) == 2
    assert "no run in nothing; it must hold runs/" in capsys.readouterr().err


def test_split_and_metrics_are_recomputed_where_the_data_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = click_table(tmp_path)
    asked = ("--models", "popularity,ctr", "--seeds", "2", "--jobs", "1", "--device", "cpu", "--quiet")
    assert cli.main(["run", "--dataset", str(table), "--results", "made", *asked]) == 0
    shutil.copytree(tmp_path / "made/runs", tmp_path / "theirs/runs")
    paths = sorted((tmp_path / "theirs").rglob("seed-*.json"))
    for path in paths:
        _change(path, _environment(**COMMITTED))
    capsys.readouterr()
    assert checked(capsys, "--dataset", str(table)) == (0, ["ok: theirs: 4 runs; nothing wrong was found"])

    def worse(raw: dict[str, Any]) -> None:
        raw["metrics"]["test"]["all"]["auc"] += 1e-6

    _change(paths[0], worse)
    _change(paths[1], lambda raw: raw["data"].update(split_hash="e" * 64))
    shutil.copy(paths[0].with_suffix(".scores.npz"), paths[2].with_suffix(".scores.npz"))
    code, lines = checked(capsys, "--dataset", str(table))
    assert code == 1
    said = {line.split(": ")[1]: line for line in lines if line.startswith("wrong: runs/")}
    names = [path.relative_to(tmp_path / "theirs").as_posix() for path in paths]
    assert said.keys() == set(names[:3])
    assert "auc of all is " in said[names[0]] and "has one split_hash in its identity and another" in said[names[1]]
    assert " in the record and " in said[names[2]]


def _change(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    raw = json.loads(path.read_text())
    change(raw)
    path.write_text(json.dumps(raw))
