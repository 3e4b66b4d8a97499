"""A padded batch has the scores, losses and gradients of the batch that it fills up, and one of a few shapes."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rankbench.baselines._layers import Dice
from rankbench.bench import registry
from rankbench.bench.config import DataConfig, TrainConfig
from rankbench.bench.contract import Jagged, PointwiseBatch, SequenceBatch
from rankbench.bench.data.batches import make_batches
from rankbench.bench.data.dataset import RankingData
from rankbench.bench.data.padding import ROWS, STEPS, padded, rung, shape_of
from rankbench.bench.training.gradients import Gradients
from support.logs import make_data

CPU = torch.device("cpu")
TAKE_PADDING = [
    name if name in ("hstu", "llama", "din") else pytest.param(name, marks=pytest.mark.long)
    for name in registry.MODELS
    if registry.info(name).takes_padding
]
QUIET = {"dropout": 0.0, "input_dropout": 0.0, "stochastic_depth": 0.0}
"""Settings by which nothing is drawn."""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> RankingData:
    config = DataConfig("tiny", history_length=6, request_window=600)
    return make_data(tmp_path_factory.mktemp("log") / "tiny", config, users=30, longest=60)


def rows_of(data: RankingData) -> PointwiseBatch:
    batches = make_batches(data, "pointwise", "train", 100, 0)
    batch = batches.assemble(batches.plans(0)[0], np.random.default_rng(0))
    assert isinstance(batch, PointwiseBatch)
    return batch


def batch_of(data: RankingData, epoch: int = 0, at: int = 0) -> SequenceBatch:
    batches = make_batches(data, "sequence", "train", 0, 300)
    batch = batches.assemble(batches.plans(epoch)[at], np.random.default_rng(0))
    assert isinstance(batch, SequenceBatch)
    return batch


def test_numbers_are_rounded_up_by_a_quarter_at_most() -> None:
    for count in range(5000):
        assert count <= rung(count) <= max(count + 15, count * 1.25, 16) and rung(rung(count)) == rung(count)
    assert len({rung(count) for count in range(1024, 2048)}) <= 5


def test_what_fills_up_stands_apart(data: RankingData) -> None:
    batch = batch_of(data)
    full = padded(batch)
    events, shape = len(batch.lo), shape_of(batch, int(batch.observed.sum()))
    assert (len(full.lo), len(full.example), len(full.offsets) - 1) == (shape.events, shape.examples, shape.segments)
    assert len(full) == len(batch) == int(full.weight.sum()) and full.seen_at is not None  # type: ignore[union-attr]
    assert torch.equal(full.seen_at, full.observed.nonzero().squeeze(1)) and len(full.seen_at) == shape.observed
    assert (full.lo[events:] == full.hi[events:]).all() and (full.hi[:events] <= events).all()
    assert (full.target[len(batch) :] >= events).all() and int(full.offsets[-1]) == shape.events
    for name, ids in full.fields.items():
        own = batch.fields[name]
        if isinstance(ids, Jagged):
            assert isinstance(own, Jagged) and int(ids.offsets[-1]) == len(ids.values) == rung(len(own.values))
            assert len(ids.offsets) == shape.events + 1
        else:
            assert torch.equal(ids[:events], own) and not ids[events:].any()  # type: ignore[arg-type]


def test_an_epoch_has_few_shapes(data: RankingData) -> None:
    batches = make_batches(data, "sequence", "train", 0, 300)
    plans = [plan for epoch in range(4) for plan in batches.plans(epoch)]
    shapes = {shape_of(batch, int(batch.observed.sum())) for batch in (batches.assemble(plan, None) for plan in plans)}  # type: ignore
    assert len(shapes) < len(plans)


def test_spare_events_are_shared_by_rows_that_fill_up(data: RankingData) -> None:
    batch = rows_of(data)
    full, events = padded(batch), len(batch.history.action)
    assert full.weight is not None and len(full) == len(batch) == int(full.weight.sum()) and not len(full.example) % ROWS
    assert torch.equal(full.history.offsets[: len(batch) + 1], batch.history.offsets)
    spare = full.history.offsets.diff()[len(batch) :]
    assert int(spare.sum()) == rung(events + 1, STEPS) - events > 0 and int(spare.max()) <= -(-events // len(batch))
    for own, longer, rows in (
        (batch.fields, full.fields, len(full.example)),
        (batch.history.fields, full.history.fields, len(full.history.action)),
    ):
        for name, ids in longer.items():
            before = own[name]
            if isinstance(ids, Jagged):
                assert isinstance(before, Jagged) and int(ids.offsets[-1]) == len(ids.values) == rung(len(before.values))
                assert len(ids.offsets) == rows + 1
            else:
                assert isinstance(before, torch.Tensor) and len(ids) == rows
                assert torch.equal(ids[: len(before)], before) and not ids[len(before) :].any()


@pytest.mark.parametrize("name", TAKE_PADDING)
def test_losses_and_gradients_are_those_of_the_batch_itself(name: str, data: RankingData) -> None:
    _same_gradients(name, data)


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("din", {"attention_activation": "dice"}),
        ("din", {"attention_softmax": True, "negative_history": True}),
        ("rankmixer", {"block": "large", "layers": 3}),
    ],
    ids=["dice", "softmax", "inner-losses"],
)
def test_padding_has_no_part_in_statistics_weights_and_further_losses(
    name: str, settings: dict[str, Any], data: RankingData
) -> None:
    _same_gradients(name, data, **settings)


@pytest.mark.parametrize("real", [0, 1, 2])
def test_statistics_of_few_rows_are_those_without_padding(real: int) -> None:
    """One row has no variance, none has no mean: moving averages stand in for them, and stay."""
    torch.manual_seed(0)
    x, weight = torch.randn(6, 4, requires_grad=True), (torch.arange(6) < real).float()
    plain, filled = Dice(4), Dice(4)
    found = filled(x, weight)[:real]
    torch.testing.assert_close(found, plain(x[:real]))
    for one, two in zip(plain.buffers(), filled.buffers(), strict=True):
        torch.testing.assert_close(one, two)
    found.sum().backward()
    assert x.grad is not None and x.grad.isfinite().all()


def test_statistics_over_a_part_of_the_rows_keep_the_precision_of_the_rows(data: RankingData) -> None:
    model, batch = registry.info("din").build(registry.info("din").config(attention_activation="dice"), data.spec), rows_of(data)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        one, two = model(padded(batch)), model(batch)
    torch.testing.assert_close(one[: len(batch)].float(), two.float(), rtol=0.05, atol=0.05)


def _same_gradients(name: str, data: RankingData, **settings: Any) -> None:
    """Loss, gradients and moving statistics of a batch and of the same filled up."""
    info, results = registry.info(name), []
    known = {field.name for field in dataclasses.fields(info.config)}
    settings |= {key: value for key, value in QUIET.items() if key in known}
    batch = batch_of(data) if info.view == "sequence" else rows_of(data)
    for one in (batch, padded(batch)):
        torch.manual_seed(0)
        model = info.build(info.config(**settings), data.spec)
        gradients = Gradients(model, TrainConfig(), CPU, None, model.zero_grad)
        loss = gradients(one, None)
        results.append([loss.detach(), *(parameter.grad for parameter in model.parameters()), *model.buffers()])
    for plain, full in zip(*results, strict=True):
        assert (plain is None) == (full is None)
        if plain is not None:
            torch.testing.assert_close(full, plain, rtol=2e-4, atol=1e-6)


@pytest.mark.parametrize("name", ["hstu", "din"])
def test_scores_are_those_of_the_batch_itself(name: str, data: RankingData) -> None:
    info, batch = registry.info(name), batch_of(data) if name == "hstu" else rows_of(data)
    model = info.build(info.config(), data.spec).eval()
    with torch.inference_mode():
        torch.testing.assert_close(model(padded(batch))[: len(batch)], model(batch), rtol=1e-5, atol=1e-6)


def test_a_batch_without_room_for_what_is_observed_gets_more_events(tmp_path: Path) -> None:
    """What fills the observed events up must fit into the events that fill up."""
    data = make_data(tmp_path / "log", DataConfig("tiny", history_length=3), users=9, longest=30)
    batches = make_batches(data, "sequence", "train", 0, 20)
    for plan in batches.plans(0):
        batch = batches.assemble(plan, None)
        assert isinstance(batch, SequenceBatch)
        full, observed = padded(batch), int(batch.observed.sum())
        assert int(full.observed.sum()) == rung(observed) and len(full.lo) > len(batch.lo)
