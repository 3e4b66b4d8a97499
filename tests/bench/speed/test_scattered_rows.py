"""Tables whose rows lie in several processes: the same numbers as whole tables, and refusals in one line."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from rankbench.bench import cli, registry
from rankbench.bench.config import DataConfig, TrainConfig
from rankbench.bench.errors import UserError
from rankbench.bench.speed.scattered_rows import scatter
from rankbench.bench.training.team import Team
from support import in_shards
from support.logs import make_data
from support.processes import pair, torchrun

HERE = Path(__file__).parents[3] / "build/torchrec"
"""Where `make torchrec` puts it."""


@pytest.fixture
def with_torchrec(monkeypatch: pytest.MonkeyPatch) -> None:
    """For processes that are started, not for this one."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(HERE), os.environ.get("PYTHONPATH")])))
    monkeypatch.setattr(sys, "path", [*sys.path, str(HERE)])
    tried = subprocess.run([sys.executable, "-c", "import fbgemm_gpu, torchrec.distributed"], capture_output=True, text=True)
    if tried.returncode:
        pytest.skip(f"TorchRec cannot be used, make torchrec installs it: {tried.stderr.splitlines()[-1]}")


@pytest.mark.long
@pytest.mark.usefixtures("with_torchrec")
def test_scattered_rows_learn_as_whole_tables_do(tmp_path: Path) -> None:
    processes = pair(Path(in_shards.__file__), str(tmp_path), "scattered")
    said = [process.communicate(timeout=600)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], "\n".join(said)
    found = [json.loads((tmp_path / f"rank-{rank}.json").read_text()) for rank in range(2)]
    assert found[0].keys() == found[1].keys() and len(found[0]) == 3 * len(in_shards.MODELS)
    for name, case in found[0].items():
        whole, scattered, elsewhere = (in_shards.Learnt(*of) for of in (*case, found[1][name][1]))
        assert elsewhere.losses == scattered.losses, "a mean over both processes"
        assert len(whole.losses) >= 4 and scattered.losses == pytest.approx(whole.losses, rel=1e-4)
        assert scattered.held < whole.held or "copies" in name, "the largest table is no parameter any more"


@pytest.mark.long
@pytest.mark.usefixtures("with_torchrec")
def test_a_group_of_one_process_tries_what_groups_are_told(tmp_path: Path) -> None:
    """On a machine with one card the interfaces of FSDP and TorchRec are used as on one with many."""
    words = ("speed", "large", "--device", "cpu", "--steps", "2", "--rounds", "1", "--sharding", "fsdp-rows")
    done = torchrun(tmp_path, "-m", "rankbench", *words, "--set", "train.table_optimizer=rowwise-adagrad", processes=1)
    assert done.returncode == 0, done.stderr
    alone = torchrun(tmp_path, "-m", "rankbench", *words, processes=1)
    assert alone.returncode != 0 and "trained by row-wise Adagrad" in alone.stderr


@pytest.mark.long
@pytest.mark.usefixtures("with_torchrec")
@pytest.mark.parametrize("sharding", ["rows", "fsdp-rows"])
def test_steps_of_scattered_rows_are_measured_and_kept(sharding: str, tmp_path: Path) -> None:
    words = ("speed", "large", "--device", "cpu", "--steps", "2", "--rounds", "2", "--items", "500", "--sharding", sharding)
    done = torchrun(tmp_path, "-m", "rankbench", *words, "--set", "train.table_optimizer=rowwise-adagrad")
    assert done.returncode == 0, done.stderr
    (path,) = (tmp_path / "results/local").glob(f"large-tiny-cpu-2-{sharding}-*items=500*.json")
    (row,) = json.loads(path.read_text())["rows"]
    assert row["sharding"] == sharding and row["losses"][1] != row["losses"][0]
    assert f"| 2 {sharding} |" in done.stdout


ADAGRAD = TrainConfig(table_optimizer="rowwise-adagrad")


@pytest.mark.parametrize(
    ("config", "device", "size", "message"),
    [
        (TrainConfig(), "cpu", 16, "trained by row-wise Adagrad without decay"),
        (dataclasses.replace(ADAGRAD, embedding_decay=0.1), "cpu", 16, "leave train.embedding_decay at 0"),
        (dataclasses.replace(ADAGRAD, precision="fp16"), "cpu", 16, "use bf16 or fp32"),
        (ADAGRAD, "xpu", 16, "no tables for xpu"),
        (ADAGRAD, "cuda", 10, "a multiple of four numbers, not 10"),
        (ADAGRAD, "cpu", 10, "needs TorchRec and FBGEMM as they are built for torch"),
    ],
    ids=["adamw", "decay", "fp16", "device", "odd rows", "not installed"],
)
def test_what_cannot_be_scattered_is_refused(
    config: TrainConfig, device: str, size: int, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "fbgemm_gpu", None)
    data = make_data(tmp_path / "tiny", DataConfig("tiny", history_length=6), users=20, longest=40)
    info = registry.info("hstu")
    with pytest.raises(UserError, match=message):
        scatter(info.build(info.config(embedding_dim=size), data.spec), config, torch.device(device), Team(0, 2))


@pytest.mark.parametrize("sharding", ["fsdp", "rows", "fsdp-rows"])
def test_nothing_is_parted_without_torchrun(sharding: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Else a model that is whole would be measured under the name of a parted one."""
    assert cli.main(["speed", "large", "--device", "cpu", "--sharding", sharding]) == 2
    assert f"--sharding {sharding} parts a model among the processes of torchrun" in capsys.readouterr().err
