"""Clipping as torch does it, and large tables whose steps change nothing but the time they take."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from rankbench.bench.config import DataConfig, TrainConfig
from rankbench.bench.data.dataset import RankingData
from rankbench.bench.training import optimizer
from rankbench.bench.training.optimizer import Optimizer, clip
from rankbench.kernels import dispatch
from rankbench.kernels.layers.embedding import FieldEmbeddings, Table
from support.logs import make_data
from support.power import OffAt, PowerOff

from .test_trainer import CONFIG, fit, without_seconds

UNAVAILABLE = dispatch.find("table_update", "cpu").refusal(torch.device("cpu"), torch.float32)
by_rows = pytest.mark.skipif(UNAVAILABLE is not None, reason=f"no compiled row updates: {UNAVAILABLE}")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> RankingData:
    return make_data(tmp_path_factory.mktemp("log") / "tiny", DataConfig("tiny", history_length=6), users=40, longest=80)


@pytest.mark.long
@by_rows
@pytest.mark.parametrize("name", ["dnn", "fm", "din", "hstu", "deepfm", "sim"])
def test_large_tables_train_to_the_same_model(
    name: str, data: RankingData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = dataclasses.replace(CONFIG, embedding_decay=0.05, epochs=2)
    _, dense, expected = fit(name, data, tmp_path / "dense.pt", config)
    monkeypatch.setattr(optimizer, "MANY_ROWS", 1)
    with dispatch.watching() as ran:
        model, rows, scores = fit(name, data, tmp_path / "rows.pt", config)
    assert ran["table_update"] == "cpu"
    assert all(module.before_read is None for module in model.modules() if isinstance(module, Table)), "nothing stays behind"
    for one, two in zip(rows.curve, dense.curve, strict=True):
        assert one["train_loss"] == pytest.approx(two["train_loss"], rel=1e-4)
        assert one["valid_logloss"] == pytest.approx(two["valid_logloss"], rel=1e-3)
    assert scores == pytest.approx(expected, abs=5e-3)


@pytest.mark.long
@by_rows
@pytest.mark.parametrize("name", ["deepfm", "hstu"])
def test_large_tables_resume_exactly(name: str, data: RankingData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(optimizer, "MANY_ROWS", 1)
    _, straight, expected = fit(name, data, tmp_path / "straight.pt")
    config = dataclasses.replace(CONFIG, checkpoint_seconds=1e-9)
    with pytest.raises(PowerOff):
        fit(name, data, tmp_path / "x.pt", config, progress=OffAt(17))
    _, resumed, scores = fit(name, data, tmp_path / "x.pt", config)
    assert scores == expected and without_seconds(resumed) == without_seconds(straight)


def test_small_tables_and_a_forced_choice_are_stepped_whole(data: RankingData, monkeypatch: pytest.MonkeyPatch) -> None:
    from rankbench.bench import registry

    info = registry.info("dnn")
    model = info.build(info.config(), data.spec)
    assert Optimizer(model, TrainConfig(), torch.device("cpu")).rows is None
    monkeypatch.setattr(optimizer, "MANY_ROWS", 1)
    with dispatch.forced({"table_update": "torch"}):
        assert Optimizer(model, TrainConfig(), torch.device("cpu")).rows is None


def test_clipping_is_torchs() -> None:
    torch.manual_seed(0)
    parameters = [nn.Parameter(torch.randn(shape)) for shape in ((4, 3), (5,), (2, 2, 2))]
    for parameter in parameters:
        parameter.grad = torch.randn_like(parameter) * 3
    gradients = [parameter.grad.clone() for parameter in parameters if parameter.grad is not None]
    for norm in (100.0, 1.0):
        clip(gradients, norm)
        nn.utils.clip_grad_norm_(parameters, norm)
        for mine, parameter in zip(gradients, parameters, strict=True):
            assert parameter.grad is not None and torch.allclose(mine, parameter.grad)
    clip([], 1.0)


@by_rows
def test_rows_are_clipped_by_the_norm_of_their_sums(monkeypatch: pytest.MonkeyPatch) -> None:
    """A row that is read twice has one gradient; its norm is not that of two."""
    from rankbench.bench.contract import Field

    monkeypatch.setattr(optimizer, "MANY_ROWS", 1)
    model = FieldEmbeddings((Field("item", 10),), 4)
    both = Optimizer(nn.ModuleList([model, nn.Linear(1, 1)]), TrainConfig(clip_norm=1.0), torch.device("cpu"))
    assert both.rows is not None
    (model.lookup("item", torch.tensor([3])).sum() + model.lookup("item", torch.tensor([3])).sum()).backward()
    both.step(None)
    gradient = both.rows.gradients[0]
    assert gradient is not None and gradient.values.norm().item() == pytest.approx(1.0, rel=1e-4)


def test_rowwise_adagrad_is_its_equations() -> None:
    """In loops and float64; rows that are not read stay, and all else is AdamW's."""
    from rankbench.bench.contract import Field

    torch.manual_seed(0)
    embeddings, out = FieldEmbeddings((Field("item", 6),), 3).double(), nn.Linear(3, 1).double()
    model = nn.ModuleList([embeddings, out])
    config = TrainConfig(table_optimizer="rowwise-adagrad", lr=0.1, clip_norm=0.0, embedding_decay=0.5)
    stepped = Optimizer(model, config, torch.device("cpu"))
    table = embeddings.tables[0].weight
    assert isinstance(table, nn.Parameter)
    expected, sums = table.detach().tolist(), [0.0] * 6
    for ids, share in (([2, 3, 3], 1.0), ([3], 0.5), ([5, 2], 0.25)):
        stepped.zero_grad()
        out(embeddings.lookup("item", torch.tensor(ids))).square().sum().backward()
        assert table.grad is not None
        gradient, bias = table.grad.tolist(), out.bias.detach().clone()
        stepped.step(None, share)
        for row in range(6):
            sums[row] += sum(g * g for g in gradient[row]) / 3
            for at in range(3):
                expected[row][at] *= 1 - 0.1 * share * 0.5
                expected[row][at] -= 0.1 * share * gradient[row][at] / (sums[row] ** 0.5 + 1e-8)
        assert torch.allclose(table, torch.tensor(expected, dtype=torch.float64), rtol=1e-12)
        assert not torch.equal(out.bias, bias)
    assert [value > 0 for value in sums] == [False, False, True, True, False, True]


def test_rowwise_adagrad_resumes_exactly(data: RankingData, tmp_path: Path) -> None:
    config = dataclasses.replace(CONFIG, table_optimizer="rowwise-adagrad", epochs=2, checkpoint_seconds=1e-9)
    _, straight, expected = fit("dnn", data, tmp_path / "straight.pt", config)
    with pytest.raises(PowerOff):
        fit("dnn", data, tmp_path / "x.pt", config, progress=OffAt(7))
    _, resumed, scores = fit("dnn", data, tmp_path / "x.pt", config)
    assert scores == expected and without_seconds(resumed) == without_seconds(straight)
    assert scores != fit("dnn", data, tmp_path / "other.pt", dataclasses.replace(config, table_optimizer="adamw"))[2]


def steps(model: nn.Linear, optimizer: Optimizer, count: int) -> None:
    """Steps by gradients that lie where the first ones lay, as those of recorded steps do."""
    for step in range(count):
        for parameter in model.parameters():
            if parameter.grad is not None:
                parameter.grad.zero_()
        (model(torch.arange(4.0)) - step).square().sum().backward()
        optimizer.step(None, share=1 / (1 + step))


def test_recorded_steps_are_steps_and_go_on_from_a_checkpoint_of_either_kind() -> None:
    """What is recorded reads its rate from memory, and is recorded once; weights and clipping are those of usual steps."""
    recorded = 0

    def record(work: Callable[[], None], tried: bool = False) -> Callable[[], None]:
        nonlocal recorded
        assert tried, "recording may not step twice"
        recorded += 1
        return work

    results = []
    for first, second in ((None, None), (record, record), (record, None), (None, record)):
        torch.manual_seed(0)
        model, recorded = nn.Linear(4, 2), 0
        config = TrainConfig(clip_norm=0.5, weight_decay=0.1)
        optimizer = Optimizer(model, config, torch.device("cpu"), record=first)
        steps(model, optimizer, 5)
        again = Optimizer(model, config, torch.device("cpu"), record=second)
        again.load_state_dict(copy.deepcopy(optimizer.state_dict()))
        steps(model, again, 5)
        assert recorded == (first is not None) + (second is not None)
        results.append(model.weight.detach().clone())
    for found in results[1:]:
        torch.testing.assert_close(found, results[0], rtol=1e-6, atol=1e-7)


def test_gradients_elsewhere_are_recorded_anew() -> None:
    """One that comes late, or lies somewhere else: nothing moves by what lies at old places."""
    model, recorded = nn.Linear(4, 2), []
    optimizer = Optimizer(
        model, TrainConfig(), torch.device("cpu"), record=lambda work, tried=False: recorded.append(work) or work
    )
    steps(model, optimizer, 3)
    weight = model.weight.detach().clone()
    old, model.weight.grad = model.weight.grad, torch.ones_like(model.weight)
    optimizer.step(None)
    assert len(recorded) == 1 and old is not model.weight.grad and not torch.equal(model.weight, weight)
    optimizer.step(None)
    assert len(recorded) == 2
