"""On data with one planted effect, models that can look at the history per candidate find it, and others do not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from rankbench.bench import registry
from rankbench.bench.config import DataConfig, TrainConfig
from rankbench.bench.data.dataset import RankingData, prepare_log
from rankbench.bench.data.eventlog import write_log
from rankbench.bench.data.sources.simulator import TARGET, expected_auc, simulate
from rankbench.bench.evaluation import evaluator, metrics
from rankbench.bench.training.checkpoint import Checkpoint
from rankbench.bench.training.progress import Quiet
from rankbench.bench.training.trainer import train
from rankbench.bench.typed import from_dict

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> tuple[RankingData, float]:
    """The data, and the AUC of the true probabilities on its test examples."""
    raw = simulate(TARGET, "simulator-target")
    data = prepare_log(write_log(raw, tmp_path_factory.mktemp("log") / "log"), DataConfig("simulator-target"))
    truth = raw.events.set_index(["user", "time"])["true_probability"]
    test = data.split.examples("test")
    users = data.log.dictionary("user")[data.log.user_of(test)]
    seconds = np.asarray(data.log.time)[test] // 1000
    probability = truth.loc[list(zip(users, seconds, strict=True))].to_numpy()
    return data, expected_auc(probability)


def trained_auc(name: str, data: RankingData, folder: Path, params: dict[str, object], settings: dict[str, object]) -> float:
    info = registry.info(name)
    torch.manual_seed(0)
    model = info.build(from_dict(info.config, params, name), data.spec)
    config = from_dict(TrainConfig, {**info.train, **settings}, "train")
    train(model, info, data, config, 0, torch.device("cpu"), Checkpoint(folder / "resume.pt", "test"), Quiet())
    frame = evaluator.predictions(evaluator.Forward(model, torch.device("cpu"), "fp32"), info, data, "test")
    return metrics.auc(frame["label"].to_numpy(), frame["score"].to_numpy())


@pytest.mark.parametrize(
    ("name", "params", "settings"),
    [
        ("din", {}, {"batch_size": 512, "epochs": 8}),
        ("hstu", {"dropout": 0.0}, {"lr": 2e-3, "batch_events": 512, "epochs": 14, "patience": 5}),
    ],
)
def test_target_aware_models_reach_the_bayes_auc(
    name: str, params: dict[str, object], settings: dict[str, object], task: tuple[RankingData, float], tmp_path: Path
) -> None:
    data, bayes = task
    assert trained_auc(name, data, tmp_path, params, settings) > bayes - 0.01


@pytest.mark.parametrize("name", ["deepfm", "dnn"])
def test_pooled_models_do_not_find_it(name: str, task: tuple[RankingData, float], tmp_path: Path) -> None:
    data, bayes = task
    assert trained_auc(name, data, tmp_path, {}, {}) < bayes - 0.2
