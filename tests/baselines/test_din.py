"""DIN against a literal reading of the paper: one example, one past event, one number at a time, in float64."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from rankbench.baselines._inputs import example_of_event, select_events
from rankbench.baselines._layers import Dice
from rankbench.baselines.din import DIN, Config, segment_softmax
from rankbench.bench.contract import DataSpec, Ids, PointwiseBatch
from rankbench.kernels.layers.embedding import FieldEmbeddings

CONFIGS: list[dict[str, Any]] = [
    {"attention_hidden": (6, 4), "hidden": (5, 3)},
    {"attention_hidden": (6,), "hidden": (5,), "attention_softmax": True, "attention_activation": "prelu", "activation": "relu"},
]


def weight(embeddings: FieldEmbeddings, name: str) -> Tensor:
    table = embeddings.tables[embeddings.index[name]].weight
    assert isinstance(table, Tensor)
    return table


def activated(module: nn.Module, x: Tensor) -> Tensor:
    if not isinstance(module, Dice):
        return module(x)
    p = torch.sigmoid((x - module.running_mean) / torch.sqrt(module.running_var + module.eps))
    return p * x + (1 - p) * module.alpha * x


def network(layers: nn.Sequential, x: Tensor) -> Tensor:
    """[linear, activation, dropout] * n, in evaluation mode, on one row."""
    for linear, activation in zip(list(layers)[::3], list(layers)[1::3], strict=True):
        x = activated(activation, linear(x).unsqueeze(0)).squeeze(0)
    return x


def vector(model: DIN, name: str, ids: Ids, row: int) -> Tensor:
    table = weight(model.inputs.embeddings, name)
    values = ids[row : row + 1] if isinstance(ids, Tensor) else ids.values[ids.offsets[row] : ids.offsets[row + 1]]
    return table[values].sum(0) / max(len(values), 1)


def weight_of(model: DIN, query: Tensor, key: Tensor) -> Tensor:
    """The activation unit with one weight matrix over [q; k; q - k; q * k], where q - k and q * k are taken on q's columns.

    Any such matrix is one over [q; k; q * k]: here W_q = A + D, W_k = B - D, with D chosen at random.
    """
    unit, size = model.unit, len(query)
    difference = torch.randn(unit.query.out_features, size, dtype=torch.float64)
    of_query = unit.query.weight - difference
    of_key = unit.event.weight[:, : len(key)].clone()
    of_key[:, :size] += difference
    of_product = unit.event.weight[:, len(key) :]
    matrix = torch.cat([of_query, of_key, difference, of_product], dim=1)
    joint = torch.cat([query, key, query - key[:size], query * key[:size]])
    first = activated(unit.activation, (matrix @ joint + unit.query.bias).unsqueeze(0)).squeeze(0)
    return unit.out(network(unit.rest, first)).squeeze()


def literal(model: DIN, batch: PointwiseBatch, softmax: bool) -> Tensor:
    past, outcome = (
        batch.history,
        {name: weight(model.inputs.outcomes.tables, name) for name in model.inputs.outcomes.tables.index},
    )
    logits = []
    for row in range(len(batch)):
        example = {name: vector(model, name, batch.fields[name], row) for (name,) in model.inputs.example_slots}
        query = torch.cat([example[name] for (name,) in model.inputs.event_slots])
        keys, weights = [], []
        for event in range(int(past.offsets[row]), int(past.offsets[row + 1])):
            parts = [vector(model, name, past.fields[name], event) for (name,) in model.inputs.event_slots]
            parts.append(outcome["action"][past.action[event]] + outcome["label"][2 + int(past.label[event])])
            if past.gap is not None:
                parts.append(outcome["gap"][past.gap[event]])
            keys.append(torch.cat(parts))
            weights.append(weight_of(model, query, keys[-1]))
        if softmax and weights:
            total = sum(math.exp(w.item()) for w in weights)
            weights = [w.exp() / total for w in weights]
        interest = torch.zeros(model.unit.event.in_features - len(query), dtype=torch.float64)
        for w, key in zip(weights, keys, strict=True):
            interest = interest + w * key
        logits.append(model.out(network(model.mlp, torch.cat([*example.values(), interest]))).squeeze())
    return torch.stack(logits)


@pytest.mark.parametrize("time", ["none", "request"])
@pytest.mark.parametrize("options", CONFIGS)
def test_equals_the_paper_read_literally(
    options: dict[str, Any], time: str, make_spec: Callable[..., DataSpec], make_batch: Callable[..., PointwiseBatch]
) -> None:
    torch.manual_seed(0)
    spec = make_spec(time)
    model, batch = DIN(Config(user_id="embedding", embedding_dim=3, **options), spec).double(), make_batch(spec, n=12, seed=2)
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.4)
    for module in model.modules():
        if isinstance(module, Dice):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
    model.eval()
    logit = model(batch)
    assert logit.std() > 0.1, "the outputs must differ for the comparison to mean something"
    assert torch.allclose(logit, literal(model, batch, options.get("attention_softmax", False)), atol=1e-10)


def test_an_empty_past_adds_nothing(make_spec: Callable[..., DataSpec], make_batch: Callable[..., PointwiseBatch]) -> None:
    spec = make_spec()
    model, batch = DIN(Config(), spec).eval(), make_batch(spec)
    query = torch.randn(len(batch), model.unit.query.in_features)
    interest = model.interest(query, batch)
    empty = batch.history.offsets.diff() == 0
    assert empty.any() and torch.equal(interest[empty], torch.zeros_like(interest[empty]))
    assert (interest[~empty] != 0).any(dim=1).all()


def test_more_of_the_same_interest_weighs_more(
    make_spec: Callable[..., DataSpec], make_batch: Callable[..., PointwiseBatch], rows_of: Callable[..., PointwiseBatch]
) -> None:
    """Without softmax the intensity of an interest is kept (paper, section 4.3); with it, it is not."""
    spec = make_spec()
    model, batch = DIN(Config(), spec).eval(), make_batch(spec)
    row = int((batch.history.offsets.diff() == 1).nonzero()[0])
    one = rows_of(batch, [row])
    two = rows_of(batch, [row, row])
    doubled = replace(one, history=replace(two.history, offsets=torch.tensor([0, 2])))
    query = torch.randn(1, model.unit.query.in_features)
    assert torch.allclose(model.interest(query, doubled), 2 * model.interest(query, one), atol=1e-6)
    model.softmax = True
    assert torch.allclose(model.interest(query, doubled), model.interest(query, one), atol=1e-6)


def test_events_of_each_outcome_are_pooled_apart(
    make_spec: Callable[..., DataSpec], make_batch: Callable[..., PointwiseBatch]
) -> None:
    """The two halves are what DIN makes of the events of one label alone."""
    spec, batch = make_spec(), make_batch(make_spec())
    for softmax in (False, True):
        model = DIN(Config(negative_history=True, attention_softmax=softmax), spec).eval()
        query = torch.randn(len(batch), model.unit.query.in_features)
        halves = model.interest(query, batch).chunk(2, dim=1)
        model.pools = 1
        for label, half in enumerate(halves):
            past = select_events(batch.history, batch.history.label == label)
            alone = model.interest(query, replace(batch, history=past))
            assert torch.allclose(half, alone, atol=1e-6) and half.abs().sum() > 0


def test_segment_softmax(make_spec: Callable[..., DataSpec], make_batch: Callable[..., PointwiseBatch]) -> None:
    batch = make_batch(make_spec())
    row = example_of_event(batch.history)
    score = torch.randn(len(row), dtype=torch.float64) * 500
    weight = segment_softmax(score, row, len(batch))
    for example in range(len(batch)):
        own = row == example
        assert torch.allclose(weight[own], torch.softmax(score[own], 0), atol=1e-12)
