"""Losses within requests in the training loop: resumed exactly, and worth what they promise and no more."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from rankbench.bench import registry
from rankbench.bench.config import DataConfig, TrainConfig, TrainingLoss
from rankbench.bench.data.dataset import RankingData, prepare_log
from rankbench.bench.data.eventlog import write_log
from rankbench.bench.data.sources.schema import RawLog, Schema, SourceFile
from rankbench.bench.evaluation import evaluator, metrics
from rankbench.bench.training.checkpoint import Checkpoint
from rankbench.bench.training.progress import Quiet
from rankbench.bench.training.trainer import TrainState, train
from support.logs import make_data
from support.power import OffAt, PowerOff

pytestmark = pytest.mark.long

CPU = torch.device("cpu")
CONFIG = TrainConfig(epochs=3, patience=3, batch_size=100, batch_events=300, lr=3e-3)


def fit(
    name: str, data: RankingData, file: Path, config: TrainConfig, progress: Quiet | None = None
) -> tuple[TrainState, pd.DataFrame]:
    info = registry.info(name)
    torch.manual_seed(0)
    model = info.build(info.config(), data.spec)
    state = train(model, info, data, config, 0, CPU, Checkpoint(file, "test"), progress or Quiet())
    return state, evaluator.predictions(evaluator.Forward(model, CPU, "fp32"), info, data, "test")


@pytest.mark.parametrize("name", ["din", "hstu"])
@pytest.mark.parametrize("loss", ["pairwise", "joint"])
def test_resuming_within_an_epoch_equals_never_stopping(name: str, loss: TrainingLoss, tmp_path: Path) -> None:
    data = make_data(tmp_path / "log", DataConfig("tiny", history_length=6, request_window=600), users=40, longest=80)
    config = dataclasses.replace(CONFIG, loss=loss, checkpoint_seconds=1e-9)
    straight, expected = fit(name, data, tmp_path / "straight.pt", config)
    with pytest.raises(PowerOff):
        fit(name, data, tmp_path / "killed.pt", config, OffAt(straight.steps // 2))
    resumed, scores = fit(name, data, tmp_path / "killed.pt", config)
    assert scores["score"].tolist() == expected["score"].tolist()
    assert [dict(point, seconds=0) for point in resumed.curve] == [dict(point, seconds=0) for point in straight.curve]


def leveled(folder: Path) -> RankingData:
    """Users who like most of what they see and users who like hardly anything, and items of which some are better for all of
    them; requests of eight items each."""
    rng = np.random.default_rng(0)
    users, requests, shown, items = 100, 10, 8, 30
    level, quality = rng.normal(0, 2, users), rng.normal(0, 1.2, items)
    item = np.array([rng.permutation(items)[:shown] for _ in range(users * requests)]).ravel()
    user = np.repeat(np.arange(users), requests * shown)
    time = 1_600_000_000 + np.repeat(rng.integers(0, 30 * 86_400, users * requests), shown)
    liked = rng.random(len(item)) < 1 / (1 + np.exp(-level[user] - quality[item]))
    events = pd.DataFrame({"user": user, "item": item, "time": time, "rating": np.where(liked, 5, 1)}).astype(
        {"user": str, "item": str}
    )
    raw = RawLog(
        name="leveled",
        events=events,
        users=None,
        items=None,
        schema=Schema(label="rating >= 4", action=("rating",)),
        files=(SourceFile("made.csv", "made by a test", "0" * 64, 0),),
        licence="none",
        citation="none",
    )
    return prepare_log(write_log(raw, folder), DataConfig("leveled", history_length=16))


@pytest.mark.parametrize("name", ["din", "hstu"])
def test_a_ranking_loss_orders_requests_and_knows_no_level(name: str, tmp_path: Path) -> None:
    """Pairs rank within a request as well as cross-entropy does, and say nothing of how much a user likes; joint does both."""
    data = leveled(tmp_path / "log")
    found = {}
    for loss in ("bce", "pairwise", "joint"):
        config = TrainConfig(
            loss=loss,
            batches="requests",
            monitor="request_gauc",
            epochs=5,
            patience=5,
            batch_size=256,
            batch_events=1024,
            lr=5e-3,
        )
        _, frame = fit(name, data, tmp_path / f"{loss}.pt", config)
        found[loss] = metrics.evaluate(frame)["all"]
    ranked, high, error, lost = (
        {loss: float(found[loss][metric] or 0) for loss in found} for metric in ("request_gauc", "auc", "ece", "logloss")
    )
    assert ranked["bce"] > 0.65, "there is something to learn"
    noise = 0.03  # of so few requests with both labels
    assert ranked["pairwise"] > ranked["bce"] - noise and ranked["joint"] > ranked["bce"] - noise
    assert error["pairwise"] > max(error["bce"], error["joint"]) + 0.03
    assert lost["pairwise"] > max(lost["bce"], lost["joint"]) + 0.15
    assert high["pairwise"] < min(high["bce"], high["joint"]) - 0.1, "whose level is higher is not learned"
