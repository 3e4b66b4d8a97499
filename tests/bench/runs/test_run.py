"""A benchmark as a whole: killed and resumed it gives the same numbers, however its cells are spread over processes."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import psutil
import pytest

from rankbench.bench.config import DataConfig, Settings
from rankbench.bench.data.dataset import prepare_log
from rankbench.bench.data.logs import open_dataset
from rankbench.bench.data.sources.schema import DataRoots
from rankbench.bench.records.store import Store
from rankbench.bench.runs import schedule
from rankbench.bench.runs.cell import plan
from rankbench.bench.runs.run import Done, Job, lost, run_job
from rankbench.bench.training.progress import CellId, Event
from rankbench.bench.training.team import ALONE
from rankbench.bench.typed import from_dict
from support.cache import own_cache
from support.tables import click_table


def start(
    folder: Path, results: str, *more: str, command: Sequence[str] = ("run", "--seeds", "2"), session: bool = False
) -> subprocess.Popen[str]:
    settings = ("--set", "train.epochs=8", "--set", "train.patience=8", "--set", "train.checkpoint_seconds=0.05")
    return subprocess.Popen(
        [
            sys.executable, "-m", "rankbench", *command, "--dataset", "clicks.yaml", "--models", "hstu",
            "--device", "cpu", "--quiet", "--results", results, *settings, *more,
        ],
        cwd=folder, env={**os.environ, "RANKBENCH_CACHE": str(own_cache(folder))},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=session,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # the suite may run in the background, deaf to it
    )  # fmt: skip


def ended(process: subprocess.Popen[str]) -> None:
    _, err = process.communicate(timeout=600)
    assert process.returncode == 0, err


def outcome(results: Path) -> list[Any]:
    """What must not depend on interruptions: metrics and, without its times, the learning curve of every seed."""
    records = [json.loads(path.read_text()) for path in sorted(results.rglob("seed-*.json"))]
    curves = [[{**point, "seconds": 0} for point in record["curve"]] for record in records]
    return [(record["metrics"], record["cost"]["steps"], curve) for record, curve in zip(records, curves, strict=True)]


def wait_for(found: Any, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 300  # a machine may have other work
    while not found():
        assert process.poll() is None, "it ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.01)


def workers(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """The processes that train."""
    found = []
    for child in psutil.Process(process.pid).children():
        with contextlib.suppress(psutil.Error):  # it ended while it was asked
            if "spawn_main" in " ".join(child.cmdline()):
                found.append(child)
    return found


@pytest.mark.long
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no kill -9")
def test_killed_in_mid_training_and_resumed_gives_identical_metrics(tmp_path: Path) -> None:
    click_table(tmp_path, rows=3000)
    killed = start(tmp_path, "killed", "--jobs", "2")
    wait_for(lambda: len(list((tmp_path / "killed").rglob("seed-*.pt"))) == 2, killed)
    killed.send_signal(signal.SIGKILL)
    killed.communicate(timeout=60)
    assert not list((tmp_path / "killed").rglob("seed-*.json")), "nothing was finished"
    ended(start(tmp_path, "killed", "--jobs", "2"))
    ended(start(tmp_path, "straight", "--jobs", "1"))
    found = outcome(tmp_path / "killed")
    assert len(found) == 2 and found[0] != found[1]
    assert found == outcome(tmp_path / "straight")
    assert not list((tmp_path / "killed").rglob("*.pt")), "a finished cell needs no checkpoint"


@pytest.mark.long
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no kill -9")
def test_a_worker_that_is_killed_is_a_failed_cell_and_the_others_go_on(tmp_path: Path) -> None:
    click_table(tmp_path, rows=3000)
    run = start(tmp_path, "killed", "--jobs", "2")
    wait_for(lambda: len(list((tmp_path / "killed").rglob("seed-*.pt"))) == 2, run)
    workers(run)[0].kill()
    out, err = run.communicate(timeout=600)
    assert run.returncode == 1 and "Traceback" not in err, err
    assert "leaderboard" in out, "the other cell stands on the board"
    failed = [record for path in (tmp_path / "killed").rglob("seed-*.json") if (record := json.loads(path.read_text()))["error"]]
    (record,) = failed
    assert record["error"].startswith("its process was killed by SIGKILL") and record["status"] == "failed"
    ended(start(tmp_path, "killed", "--jobs", "2"))
    ended(start(tmp_path, "straight", "--jobs", "1"))
    assert outcome(tmp_path / "killed") == outcome(tmp_path / "straight")


@pytest.mark.long
@pytest.mark.parametrize("at_once", [True, False])
@pytest.mark.parametrize("command", [("run", "--seeds", "2"), ("sweep", "--trials", "4")], ids=["run", "sweep"])
def test_ctrl_c_ends_all_in_one_line(tmp_path: Path, command: Sequence[str], at_once: bool) -> None:
    """The terminal sends it to every process, also to those that have only just started."""
    click_table(tmp_path, rows=3000)
    run = start(tmp_path, "stopped", "--jobs", "2", command=command, session=True)
    wait_for((lambda: len(workers(run)) == 2) if at_once else lambda: list((tmp_path / "stopped").rglob("*.pt")), run)
    os.killpg(run.pid, signal.SIGINT)
    _, err = run.communicate(timeout=60)
    assert run.returncode == 130 and "Traceback" not in err, err
    assert err.splitlines()[-1] == "rankbench: interrupted; the same command goes on from the last checkpoint"


@pytest.mark.long
def test_a_record_holds_the_correction_of_its_logits(tmp_path: Path) -> None:
    """From the odds that training showed to those that scores are judged by: whoever reads scores need not work it out."""
    click_table(tmp_path, rows=400)
    settings = ("--models", "ctr", "--set", "data.negatives=uniform", "--set", "data.negative_rate=3")
    ended(
        subprocess.Popen(
            [sys.executable, "-m", "rankbench", "run", "--dataset", "clicks.yaml", "--seeds", "1", "--device", "cpu", "--quiet",
             "--results", "out", *settings],
            cwd=tmp_path, env={**os.environ, "RANKBENCH_CACHE": str(tmp_path / "cache")},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
    )  # fmt: skip
    record = json.loads(next((tmp_path / "out").rglob("seed-0.json")).read_text())
    roots = DataRoots(root=None, cache=tmp_path / "cache")
    data = prepare_log(open_dataset(str(tmp_path / "clicks.yaml"), roots), from_dict(DataConfig, record["config"]["data"], "it"))
    assert data.logit_correction != 0 and record["logit_correction"] == data.logit_correction


def test_what_another_command_finished_meanwhile_is_not_trained_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A command plans its cells when it begins; two of them may share a results folder."""
    monkeypatch.setenv("RANKBENCH_CACHE", str(own_cache(tmp_path)))
    roots = DataRoots(None, tmp_path / "cache")
    planned = plan(("random",), Settings({"dataset": str(click_table(tmp_path, rows=300))}), 1)
    (cell,), _ = schedule.with_data(planned, roots)
    job, heard = Job(0, cell, "cpu", roots, Store(tmp_path / "out"), True, {}, ALONE), []

    def send(_: CellId, event: Event) -> None:
        heard.append(event)

    first = run_job(job, send)
    assert first is not None and first.record.status == "ok" and not first.elsewhere and heard
    heard.clear()
    assert run_job(job, send) == Done(first.record, elsewhere=True) and not heard
    assert (schedule.ended(first).status, schedule.ended(Done(first.record, elsewhere=True)).status) == ("ok", "elsewhere")


def test_a_run_that_could_not_begin_replaces_none_that_is_finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its time was over when another command had finished the cell; scores and weights stay as well."""
    monkeypatch.setenv("RANKBENCH_CACHE", str(own_cache(tmp_path)))
    roots = DataRoots(None, tmp_path / "cache")
    planned = plan(("ctr",), Settings({"dataset": str(click_table(tmp_path, rows=300))}), 1)
    (cell,), _ = schedule.with_data(planned, roots)
    job = Job(0, cell, "cpu", roots, Store(tmp_path / "out"), True, {}, ALONE)
    first = run_job(job, lambda _, event: None)
    assert first is not None and first.record.status == "ok"
    assert lost(job, "killed") == Done(first.record, elsewhere=True) and job.store.finished(cell.identity) == first.record
    assert job.store.weights_path(cell.identity).exists() and job.store.has_scores(cell.identity)
