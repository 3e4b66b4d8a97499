"""Training is deterministic per seed, resumes exactly, stops early on the best weights, and keeps its budget."""

from __future__ import annotations

import dataclasses
import io
import time
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rankbench.bench import registry
from rankbench.bench.config import DataConfig, TrainConfig
from rankbench.bench.contract import PointwiseBatch, Ranker
from rankbench.bench.data.batches import PointwiseBatches, make_batches
from rankbench.bench.data.dataset import RankingData
from rankbench.bench.errors import UserError
from rankbench.bench.evaluation import evaluator
from rankbench.bench.training import trainer
from rankbench.bench.training.checkpoint import Checkpoint
from rankbench.bench.training.progress import Quiet
from rankbench.bench.training.trainer import EpochPoint, TrainState, train
from rankbench.kernels import dispatch
from support.logs import make_data
from support.power import OffAt, PowerOff

CPU = torch.device("cpu")
CONFIG = TrainConfig(epochs=4, patience=4, batch_size=128, batch_events=300, lr=3e-3)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> RankingData:
    return make_data(tmp_path_factory.mktemp("log") / "tiny", DataConfig("tiny", history_length=6), users=40, longest=80)


def fit(
    name: str, data: RankingData, file: Path, config: TrainConfig = CONFIG, seed: int = 0, progress: Quiet | None = None
) -> tuple[Ranker, TrainState, list[float]]:
    info = registry.info(name)
    torch.manual_seed(seed)
    model = info.build(info.config(), data.spec)
    state = train(model, info, data, config, seed, CPU, Checkpoint(file, "test"), progress or Quiet())
    return model, state, evaluator.predictions(evaluator.Forward(model, CPU, "fp32"), info, data, "test")["score"].tolist()


def without_seconds(state: TrainState) -> list[dict[str, float]]:
    return [{key: value for key, value in point.items() if key != "seconds"} for point in state.curve]


@pytest.mark.parametrize("name", ["din", "hstu", *(pytest.param(name, marks=pytest.mark.long) for name in ("dcnv2", "dien"))])
def test_one_seed_gives_one_result(name: str, data: RankingData, tmp_path: Path) -> None:
    first, again, other = (fit(name, data, tmp_path / f"{run}.pt", seed=seed) for run, seed in enumerate((0, 0, 1)))
    assert first[2] == again[2] and without_seconds(first[1]) == without_seconds(again[1])
    assert first[2] != other[2]


@pytest.mark.long
@pytest.mark.parametrize("name", ["din", "hstu", "deepfm", "dien"])
@pytest.mark.parametrize("when", [3, 17])
def test_resuming_equals_never_stopping(name: str, when: int, data: RankingData, tmp_path: Path) -> None:
    """Stopped in the middle of an epoch, with a checkpoint at every step or only at the epochs' ends."""
    _, straight, expected = fit(name, data, tmp_path / "straight.pt")
    for often in (1e-9, 1e9):
        config = dataclasses.replace(CONFIG, checkpoint_seconds=often)
        file = tmp_path / f"{often}.pt"
        with pytest.raises(PowerOff):
            fit(name, data, file, config, progress=OffAt(when))
        _, resumed, scores = fit(name, data, file, config)
        assert scores == expected
        assert without_seconds(resumed) == without_seconds(straight)
        assert (resumed.steps, resumed.best_epoch) == (straight.steps, straight.best_epoch)


@pytest.mark.parametrize("name", ["din", "hstu"])
def test_batches_that_a_thread_assembles_ahead_are_the_same(
    name: str, data: RankingData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As for an accelerator; also where training stops within an epoch and the thread still has work."""
    _, straight, expected = fit(name, data, tmp_path / "straight.pt")
    own = trainer._assembled
    monkeypatch.setattr(trainer, "_assembled", lambda *arguments: own(*arguments[:5], 3))
    with pytest.raises(PowerOff):
        fit(name, data, tmp_path / "x.pt", dataclasses.replace(CONFIG, checkpoint_seconds=1e-9), progress=OffAt(17))
    _, resumed, scores = fit(name, data, tmp_path / "x.pt")
    assert scores == expected and without_seconds(resumed) == without_seconds(straight)


def test_an_error_of_the_thread_is_raised(data: RankingData) -> None:
    batches = make_batches(data, "pointwise", "train", 128, 300)
    plans = [*batches.plans(0)[:2], np.array([10**9])]
    source = trainer._assembled(batches, plans, TrainState(), 0, torch.device("cpu"), 2)
    next(source), next(source)
    with pytest.raises(IndexError):
        next(source)


def test_the_auxiliary_loss_is_descended_and_not_reported(data: RankingData, tmp_path: Path) -> None:
    """Its parameters start anywhere and are moved by nothing else."""
    model, state, _ = fit("dien", data, tmp_path / "x.pt", dataclasses.replace(CONFIG, epochs=1))
    torch.manual_seed(0)
    start = registry.info("dien").build(registry.info("dien").config(), data.spec).state_dict()
    assert not torch.equal(model.state_dict()["next.weight"], start["next.weight"])
    assert state.curve[0]["train_loss"] < 0.75, "0.1 * 2 ln 2 above the logloss if the two were added"


def test_a_finished_run_resumes_to_itself(data: RankingData, tmp_path: Path) -> None:
    _, first, scores = fit("dnn", data, tmp_path / "x.pt")
    _, second, again = fit("dnn", data, tmp_path / "x.pt")
    assert again == scores and second.steps == first.steps


def test_the_best_epoch_is_restored_and_patience_ends_training(data: RankingData, tmp_path: Path) -> None:
    config = dataclasses.replace(CONFIG, epochs=60, patience=3, lr=0.03, monitor="logloss")
    model, state, _ = fit("dnn", data, tmp_path / "x.pt", config)
    losses = [point["valid_logloss"] for point in state.curve]
    assert state.best_epoch == losses.index(min(losses)) + 1
    assert state.epoch == state.best_epoch + 3 < 60
    info = registry.info("dnn")
    frame = evaluator.predictions(evaluator.Forward(model, CPU, "fp32"), info, data, "valid")
    from rankbench.bench.evaluation.metrics import logloss

    assert logloss(frame["label"].to_numpy(), frame["score"].to_numpy()) == pytest.approx(min(losses), abs=1e-4)


def test_a_budget_in_seconds_ends_within_an_epoch(data: RankingData, tmp_path: Path) -> None:
    config = dataclasses.replace(CONFIG, epochs=1000, patience=1000, max_seconds=0.3, batch_size=16)
    _, state, _ = fit("dnn", data, tmp_path / "x.pt", config)
    assert 0.3 <= state.budget_seconds < 5 and 1 <= state.epoch < 1000


def test_waiting_costs_no_budget_on_a_cpu(data: RankingData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What else runs on the machine makes a model wait, and must not shorten its training."""
    assemble = PointwiseBatches.assemble

    def late(*arguments: Any) -> PointwiseBatch:
        time.sleep(0.02)
        return assemble(*arguments)

    monkeypatch.setattr(PointwiseBatches, "assemble", late)
    _, state, _ = fit("dnn", data, tmp_path / "x.pt", dataclasses.replace(CONFIG, epochs=1))
    assert 0 < state.budget_seconds <= state.seconds - 0.02 * state.steps


@pytest.mark.long
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_mixed_precision_trains(precision: str, data: RankingData, tmp_path: Path) -> None:
    config = dataclasses.replace(CONFIG, precision=precision, epochs=2)
    for name in ("din", "hstu", "sasrec", "dien", "bst", "autoint"):
        _, state, scores = fit(name, data, tmp_path / f"{name}.pt", config)
        assert state.curve[-1]["train_loss"] < 0.75 and all(0 < score < 1 for score in scores)


def test_a_loss_that_is_not_finite_is_an_error_with_advice(data: RankingData, tmp_path: Path) -> None:
    with pytest.raises(FloatingPointError, match=r"loss became nan at epoch \d+, step \d+; lower train.lr"):
        fit("dnn", data, tmp_path / "x.pt", dataclasses.replace(CONFIG, lr=1e30, clip_norm=0.0))


def _without_content() -> bytes:
    """An archive as torch's, whose pickle ends before anything was said."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in (("data.pkl", b"\x80\x02."), ("version", b"3\n"), ("byteorder", b"little")):
            archive.writestr(f"seed-0/{name}", content)
    return file.getvalue()


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 torn", b"no checkpoint at all", _without_content()])
def test_a_corrupted_checkpoint_is_one_clear_line(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "seed-0.pt"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"checkpoint .*seed-0\.pt is corrupted; delete it, or start over with --no-resume"):
        Checkpoint(path, "din-0").load()


def test_a_checkpoint_of_another_cell_is_never_gone_on_from(tmp_path: Path) -> None:
    Checkpoint(tmp_path / "x.pt", "settings-data-0").save({"at": 1})
    with pytest.raises(UserError, match=r"was made with other settings or other data \(settings-data-0, not settings-other-0\)"):
        Checkpoint(tmp_path / "x.pt", "settings-other-0").load()


@pytest.mark.parametrize(
    "error", [OSError(28, "No space left on device"), RuntimeError("enforce fail at inline_container.cc:672")]
)
def test_a_disk_that_is_full_while_a_checkpoint_is_written_is_one_line(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: object) -> None:
        raise error

    monkeypatch.setattr("torch.save", full)
    with pytest.raises(
        UserError, match=r"(?i)checkpoint .*x\.pt cannot be written \(no space .*left on .*device.*\); free some space"
    ):
        Checkpoint(tmp_path / "x.pt", "din-0").save({})
    assert not list(tmp_path.iterdir())


def test_a_checkpoint_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.pt"
    file = Checkpoint(path, "din-0")
    file.save({"at": 1})

    def full(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(UserError, match="No space left on device"):
        file.save({"at": 2})
    monkeypatch.undo()
    assert file.load() == {"at": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["x.pt"]


def test_a_checkpoint_tells_whoever_goes_on_which_kernels_ran_before(tmp_path: Path) -> None:
    file = Checkpoint(tmp_path / "x.pt", "x")
    with dispatch.watching() as ran:
        dispatch.seen_before({"linear": "torch", "dropout": "cpu"})
        file.save({"at": 1})
    with dispatch.watching() as later:
        dispatch.seen_before({"dropout": "torch"})
        assert file.load() == {"at": 1}
    assert ran == {"linear": "torch", "dropout": "cpu"} and later == {"dropout": "torch and cpu", "linear": "torch"}


def test_points_know_their_epoch(data: RankingData, tmp_path: Path) -> None:
    seen: list[EpochPoint] = []

    class Listen(Quiet):
        def epoch_finished(self, point: EpochPoint, epochs: int, examples_per_second: float) -> None:
            seen.append(point)

    _, state, _ = fit("lr", data, tmp_path / "x.pt", progress=Listen())
    assert [point.epoch for point in seen] == list(range(1, state.epoch + 1))
    assert all(0 <= point.valid_auc <= 1 and 0 <= point.valid_request_gauc <= 1 for point in seen)
