"""The way down of the learning rate and the moving average of the weights: as written, for both families, and resumed exactly."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import torch
from torch import Tensor

from rankbench.bench import registry
from rankbench.bench.config import DataConfig, TrainConfig
from rankbench.bench.data.batches import make_batches
from rankbench.bench.data.dataset import RankingData
from rankbench.bench.errors import UserError
from rankbench.bench.evaluation import evaluator
from rankbench.bench.training import optimizer
from rankbench.bench.training.checkpoint import Checkpoint
from rankbench.bench.training.ending import Average, rate_share
from rankbench.bench.training.optimizer import Optimizer
from rankbench.bench.training.progress import Quiet
from rankbench.bench.training.trainer import EpochPoint, TrainState, train
from rankbench.bench.typed import from_dict
from support.logs import make_data
from support.power import OffAt, PowerOff

from .test_optimizer import by_rows
from .test_trainer import CONFIG, CPU, fit, without_seconds

SHORT = dataclasses.replace(CONFIG, epochs=2, patience=2)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> RankingData:
    return make_data(tmp_path_factory.mktemp("log") / "tiny", DataConfig("tiny", history_length=6), users=40, longest=80)


def test_every_decay_begins_with_the_whole_rate_and_ends_at_zero() -> None:
    assert [rate_share(decay, 0) for decay in ("none", "linear", "cosine")] == [1, 1, 1]
    assert [rate_share(decay, 1) for decay in ("linear", "cosine")] == [0, 0] and rate_share("none", 1) == 1
    assert rate_share("linear", 0.25) == 0.75 and rate_share("cosine", 0.5) == pytest.approx(0.5)


@pytest.mark.parametrize("name", ["dnn", "hstu"])
def test_the_rate_falls_over_the_steps_of_all_planned_epochs(
    name: str, data: RankingData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shares: list[float] = []
    rates: list[float] = []
    step = Optimizer.step

    def noted(self: Optimizer, scaler: torch.amp.GradScaler | None, share: float = 1.0) -> None:
        step(self, scaler, share)
        shares.append(share)
        rates.extend(group["lr"] for group in self.dense.param_groups[:1])

    monkeypatch.setattr(Optimizer, "step", noted)
    _, state, _ = fit(name, data, tmp_path / "x.pt", dataclasses.replace(SHORT, lr_decay="linear"))
    assert len(shares) == state.steps
    # Of an epoch with k steps each has 1 / k of the epoch; epochs of a sequence model may differ by a step.
    assert shares[0] == 1 and shares == sorted(shares, reverse=True) and 0 < shares[-1] <= 1.2 / state.steps
    assert rates == pytest.approx([share * SHORT.lr for share in shares])


def test_training_that_stops_early_stops_on_the_way_down(data: RankingData, tmp_path: Path) -> None:
    """The first epochs do not depend on whether the others will be trained."""
    config = dataclasses.replace(CONFIG, epochs=4, lr_decay="cosine", batch_size=256)
    _, whole, _ = fit("lr", data, tmp_path / "whole.pt", config)
    assert without_seconds(whole)[:2] == without_seconds(_stopped(data, tmp_path / "stopped.pt", config))


def _stopped(data: RankingData, file: Path, config: TrainConfig) -> TrainState:
    class Enough(Quiet):
        epochs = 0

        def epoch_finished(self, point: EpochPoint, epochs: int, examples_per_second: float) -> None:
            self.epochs += 1

        def enough(self, seconds: float) -> bool:
            return self.epochs == 2

    info = registry.info("lr")
    torch.manual_seed(0)
    model = info.build(info.config(), data.spec)
    state = train(model, info, data, config, 0, CPU, Checkpoint(file, "test"), Enough())
    assert state.cut and state.epoch == 2
    return state


@pytest.mark.parametrize("name", ["din", "hstu"])
def test_the_average_is_that_of_a_literal_loop(
    name: str, data: RankingData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sum of (1 - d) d**(t - j) w_j over all steps, over 1 - d**t. It is scored; what goes on training is not it."""
    seen: list[dict[str, Tensor]] = []
    update = Average.update

    def noted(self: Average) -> None:
        seen.append({name: value.clone() for name, value in self.model.state_dict().items()})
        update(self)

    monkeypatch.setattr(Average, "update", noted)
    d = 0.8
    model, state, scores = fit(name, data, tmp_path / "x.pt", dataclasses.replace(SHORT, epochs=1, ema=d))
    assert len(seen) == state.steps
    for key, value in model.state_dict().items():
        if value.is_floating_point():
            weights = torch.tensor([(1 - d) * d ** (len(seen) - 1 - at) for at in range(len(seen))], dtype=torch.float64)
            total = torch.tensordot(weights, torch.stack([one[key].double() for one in seen]), 1)
            assert torch.allclose(value.double(), total / (1 - d ** len(seen)), rtol=1e-4, atol=1e-6), key
        else:
            assert torch.equal(value, seen[-1][key])
    _, plain, other = fit(name, data, tmp_path / "plain.pt", dataclasses.replace(SHORT, epochs=1))
    assert plain.curve[0]["train_loss"] == state.curve[0]["train_loss"] and scores != other


def test_validation_judges_the_average(data: RankingData, tmp_path: Path) -> None:
    """Of the best epoch's, which are what is kept."""
    config = dataclasses.replace(CONFIG, epochs=6, patience=6, lr=0.03, ema=0.9, monitor="logloss")
    model, state, _ = fit("dnn", data, tmp_path / "x.pt", config)
    valid = make_batches(data, registry.info("dnn").view, "valid", 4 * config.batch_size, config.batch_events)
    found = evaluator.quality(evaluator.Forward(model, CPU, "fp32"), valid, data)["logloss"]
    assert found == pytest.approx(min(point["valid_logloss"] for point in state.curve), abs=1e-9)


SWITCHES = {"linear": {"lr_decay": "linear"}, "average": {"ema": 0.9}, "both": {"lr_decay": "cosine", "ema": 0.9}}


@pytest.mark.long
@pytest.mark.parametrize("switch", SWITCHES)
@pytest.mark.parametrize("name", ["dnn", "hstu"])
def test_resuming_equals_never_stopping(name: str, switch: str, data: RankingData, tmp_path: Path) -> None:
    config = dataclasses.replace(SHORT, **SWITCHES[switch])  # type: ignore[arg-type]
    _interrupted(name, data, tmp_path, config)


@pytest.mark.long
@by_rows
@pytest.mark.parametrize("name", ["deepfm", "hstu"])
def test_large_tables_end_in_the_same_way(name: str, data: RankingData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = dataclasses.replace(SHORT, lr_decay="linear", ema=0.9, embedding_decay=0.05)
    _, dense, expected = fit(name, data, tmp_path / "dense.pt", config)
    monkeypatch.setattr(optimizer, "MANY_ROWS", 1)
    rows, scores = _interrupted(name, data, tmp_path, config)
    assert scores == pytest.approx(expected, abs=5e-3)
    for one, two in zip(rows, without_seconds(dense), strict=True):
        assert one["train_loss"] == pytest.approx(two["train_loss"], rel=1e-4)
        assert one["valid_logloss"] == pytest.approx(two["valid_logloss"], rel=1e-3)


def _interrupted(name: str, data: RankingData, folder: Path, config: TrainConfig) -> tuple[list[dict[str, float]], list[float]]:
    _, straight, expected = fit(name, data, folder / "straight.pt", config)
    config = dataclasses.replace(config, checkpoint_seconds=1e-9)
    with pytest.raises(PowerOff):
        fit(name, data, folder / "x.pt", config, progress=OffAt(straight.steps * 3 // 4))
    _, resumed, scores = fit(name, data, folder / "x.pt", config)
    assert scores == expected and without_seconds(resumed) == without_seconds(straight)
    return without_seconds(resumed), scores


@pytest.mark.parametrize("ema", [-0.1, 1.0, float("nan")])
def test_a_decay_that_averages_nothing_is_refused(ema: float) -> None:
    with pytest.raises(UserError, match=r"train\.ema"):
        from_dict(TrainConfig, {"ema": ema}, "train")
