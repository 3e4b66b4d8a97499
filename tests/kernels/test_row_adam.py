"""Stepping the rows that are read alone gives the tables that AdamW over whole tables gives."""

from __future__ import annotations

import copy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from rankbench.bench.contract import Field
from rankbench.kernels import dispatch
from rankbench.kernels.layers.embedding import FieldEmbeddings
from rankbench.kernels.lookup import lookup
from rankbench.kernels.row_adam import RowAdamW

UNAVAILABLE = dispatch.find("table_update", "cpu").refusal(torch.device("cpu"), torch.float32)
pytestmark = pytest.mark.skipif(UNAVAILABLE is not None, reason=f"no compiled row updates: {UNAVAILABLE}")

FIELDS = (Field("item", 40), Field("tag", 30, multi=True))


def read(model: FieldEmbeddings, seed: int, most: int) -> Tensor:
    """A lookup of a few ids of both tables, and then another one: rows come several times."""
    generator = torch.Generator().manual_seed(seed)

    def ids(size: int, count: int) -> Tensor:
        return torch.randint(size, (count,), generator=generator)

    n = 1 + int(ids(most, 1))
    lengths = ids(3, n)
    jagged = (ids(30, int(lengths.sum())), torch.cat([torch.zeros(1, dtype=torch.int64), lengths.cumsum(0)]))
    both = lookup([[model.part("item", ids(40, n))], [model.part("tag", jagged)]], n)
    again = model.lookup("item", ids(40, n))
    aim = torch.randn(n, 2, model.dim, generator=generator) * 0.1
    return ((both - aim) ** 2).mean() * 1e-2 + (again**3).sum() * 1e-3


@pytest.mark.long
@given(
    steps=st.integers(1, 60),
    decay=st.sampled_from([0.0, 0.1]),
    lr=st.sampled_from([1e-3, 0.05]),
    most=st.integers(1, 12),
    seed=st.integers(0, 99),
    shares=st.sampled_from(["constant", "falling", "any"]),
    ema=st.sampled_from([0.0, 0.9]),
    settled=st.sampled_from([7, 1000]),
)
def test_against_adamw_over_whole_tables(
    steps: int, decay: float, lr: float, most: int, seed: int, shares: str, ema: float, settled: int
) -> None:
    """Every missed step at the rate that it had, and the average over all weights on the way, also where rows are brought up to
    date meanwhile."""
    torch.manual_seed(seed)
    ours = FieldEmbeddings(FIELDS, 6, std=0.3)
    theirs = copy.deepcopy(ours).double()
    rows = RowAdamW(list(ours.tables), lr, decay, ema=ema)  # type: ignore[arg-type]
    whole = torch.optim.AdamW(theirs.parameters(), lr=lr, weight_decay=decay)
    average = [torch.zeros_like(parameter) for parameter in theirs.parameters()]
    rates = {"constant": torch.ones(steps), "falling": torch.linspace(1, 0, steps), "any": torch.rand(steps)}[shares]
    for step in range(steps):
        rows.zero_grad()
        read(ours, seed * 1000 + step, most).backward()
        rows.gather()
        for gradient, parameter in zip(rows.gradients, theirs.parameters(), strict=True):
            # The same gradients for both: where terms cancel, the order of a sum decides its sign, which is all that Adam sees.
            parameter.grad = torch.zeros_like(parameter)
            if gradient is not None:
                parameter.grad[gradient.rows] = gradient.values.double()
        rows.step(float(rates[step]))
        whole.param_groups[0]["lr"] = lr * float(rates[step])
        whole.step()
        for mean, parameter in zip(average, theirs.parameters(), strict=True):
            mean.lerp_(parameter.detach(), 1 - ema)
        if step % settled == settled - 1:
            rows.settle()
    rows.settle()
    for one, two in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.allclose(one.double(), two, rtol=1e-5, atol=1e-6)
    for one, two in zip(rows.averages(), average if ema else [], strict=True):
        assert torch.allclose(one.double(), two / (1 - ema**steps), rtol=1e-5, atol=1e-6)


@pytest.mark.long
def test_long_pauses_and_rare_rows() -> None:
    """A row that rests for thousands of steps at falling rates, beyond the tables of powers as they begin."""
    torch.manual_seed(0)
    ours = FieldEmbeddings((Field("item", 10),), 4, std=0.3)
    theirs = copy.deepcopy(ours)
    rows = RowAdamW(list(ours.tables), 1e-3, 1e-3, ema=0.999)  # type: ignore[arg-type]
    whole = torch.optim.AdamW(theirs.parameters(), lr=1e-3, weight_decay=1e-3)
    average = torch.zeros(10, 4)
    for step in range(5_000):
        wanted = torch.tensor([step % 7, 9 if step in (3, 10, 2_500, 4_990) else 0])
        for model, optimizer in ((ours, rows), (theirs, whole)):
            optimizer.zero_grad()
            ((model.lookup("item", wanted) - 0.5) ** 2).sum().backward()
        rows.gather()
        rows.step(1 - step / 5_000)
        whole.param_groups[0]["lr"] = 1e-3 * (1 - step / 5_000)
        whole.step()
        average.lerp_(next(theirs.parameters()).detach(), 1e-3)
    assert len(rows.powers[0]) > 5_000 < rows.since.shape[1]
    rows.settle()
    for one, two in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.allclose(one, two, rtol=1e-3, atol=1e-5)
    assert torch.allclose(rows.averages()[0], average / (1 - 0.999**5_000), rtol=1e-3, atol=1e-5)


def test_a_row_is_up_to_date_when_it_is_read() -> None:
    torch.manual_seed(0)
    model = FieldEmbeddings((Field("item", 10),), 4, std=0.3)
    rows = RowAdamW(list(model.tables), 0.1)  # type: ignore[arg-type]
    for wanted in ([5], [1], [2]):
        rows.zero_grad()
        model.lookup("item", torch.tensor(wanted)).sum().backward()
        rows.gather()
        rows.step()
    assert rows.last[0][[5, 1, 2]].tolist() == [1, 2, 3]
    read_now = model.lookup("item", torch.tensor([5]))
    rows.settle()
    assert torch.equal(read_now, model.lookup("item", torch.tensor([5])))
    assert set(rows.last[0].tolist()) == {3}


def test_the_gradient_has_the_rows_that_were_read() -> None:
    model = FieldEmbeddings(FIELDS, 6)
    rows = RowAdamW(list(model.tables), 0.1)  # type: ignore[arg-type]
    model.lookup("item", torch.tensor([3, 5, 3])).sum().backward()
    (values,) = rows.gather()
    gradient = rows.gradients[0]
    assert gradient is not None and gradient.rows.tolist() == [3, 5] and rows.parameters[0].grad is None
    assert values.tolist() == [[2.0] * 6, [1.0] * 6]
    assert all((place == -1).all() for place in rows.places)


def test_a_resumed_state_goes_on_as_if_nothing_had_happened() -> None:
    def run(model: FieldEmbeddings, rows: RowAdamW, steps: range) -> None:
        for step in steps:
            rows.zero_grad()
            read(model, step, 6).backward()
            rows.gather()
            rows.step(1 - step / 20)

    torch.manual_seed(0)
    model = FieldEmbeddings(FIELDS, 6, std=0.3)
    rows = RowAdamW(list(model.tables), 0.01, 0.1, ema=0.9)  # type: ignore[arg-type]
    run(model, rows, range(10))
    saved = copy.deepcopy((model.state_dict(), rows.state_dict()))
    run(model, rows, range(10, 20))
    other = FieldEmbeddings(FIELDS, 6)
    again = RowAdamW(list(other.tables), 0.01, 0.1, ema=0.9)  # type: ignore[arg-type]
    other.load_state_dict(saved[0])
    again.load_state_dict(saved[1])
    run(other, again, range(10, 20))
    rows.release()
    again.release()
    for one, two in zip((*model.parameters(), *rows.averages()), (*other.parameters(), *again.averages()), strict=True):
        assert torch.equal(one, two)
    model.lookup("item", torch.tensor([3])).sum().backward()
    gradient = model.tables[0].weight.grad
    assert isinstance(gradient, Tensor) and gradient[3].tolist() == [1.0] * 6, "what was let go of is an ordinary table"


def test_a_table_read_in_another_way_is_refused() -> None:
    model = FieldEmbeddings(FIELDS, 6)
    rows = RowAdamW(list(model.tables), 0.1)  # type: ignore[arg-type]
    model.tables[0].weight.sum().backward()  # type: ignore[operator, union-attr]
    with pytest.raises(ValueError, match="has all rows"):
        rows.gather()


def test_an_id_outside_the_table_is_named_by_the_lookup() -> None:
    model = FieldEmbeddings(FIELDS, 6)
    rows = RowAdamW(list(model.tables), 0.1)  # type: ignore[arg-type]
    model.lookup("item", torch.tensor([3])).sum().backward()
    rows.gather()
    rows.step()
    with pytest.raises(IndexError, match="ids 3 to 99 for a table of 40 rows"):
        model.lookup("item", torch.tensor([3, 99]))
