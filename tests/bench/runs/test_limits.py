"""A command with limits: what is stopped is a record that says so, enters no board, and goes on with the same command."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rankbench.bench import cli, resources
from rankbench.bench.analysis import leaderboard
from rankbench.bench.records import sweeps
from rankbench.bench.records.store import Store
from rankbench.bench.records.view import View
from rankbench.bench.reporting import board_files
from rankbench.bench.training import limits
from rankbench.bench.training.limits import Limits, Stop
from support.shell import refused
from support.tables import click_table

pytestmark = pytest.mark.usefixtures("own_folders")

SHORT = ("--device", "cpu", "--quiet", "--set", "train.epochs=2", "--results", "out")


@pytest.fixture
def asked(tmp_path: Path) -> tuple[str, ...]:
    return ("--dataset", str(click_table(tmp_path)), *SHORT)


def over_after(monkeypatch: pytest.MonkeyPatch, looks: int) -> None:
    """Let the time of --max-hours be over when it was asked for so often: a clock would decide by the machine's speed."""
    left = [looks]

    def over(self: Limits) -> bool:
        left[0] -= self.hours is not None
        return left[0] < 0

    monkeypatch.setattr(Limits, "over", property(over))


def records() -> dict[str, dict[str, Any]]:
    found = [json.loads(path.read_text()) for path in sorted(Path("out/runs").rglob("seed-*.json"))]
    return {f"{one['identity']['model']} {one['identity']['seed']}": one for one in found}


@pytest.mark.long
def test_a_run_without_time_left_says_what_is_missing_and_goes_on(
    asked: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = ("run", *asked, "--models", "ctr,dnn", "--seeds", "2", "--jobs", "1", "--max-hours", "2")
    with monkeypatch.context() as patch:
        over_after(patch, 2 + 1 + 3)  # two floors, which take no step, then three steps of the next cell
        assert cli.main(run) == 1
    shown = capsys.readouterr()
    assert shown.err.splitlines() == [
        "stopped: dnn seed 0: stopped by --max-hours 2",
        "stopped: dnn seed 1: not begun: the time of --max-hours 2 was over",
        "what was stopped enters no board; the same command goes on with it from where it was",
    ]
    found = records()
    assert {name: one["status"] for name, one in found.items()} == {
        "ctr 0": "ok", "ctr 1": "ok", "dnn 0": "stopped", "dnn 1": "stopped",
    }  # fmt: skip
    assert found["dnn 0"]["metrics"] is None and "max" not in json.dumps(found["dnn 0"]["config"]["params"])
    board = leaderboard.build(View.of(Store(Path("out"))))
    assert [row.model for row in board.rows] == ["ctr"] and {one.why for one in board.failures} == {"stopped"}
    assert board_files.from_json(board_files.to_json(board), "here").failures == board.failures
    assert "seed-1: not begun: the time of --max-hours 2 was over" in board_files.to_markdown(board)
    assert len(list(Path("out/checkpoints").rglob("*.pt"))) == 1

    assert cli.main(run) == 0
    assert {one["status"] for one in records().values()} == {"ok"} and not list(Path("out/checkpoints").rglob("*.pt"))


@pytest.mark.long
def test_memory_stops_a_cell_and_not_the_others(
    asked: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    held = iter([None, None, Stop("memory", "stopped by --max-memory 9: the process held 9.50 GiB")])
    monkeypatch.setattr(Limits, "reached", lambda self: next(held, None))
    assert cli.main(("run", *asked, "--models", "dnn", "--seeds", "2", "--jobs", "1", "--max-memory", "9")) == 1
    assert [one["status"] for one in records().values()] == ["stopped", "ok"]
    assert "dnn seed 0: stopped by --max-memory 9: the process held 9.50 GiB" in capsys.readouterr().err


@pytest.mark.long
def test_a_run_warns_of_a_disk_that_is_too_small_and_goes_on(
    asked: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(resources, "disk", lambda folder: resources.Disk(folder, 0.01, None, True))
    run = ("run", *asked, "--models", "dnn", "--seeds", "1", "--jobs", "1")
    assert cli.main(run) == 0
    assert capsys.readouterr().err == "only 0.01 GiB are free for out, and these runs need at least 0.05; make room\n"
    assert cli.main(run) == 0
    assert capsys.readouterr().err == "", "nothing is left to be written"


@pytest.mark.long
def test_a_study_that_was_stopped_has_no_answer(
    asked: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Not even where it chooses a learning rate, for which one that fails is a bad one."""
    over_after(monkeypatch, 2)
    study = ("study", "embedding", *asked, "--models", "dnn", "--seeds", "1", "--jobs", "1", "--max-hours", "1")
    assert cli.main(study) == 1
    lines = capsys.readouterr().err.splitlines()
    assert lines[-1].endswith("is not complete; the same command runs what is missing")
    assert all(line.startswith("stopped: dnn ") for line in lines[:-1]) and len(lines) > 2


@pytest.mark.long
def test_a_search_says_which_trial_had_no_time_left_and_tunes_nothing(
    asked: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    sweep = ("sweep", *asked, "--models", "lr", "--trials", "2", "--max-hours", "3")
    with monkeypatch.context() as patch:
        over_after(patch, 3)
        assert cli.main(sweep) == 1
    assert "stopped by --max-hours 3: lr has 0 of 2 trials; no settings are tuned yet" in capsys.readouterr().out
    (path,) = Path("out/sweeps").rglob("lr.json")
    (trial,) = sweeps.load(path).trials
    assert (trial.state, trial.reason) == ("handed on", "the time of its command was over")
    assert not list(Path("out").rglob("tuned/*/*.yaml"))

    assert cli.main(sweep) == 0
    states = [trial.state for trial in sweeps.load(path).trials]
    assert states == ["handed on", "complete", "complete"] and list(Path("out").rglob("tuned/*/lr.yaml"))


@pytest.mark.long
def test_a_trial_that_takes_too_much_memory_is_a_failed_one(
    asked: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    held = iter([Stop("memory", "stopped by --max-memory 9: the process held 9.50 GiB")])
    monkeypatch.setattr(Limits, "reached", lambda self: next(held, None))
    assert cli.main(("sweep", *asked, "--models", "lr", "--trials", "2", "--max-memory", "9")) == 0
    assert "failed: lr trial 0: stopped by --max-memory 9" in capsys.readouterr().out
    (path,) = Path("out/sweeps").rglob("lr.json")
    assert [trial.state for trial in sweeps.load(path).trials] == ["failed", "complete"]


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("--max-hours", "0", "must be a number above 0, not '0'"),
        ("--max-hours", "inf", "must be a number above 0, not 'inf'"),
        ("--max-memory", "much", "must be a number above 0, not 'much'"),
        ("--max-memory", "1e9", "GiB of this machine; leave it out"),
    ],
)
def test_limits_that_mean_nothing_are_refused(capsys: pytest.CaptureFixture[str], option: str, value: str, words: str) -> None:
    assert words in refused(capsys, "run", "--models", "ctr", option, value)


def test_the_clock_is_one_for_all_processes_of_a_machine() -> None:
    assert limits.time.get_clock_info("monotonic").implementation == "clock_gettime(CLOCK_MONOTONIC)"
