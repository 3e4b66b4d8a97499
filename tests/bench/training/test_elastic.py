"""A process of a team is killed: torchrun starts all of them again, and the run ends with the numbers of an undisturbed one,
on one host and on two."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil
import pytest

from support import forked_team, hosts
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


def ranks(agents: Sequence[subprocess.Popen[str]]) -> dict[int, psutil.Process]:
    """The processes that train, by rank."""
    found = {}
    for agent in agents:
        for child in psutil.Process(agent.pid).children():
            if "rankbench" in " ".join(child.cmdline()):
                found[int(child.environ()["RANK"])] = child
    return found


def undisturbed(folder: Path) -> None:
    """Train them without torchrun, into `whole`."""
    click_table(folder, rows=1000)
    whole = subprocess.run(
        [sys.executable, forked_team.__file__, str(SIZE), "run", *RUN, "whole", *SET],
        cwd=folder, env=environment(folder), capture_output=True, text=True, timeout=900,
    )  # fmt: skip
    assert whole.returncode == 0, whole.stderr


def launched(folder: Path, launcher: Sequence[str], before: Sequence[str] = (), **more: str) -> subprocess.Popen[str]:
    """torchrun with these options, into `killed`; `before` are the words that put it on a host."""
    return subprocess.Popen(
        [*before, sys.executable, "-m", "torch.distributed.run", *launcher, "-m", "rankbench", "run", *RUN, "killed", *SET],
        cwd=folder, env={**environment(folder), "LOGLEVEL": "INFO", **more}, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        text=True,
    )  # fmt: skip


def kill_one(folder: Path, agents: Sequence[subprocess.Popen[str]]) -> int:
    """A rank, once there is a checkpoint."""
    deadline = time.monotonic() + 900
    while not list((folder / "killed").rglob("seed-0.pt")):
        assert time.monotonic() < deadline and all(agent.poll() is None for agent in agents), "it ended before it could be killed"
        time.sleep(0.02)
    rank = random.Random(time.time_ns()).randrange(SIZE)
    os.kill(ranks(agents)[rank].pid, signal.SIGKILL)
    return rank


def check(folder: Path, said: str, rank: int) -> None:
    """That it went on from the checkpoint, to the numbers of the run without a death."""
    shown = [line.split()[4] for line in said.splitlines() if line.startswith("hstu seed 0 epoch ")]
    print(f"rank {rank} of {SIZE} was killed; epochs shown: {' '.join(shown)}")
    assert shown[-1] == f"{EPOCHS}/{EPOCHS}" and len(shown) == len(set(shown)), "epochs of the checkpoint are not trained again"
    assert outcome(folder / "killed") == outcome(folder / "whole")
    assert not list((folder / "killed").rglob("*.pt")), "a finished cell needs no checkpoint"


@pytest.mark.long
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no kill -9")
def test_a_killed_rank_is_started_again_and_changes_no_number(tmp_path: Path) -> None:
    undisturbed(tmp_path)
    agent = launched(tmp_path, ("--standalone", "--nproc-per-node", str(SIZE), "--max-restarts", "2"))
    rank = kill_one(tmp_path, [agent])
    _, said = agent.communicate(timeout=900)
    assert agent.returncode == 0 and said.count("will restart worker group") == 1, said
    check(tmp_path, said, rank)


@pytest.mark.long
@pytest.mark.skipif(bool(reason := hosts.why_not()), reason=reason or "")
def test_two_hosts_train_together_and_go_on_when_a_rank_of_one_is_killed(tmp_path: Path) -> None:
    undisturbed(tmp_path)
    with hosts.two_hosts() as pair:
        meeting = ("--rdzv-backend", "c10d", "--rdzv-endpoint", f"{pair[0].address}:29517", "--rdzv-id", "team")
        team = ("--nnodes", "2", "--nproc-per-node", str(SIZE // 2), "--max-restarts", "2", *meeting)
        agents = [
            launched(
                tmp_path, (*team, "--rdzv-conf", f"is_host={int(host is pair[0])}", "--local-addr", host.address), host.command(),
                GLOO_SOCKET_IFNAME=host.interface, TORCH_DISABLE_SHARE_RDZV_TCP_STORE="1",
            )
            for host in pair
        ]  # fmt: skip
        with ThreadPoolExecutor() as reading:
            told = [reading.submit(agent.communicate, timeout=900) for agent in agents]
            rank = kill_one(tmp_path, agents)
            said = [one.result()[1] for one in told]
    assert [agent.returncode for agent in agents] == [0, 0], "\n".join(said)
    check(tmp_path, "\n".join(said), rank)
