"""SDIM's hashed interest against loops, and its signatures against what they promise."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
from torch import Tensor

from rankbench.baselines._inputs import example_of_event
from rankbench.baselines.sdim import Config, HashedInterest, build
from rankbench.bench.contract import DataSpec, PointwiseBatch
from rankbench.kernels.target_attention import Events


def literal(module: HashedInterest, query: Tensor, key: Tensor, vector: Tensor) -> Tensor:
    """Of one example and its events."""
    total = torch.zeros(vector.shape[1], dtype=torch.float64)
    for signature in range(module.signatures):
        planes = module.rotations[:, signature * module.bits : (signature + 1) * module.bits].T
        agreeing = [
            event
            for event in range(len(key))
            if all(bool((plane * query).sum() > 0) == bool((plane * key[event]).sum() > 0) for plane in planes)
        ]
        if agreeing:
            gathered = torch.stack([vector[event] for event in agreeing]).sum(0)
            total = total + (gathered / torch.sqrt((gathered * gathered).sum() + 1e-12) if module.unit_length else gathered)
    return total / module.signatures


@pytest.mark.parametrize("unit_length", [True, False])
def test_the_hashed_interest_is_its_equations(
    unit_length: bool, make_spec: Callable[..., DataSpec], make_batch: Callable[..., PointwiseBatch]
) -> None:
    """With gradients of candidates, keys and the tables of outcomes."""
    spec = make_spec()
    torch.manual_seed(2)
    model = build(Config(embedding_dim=3, signatures=5, bits=2, unit_length=unit_length), spec).double()
    batch = make_batch(spec, n=20)
    tables = [table.weight.requires_grad_() for table in model.inputs.outcomes.tables.tables]
    events, row = model.inputs.events(batch.history), example_of_event(batch.history)
    key = torch.randn_like(events.key, requires_grad=True)
    query = torch.randn(20, key.shape[1], dtype=torch.float64)
    events = Events(key, events.slots)
    found, vectors = model.interest(query, events, row), events.whole()
    spans = list(pairwise(batch.history.offsets.tolist()))
    expected = torch.stack(
        [literal(model.interest, query[r], key[begin:end], vectors[begin:end]) for r, (begin, end) in enumerate(spans)]
    )
    assert any(begin == end for begin, end in spans) and (expected != 0).any()
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)
    weight = torch.randn_like(found)
    for one, two in zip(
        torch.autograd.grad((found * weight).sum(), [key, *tables], retain_graph=True),
        torch.autograd.grad((expected * weight).sum(), [key, *tables]),
        strict=True,
    ):
        torch.testing.assert_close(one, two, rtol=1e-9, atol=1e-9)


def test_nearer_events_agree_as_often_as_the_paper_says() -> None:
    """(1 - angle / pi)^bits, within four standard errors of 4,000 signatures."""
    torch.manual_seed(0)
    module = HashedInterest(2, signatures=4000, bits=3, unit_length=False)
    query = torch.tensor([[1.0, 0.0]])
    for angle in (0.0, 0.3, 1.0, 2.0, 3.0):
        event = torch.tensor([[math.cos(angle), math.sin(angle)]])
        share = module(query, Events(event), torch.zeros(1, dtype=torch.long))[0] / event[0]
        promised = (1 - angle / math.pi) ** 3
        assert abs(float(share[0]) - promised) <= 4 * math.sqrt(promised * (1 - promised) / 4000) + 1e-5


def test_signs_are_those_of_whole_precision_under_autocast() -> None:
    module, x = HashedInterest(8, signatures=16, bits=3, unit_length=True), torch.randn(500, 8)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(module.signs(x), ((x.double() @ module.rotations.double()) > 0).unflatten(1, (16, 3)))
