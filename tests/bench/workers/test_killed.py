"""Eight workers on a database, three of them killed with SIGKILL while they train: what was asked for is done, once."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
import sqlalchemy
from optuna.storages import BaseStorage
from optuna.trial import TrialState

from rankbench.bench import cli
from rankbench.bench.records import sweeps
from rankbench.bench.records.store import Store
from rankbench.bench.search.budget import LEASE
from rankbench.bench.search.storage import open_storage
from rankbench.bench.workers.standing import standings
from support import machines, postgres
from support.cache import own_cache
from support.tables import click_table

WORKERS, KILLED, TRIALS, SEEDS = 8, 3, 4, 2
MODELS = ("din", "hstu")
WORK = ("--models", ",".join(MODELS), "--dataset", "clicks.yaml", "--device", "cpu", "--results", "out", "--hand-out")
BRIEF = ("--set", "train.epochs=3", "--set", "train.batch_size=128", "--set", "train.batch_events=256")


def held(storage: BaseStorage, machine: str) -> bool:
    """Whether a worker is at work on something right now."""
    return any(
        trial.user_attrs.get(LEASE, {}).get("machine") == machine
        for study in storage.get_all_studies()
        for trial in storage.get_all_trials(study._study_id, deepcopy=False, states=(TrialState.RUNNING,))
    )


def kill_at_work(storage: BaseStorage, victims: dict[str, int]) -> None:
    """Kill each of these, by machine, at a moment when it trains something: it is held still while that is looked up."""
    deadline = time.monotonic() + 900
    while victims:
        assert time.monotonic() < deadline, f"{sorted(victims)} never began anything"
        for machine, process in list(victims.items()):
            if not held(storage, machine):
                continue
            os.kill(process, signal.SIGSTOP)
            if held(storage, machine):
                os.kill(process, signal.SIGKILL)
                del victims[machine]
            else:
                os.kill(process, signal.SIGCONT)
        time.sleep(0.05)


def left_behind(url: str) -> list[Any]:
    """Locks in the database that somebody holds, and sessions of other processes than this one."""
    own = {connection.laddr.port for connection in psutil.Process().net_connections("tcp")}
    engine = sqlalchemy.create_engine(url, poolclass=sqlalchemy.NullPool)
    with engine.connect() as connection:
        locks = connection.execute(sqlalchemy.text("select pid, mode from pg_locks where pid <> pg_backend_pid()")).all()
        asked = (
            "select client_port, state from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid()"
        )
        sessions = connection.execute(sqlalchemy.text(asked)).all()
        return [*locks, *(row for row in sessions if row.client_port not in own)]


@pytest.mark.long
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no kill -9")
def test_three_of_eight_workers_are_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RANKBENCH_CACHE", str(own_cache(tmp_path)))
    click_table(tmp_path, rows=600)
    chance = random.Random(time.time_ns())
    with postgres.cluster() as url:
        assert cli.main(("sweep", *WORK, *BRIEF, "--no-prune", "--trials", str(TRIALS), "--storage", url)) == 0
        assert cli.main(("run", *WORK, *BRIEF, "--quiet", "--seeds", str(SEEDS), "--storage", url)) == 0
        script = subprocess.Popen(
            [sys.executable, machines.__file__, url, str(WORKERS)],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert script.stdout is not None
        with contextlib.closing(script.stdout):
            crew = [int(script.stdout.readline()) for _ in range(WORKERS)]
            victims = {f"machine-{at}": crew[at] for at in chance.sample(range(WORKERS), KILLED)}
            storage = open_storage(url)
            kill_at_work(storage, dict(victims))
            _, errors = script.communicate(timeout=900)
        capsys.readouterr()
        assert cli.main(("worker", "--storage", url, "--show")) == 0, "something is still waiting or running"
        shown = capsys.readouterr().out
        found = {one.study: one for one in standings(storage)}
        left = left_behind(url)
    print(f"killed: {', '.join(sorted(victims))}\n{shown}")
    assert not errors, errors
    check(tmp_path, found)
    assert not left, f"locks and sessions of the dead: {left}"


def check(folder: Path, found: dict[str, Any]) -> None:
    """What must be there whoever died."""
    assert len(found) == len(MODELS) + 1
    for study, one in found.items():
        assert one.complete == one.asked == (SEEDS * len(MODELS) if study.startswith("cells/") else TRIALS), one
        assert one.failed == one.pruned == one.waiting == one.dead == 0 and not one.running, one
    assert sum(one.handed_on for one in found.values()) >= KILLED, "each of the dead was at work"
    for model in MODELS:
        (path,) = folder.glob(f"out/sweeps/*/{model}.json")
        record = sweeps.load(path)
        assert [trial.state for trial in record.counted] == ["complete"] * TRIALS
        assert len({json.dumps(trial.params, sort_keys=True) for trial in record.counted}) == TRIALS, "no trial is done twice"
        assert len(list(folder.glob(f"out/tuned/*/{model}.yaml"))) == 1
    cells = [(record.identity.model, record.identity.seed, record.status) for record in Store(folder / "out").records()]
    assert cells == [(model, seed, "ok") for model in MODELS for seed in range(SEEDS)]
    assert not list(folder.glob("out/checkpoints/**/*.pt")), "a checkpoint is left"
