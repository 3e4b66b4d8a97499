"""Processes train as one with the batches of all would, resume exactly, and end together; alone, nothing is asked of them."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rankbench.bench import device as devices
from rankbench.bench.contract import Ranker
from rankbench.bench.data.batches import make_batches
from rankbench.bench.data.resident import batches_at
from rankbench.bench.errors import UserError
from rankbench.bench.runs.schedule import _at_a_time
from rankbench.bench.training import course
from rankbench.bench.training.team import ALONE, Team, assembled
from rankbench.bench.training.trainer import TrainState
from support import forked_team, in_team
from support.in_team import CONFIG, PLAIN, fit, tiny
from support.processes import pair, torchrun
from support.tables import click_table

SCRIPT = Path(in_team.__file__)


class Together:
    """Batches, so many of an epoch at a time."""

    def __init__(self, batches: Any, size: int) -> None:
        self.batches, self.size, self.examples = batches, size, batches.examples
        self.rows, self.assemble = batches.rows, batches.assemble

    def plans(self, epoch: int | None) -> list[np.ndarray]:
        plans = self.batches.plans(epoch)
        return plans if epoch is None else [np.concatenate(plans[at : at + self.size]) for at in range(0, len(plans), self.size)]


def of_one(name: str, folder: Path, size: int = 2) -> tuple[Ranker, TrainState]:
    """What one process makes of the batches of so many."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(course, "batches_at", lambda *arguments: Together(batches_at(*arguments), size))
        return fit(name, tiny(folder / f"log-{name}"), folder / f"{name}.pt", ALONE)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, Any]]]:
    """What both processes found."""
    folder = tmp_path_factory.mktemp("team")
    click_table(folder, rows=600)
    fit("deepfm", tiny(folder / "log"), folder / "alone.pt", ALONE, config=dataclasses.replace(CONFIG, epochs=1))
    processes = pair(SCRIPT, str(folder))
    said = [process.communicate(timeout=600)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 9], "\n".join(said)
    return folder, [json.loads((folder / f"rank-{rank}.json").read_text()) for rank in range(2)]


@pytest.mark.long
@pytest.mark.parametrize("name", PLAIN)
def test_two_processes_are_one_with_twice_the_batch(name: str, run: tuple[Path, list[dict[str, Any]]], tmp_path: Path) -> None:
    """Up to rounding; also in an epoch's last step, where one of them has no batch."""
    folder, found = run
    assert len(make_batches(tiny(tmp_path / "log"), "pointwise", "train", 100, 300).plans(0)) % 2 == 1
    same_as_one(name, folder, found, tmp_path, size=2)


def same_as_one(name: str, folder: Path, found: list[dict[str, Any]], alone: Path, size: int) -> None:
    """All processes end with the same weights, which are those of one process up to rounding, and with its losses."""
    model, state = of_one(name, alone, size)
    weights = [torch.load(folder / f"{name}-{rank}.weights", weights_only=True) for rank in range(size)]
    for key, expected in model.state_dict().items():
        assert all(torch.equal(weights[0][key], others[key]) for others in weights[1:]), key
        torch.testing.assert_close(weights[0][key], expected, rtol=1e-4, atol=2e-5)
    assert found[0][name]["steps"] == state.steps and found[0][name]["trained"] == state.trained
    for one, two in zip(found[0][name]["curve"], state.curve, strict=True):
        assert one["train_loss"] == pytest.approx(two["train_loss"], rel=1e-5)


@pytest.fixture(scope="module")
def four(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, Any]]]:
    """What each of four processes found."""
    folder = tmp_path_factory.mktemp("four")
    done = subprocess.run(
        [sys.executable, forked_team.__file__, "4", "fit", str(folder)], capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stderr
    return folder, [json.loads((folder / f"rank-{rank}.json").read_text()) for rank in range(4)]


@pytest.mark.long
@pytest.mark.parametrize("name", PLAIN)
def test_four_processes_are_one_with_four_times_the_batch(
    name: str, four: tuple[Path, list[dict[str, Any]]], tmp_path: Path
) -> None:
    """And every step is one sum, of the bytes that `rankbench speed exchange` counts."""
    folder, found = four
    assert len(make_batches(tiny(tmp_path / "log"), "pointwise", "train", 100, 300).plans(0)) % 4 != 0
    same_as_one(name, folder, found, tmp_path, size=4)
    for one in found:
        assert one[name]["summed"] == [sum(one[name]["counted"].values())] and one[name]["sums"] == one[name]["steps"]


@pytest.mark.long
def test_a_stopped_run_resumes_to_the_same_weights_in_all_processes(run: tuple[Path, list[dict[str, Any]]]) -> None:
    """With masks, statistics and negatives that are each process's own. Here they are compared with each other, in the processes
    with those of an uninterrupted run."""
    leader, other = (one["resumed"] for one in run[1])
    assert leader == other and leader.keys() == {"dien", "sasrec"}
    assert any("running_mean" in name for name in leader["dien"])


@pytest.mark.long
def test_processes_stop_at_the_same_step(run: tuple[Path, list[dict[str, Any]]]) -> None:
    _, found = run
    assert [one["leads"] for one in found] == [True, False]
    assert found[0]["brief"] == found[1]["brief"] < 1000


@pytest.mark.long
def test_a_checkpoint_of_another_size_is_refused(run: tuple[Path, list[dict[str, Any]]]) -> None:
    for one in run[1]:
        assert "alone.pt was made by 1 process(es), this run has 2; run with 1, or start over with --no-resume" in one["refused"]


@pytest.mark.long
def test_an_overflow_in_one_process_is_everyones(run: tuple[Path, list[dict[str, Any]]]) -> None:
    assert [one["overflow"] for one in run[1]] == [[[[1.0, 1.0]], 2.0]] * 2


@pytest.mark.long
def test_what_fails_in_one_process_is_a_failed_record_and_the_next_cell_goes_on(run: tuple[Path, list[dict[str, Any]]]) -> None:
    errors, nobody = (one["failing"] for one in run[1])
    assert nobody == {}, "who does not lead has no records"
    assert errors["deepfm"].startswith("rank 1 of 2: KeyError: 'nothing' (in_team.py:")
    assert errors["dnn"].startswith("FloatingPointError: loss became nan")
    assert errors["ctr"] is None and errors["hstu"] is None


@pytest.mark.long
def test_a_process_that_is_lost_ends_the_others_with_a_line(run: tuple[Path, list[dict[str, Any]]]) -> None:
    said = (run[0] / "lost.txt").read_text()
    assert said.startswith("rank 0 of 2 gets no answer from the others (")
    assert said.endswith("start all processes again: finished cells and the last checkpoint are kept") and "\n" not in said


@pytest.mark.long
def test_torchrun_runs_the_command_line(tmp_path: Path) -> None:
    click_table(tmp_path, rows=600)
    command = ("-m", "rankbench", "run", "--dataset", "clicks.yaml", "--models", "ctr,din", "--seeds", "1", "--device", "cpu")
    done = torchrun(tmp_path, *command, "--set", "train.epochs=2")
    assert done.returncode == 0, done.stderr
    records = [json.loads(path.read_text()) for path in (tmp_path / "results/local/runs").rglob("seed-0.json")]
    assert {record["identity"]["model"]: record["status"] for record in records} == {"ctr": "ok", "din": "ok"}
    assert {record["environment"]["processes"] for record in records} == {2}
    assert done.stdout.count("leaderboard, tables and figures") == 1 and done.stderr.count("din seed 0 epoch 2/2") == 1


def test_alone_asks_torch_distributed_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "1")
    with assembled("cpu") as (team, device):
        assert (team, device) == (ALONE, torch.device("cpu"))
        assert team.from_leader(lambda: 1) == team.together(lambda: 1) == 1
        assert not torch.distributed.is_initialized()
        before = torch.get_rng_state()
        team.seed(0, 0, 0)
        assert torch.equal(torch.get_rng_state(), before)


def test_what_does_not_fit_several_processes_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="--jobs 2 does not go with 2 processes"):
        _at_a_time(2, 1, torch.device("cpu"), Team(0, 2))
    monkeypatch.setenv("WORLD_SIZE", "two")
    with pytest.raises(UserError, match="WORLD_SIZE must be a whole number, not 'two'; start the processes with torchrun"):
        assembled("cpu").__enter__()
    monkeypatch.setattr(devices, "resolve", torch.device)
    with pytest.raises(UserError, match=r"device cuda:1 is one device.*use --device cuda"):
        devices.of_process("cuda:1", 0)
