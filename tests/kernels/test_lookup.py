"""Gathering and pooling of table rows: the compiled loop against torch's parts in float64, forward and gradient."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from rankbench.kernels import dispatch
from rankbench.kernels.lookup import Part, Slots, lookup, segment_mean

UNAVAILABLE = dispatch.find("lookup", "cpu").refusal(torch.device("cpu"), torch.float32)
compiled = pytest.mark.skipif(UNAVAILABLE is not None, reason=f"no compiled lookup: {UNAVAILABLE}")


def tables_of(dim: int, sizes: tuple[int, ...], seed: int = 0) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(size, dim, generator=generator) for size in sizes]


def slots_of(tables: list[Tensor], tokens: int, rows: int | None, generator: torch.Generator) -> Slots:
    """A plain field, one with several values or none, and the sum of two tables of which one has two roles."""
    row = None if rows is None else torch.randint(rows, (tokens,), generator=generator)
    weight = None if rows is None else torch.rand(tokens, generator=generator)
    counts = torch.randint(0, 4, (tokens,), generator=generator)
    offsets = torch.cat([counts.new_zeros(1), counts.cumsum(0)])

    def ids(table: Tensor, count: int) -> Tensor:
        return torch.randint(len(table), (count,), generator=generator)

    return [
        [Part(tables[0], ids(tables[0], tokens), None, row, weight)],
        [Part(tables[1], ids(tables[1], int(offsets[-1])), offsets, row, weight)],
        [Part(tables[2], ids(tables[2], tokens), None, row, weight), Part(tables[0], ids(tables[0], tokens), None, row, weight)],
    ]


def in_double(slots: Slots, tables: list[Tensor]) -> tuple[Slots, list[Tensor]]:
    double = [table.detach().double().requires_grad_() for table in tables]
    of = {id(table): copy for table, copy in zip(tables, double, strict=True)}
    return [[part._replace(table=of[id(part.table)]) for part in parts] for parts in slots], double


@compiled
@pytest.mark.parametrize("threads", [1, 2])
@given(
    dim=st.sampled_from([1, 3, 4, 8, 16, 17, 64]),
    tokens=st.sampled_from([0, 1, 5, 255, 700]),
    rows=st.sampled_from([None, 1, 9]),
    seed=st.integers(0, 99),
)
def test_values_and_gradients(threads: int, dim: int, tokens: int, rows: int | None, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    tables = [table.requires_grad_() for table in tables_of(dim, (50, 7, 3))]
    slots = slots_of(tables, tokens, rows, generator)
    exact_slots, exact = in_double(slots, tables)
    size = tokens if rows is None else rows
    torch.set_num_threads(threads)
    out, expected = lookup(slots, size), lookup(exact_slots, size)
    assert out.shape == (size, 3, dim) and out.dtype == torch.float32 and expected.dtype == torch.float64
    grad = torch.randn(out.shape, generator=generator)
    gradients = torch.autograd.grad(out, tables, grad)
    expected_gradients = torch.autograd.grad(expected, exact, grad.double())
    for one, other in zip((out, *gradients), (expected, *expected_gradients), strict=True):
        assert torch.allclose(one.double(), other, rtol=1e-5, atol=1e-4)


@given(
    dim=st.sampled_from([1, 5, 16]),
    tokens=st.sampled_from([0, 1, 5, 255]),
    rows=st.sampled_from([None, 1, 9]),
    frozen=st.sampled_from([None, 0, 2]),
    seed=st.integers(0, 99),
)
def test_gradients_by_additions(dim: int, tokens: int, rows: int | None, frozen: int | None, seed: int) -> None:
    """What a GPU runs; here on the CPU."""
    generator = torch.Generator().manual_seed(seed)
    tables = [table.requires_grad_(at != frozen) for at, table in enumerate(tables_of(dim, (50, 7, 3)))]
    slots = slots_of(tables, tokens, rows, generator)
    exact_slots, exact = in_double(slots, tables)
    size = tokens if rows is None else rows
    out, expected = dispatch.find("lookup", "additions").run(slots, size), lookup(exact_slots, size)
    grad = torch.randn(out.shape, generator=generator)
    learned = [at for at in range(3) if at != frozen]
    gradients = torch.autograd.grad(out, [tables[at] for at in learned], grad)
    expected_gradients = torch.autograd.grad(expected, [exact[at] for at in learned], grad.double())
    for one, other in zip((out, *gradients), (expected, *expected_gradients), strict=True):
        assert one.shape == other.shape and torch.allclose(one.double(), other, rtol=1e-5, atol=1e-4)


def test_additions_are_for_a_gpu_alone() -> None:
    assert dispatch.choose("lookup", torch.device("cuda"), torch.float32).name == "additions"
    assert dispatch.choose("lookup", torch.device("cpu"), torch.float64).name == "torch"


@compiled
def test_the_same_sums_every_time_and_for_any_number_of_threads() -> None:
    tables = [table.requires_grad_() for table in tables_of(16, (50, 7, 3))]
    slots = slots_of(tables, 900, 20, torch.Generator().manual_seed(1))
    results = []
    for threads in (1, 2, 3):
        torch.set_num_threads(threads)
        try:
            out = lookup(slots, 20)
            results.append((out.detach(), *torch.autograd.grad(out.square().sum(), tables)))
        finally:
            torch.set_num_threads(1)
    for other in results[1:]:
        assert all(torch.equal(one, two) for one, two in zip(results[0], other, strict=True))


@compiled
@pytest.mark.parametrize("wrong", [-1, 3])
def test_an_id_outside_its_table_is_an_error(wrong: int) -> None:
    table = torch.zeros(3, 4)
    with pytest.raises(IndexError, match="3 rows"):
        lookup([[Part(table, torch.tensor([0, wrong]))]], 2)


@compiled
def test_a_table_without_gradient_gets_none() -> None:
    frozen, learned = torch.ones(3, 4), torch.ones(2, 4, requires_grad=True)
    lookup([[Part(frozen, torch.tensor([1]))], [Part(learned, torch.tensor([1]))]], 1).sum().backward()
    assert frozen.grad is None
    assert learned.grad is not None and learned.grad.sum() == 4


def test_segment_mean_of_ragged_rows() -> None:
    values = torch.arange(8.0).view(4, 2)
    assert segment_mean(values, torch.tensor([0, 1, 1, 4])).tolist() == [[0, 1], [0, 0], [4, 5]]
