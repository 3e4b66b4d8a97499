"""The benchmark of training: both choices of kernels on the same batches, and a record."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from rankbench.bench import cli, registry
from rankbench.bench.config import DataConfig, Settings, TrainConfig, resolve
from rankbench.bench.speed import train
from rankbench.bench.speed.train import ModelSpeed, lines, ways
from support.cache import own_cache
from support.logs import make_data
from support.tables import click_table


@pytest.fixture(autouse=True)
def own_folders(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RANKBENCH_CACHE", str(own_cache(tmp_path)))


@pytest.mark.long
def test_both_choices_of_kernels_are_trained_and_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = str(click_table(tmp_path))
    assert cli.main(["speed", "train", "--dataset", table, "--models", "din,hstu", "--rounds", "1", "--device", "cpu"]) == 0
    record = json.loads((tmp_path / "results/local/training-clicks-cpu-1.json").read_text())
    rows = {(row["model"], row["kernels"]): row for row in record["rows"]}
    assert set(rows) == {(model, kernels) for model in ("din", "hstu") for kernels in ("chosen", "torch")}
    assert set(rows["hstu", "torch"]["ran"].values()) == {"torch"}
    # What is one operation when compiled runs as its parts otherwise.
    assert set(rows["hstu", "torch"]["ran"]) >= set(rows["hstu", "chosen"]["ran"])
    assert set(rows["din", "torch"]["ran"]) == set(rows["din", "chosen"]["ran"])
    assert all(len(row["wall"]) == 1 and row["wall"][0] > 0 for row in rows.values())
    assert "| din | chosen |" in capsys.readouterr().out


def test_on_a_card_steps_are_recorded_too(tmp_path: Path) -> None:
    """Of every model that does not say why they cannot be: a refusal would end the measurement of all."""
    data, recorded = make_data(tmp_path / "log", DataConfig("tiny", history_length=6), users=20, longest=20), set()
    for name in registry.MODELS:
        info = registry.info(name)
        experiment = resolve(info, Settings(data={"dataset": "tiny"}))
        assert set(ways(info, experiment, data, torch.device("cpu"))) == {"chosen", "torch"}
        found = ways(info, experiment, data, torch.device("cuda"))
        recorded |= {name} if "recorded" in found else set()
        for _, settings in found.values():
            dataclasses.replace(TrainConfig(), **settings)  # settings that there are
    assert {"din", "hstu", "dcnv2", "onetrans"} <= recorded and not recorded & {"dien", "dlrm-v3", "fuxi", "fuxi-linear", "gbdt"}


def test_the_second_half_of_a_turn_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps are slow while they are recorded."""
    wall, cpu = iter([0.0, 5.0, 9.0, 10.0, 11.0, 20.0]), iter([0.0, 2.0, 3.0, 3.5, 4.0, 9.0])
    clocks = SimpleNamespace(perf_counter=lambda: next(wall), process_time=lambda: next(cpu))
    monkeypatch.setattr(train, "time", clocks)
    progress = train.SecondHalf(torch.device("cpu"))
    progress.epoch_started(0, 1, 5, 0)
    for examples in (100, 100, 100, 100, 300):
        progress.step(0.5, examples)
    # The turn takes 20 seconds: what comes after the step that ended at 10 counts.
    assert progress.speeds() == (400 / 10, 400 / 5.5)
    only = train.SecondHalf(torch.device("cpu"))
    only.steps = [(0.0, 0.0, 0), (2.0, 1.0, 50)]
    assert only.speeds() == (25, 50)


def test_models_without_gradients_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["speed", "train", "--dataset", str(click_table(tmp_path)), "--models", "ctr", "--device", "cpu"]) == 2
    assert capsys.readouterr().err.splitlines()[-1].endswith("trained by gradients, not ctr")


def test_ratios_are_taken_round_by_round() -> None:
    speeds = [
        ModelSpeed("m", "chosen", {}, [2.0, 8.0, 30.0], [4.0, 4.0, 4.0]),
        ModelSpeed("m", "torch", {}, [1.0, 2.0, 10.0], [2.0, 2.0, 2.0]),
    ]
    fast, plain = lines(speeds)[2:]
    assert "| 3.00 [2.00, 4.00] | 2.00 [2.00, 2.00] |" in fast and plain.endswith("|  |  |")
