"""Steps of large models: what is counted, what is shown and kept, and parts of a model in several processes."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
import torch

from rankbench.bench import cli, device, registry
from rankbench.bench.config import DataConfig, Experiment, Settings, TrainConfig
from rankbench.bench.contract import SequenceBatch
from rankbench.bench.data.batches import make_batches
from rankbench.bench.data.dataset import RankingData
from rankbench.bench.errors import UserError
from rankbench.bench.evaluation.flops import flops_per_example
from rankbench.bench.evaluation.step_flops import step_flops
from rankbench.bench.speed.large import SIZES, LargeRun, experiment_of, lines, nominal_flops
from support import in_shards
from support.logs import make_data
from support.processes import pair

COUNTED = tuple(
    name if name == "hstu" else pytest.param(name, marks=pytest.mark.long)
    for name in registry.MODELS
    if registry.info(name).family == "generative" and name not in ("dlrm-v3", "fuxi-linear")
)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> RankingData:
    config = DataConfig("tiny", history_length=6, request_window=600)
    return make_data(tmp_path_factory.mktemp("log") / "tiny", config, users=30, longest=60)


def whole(data: RankingData) -> SequenceBatch:
    batches = make_batches(data, "sequence", "train", 0, 10**9)
    (plan,) = batches.plans(None)
    batch = batches.assemble(plan, None)
    assert isinstance(batch, SequenceBatch)
    return dataclasses.replace(batch, seen_at=batch.seen())


@pytest.mark.parametrize("name", COUNTED)
def test_what_shapes_say_is_what_is_counted_while_it_is_computed(name: str, data: RankingData) -> None:
    info, batch = registry.info(name), whole(data)
    experiment = Experiment(name, data.config, TrainConfig(batch_events=10**9), info.config())
    found = step_flops(info, experiment.params, data.spec, batch)
    assert found == pytest.approx(3 * len(batch) * flops_per_example(experiment, info, data), rel=1e-9)


def test_a_wide_model_is_counted_without_being_computed(data: RankingData) -> None:
    info, batch = registry.info("hstu"), whole(data)
    one, two = (step_flops(info, info.config(width=4096, heads=8, layers=layers), data.spec, batch) for layers in (1, 2))
    tokens = len(batch.lo) + int(batch.observed.sum())
    assert two - one > 3 * 2 * tokens * 5 * 4096**2, "five products of the width with itself a token, and attention"


def test_what_cannot_be_counted_is_said(data: RankingData) -> None:
    info = registry.info("dlrm-v3")
    with pytest.raises(UserError, match="the arithmetic of dlrm-v3 cannot be counted from shapes alone"):
        step_flops(info, info.config(), data.spec, whole(data))


def test_what_is_set_stands_above_the_size() -> None:
    settings = Settings().changed(["hstu.layers=3", "data.history_length=7", "train.precision=bf16"], ("hstu",))
    found = experiment_of("hstu", SIZES["base"], settings)
    assert (found.params.width, found.params.layers, found.data.history_length) == (512, 3, 7)
    assert (found.train.batch_events, found.train.precision) == (16_384, "bf16")
    with pytest.raises(UserError, match="measures generative rankers, not din"):
        experiment_of("din", SIZES["base"], Settings())


def run_of(**changes: Any) -> LargeRun:
    usual = LargeRun(
        "hstu", "base", 512, 8, 1024, 10**7, "bf16", "graph", 2, "fsdp", {}, [10.0, 20.0, 30.0], 1000.0, 4e12, 4e14, 1e15, 5.0,
        [],
    )  # fmt: skip
    return dataclasses.replace(usual, **changes)


def test_shares_are_of_the_median_step() -> None:
    (line,) = lines([run_of()])[2:]
    assert "| 2 fsdp | 20.0 | 100,000 | 200 | 50.0% | 20.0% | 5 |" in line
    assert "| not known |" in lines([run_of(nominal_flops=None)])[2]


@pytest.mark.parametrize(
    ("name", "tera"),
    [
        ("NVIDIA H100 80GB HBM3", 989),
        ("NVIDIA H100 PCIe", 756),
        ("NVIDIA H100 NVL", 835),
        ("NVIDIA H200", 989),
        ("NVIDIA H200 NVL", 835),
        ("NVIDIA A100-SXM4-80GB", 312),
        ("A100-SXM4-40GB", 312),
        ("NVIDIA A10", 125),
        ("NVIDIA L40S", 362),
        ("NVIDIA A10G", None),
        ("NVIDIA A100-SXM-64GB", None),
        ("NVIDIA A100-SXM4-40GB MIG 1g.5gb", None),
        ("NVIDIA RTX A1000", None),
        ("NVIDIA L40", None),
        ("NVIDIA GH200 480GB", None),
        ("Ascend910B1", None),
        ("Ascend910B4", None),
    ],
)
def test_the_vendors_number_is_that_of_this_very_card(name: str, tera: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "accelerator_name", lambda _: name)
    assert nominal_flops(torch.device("cuda"), "bf16") == (None if tera is None else tera * 1e12)
    assert nominal_flops(torch.device("cuda"), "fp32") is None


@pytest.mark.long
@pytest.mark.usefixtures("own_folders")
def test_steps_are_shown_and_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ways = ("train.recompute=true", "train.whole_step=padded", "train.assembly=device")
    sets = [word for way in ways for word in ("--set", way)]
    assert cli.main(["speed", "large", "--models", "hstu,llama", "--steps", "2", "--rounds", "2", "--device", "cpu", *sets]) == 0
    (path,) = (tmp_path / "results/local").glob("large-tiny-cpu-1-copies-1-models=llama,hstu+train.assembly=device+*.json")
    record = json.loads(path.read_text())
    assert [row["model"] for row in record["rows"]] == list(registry.select("hstu,llama"))
    for row in record["rows"]:
        assert row["ways"] == "recompute, padded, assembly on the device" and len(row["step_ms"]) == 2
        assert row["losses"][1] < row["losses"][0] and row["flops"] > 0 and row["nominal_flops"] is None
    assert "| hstu fp32 | 32 x 2 | 20 |" in capsys.readouterr().out


@pytest.mark.usefixtures("own_folders")
def test_an_unknown_size_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["speed", "large", "--sizes", "lage", "--device", "cpu"]) == 2
    assert "did you mean" in capsys.readouterr().err


@pytest.mark.long
def test_parts_learn_as_the_whole_model_does(tmp_path: Path) -> None:
    """Both processes have the same batches, so that the mean of their gradients is that of one."""
    processes = pair(Path(in_shards.__file__), str(tmp_path), "parted")
    said = [process.communicate(timeout=600)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], "\n".join(said)
    found = [json.loads((tmp_path / f"rank-{rank}.json").read_text()) for rank in range(2)]
    assert found[0].keys() == {f"{name} {again}" for name in in_shards.MODELS for again in (False, True)}
    for key, one in found[0].items():
        alone, parted, elsewhere = (in_shards.Learnt(*of) for of in (*one, found[1][key][1]))
        assert parted.losses == pytest.approx(alone.losses, rel=1e-4) and parted.losses[-1] != parted.losses[0]
        assert parted.held + elsewhere.held == alone.held, "each process holds a part"
    assert not torch.distributed.is_initialized()
