"""Every unified ranker with every switch: empty pasts, all that a past event carries, half precision, 64 rows by heart."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from rankbench.bench import registry
from rankbench.bench.config import DataConfig
from rankbench.bench.contract import DataSpec, PointwiseBatch, Ranker, SequenceBatch
from rankbench.bench.data.batches import SequenceBatches
from rankbench.bench.data.dataset import RankingData
from support.logs import make_data

CONFIGS: dict[str, list[dict[str, Any]]] = {
    "rankmixer": [{}, {"experts": 3}, {"block": "large", "layers": 3}, {"block": "large", "experts": 4}, {"tokens": 1}],
    "din-rankmixer": [{}, {"attention_softmax": True}],
    "hyformer": [{}, {"sequence": "full"}, {"sequence": "longer", "recent": 3}, {"apart": True}],
    "din-hyformer": [{}],
    "interformer": [{}, {"interaction": "dot"}, {"interaction": "cross"}],
    "longer": [{}, {"inner": False}, {"merge": 1, "recent": 2}],
}
CASES = [pytest.param(name, config, id=f"{name}-{at}") for name, configs in CONFIGS.items() for at, config in enumerate(configs)]
ONETRANS: list[dict[str, Any]] = [{}, {"own_weights": False, "layers": 3}, {"pyramid": False, "tokens": 1}]
MakeSpec = Callable[..., DataSpec]
MakeBatch = Callable[..., PointwiseBatch]


def build(name: str, config: dict[str, Any], spec: DataSpec) -> Ranker:
    torch.manual_seed(0)
    info = registry.info(name)
    return info.build(info.config(**config), spec)


def loss_of(model: Ranker, batch: PointwiseBatch | SequenceBatch) -> Tensor:
    """What the trainer descends."""
    loss = F.binary_cross_entropy_with_logits(model(batch).float(), batch.label)
    auxiliary = model.auxiliary_loss()
    return loss if auxiliary is None else loss + auxiliary


def learn(model: Ranker, batch: PointwiseBatch | SequenceBatch, steps: int, lr: float = 0.01) -> Ranker:
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr, weight_decay=0.0)
    for _ in range(steps):
        optimizer.zero_grad()
        loss_of(model.train(), batch).backward()
        optimizer.step()
    return model.eval()


def test_every_unified_ranker_is_here() -> None:
    of_family = {name for name, entry in registry.MODELS.items() if entry.family == "unified"}
    assert of_family == {*CONFIGS, "onetrans"}


@pytest.mark.parametrize(("name", "config"), CASES)
def test_a_batch_without_any_past(name: str, config: dict[str, Any], make_spec: MakeSpec, make_batch: MakeBatch) -> None:
    spec = make_spec()
    batch = make_batch(spec, n=3, longest=0)
    assert not len(batch.history.action)
    model = build(name, config, spec).train()
    loss_of(model, batch).backward()
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)
    assert model.eval()(batch).isfinite().all()


@pytest.mark.parametrize("name", CONFIGS)
def test_it_starts_near_the_base_rate(name: str, make_spec: MakeSpec, make_batch: MakeBatch) -> None:
    spec = make_spec()
    probability = build(name, {}, spec).eval()(make_batch(spec)).sigmoid().mean().item()
    assert probability == pytest.approx(spec.positive_rate, abs=0.15)


@pytest.mark.parametrize("part", ["item", "genres", "tab", "action", "label", "gap"])
@pytest.mark.parametrize("name", CONFIGS)
def test_every_part_of_the_past_counts(name: str, part: str, make_spec: MakeSpec, make_batch: MakeBatch) -> None:
    spec = make_spec()
    batch = make_batch(spec)
    model = build(name, {}, spec).eval()
    for parameter in model.parameters():  # fresh embeddings say next to nothing
        torch.nn.init.normal_(parameter, std=0.3)
    history = batch.history
    if part in ("action", "label", "gap"):
        values = getattr(history, part)
        moved = {"action": values % 5 + 1, "label": 1 - values, "gap": (values + 9) % 72}[part]
        other = dataclasses.replace(batch, history=dataclasses.replace(history, **{part: moved}))
    else:
        ids = history.fields[part]
        moved = ids % 4 + 1 if isinstance(ids, Tensor) else ids._replace(values=ids.values % 4 + 1)
        other = dataclasses.replace(batch, history=dataclasses.replace(history, fields={**history.fields, part: moved}))
    with torch.inference_mode():
        assert not torch.allclose(model(batch), model(other), atol=1e-5)


@pytest.mark.long
@pytest.mark.parametrize(("name", "config"), CASES)
def test_64_rows_can_be_learnt_by_heart(name: str, config: dict[str, Any], make_spec: MakeSpec, make_batch: MakeBatch) -> None:
    spec = make_spec()
    batch = make_batch(spec, n=64, seed=1)
    model = learn(build(name, {"dropout": 0.0, **config}, spec), batch, 120, lr=0.005)
    assert F.binary_cross_entropy_with_logits(model(batch), batch.label) < 0.05


@pytest.mark.long
@pytest.mark.parametrize(("name", "config"), CASES)
def test_mixed_precision(name: str, config: dict[str, Any], make_spec: MakeSpec, make_batch: MakeBatch) -> None:
    spec = make_spec()
    batch = make_batch(spec)
    model = learn(build(name, config, spec), batch, 3)
    expected = model(batch)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss_of(model, batch).backward()
        with torch.inference_mode():
            found = model(batch).float()
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)
    # Where two gates of a routed expert are almost equal, rounding takes the other one, in a row or two.
    close = (found - expected).abs() <= 0.05
    assert close.all() if config.get("experts", 1) == 1 else close.float().mean() >= 0.9


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> RankingData:
    return make_data(tmp_path_factory.mktemp("log") / "tiny", DataConfig("tiny", history_length=6), users=40, longest=40)


def packed(data: RankingData) -> SequenceBatch:
    """64 examples of packed segments."""
    batches = SequenceBatches(data, "train", 200)
    batch = next(b for plan in batches.plans(None) if len(b := batches.assemble(plan, None)) >= 64)
    assert isinstance(batch, SequenceBatch)
    return dataclasses.replace(batch, target=batch.target[:64], example=batch.example[:64], label=batch.label[:64])


@pytest.mark.parametrize("config", ONETRANS, ids=str)
def test_onetrans_takes_a_batch_in_which_nothing_is_seen(config: dict[str, Any], data: RankingData) -> None:
    batch = packed(data)
    first = (batch.hi == batch.lo)[batch.target]
    alone = dataclasses.replace(
        batch,
        target=batch.target[first],
        example=batch.example[first],
        label=batch.label[first],
        observed=torch.zeros_like(batch.observed),
    )
    assert len(alone)
    model = build("onetrans", config, data.spec).train()
    loss_of(model, alone).backward()
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)
    assert model.eval()(alone).isfinite().all()


@pytest.mark.long
@pytest.mark.parametrize("config", ONETRANS, ids=str)
def test_onetrans_learns_64_rows_by_heart(config: dict[str, Any], data: RankingData) -> None:
    batch = packed(data)
    model = learn(build("onetrans", {"dropout": 0.0, "embedding_dim": 32, **config}, data.spec), batch, 200, lr=0.005)
    # Events of one request may be alike in all but their label.
    assert F.binary_cross_entropy_with_logits(model(batch), batch.label) < 0.1


@pytest.mark.long
def test_onetrans_in_mixed_precision(data: RankingData) -> None:
    batch = packed(data)
    model = learn(build("onetrans", {}, data.spec), batch, 3)
    expected = model(batch)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss_of(model, batch).backward()
        with torch.inference_mode():
            found = model(batch).float()
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)
    assert torch.allclose(found, expected, atol=0.05)
