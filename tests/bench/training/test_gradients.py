"""Ways of a step that change its time and memory alone: recomputed layers, padded batches, recorded steps, mixed precision."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from rankbench.bench import device as devices
from rankbench.bench import identity, registry
from rankbench.bench.config import DataConfig, Experiment, TrainConfig
from rankbench.bench.contract import Ranker, SequenceBatch, to_device
from rankbench.bench.data.batches import make_batches
from rankbench.bench.data.dataset import RankingData
from rankbench.bench.data.padding import padded
from rankbench.bench.errors import UserError
from rankbench.bench.evaluation import evaluator
from rankbench.bench.recorded import Recordings, again
from rankbench.bench.training.checkpoint import Checkpoint
from rankbench.bench.training.gradients import Gradients, recorder_of
from rankbench.bench.training.optimizer import Optimizer
from rankbench.bench.training.progress import Quiet
from rankbench.bench.training.team import ALONE, Team
from rankbench.bench.training.trainer import TrainState, train
from rankbench.bench.training.whole_step import WholeSteps
from rankbench.kernels import dispatch
from support.logs import make_data

CPU = torch.device("cpu")
GRADIENT = tuple(name for name in registry.MODELS if registry.info(name).fit == "gradient")
GENERATIVE = [
    name if name in ("hstu", "llama") else pytest.param(name, marks=pytest.mark.long)
    for name in registry.MODELS
    if registry.info(name).family == "generative"
]
CONFIG = TrainConfig(epochs=2, patience=2, batch_size=128, batch_events=300, lr=3e-3)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> RankingData:
    config = DataConfig("tiny", history_length=6, request_window=600)
    return make_data(tmp_path_factory.mktemp("log") / "tiny", config, users=30, longest=60)


def built(name: str, data: RankingData, **settings: Any) -> Ranker:
    torch.manual_seed(0)
    info = registry.info(name)
    return info.build(info.config(**settings), data.spec)


def batches_of(name: str, data: RankingData, epochs: int = 1) -> list[Any]:
    batches = make_batches(data, registry.info(name).view, "train", 128, 300)
    return [batches.assemble(plan, np.random.default_rng(0)) for epoch in range(epochs) for plan in batches.plans(epoch)]


def step(model: Ranker, batch: Any, config: TrainConfig) -> list[Tensor | None]:
    """Loss and gradients, with masks of dropout from one seed."""
    torch.manual_seed(1)
    loss = Gradients(model, config, CPU, None, model.zero_grad)(batch, None)
    return [loss.detach(), *(parameter.grad for parameter in model.parameters())]


@pytest.mark.parametrize("name", GENERATIVE)
def test_recomputed_layers_give_the_same_gradients_and_keep_less(name: str, data: RankingData) -> None:
    model, batch = built(name, data, layers=3), batches_of(name, data)[0]
    names = list(model.state_dict())
    usual = step(model, batch, CONFIG)
    kept = _kept(model, batch)
    found = step(model, batch, dataclasses.replace(CONFIG, recompute=True))
    for one, two in zip(usual, found, strict=True):
        assert (one is None) == (two is None)
        if one is not None and two is not None:
            torch.testing.assert_close(two, one, rtol=1e-5, atol=1e-8)
    assert _kept(model, batch) < kept and list(model.state_dict()) == names


def _kept(model: Ranker, batch: Any) -> int:
    """Numbers that autograd keeps between the passes."""
    found: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        found[tensor.data_ptr()] = max(found.get(tensor.data_ptr(), 0), tensor.numel())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        model(batch)
    return sum(found.values())


def test_a_model_without_layers_is_not_recomputed(data: RankingData) -> None:
    with pytest.raises(UserError, match=r"train\.recompute does not work: DNN names no layers"):
        step(built("dnn", data), batches_of("dnn", data)[0], dataclasses.replace(CONFIG, recompute=True))


@pytest.mark.parametrize("name", ["hstu", "din", pytest.param("llama", marks=pytest.mark.long)])
def test_steps_on_memory_of_their_own_are_steps(name: str, data: RankingData) -> None:
    """What is replayed on a card, done anew here: batches are copied to where the first of their shape lies, gradients are added
    up where they lie; weights and losses go the way of padded steps, with dropout."""
    results = []
    for recorded in (False, True):
        model = built(name, data)
        optimizer = Optimizer(model, CONFIG, CPU)
        gradients = Gradients(model, CONFIG, CPU, None, optimizer.zero_grad)
        if recorded:
            gradients.whole = WholeSteps(gradients.descend, model, again, CPU)
        losses = []
        torch.manual_seed(2)
        for batch in batches_of(name, data, epochs=3):
            losses.append(gradients(padded(batch), None).item())
            optimizer.step(None)
        results.append((losses, {key: value.clone() for key, value in model.state_dict().items()}))
        if recorded:
            assert gradients.whole is not None and 1 < len(gradients.whole.shapes) < len(losses)
    (plain, weights), (replayed, own) = results
    assert plain == replayed
    for key, value in weights.items():
        assert torch.equal(own[key], value), key


@pytest.mark.long
@pytest.mark.skipif(not torch.cuda.is_available(), reason="CUDA graphs are recorded on an NVIDIA GPU")
@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
@pytest.mark.parametrize("name", ["hstu", "llama", "sasrec", "onetrans", "din", "dcnv2", "rankmixer"])
def test_replayed_steps_are_steps_on_a_card(name: str, precision: str, data: RankingData) -> None:
    """Without dropout, whose masks a graph draws in another order; sums of atomic additions differ in their last bits."""
    card, results = torch.device("cuda"), []
    for whole_step in ("padded", "graph"):
        config = dataclasses.replace(CONFIG, precision=precision, whole_step=whole_step)  # type: ignore[arg-type]
        model = built(name, data, dropout=0.0).to(card)
        scaler, record = devices.grad_scaler(card, precision), recorder_of(model, config, card, ALONE)
        optimizer = Optimizer(model, config, card, record=record if scaler is None else None)
        gradients = Gradients(model, config, card, scaler, optimizer.zero_grad, record)
        losses = []
        for batch in batches_of(name, data, epochs=3):
            losses.append(gradients(to_device(padded(batch), card), None).item())
            optimizer.step(scaler, share=1 / len(losses))
        results.append(losses)
        assert (gradients.whole is None) == (whole_step == "padded")
        assert gradients.whole is None or 1 < len(gradients.whole.shapes) < len(losses)
        recorded = [replay for replay in optimizer.replays.values() if replay is not None]
        assert bool(recorded) == (whole_step == "graph" and scaler is None)
    np.testing.assert_allclose(results[1], results[0], rtol=1e-4 if precision == "fp32" else 2e-2)


def test_shapes_beyond_the_most_run_as_they_come(data: RankingData, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rankbench.bench.recorded.MOST", 1)
    model = built("hstu", data)
    gradients = Gradients(model, CONFIG, CPU, None, model.zero_grad)
    gradients.whole = WholeSteps(gradients.descend, model, again, CPU)
    for batch in batches_of("hstu", data, epochs=3):
        torch.manual_seed(1)
        loss = gradients(padded(batch), None).item()
        assert loss == step(built("hstu", data), padded(batch), CONFIG)[0].item()  # type: ignore[union-attr]
    assert len(gradients.whole.shapes) == 1 < len(gradients.whole.met)
    gradients.release()
    assert not gradients.whole.shapes


@pytest.mark.parametrize("name", ["hstu", "din"])
def test_scores_of_recorded_batches_are_those_of_the_model(name: str, data: RankingData) -> None:
    """Batches are filled up and copied to where the first of their shape lies; weights may change in between."""
    model, info = built(name, data), registry.info(name)
    plain = evaluator.Forward(model, CPU, "fp32")
    recorded = Recordings(plain.logits, again, CPU)
    for _ in range(2):
        batches = make_batches(data, info.view, "train", 64, 128)
        found, expected = (evaluator.predict(dataclasses.replace(plain, recorded=one), batches, data) for one in (recorded, None))
        np.testing.assert_allclose(found, expected, rtol=1e-5)
        assert 1 <= len(recorded.shapes) <= len(recorded.met) < len(batches.plans(None))
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.mul_(1.5)


def test_where_nothing_can_be_recorded_says_why(data: RankingData) -> None:
    graph = dataclasses.replace(CONFIG, whole_step="graph")
    cuda = torch.device("cuda")
    for device, team, model, reason in (
        (CPU, ALONE, built("hstu", data), "graphs are recorded on an accelerator, not on cpu"),
        (cuda, Team(0, 2), built("hstu", data), "processes that train together sum their gradients up"),
        (cuda, ALONE, built("hstu", data, stochastic_depth=0.5), "stochastic_depth leaves out other layers"),
        (cuda, ALONE, built("dlrm-v3", data), "layout=request makes a segment of each request"),
        (cuda, ALONE, built("llama", data), "layers that are recomputed"),
        (cuda, ALONE, built("fuxi-linear", data), "cuts segments into as many chunks as they happen to fill"),
        (cuda, ALONE, built("hyformer", data, apart=True), "apart=true parts past events by their labels"),
    ):
        config = dataclasses.replace(graph, recompute="recomputed" in reason)
        with pytest.raises(UserError, match=reason):
            recorder_of(model, config, device, team)
    with pytest.raises(UserError, match=r"whole_step=padded needs train\.loss=bce"):
        TrainConfig(whole_step="padded", loss="listwise")


def test_operations_that_ask_the_device_for_sizes_are_refused_before_anything_is_recorded(data: RankingData) -> None:
    model, batch = built("hstu", data), padded(batches_of("hstu", data)[0])
    whole = WholeSteps(Gradients(model, CONFIG, CPU, None, model.zero_grad).descend, model, again, CPU)
    with (
        dispatch.forced({"hstu_attention": "torch"}),
        pytest.raises(UserError, match=r"whole_step=graph does not work here: hstu_attention=torch asks the device for sizes"),
    ):
        whole(batch)
    assert not whole.shapes


def fit(name: str, data: RankingData, file: Path, config: TrainConfig, **settings: Any) -> tuple[TrainState, np.ndarray]:
    info, model = registry.info(name), built(name, data, **settings)
    state = train(model, info, data, config, 0, CPU, Checkpoint(file, "test"), Quiet())
    return state, evaluator.predictions(evaluator.Forward(model, CPU, "fp32"), info, data, "test")["score"].to_numpy()


@pytest.mark.parametrize("name", ["hstu", "din"])
def test_training_comes_to_the_same_scores(name: str, data: RankingData, tmp_path: Path) -> None:
    _, expected = fit(name, data, tmp_path / "usual.pt", CONFIG, dropout=0.0)
    recompute = [{"recompute": True}] if name == "hstu" else []
    for at, changes in enumerate(({"assembly": "device"}, *recompute, {"whole_step": "padded", "assembly": "device"})):
        config = dataclasses.replace(CONFIG, **changes)
        _, scores = fit(name, data, tmp_path / f"{at}.pt", config, dropout=0.0)
        if "whole_step" in changes:
            np.testing.assert_allclose(scores, expected, atol=2e-4)
        else:
            assert np.array_equal(scores, expected), changes


def test_they_change_no_name_of_an_experiment_and_no_old_record_lacks_them() -> None:
    usual = Experiment("hstu", train=TrainConfig(), params=registry.info("hstu").config())
    for key, value in {"recompute": True, "whole_step": "padded", "assembly": "device"}.items():
        other = dataclasses.replace(usual, train=TrainConfig(**{key: value}))  # type: ignore[arg-type]
        assert other.hash == usual.hash and not identity.ignored(usual.as_dict(), other.as_dict())
        assert key not in identity.earlier(usual.as_dict())["train"] and key in identity.earlier(other.as_dict())["train"]


@pytest.mark.parametrize("name", GRADIENT)
def test_who_has_no_use_for_them_says_so(name: str) -> None:
    info = registry.info(name)
    assert bool(info.ignores("recompute")) == (info.family != "generative")
    assert bool(info.ignores("whole_step")) != info.takes_padding
    assert info.takes_padding or info.family == "classical"


@pytest.mark.long
@pytest.mark.parametrize("precision", ["bf16", "fp16"])
@pytest.mark.parametrize("name", GRADIENT)
def test_mixed_precision_of_a_whole_model(name: str, precision: str, data: RankingData) -> None:
    """On a CPU, whose autocast rounds as others do; fp16 with the scaler that an accelerator has. The loss falls, and the same
    weights score as they do in fp32."""
    config = dataclasses.replace(CONFIG, precision=precision)  # type: ignore[arg-type]
    model, info = built(name, data), registry.info(name)
    scaler, optimizer = devices.grad_scaler(CPU, precision), Optimizer(model, config, CPU)
    gradients = Gradients(model, config, CPU, scaler, optimizer.zero_grad)
    losses = []
    for batch in batches_of(name, data)[:3] * 8:
        losses.append(float(gradients(batch, None)))
        optimizer.step(scaler)
    assert np.isfinite(losses).all() and np.mean(losses[-3:]) < np.mean(losses[:3])
    assert all(parameter.dtype == torch.float32 for parameter in model.parameters())
    if scaler is not None:
        assert optimizer.dense.state, "every step overflowed"
    found, expected = (
        evaluator.predictions(evaluator.Forward(model, CPU, one), info, data, "test")["score"] for one in (precision, "fp32")
    )
    assert np.abs(found - expected).max() < 0.02


@pytest.mark.long
def test_a_step_whose_gradients_overflow_is_left_out_and_the_scale_halved(data: RankingData) -> None:
    config = dataclasses.replace(CONFIG, precision="fp16")
    model, batch = built("hstu", data), batches_of("hstu", data)[0]
    optimizer, scaler = Optimizer(model, config, CPU), torch.amp.GradScaler("cpu", init_scale=2.0**40)
    gradients = Gradients(model, config, CPU, scaler, optimizer.zero_grad)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    gradients(batch, None)
    optimizer.step(scaler)
    assert scaler.get_scale() == 2.0**39
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert isinstance(batch, SequenceBatch)
