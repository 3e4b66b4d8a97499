"""Whoever follows training from outside reads what the terminal shows, whole and in numbers."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path

import pytest

from rankbench.bench import cli
from rankbench.bench.errors import UserError
from rankbench.bench.training.display import Display
from rankbench.bench.training.follow import Followed, TensorBoard
from rankbench.bench.training.progress import CellEnded, CellStarted, EpochFinished, EpochStarted, Event, Stepped
from rankbench.bench.training.trainer import EpochPoint
from support.cache import own_cache
from support.tables import click_table

EVENTS: list[Event] = [
    EpochStarted(1, 2, 3, 0),
    Stepped(3, 0.7, 1e4),
    EpochFinished(EpochPoint(1, 0.69, 0.6, 0.55, 0.68, 1.5), 2, 1e4),
    EpochStarted(2, 2, 3, 0),
    Stepped(3, 0.6, 1e4),
    EpochFinished(EpochPoint(2, 0.61, math.nan, math.nan, math.nan, 3.0), 2, 1e4),
    CellEnded("ok", 3.0, "test", {"auc": 0.7, "request_gauc": 0.6, "user_gauc": None}, 1),
]


def told(display: Display) -> None:
    with display:
        for event in EVENTS:
            display.handle("din seed 0", event)
        display.handle("hstu <seed 1>", CellEnded("failed", reason="it has no such file"))


def test_every_event_is_a_line_that_stands_alone(tmp_path: Path) -> None:
    path = tmp_path / "new" / "log.jsonl"
    for _ in range(2):  # a second start appends
        told(Display(quiet=True, followers=Followed(json=path).start()))
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert len(lines) == 2 * (len(EVENTS) + 1) and {line["time"][-6:] for line in lines} == {"+00:00"}
    assert [line["event"] for line in lines[:3]] == ["epoch started", "stepped", "epoch finished"]
    first, refit, ended, failed = lines[2], lines[5], lines[6], lines[7]
    assert (first["cell"], first["epoch"], first["valid_auc"], first["examples_per_second"]) == ("din seed 0", 1, 0.6, 1e4)
    assert refit["valid_auc"] is None and ended["metrics"] == {"auc": 0.7, "request_gauc": 0.6, "user_gauc": None}
    assert (failed["status"], failed["reason"], failed["metrics"]) == ("failed", "it has no such file", None)


def test_a_quiet_display_shows_nothing_and_another_one_every_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    told(Display(quiet=True))
    assert capsys.readouterr().err == ""
    told(Display(quiet=False))
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("din seed 0 epoch 1/2  loss 0.6900  valid request_gauc 0.5500  auc 0.6000")
    assert "not validated" in lines[1]
    assert lines[2] == "din seed 0: test request_gauc 0.6000  auc 0.7000  trained in 3.0 s, best epoch 1"
    assert lines[3] == "hstu <seed 1>: FAILED: it has no such file"


@pytest.mark.parametrize("where", [Followed(json=Path("file/log")), Followed(tensorboard=Path("file/curves"))])
def test_a_place_that_cannot_be_written_is_one_line(where: Followed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if where.tensorboard is not None:
        pytest.importorskip("tensorboard", reason="TensorBoard is not installed")
    monkeypatch.chdir(tmp_path)
    Path("file").write_text("")
    with pytest.raises(UserError, match=r"--(log-json|tensorboard): file/\w+ cannot be written \(.*\); name another"):
        where.start()


@pytest.mark.long
def test_tensorboard_reads_the_curves_of_each_cell(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="TensorBoard is not installed")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    told(Display(quiet=True, followers=[TensorBoard(tmp_path)]))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["din-seed-0", "hstu-seed-1-"]
    kept = EventAccumulator(str(tmp_path / "din-seed-0"))
    kept.Reload()
    assert [(one.step, round(one.value, 3)) for one in kept.Scalars("train/loss")] == [(3, 0.7), (6, 0.6)]
    assert [one.step for one in kept.Scalars("epoch/valid request_gauc")] == [1], "a refit is not validated"
    assert [round(one.value, 3) for one in kept.Scalars("test/auc")] == [0.7]


def test_whoever_can_no_longer_follow_is_left_behind(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A full disk or a server that is gone ends no training."""
    heard: list[str] = []

    class Full:
        def hear(self, name: str, event: Event) -> None:
            heard.append(name)
            raise UserError("--log-json: log cannot be written (No space left on device)")

        def close(self) -> None:
            heard.append("closed")

    path = tmp_path / "log"
    told(Display(quiet=True, followers=[Full(), *Followed(json=path).start()]))
    assert heard == ["din seed 0", "closed"] and len(path.read_text().splitlines()) == len(EVENTS) + 1
    said = "--log-json: log cannot be written (No space left on device); training goes on without it\n"
    assert capsys.readouterr().err == said


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    told(Display(quiet=True, followers=Followed(json=Path("/dev/full")).start()))
    assert capsys.readouterr().err == (
        "--log-json: /dev/full cannot be written (No space left on device); training goes on without it\n"
    )


SETTINGS = {"train.lr": 1e-3, "data.pools": (), **{f"params.{number}": number for number in range(120)}}
STARTED = CellStarted("din", "clicks", "global-time", "ab12", 0, SETTINGS)


@pytest.mark.long
def test_mlflow_keeps_a_run_for_each_cell(tmp_path: Path) -> None:
    pytest.importorskip("mlflow", reason="MLflow is not installed")
    from mlflow import MlflowClient

    uri = f"sqlite:///{tmp_path}/runs.db"
    with Display(quiet=True, followers=Followed(mlflow=uri).start()) as display:
        display.handle("din seed 0", STARTED)
        for event in EVENTS[:-1]:
            display.handle("din seed 0", event)
        display.handle("din seed 0", CellEnded("ok", 3.0, "test", {"request_ndcg@10": 0.7, "user_gauc": None}, 1))
        for seed, status in enumerate(("failed", "stopped", "pruned"), start=1):
            display.handle(f"din seed {seed}", STARTED)
            display.handle(f"din seed {seed}", CellEnded(status, reason="why"))  # type: ignore[arg-type]
        display.handle("din seed 4", STARTED)  # and then comes Ctrl-C
        display.handle("din seed 5", CellEnded("stopped", reason="not begun"))
    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name("clicks@global-time")
    assert experiment is not None
    runs = {run.info.run_name: run for run in client.search_runs([experiment.experiment_id])}
    statuses = ("FINISHED", "FAILED", "KILLED", "FINISHED", "KILLED")
    assert {name: run.info.status for name, run in runs.items()} == {
        f"din seed {seed}": status for seed, status in enumerate(statuses)
    }
    first = runs["din seed 0"]
    assert len(first.data.params) == len(STARTED.settings) and first.data.params["train.lr"] == "0.001"
    assert first.data.metrics["test/request_ndcg_at_10"] == 0.7 and "test/user_gauc" not in first.data.metrics
    losses = client.get_metric_history(first.info.run_id, "train/loss")
    assert [(one.step, one.value) for one in losses] == [(3, 0.7), (6, 0.6)]
    judged = client.get_metric_history(first.info.run_id, "epoch/valid auc")
    assert [one.step for one in judged] == [1], "a refit is not validated"
    assert runs["din seed 1"].data.tags["reason"] == "why"


@pytest.mark.long
@pytest.mark.parametrize("uri", ["sqlite:////proc/none.db", "folder", "other://place", "http://127.0.0.1:9"])
def test_a_store_that_does_not_answer_is_one_line_before_anything_is_trained(uri: str) -> None:
    pytest.importorskip("mlflow", reason="MLflow is not installed")
    with pytest.raises(UserError, match=r"^--mlflow: .* cannot be used \(.*\); name a database such as sqlite:///mlflow.db, or "):
        Followed(mlflow=uri).start()


def test_mlflow_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with pytest.raises(UserError, match=r"pip install 'rankbench\[mlflow\]'"):
        Followed(mlflow="sqlite:///runs.db").start()


@pytest.mark.long
def test_a_run_in_two_processes_and_a_sweep_are_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RANKBENCH_CACHE", str(own_cache(tmp_path)))
    table, short = str(click_table(tmp_path)), ("--set", "train.epochs=2", "--quiet", "--device", "cpu", "--results", "out")
    for command in (["run", "--seeds", "2", "--jobs", "2"], ["sweep", "--trials", "2"]):
        assert cli.main([*command, "--dataset", table, "--models", "din", *short, "--log-json", f"{command[0]}.jsonl"]) == 0
        lines = [json.loads(line) for line in Path(f"{command[0]}.jsonl").read_text().splitlines()]
        ends = [line for line in lines if line["event"] == "cell ended"]
        assert len(ends) == 2 and {line["status"] for line in ends} == {"ok"}
        assert sum(line["event"] == "epoch finished" for line in lines) == 4
        begun = [line for line in lines if line["event"] == "cell started"]
        assert [line["settings"]["train.epochs"] for line in begun] == [2, 2] and {line["model"] for line in begun} == {"din"}
        assert {line["role"] for line in ends} == {"test" if command[0] == "run" else "valid"}
