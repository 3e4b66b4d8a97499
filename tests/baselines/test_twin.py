"""TWIN's search and attention against loops over examples, heads and events."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn

from rankbench.baselines._inputs import example_of_event
from rankbench.baselines.twin import Config, SearchedAttention, build
from rankbench.bench.contract import DataSpec, PointwiseBatch
from rankbench.kernels.target_attention import Events

DIM, SIZE = 3, 4


def literal(module: SearchedAttention, query: Tensor, key: Tensor, crossed: Tensor) -> Tensor:
    """Of one example: query [Q], its events' keys [e, Q] and cross features [e, J, DIM]."""
    heads = []
    for head in range(module.heads):
        rows = slice(head * SIZE, (head + 1) * SIZE)
        q, total = module.query.weight[rows] @ query, torch.zeros(SIZE, dtype=torch.float64)
        score = []
        for event in range(len(key)):
            bias = sum(module.beta[j, head] * (module.compress[j] * crossed[event, j]).sum() for j in range(crossed.shape[1]))
            score.append((q * (module.key.weight[rows] @ key[event])).sum() / math.sqrt(SIZE) + bias)
        found = sorted(range(len(key)), key=lambda event: -score[event].item())[: module.top]
        power = {event: torch.exp(score[event]) for event in found}
        for event in found:
            vector = torch.cat([key[event], *crossed[event]])
            total = total + power[event] / sum(power.values()) * (module.value.weight[rows] @ vector)
        heads.append(total)
    return module.out.weight @ torch.cat(heads)


@pytest.mark.parametrize("top", [2, 50])
def test_search_and_attention_are_their_equations(
    top: int, make_spec: Callable[..., DataSpec], make_batch: Callable[..., PointwiseBatch]
) -> None:
    spec = make_spec()
    torch.manual_seed(1)
    model = build(Config(embedding_dim=DIM, heads=2, head_size=SIZE, top=top), spec).double()
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.5)
    batch = make_batch(spec, n=20)
    tables = [table.weight.requires_grad_() for table in model.inputs.outcomes.tables.tables]
    events, row = model.inputs.events(batch.history), example_of_event(batch.history)
    key = torch.randn_like(events.key, requires_grad=True)
    query = torch.randn(20, key.shape[1], dtype=torch.float64, requires_grad=True)
    events = Events(key, events.slots)
    found = model.interest(query, events, row)
    crossed = events.whole()[:, key.shape[1] :].unflatten(1, (-1, DIM))
    assert crossed.shape[1] == len(model.interest.compress) == 2, "outcome and gap"
    spans = list(pairwise(batch.history.offsets.tolist()))
    assert any(begin == end for begin, end in spans) and max(end - begin for begin, end in spans) > 2
    expected = torch.stack(
        [literal(model.interest, query[r], key[begin:end], crossed[begin:end]) for r, (begin, end) in enumerate(spans)]
    )
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)
    weight, learned = torch.randn_like(found), [key, query, *tables, *model.interest.parameters()]
    slopes = [torch.autograd.grad((out * weight).sum(), learned, retain_graph=True) for out in (found, expected)]
    for one, two in zip(*slopes, strict=True):
        torch.testing.assert_close(one, two, rtol=1e-8, atol=1e-10)


def test_the_search_keeps_what_weighs_most(make_spec: Callable[..., DataSpec], make_batch: Callable[..., PointwiseBatch]) -> None:
    """For each head by itself, and no more than there is."""
    spec = make_spec()
    model, batch = build(Config(top=3), spec), make_batch(spec, n=60)
    row = example_of_event(batch.history)
    score = torch.randint(0, 4, (len(row), 2)).float()  # with ties
    found = model.interest.found(score, row)
    for begin, end in pairwise(batch.history.offsets.tolist()):
        for head in range(2):
            kept = found[begin:end, head].nonzero().squeeze(1).tolist()
            assert kept == sorted(sorted(range(end - begin), key=lambda at: -float(score[begin + at, head]))[:3])
