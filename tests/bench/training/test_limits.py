"""A limit of the command stops training after a whole step, and what was trained is not lost."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch

from rankbench.bench import registry
from rankbench.bench.config import DataConfig, TrainConfig
from rankbench.bench.data.dataset import RankingData
from rankbench.bench.evaluation import evaluator
from rankbench.bench.training.checkpoint import Checkpoint
from rankbench.bench.training.fitting import fit
from rankbench.bench.training.limits import UNLIMITED, Limits, Stop, Stopped
from rankbench.bench.training.progress import Quiet
from support.logs import make_data

CPU = torch.device("cpu")
HELD = psutil.Process().memory_info().rss / 2**30


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> RankingData:
    return make_data(tmp_path_factory.mktemp("log") / "tiny", DataConfig("tiny", history_length=6), users=40, longest=80)


def trained(data: RankingData, file: Path, progress: Quiet, **settings: object) -> list[float]:
    info = registry.info("din")
    config = TrainConfig(epochs=2, patience=2, batch_size=128, **settings)  # type: ignore[arg-type]
    experiment = registry.info("din").config()
    from rankbench.bench.config import Experiment

    made = Experiment("din", DataConfig("tiny", history_length=6), params=experiment, train=config)
    fitted = fit(info, made, 0, data, CPU, Checkpoint(file, "test"), progress)
    return evaluator.predictions(evaluator.Forward(fitted.model, CPU, "fp32"), info, fitted.data, "test")["score"].tolist()


class OverAfter(Quiet):
    """The time is over after so many steps."""

    def __init__(self, steps: int) -> None:
        super().__init__(Limits.from_now(1.0, None))
        self.left = steps

    def step(self, loss: float, examples: int) -> None:
        self.left -= 1
        if self.left == 0:
            self.limits = Limits(1.0, None, time.monotonic())


def test_no_limit_is_reached_where_there_is_none() -> None:
    assert not UNLIMITED and UNLIMITED.reached() is None and not UNLIMITED.over
    assert Limits.from_now(1.0, 1e6) and Limits.from_now(1.0, 1e6).reached() is None


def test_a_limit_says_what_it_was_and_what_was_held() -> None:
    assert Limits(2.0, None, time.monotonic()).reached() == Stop("time", "stopped by --max-hours 2")
    found = Limits(None, 0.001).reached()
    assert found is not None and found.limit == "memory"
    assert float(found.why.removesuffix(" GiB").rpartition(" ")[2]) >= HELD / 4
    assert found.why.startswith("stopped by --max-memory 0.001: the process held ")


@pytest.mark.parametrize("steps", [1, 7])
@pytest.mark.parametrize("refit", [False, True])
def test_what_was_stopped_goes_on_to_the_scores_of_an_unlimited_run(
    data: RankingData, tmp_path: Path, steps: int, refit: bool
) -> None:
    straight, file = trained(data, tmp_path / "straight.pt", Quiet(), refit=refit), tmp_path / "stopped.pt"
    with pytest.raises(Stopped, match=r"^stopped by --max-hours 1$"):
        trained(data, file, OverAfter(steps), refit=refit)
    assert file.exists()
    np.testing.assert_array_equal(trained(data, file, Quiet(), refit=refit), straight)


def test_memory_stops_it_after_its_first_step(data: RankingData, tmp_path: Path) -> None:
    progress, file = Quiet(Limits.from_now(None, 0.001)), tmp_path / "stopped.pt"
    with pytest.raises(Stopped, match="--max-memory") as stopped:
        trained(data, file, progress)
    assert stopped.value.stop.limit == "memory"
    saved = Checkpoint(file, "test").load()
    assert saved is not None and saved["state"]["steps"] == 1
