"""The whole path on a simulated npu: runs, records, mixed precision, checkpoints, and what an NPU would refuse or wait for."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rankbench.bench import registry
from support.cache import own_cache
from support.processes import torchrun
from support.tables import click_table

SCRIPT = Path(__file__).resolve().parents[1] / "support" / "on_npu.py"


def on_npu(folder: Path, task: str, *arguments: str) -> Any:
    environment = {**os.environ, "RANKBENCH_CACHE": str(own_cache(folder)), "PYTHONPATH": os.pathsep.join(sys.path)}
    environment.pop("RANKBENCH_DATA", None)
    done = subprocess.run(
        [sys.executable, str(SCRIPT), task, str(folder), *arguments], capture_output=True, text=True, cwd=folder, env=environment
    )
    assert done.returncode == 0, done.stderr
    return {**json.loads(done.stdout.splitlines()[-1]), "shown": done.stdout}


def records(folder: Path) -> dict[str, Any]:
    found = [json.loads(path.read_text()) for path in (folder / "results/local/runs").rglob("seed-0.json")]
    return {record["identity"]["model"]: record for record in found}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """Every model, two epochs, on a small table."""
    folder = tmp_path_factory.mktemp("npu")
    table = click_table(folder, rows=600)
    arguments = ("run", "--dataset", str(table), "--models", "all", "--device", "npu", "--seeds", "1", "--quiet")
    return folder, on_npu(folder, "command", *arguments, "--set", "train.epochs=2")


@pytest.mark.long
def test_every_model_runs_and_its_record_says_where(run: tuple[Path, Any]) -> None:
    folder, result = run
    made = records(folder)
    assert result["code"] == 0 and result["operations"] > 1000 and result["any_shape"]
    assert set(made) == set(registry.MODELS)
    for name, record in made.items():
        assert (record["status"], record["device"], record["simulated"]) == ("ok", "npu", True), (name, record["error"])
        assert set(record["kernels"].values()) <= {"torch"}, name
    assert made["hstu"]["kernels"]["hstu_attention"] == "torch"


@pytest.mark.long
def test_huaweis_operator_runs_where_it_is_loaded(tmp_path: Path) -> None:
    table = click_table(tmp_path, rows=300)
    arguments = ("run", "--dataset", str(table), "--models", "hstu,llama", "--device", "npu", "--seeds", "1", "--quiet")
    assert on_npu(tmp_path, "fused", *arguments, "--set", "train.epochs=1")["code"] == 0
    ran = {"hstu": "npu", "llama": "npu and torch"}
    """The operator leaves a softmax to torch, and the record says so."""
    for name, record in records(tmp_path).items():
        assert record["status"] == "ok" and record["kernels"]["hstu_attention"] == ran[name], record["error"]


@pytest.mark.long
def test_results_of_a_simulated_device_enter_no_board(run: tuple[Path, Any]) -> None:
    folder, result = run
    assert "a simulated device: results enter no board" in result["shown"]
    assert not (folder / "results/local/boards").exists()


@pytest.mark.long
def test_numbers_are_those_of_the_cpu(run: tuple[Path, Any], tmp_path: Path) -> None:
    """Without the masks of dropout, which are drawn by another generator there."""
    folder, table = run[0], str(run[0] / "clicks.yaml")
    models = ("din", "hstu", "dien", "deepfm")
    without = [word for name in models for word in ("--set", f"{name}.dropout=0")]
    common = (
        "run",
        "--dataset",
        table,
        "--models",
        ",".join(models),
        "--seeds",
        "1",
        "--quiet",
        "--set",
        "train.epochs=2",
        *without,
    )
    found = {}
    for device in ("npu", "cpu"):
        place = tmp_path / device
        place.mkdir()
        assert on_npu(place, "command", *common, "--device", device)["code"] == 0
        found[device] = {name: record["metrics"]["test"]["all"]["logloss"] for name, record in records(place).items()}
    assert found["npu"] == pytest.approx(found["cpu"], abs=1e-4)
    assert set(found["npu"]) == set(models) and folder.exists()


@pytest.mark.long
def test_mixed_precision(run: tuple[Path, Any], tmp_path: Path) -> None:
    arguments = (
        "run",
        "--dataset",
        str(run[0] / "clicks.yaml"),
        "--models",
        "din,hstu,llama,bst",
        "--device",
        "npu",
        "--seeds",
        "1",
    )
    assert (
        on_npu(tmp_path, "command", *arguments, "--quiet", "--set", "train.epochs=1", "--set", "train.precision=bf16")["code"]
        == 0
    )
    assert {record["precision"] for record in records(tmp_path).values()} == {"bf16"}


@pytest.mark.long
@pytest.mark.parametrize("name", ["din", "hstu"])
def test_a_resumed_run_is_the_uninterrupted_one(name: str, tmp_path: Path) -> None:
    result = on_npu(tmp_path, "resume", name)
    assert result["resumed"] == result["straight"] and len(result["straight"]) > 10
    assert result["devices"] == ["npu"]


@pytest.mark.long
@pytest.mark.parametrize(("name", "most"), [("dnn", 0), ("din", 0), ("dien", 3), ("sasrec", 5), ("hstu", 5)])
def test_the_host_seldom_waits_in_a_step(name: str, most: int, tmp_path: Path) -> None:
    """The loss that the trainer reads is one wait more."""
    steps = on_npu(tmp_path, "waits", name)["steps"]
    assert all(sum(step.values()) <= most for step in steps), steps


@pytest.mark.long
def test_recorded_steps_scores_and_weights_are_those_of_padded_steps(tmp_path: Path) -> None:
    """Everything is recorded, with batches from the device: what is replayed reads nothing of the host, which tells shapes apart
    and nothing else. AdamW's recorded step rounds otherwise than the usual one."""
    for name, found in on_npu(tmp_path, "recorded", "din,dcnv2,hstu,llama,rankmixer").items():
        if name != "shown":
            assert found["apart"] < 1e-3, name
            np.testing.assert_allclose(found["graph"], found["padded"], atol=2e-3, err_msg=name)
            assert np.ptp(found["padded"]) > 0.005 and found["replayed"] > found["recorded"] > 3, name


@pytest.mark.long
def test_attention_that_asks_the_device_for_sizes_is_not_recorded(tmp_path: Path) -> None:
    click_table(tmp_path, rows=300)
    command = ("run", "--dataset", "clicks.yaml", "--models", "hstu", "--device", "npu", "--seeds", "1", "--quiet")
    environment = {**os.environ, "RANKBENCH_CACHE": str(own_cache(tmp_path)), "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, str(SCRIPT), "command", str(tmp_path), *command, "--set", "train.whole_step=graph"],
        capture_output=True, text=True, cwd=tmp_path, env=environment,
    )  # fmt: skip
    assert "hstu_attention=torch asks the device for sizes of each batch; use padded or off" in done.stdout + done.stderr


@pytest.mark.long
def test_mistakes_are_seen(tmp_path: Path) -> None:
    refused = on_npu(tmp_path, "mistakes")
    assert refused["float64"] == "an npu has no float64"
    assert "mixed" in refused


@pytest.mark.long
def test_two_processes_train_together(tmp_path: Path) -> None:
    """Gradients are summed on the device, by a stand-in for hccl, once a step."""
    click_table(tmp_path, rows=300)
    command = ("run", "--dataset", "clicks.yaml", "--models", "ctr,deepfm,hstu", "--device", "npu", "--seeds", "1", "--quiet")
    small = ("--set", "train.epochs=2", "--set", "train.batch_size=64", "--set", "train.batch_events=200")
    done = torchrun(tmp_path, str(SCRIPT), "together", str(tmp_path), *command, *small)
    assert done.returncode == 0, done.stderr
    leader, other = (json.loads(line) for line in done.stdout.splitlines() if line.startswith("{"))
    made = records(tmp_path)
    assert leader == other == {"code": 0, "sums": {"npu": sum(record["cost"]["steps"] for record in made.values())}}
    assert {name: record["status"] for name, record in made.items()} == {"ctr": "ok", "deepfm": "ok", "hstu": "ok"}
    for record in made.values():
        assert (record["device"], record["simulated"], record["environment"]["processes"]) == ("npu:0", True, 2)


MOVING = ("dlrm-v3", "fuxi", "fuxi-beta", "fuxi-linear")
"""That say themselves why their steps cannot be recorded."""


@pytest.mark.long
def test_the_host_decides_nothing_in_a_step_over_a_padded_batch(tmp_path: Path) -> None:
    """As far as a device that is none can tell: nothing but attention could keep such a step from being recorded."""
    models = ",".join(name for name in registry.MODELS if registry.info(name).takes_padding and name not in MOVING)
    for name, found in on_npu(tmp_path, "decides", models).items():
        assert name == "shown" or found == {"waits": {}, "sent": {}}, name
