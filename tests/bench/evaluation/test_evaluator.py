"""Scores of a model that is sure of everything."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest
import torch
from torch import Tensor

from rankbench.bench import registry
from rankbench.bench.config import DataConfig
from rankbench.bench.contract import PointwiseBatch, Ranker
from rankbench.bench.data.batches import make_batches
from rankbench.bench.data.dataset import RankingData, prepare_log
from rankbench.bench.data.eventlog import write_log
from rankbench.bench.data.sources.simulator import SimulatorConfig, simulate
from rankbench.bench.evaluation.evaluator import Forward, predict


class Certain(Ranker):
    """Logits whose exponential no float64 holds."""

    def forward(self, batch: PointwiseBatch) -> Tensor:
        return torch.where(torch.arange(len(batch)) % 2 == 0, 2_000.0, -2_000.0)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> RankingData:
    folder: Path = tmp_path_factory.mktemp("log") / "log"
    return prepare_log(write_log(simulate(SimulatorConfig(users=30), "simulator"), folder), DataConfig("simulator"))


def test_a_score_that_is_as_good_as_certain_is_one_or_zero_without_a_warning(data: RankingData) -> None:
    batches = make_batches(data, registry.info("din").view, "test", 64, 256)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = predict(Forward(Certain(), torch.device("cpu"), "fp32"), batches, data)
    assert set(found) == {0.0, 1.0}
