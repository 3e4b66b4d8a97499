"""What every classical ranker that is trained by gradients must do."""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.nn import functional as F

from rankbench.bench.contract import DataSpec, ModelInfo, PointwiseBatch, Ranker, TimeInformation, to_device

CONFIGS: dict[str, list[dict[str, Any]]] = {
    "lr": [{}],
    "fm": [{}],
    "dnn": [{}, {"activation": "dice"}, {"hidden": ()}],
    "deepfm": [{}],
    "dcnv2": [{}, {"cross_layers": 1}],
    "widedeep": [{}],
    "xdeepfm": [{}, {"cross_layers": (6,)}],
    "autoint": [{}],
    "fibinet": [{}, {"bilinear": "all"}, {"bilinear": "interaction"}],
    "gdcn": [{}, {"stacked": False}],
    "finalmlp": [{}, {"heads": 1}],
    "wukong": [{}, {"layers": 3, "vectors": 5}],
    "dien": [{}, {"auxiliary": 0.0}],
    "bst": [{}, {"blocks": 2, "activation": "dice"}],
    "transact": [{"window_hours": 0.0}, {"early_fusion": False, "columns": 2, "cross_layers": 1}],
    "sim": [{}, {"attention_softmax": True, "top": 2, "recent": 1}],
    "sdim": [{}, {"unit_length": False, "signatures": 3, "bits": 1, "attention_softmax": True}],
    "ple": [{}, {"tasks": "labels", "levels": 1}],
    "star": [{}, {"item_fields": "sum", "user_fields": "sum"}],
    "pepnet": [{}],
    "din": [
        {},
        {"negative_history": True},
        {"item_fields": "sum", "user_fields": "sum"},
        {"attention_softmax": True, "attention_activation": "prelu"},
        {"attention_hidden": (8,), "attention_activation": "sigmoid", "activation": "relu"},
    ],
}
CASES = [pytest.param(name, config, id=f"{name}-{at}") for name, configs in CONFIGS.items() for at, config in enumerate(configs)]
MakeSpec = Callable[..., DataSpec]
MakeBatch = Callable[..., PointwiseBatch]


def card(name: str) -> ModelInfo:
    return importlib.import_module(f"rankbench.baselines.{name}").INFO


def build(name: str, config: dict[str, Any], spec: DataSpec, seed: int = 0) -> Ranker:
    torch.manual_seed(seed)
    info = card(name)
    return info.build(info.config(**config), spec)


def loss_of(model: Ranker, batch: PointwiseBatch) -> torch.Tensor:
    """What the trainer descends."""
    loss = F.binary_cross_entropy_with_logits(model(batch), batch.label)
    auxiliary = model.auxiliary_loss()
    return loss if auxiliary is None else loss + auxiliary


def learn(model: Ranker, batch: PointwiseBatch, steps: int, lr: float = 0.01) -> Ranker:
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr, weight_decay=0.0)
    for _ in range(steps):
        optimizer.zero_grad()
        loss_of(model.train(), batch).backward()
        optimizer.step()
    return model.eval()


@pytest.mark.parametrize("time", ["none", "history", "request"])
@pytest.mark.parametrize(("name", "config"), CASES)
def test_logits_and_gradients(
    name: str, config: dict[str, Any], time: TimeInformation, make_spec: MakeSpec, make_batch: MakeBatch
) -> None:
    spec = make_spec(time)
    model, batch = build(name, config, spec), make_batch(spec)
    logit = model(batch)
    assert logit.shape == (64,) and logit.dtype == torch.float32
    loss_of(model, batch).backward()
    for parameter_name, parameter in model.named_parameters():
        assert parameter.grad is not None, f"{parameter_name} takes no part in the score"
        assert torch.isfinite(parameter.grad).all(), parameter_name


@pytest.mark.long
@pytest.mark.parametrize(("name", "config"), CASES)
def test_fits_a_few_rows(name: str, config: dict[str, Any], make_spec: MakeSpec, make_batch: MakeBatch) -> None:
    spec = make_spec()
    batch = make_batch(spec, n=64, seed=1)
    # A linear model has as many weights as it needs here, but has to take longer steps.
    model = build(name, config, spec)
    learn(model, batch, 80, lr=0.5) if name == "lr" else learn(model, batch, 160, lr=0.01)
    assert loss_of(model, batch) < 0.05


@pytest.mark.parametrize(("name", "config"), CASES)
def test_starts_at_the_base_rate(name: str, config: dict[str, Any], make_spec: MakeSpec, make_batch: MakeBatch) -> None:
    spec = make_spec()
    probability = build(name, config, spec).eval()(make_batch(spec)).sigmoid().mean().item()
    assert probability == pytest.approx(spec.positive_rate, abs=0.03)


@pytest.mark.parametrize(("name", "config"), CASES)
def test_a_score_does_not_depend_on_batch_mates(
    name: str, config: dict[str, Any], make_spec: MakeSpec, make_batch: MakeBatch, rows_of: Callable[..., PointwiseBatch]
) -> None:
    spec = make_spec()
    batch = make_batch(spec)
    model = learn(build(name, config, spec), batch, 3)
    with torch.inference_mode():
        together = model(batch)
        for rows in ([5], [63, 0], [7, 7, 9]):
            assert torch.allclose(model(rows_of(batch, rows)), together[rows], atol=1e-5)


@pytest.mark.parametrize(("name", "config"), CASES)
@pytest.mark.parametrize("n", [1, 5])
def test_a_batch_without_any_past(name: str, config: dict[str, Any], n: int, make_spec: MakeSpec, make_batch: MakeBatch) -> None:
    spec = make_spec()
    batch = make_batch(spec, n=n, longest=0)
    assert len(batch.history.action) == 0
    model = build(name, config, spec).train()
    loss_of(model, batch).backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)
    assert all(torch.isfinite(value).all() for value in model.state_dict().values())
    assert torch.isfinite(model.eval()(batch)).all()


@pytest.mark.parametrize("name", [name for name in CONFIGS if name != "lr"])
def test_every_part_of_the_past_counts(name: str, make_spec: MakeSpec, make_batch: MakeBatch) -> None:
    spec = make_spec()
    batch = make_batch(spec)
    model = learn(build(name, {}, spec), batch, 10)
    history, usual = batch.history, model(batch)
    changed = {"action": history.action % 5 + 1, "label": 1 - history.label, "gap": (history.gap + 9) % 72}
    others = {part: dataclasses.replace(history, **{part: values}) for part, values in changed.items()}
    for part in ("item", "genres", "tab"):
        ids = history.fields[part]
        moved = ids % 4 + 1 if isinstance(ids, torch.Tensor) else ids._replace(values=ids.values % 4 + 1)
        others[part] = dataclasses.replace(history, fields={**history.fields, part: moved})
    for part, other in others.items():
        assert not torch.allclose(usual, model(dataclasses.replace(batch, history=other)), atol=1e-5), part


@pytest.mark.parametrize(("name", "config"), CASES)
def test_saved_weights_give_the_same_scores(
    name: str, config: dict[str, Any], make_spec: MakeSpec, make_batch: MakeBatch
) -> None:
    spec = make_spec()
    batch = make_batch(spec)
    model = learn(build(name, config, spec), batch, 3)
    fresh = build(name, config, spec, seed=1)
    fresh.load_state_dict(model.state_dict())
    assert torch.equal(fresh.eval()(batch), model(batch))


@pytest.mark.long
@pytest.mark.parametrize(("name", "config"), CASES)
def test_the_seed_decides_everything(name: str, config: dict[str, Any], make_spec: MakeSpec, make_batch: MakeBatch) -> None:
    spec = make_spec()
    batch = make_batch(spec)
    first, again = (learn(build(name, config, spec, seed=4), batch, 4) for _ in range(2))
    assert torch.equal(first(batch), again(batch))
    if name != "lr":
        assert not torch.equal(first(batch), learn(build(name, config, spec, seed=5), batch, 4)(batch))


SHAPED_BY_DATA = ("dien", "bst", "transact", "sim", "sdim")
"""Sizes of their tensors depend on the values of others, which a tensor without values does not have."""


@pytest.mark.parametrize(("name", "config"), [case for case in CASES if case.values[0] not in SHAPED_BY_DATA])
def test_moves_to_another_device_as_a_whole(
    name: str, config: dict[str, Any], make_spec: MakeSpec, make_batch: MakeBatch
) -> None:
    """The meta device stands in for an accelerator: a tensor left behind on the CPU would clash."""
    spec = make_spec()
    meta = torch.device("meta")
    model = build(name, config, spec).to(meta)
    logit = model(to_device(make_batch(spec), meta))
    assert logit.device == meta and logit.shape == (64,)


@pytest.mark.parametrize(("name", "config"), CASES)
def test_mixed_precision(name: str, config: dict[str, Any], make_spec: MakeSpec, make_batch: MakeBatch) -> None:
    spec = make_spec()
    batch = make_batch(spec)
    model = build(name, config, spec).eval()
    expected = model(batch)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = F.binary_cross_entropy_with_logits(model(batch).float(), batch.label)
    loss.backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)
    with torch.autocast("cpu", dtype=torch.bfloat16), torch.inference_mode():
        assert torch.allclose(model(batch).float(), expected, atol=0.02)
