"""A process of a team is killed: torchrun starts all of them again, and the run ends with the numbers of an undisturbed one."""

from __future__ import annotations

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

from support import forked_team
from support.processes import environment
from support.tables import click_table

SIZE, EPOCHS = 4, 12
SETTINGS = ("train.patience=12", "train.batch_events=64", f"train.epochs={EPOCHS}")
RUN = ("--dataset", "clicks.yaml", "--models", "hstu", "--seeds", "1", "--device", "cpu", "--results")
SET = tuple(word for setting in SETTINGS for word in ("--set", setting))


def outcome(results: Path) -> Any:
    """What must not depend on interruptions: metrics and, without its times, the learning curve."""
    (path,) = results.rglob("seed-0.json")
    record = json.loads(path.read_text())
    assert record["status"] == "ok" and record["environment"]["processes"] == SIZE, record["error"]
    return record["metrics"], record["cost"]["steps"], [{**point, "seconds": 0} for point in record["curve"]]


def ranks(agent: subprocess.Popen[str]) -> dict[int, psutil.Process]:
    """The processes that train, by rank."""
    found = {}
    for child in psutil.Process(agent.pid).children():
        if "rankbench" in " ".join(child.cmdline()):
            found[int(child.environ()["RANK"])] = child
    return found


@pytest.mark.long
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no kill -9")
def test_a_killed_rank_is_started_again_and_changes_no_number(tmp_path: Path) -> None:
    click_table(tmp_path, rows=1000)
    whole = subprocess.run(
        [sys.executable, forked_team.__file__, str(SIZE), "run", *RUN, "whole", *SET],
        cwd=tmp_path, env=environment(tmp_path), capture_output=True, text=True, timeout=900,
    )  # fmt: skip
    assert whole.returncode == 0, whole.stderr
    launcher = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(SIZE), "--max-restarts", "2")
    agent = subprocess.Popen(
        [sys.executable, *launcher, "-m", "rankbench", "run", *RUN, "killed", *SET],
        cwd=tmp_path, env={**environment(tmp_path), "LOGLEVEL": "INFO"}, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        text=True,
    )  # fmt: skip
    deadline = time.monotonic() + 900
    while not list((tmp_path / "killed").rglob("seed-0.pt")):
        assert agent.poll() is None and time.monotonic() < deadline, "it ended before it could be killed"
        time.sleep(0.02)
    rank = random.Random(time.time_ns()).randrange(SIZE)
    os.kill(ranks(agent)[rank].pid, signal.SIGKILL)
    _, said = agent.communicate(timeout=900)
    assert agent.returncode == 0, said
    shown = [line.split()[4] for line in said.splitlines() if line.startswith("hstu seed 0 epoch ")]
    restarts = said.count("will restart worker group")
    print(f"rank {rank} of {SIZE} was killed, {restarts} restart; epochs shown: {' '.join(shown)}")
    assert restarts == 1, said
    assert shown[-1] == f"{EPOCHS}/{EPOCHS}" and len(shown) == len(set(shown)), "epochs of the checkpoint are not trained again"
    assert outcome(tmp_path / "killed") == outcome(tmp_path / "whole")
    assert not list((tmp_path / "killed").rglob("*.pt")), "a finished cell needs no checkpoint"
