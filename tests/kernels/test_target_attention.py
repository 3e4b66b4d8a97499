"""DIN's attention: the compiled loops against the equations, event by event in float64, forward and all gradients."""

from __future__ import annotations

from typing import NamedTuple

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from rankbench.kernels import dispatch
from rankbench.kernels.target_attention import Events, Layers, activation_unit, event_layer, weighted_sum

UNAVAILABLE = dispatch.find("activation_unit", "cpu").refusal(torch.device("cpu"), torch.float32)
compiled = pytest.mark.skipif(UNAVAILABLE is not None, reason=f"no compiled target attention: {UNAVAILABLE}")

VALUES, DIM = (3, 9), 4
"""Rows of the tables: two that share a slot and one of its own, D numbers each."""


class Inputs(NamedTuple):
    """What a unit reads; all but ids and offsets have gradients."""

    query: Tensor
    key: Tensor
    start: Tensor
    layers: Layers
    tables: list[Tensor]
    ids: list[Tensor]
    offsets: Tensor

    def events(self) -> Events:
        """Tables and ids in two slots, or none."""
        pairs = list(zip(self.tables, self.ids, strict=True))
        return Events(self.key, [pairs[:2], pairs[2:]] if pairs else [])

    def weights(self) -> Tensor:
        return activation_unit(self.query, self.events(), self.offsets, self.start, self.layers)

    def leaves(self) -> list[Tensor]:
        weights = [tensor for tensor in self.layers if tensor is not None]
        return [self.query, self.key, self.start, *weights, *self.tables]

    def doubled(self) -> Inputs:
        def copy(tensor: Tensor) -> Tensor:
            return tensor.detach().double().requires_grad_()

        layers = Layers(*(None if one is None else copy(one) for one in self.layers))  # type: ignore[arg-type]
        query, key, start = map(copy, self[:3])
        return Inputs(query, key, start, layers, [copy(table) for table in self.tables], self.ids, self.offsets)


def inputs_of(lengths: list[int], size: int, tables: bool, hidden: tuple[int, ...], seed: int) -> Inputs:
    generator = torch.Generator().manual_seed(seed)

    def random(*shape: int) -> Tensor:
        return (torch.randn(shape, generator=generator) * 0.4).requires_grad_()

    first, *rest = hidden
    second = (random(rest[0], first), random(rest[0])) if rest else (None, None)
    sizes = (*VALUES, 5) if tables else ()
    layers = Layers(random(first, 2 * size + (2 * DIM if tables else 0)), *second, random(1, hidden[-1]), random(1))
    ids = [torch.randint(rows, (sum(lengths),), generator=generator) for rows in sizes]
    offsets = torch.tensor([0, *lengths]).cumsum(0)
    query, key, start = random(len(lengths), size), random(sum(lengths), size), random(len(lengths), first)
    return Inputs(query, key, start, layers, [random(rows, DIM) for rows in sizes], ids, offsets)


def literal(inputs: Inputs) -> Tensor:
    """Zhou et al. 2018, figure 2, one event at a time."""
    weights, layers = [], inputs.layers
    for r in range(len(inputs.query)):
        for t in range(int(inputs.offsets[r]), int(inputs.offsets[r + 1])):
            parts = [inputs.key[t]]
            if inputs.tables:
                one, two, three = (table[ids[t]] for table, ids in zip(inputs.tables, inputs.ids, strict=True))
                parts += [one + two, three]
            x = (layers.event @ torch.cat([*parts, inputs.query[r] * inputs.key[t]]) + inputs.start[r]).clamp(min=0)
            if layers.hidden is not None and layers.hidden_bias is not None:
                x = (layers.hidden @ x + layers.hidden_bias).clamp(min=0)
            weights.append((layers.out @ x + layers.out_bias)[0])
    return torch.stack(weights) if weights else inputs.key.new_zeros(0)


@compiled
@pytest.mark.parametrize("threads", [1, 2])
@given(
    lengths=st.lists(st.sampled_from([0, 1, 2, 7, 13]), min_size=1, max_size=6),
    size=st.sampled_from([3, 16, 20, 37]),
    tables=st.booleans(),
    hidden=st.sampled_from([(7,), (16, 16), (33, 17), (4, 3)]),
    seed=st.integers(0, 99),
)
def test_unit_against_its_equations(
    threads: int, lengths: list[int], size: int, tables: bool, hidden: tuple[int, ...], seed: int
) -> None:
    inputs = inputs_of(lengths, size, tables, hidden, seed)
    exact = inputs.doubled()
    torch.set_num_threads(threads)
    try:
        weights, expected = inputs.weights(), literal(exact)
        assert torch.allclose(weights.double(), expected, rtol=1e-5, atol=1e-5)
        if not len(weights):
            return
        grad = torch.randn(len(weights))
        got = torch.autograd.grad(weights, inputs.leaves(), grad, allow_unused=True)
        wanted = torch.autograd.grad(expected, exact.leaves(), grad.double(), allow_unused=True)
    finally:
        torch.set_num_threads(1)
    for one, two in zip(got, wanted, strict=True):
        assert one is not None
        assert torch.allclose(one.double(), torch.zeros_like(one).double() if two is None else two, rtol=1e-4, atol=1e-4)


@compiled
@pytest.mark.parametrize("hidden", [(9,), (16, 5)])
def test_long_pasts_pass_in_blocks(hidden: tuple[int, ...]) -> None:
    """More events than go through the layers together, beside torch's parts."""
    inputs = inputs_of([200, 0, 64, 65], 12, True, hidden, 3)
    exact = inputs.doubled()
    weights, expected = inputs.weights(), exact.weights()
    assert weights.dtype == torch.float32 and expected.dtype == torch.float64
    assert torch.allclose(weights.double(), expected, rtol=1e-5, atol=1e-5)
    got, wanted = (torch.autograd.grad(x.square().sum(), one.leaves()) for x, one in ((weights, inputs), (expected, exact)))
    for one, two in zip(got, wanted, strict=True):
        assert torch.allclose(one.double(), two, rtol=1e-4, atol=1e-3)


@compiled
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(("lengths", "size", "first"), [([70, 0, 3], 12, 9), ([1, 0, 0, 130], 16, 16), ([0, 0], 3, 4)])
@pytest.mark.parametrize("tables", [False, True])
def test_first_layer_alone(threads: int, lengths: list[int], size: int, first: int, tables: bool) -> None:
    inputs = inputs_of(lengths, size, tables, (first,), 7)
    exact = inputs.doubled()

    def values_and_gradients(one: Inputs) -> tuple[Tensor, ...]:
        out = event_layer(one.query, one.events(), one.offsets, one.start, one.layers.event)
        leaves = [one.query, one.key, one.start, one.layers.event, *one.tables]
        return (out, *torch.autograd.grad(out.square().sum(), leaves))

    torch.set_num_threads(threads)
    try:
        got, wanted = values_and_gradients(inputs), values_and_gradients(exact)
    finally:
        torch.set_num_threads(1)
    assert got[0].shape == (sum(lengths), first) and wanted[0].dtype == torch.float64
    for one, two in zip(got, wanted, strict=True):
        assert torch.allclose(one.double(), two, rtol=1e-4, atol=1e-4)


@compiled
def test_the_same_gradients_every_time() -> None:
    inputs = inputs_of([30] * 50, 12, True, (16, 8), 5)
    torch.set_num_threads(2)
    try:
        first, second = (torch.autograd.grad(inputs.weights().square().sum(), inputs.leaves()) for _ in range(2))
    finally:
        torch.set_num_threads(1)
    assert all(torch.equal(one, two) for one, two in zip(first, second, strict=True))


@compiled
def test_an_id_outside_its_table_is_refused() -> None:
    inputs = inputs_of([3, 2], 4, True, (8,), 0)
    inputs.ids[1][2] = VALUES[1]
    with pytest.raises(IndexError, match=r"ids .* to 9 for a table of 9 rows"):
        inputs.weights()
    with pytest.raises(IndexError, match=r"ids .* to 9 for a table of 9 rows"):
        weighted_sum(torch.ones(5), inputs.events(), torch.zeros(5, dtype=torch.int64), 1)


@given(events=st.integers(0, 40), size=st.sampled_from([1, 5, 16, 33]), tables=st.booleans(), seed=st.integers(0, 99))
def test_weighted_sum(events: int, size: int, tables: bool, seed: int) -> None:
    inputs = inputs_of([events], size, tables, (4,), seed)
    exact = inputs.doubled()
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(events, generator=generator, requires_grad=True)
    row = torch.randint(4, (events,), generator=generator)
    vectors, double = exact.events().whole(), weight.detach().double().requires_grad_()
    expected = torch.zeros(4, vectors.shape[1], dtype=torch.float64).index_add(0, row, vectors * double.unsqueeze(1))
    out = weighted_sum(weight, inputs.events(), row, 4)
    assert out.shape == expected.shape and torch.allclose(out.double(), expected, atol=1e-5)
    grad = torch.randn(out.shape, generator=generator)
    got = torch.autograd.grad(out, [weight, inputs.key, *inputs.tables], grad)
    wanted = torch.autograd.grad(expected, [double, exact.key, *exact.tables], grad.double())
    for one, two in zip(got, wanted, strict=True):
        assert torch.allclose(one.double(), two, atol=1e-5)
