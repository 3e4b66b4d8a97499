"""A refit learns from training and validation for as long as validation chose, from nothing of the test, and resumes exactly."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from rankbench.bench import registry
from rankbench.bench.config import DataConfig, Settings, TrainConfig, resolve
from rankbench.bench.data.dataset import RankingData
from rankbench.bench.data.splits import TEST, VALID
from rankbench.bench.training import fitting
from rankbench.bench.training.checkpoint import Checkpoint
from rankbench.bench.training.fitting import Fitted, forget
from rankbench.bench.training.progress import Quiet
from rankbench.bench.training.trainer import train
from support.logs import changed, make_data, with_config
from support.power import OffAt, PowerOff

TRAIN = {"epochs": 2, "patience": 2, "batch_size": 128, "batch_events": 300, "lr": 3e-3, "refit": True}
SMALL = {"gbdt": {"trees": 5}}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> RankingData:
    return make_data(tmp_path_factory.mktemp("log") / "tiny", DataConfig("tiny", history_length=6), users=40, longest=80)


def fit(name: str, data: RankingData, file: Path, progress: Quiet | None = None, **changes: object) -> Fitted:
    info = registry.info(name)
    experiment = resolve(info, Settings({}, {**TRAIN, **changes}, SMALL))
    return fitting.fit(info, experiment, 0, data, torch.device("cpu"), Checkpoint(file, "test"), progress or Quiet())


def weights(fitted: Fitted) -> list[Tensor]:
    return list(fitted.model.state_dict().values())


def same(one: Fitted, other: Fitted) -> bool:
    return all(map(torch.equal, weights(one), weights(other)))


def flipped(data: RankingData, role: int, folder: Path) -> RankingData:
    label = np.array(data.log.label)
    label[data.split.role == role] ^= 1
    return changed(data, folder, label=label)


@pytest.mark.parametrize("name", ["dnn", "hstu", "ctr", "gbdt"])
def test_it_reads_no_test_label_and_every_validation_label(name: str, data: RankingData, tmp_path: Path) -> None:
    # One epoch: what validation says chooses nothing.
    whole = fit(name, data, tmp_path / "whole.pt", epochs=1)
    assert same(whole, fit(name, flipped(data, TEST, tmp_path / "test"), tmp_path / "test.pt", epochs=1))
    assert not same(whole, fit(name, flipped(data, VALID, tmp_path / "valid"), tmp_path / "valid.pt", epochs=1))
    without = fit(name, data, tmp_path / "without.pt", epochs=1, refit=False)
    assert whole.valid == without.valid, "of what validation chose, before it is trained on"
    assert len(whole.data.examples("train")) == sum(len(data.examples(role)) for role in ("train", "valid"))
    assert whole.state.trained == without.state.trained + len(whole.data.examples("train"))


def test_nothing_but_what_is_trained_on_changes(data: RankingData) -> None:
    for settings in ({}, {"negatives": "popularity", "test_negatives": "popularity"}):
        before = with_config(data, **settings)
        after = before.with_validation()
        assert after.vocabulary is before.vocabulary and after.spec is before.spec and after.split is before.split
        assert np.array_equal(after.lo, before.lo) and np.array_equal(after.hi, before.hi)
        for role in ("valid", "test"):
            for one, two in zip(*(vars(one.examples(role)).values() for one in (before, after)), strict=True):
                assert np.array_equal(one, two)
        assert set(after.split.role[after.examples("train").event]) == {1, VALID}


@pytest.mark.parametrize("name", ["dnn", "hstu"])
def test_it_trains_afresh_for_the_epochs_that_validation_chose(name: str, data: RankingData, tmp_path: Path) -> None:
    info = registry.info(name)
    fitted = fit(name, data, tmp_path / "x.pt", epochs=4, patience=1, lr=0.03, lr_decay="linear", ema=0.5)
    best = fitted.state.best_epoch
    assert fitted.state.best_length == best and len(fitted.state.curve) == fitted.state.epoch
    torch.manual_seed(0)
    np.random.seed(0)
    experiment = resolve(info, Settings(train={**TRAIN, "epochs": 4, "lr": 0.03}))
    model = info.build(experiment.params, data.spec)
    config = dataclasses.replace(experiment.train, lr_decay="linear", ema=0.5)
    file = Checkpoint(tmp_path / "y.pt", "test")
    again = train(model, info, data.with_validation(), config, 0, torch.device("cpu"), file, Quiet(), length=best)
    assert again.epoch == best and all(map(torch.equal, weights(fitted), model.state_dict().values()))


def test_half_an_epoch_is_trained_again_as_half_an_epoch(data: RankingData, tmp_path: Path) -> None:
    info = registry.info("lr")
    model = info.build(info.config(), data.spec)
    config = TrainConfig(epochs=4, batch_size=64)
    steps = -(-len(data.examples("train")) // 64)
    state = train(model, info, data, config, 0, torch.device("cpu"), Checkpoint(tmp_path / "x.pt", "test"), Quiet(), length=1.5)
    assert state.steps == steps + round(steps / 2) and state.epoch == 2


@pytest.mark.long
@pytest.mark.parametrize("name", ["dnn", "hstu"])
@pytest.mark.parametrize("second", [False, True], ids=["first training", "second training"])
def test_resuming_equals_never_stopping(name: str, second: bool, data: RankingData, tmp_path: Path) -> None:
    straight = fit(name, data, tmp_path / "straight.pt")
    first = fit(name, data, tmp_path / "first.pt", refit=False).state.steps
    file = tmp_path / "x.pt"
    at = first + (straight.state.steps - first) // 2 if second else first // 2
    with pytest.raises(PowerOff):
        fit(name, data, file, OffAt(at), checkpoint_seconds=1e-9)
    resumed = fit(name, data, file, checkpoint_seconds=1e-9)
    assert same(resumed, straight)
    assert (resumed.state.steps, resumed.state.trained) == (straight.state.steps, straight.state.trained)
    assert resumed.valid == straight.valid
    forget(Checkpoint(file, "test"))
    assert not list(tmp_path.glob("x*.pt"))
