"""DIEN's recurrences against loops over single events in float64, with gradients; its auxiliary loss."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn

from rankbench.baselines._inputs import example_of_event
from rankbench.baselines.dien import DIEN, Config, Recurrent, steps_of
from rankbench.bench.contract import DataSpec, PointwiseBatch

MakeSpec = Callable[..., DataSpec]
MakeBatch = Callable[..., PointwiseBatch]


def gru_step(gates_x: Tensor, gates_h: Tensor, state: Tensor, scale: Tensor | float) -> Tensor:
    """One step with the gates' inputs in the order reset, update, candidate (paper, equations 6 to 9)."""
    size = len(state)
    reset = torch.sigmoid(gates_x[:size] + gates_h[:size])
    update = scale * torch.sigmoid(gates_x[size : 2 * size] + gates_h[size : 2 * size])
    candidate = torch.tanh(gates_x[2 * size :] + reset * gates_h[2 * size :])
    return (1 - update) * state + update * candidate


def states_of(module: Recurrent, x: Tensor, attention: Tensor | None, offsets: Tensor) -> Tensor:
    """States after each event, in the order of the batch."""
    states = []
    for begin, end in pairwise(offsets.tolist()):
        state = x.new_zeros(module.width)
        for at in range(begin, end):
            state = gru_step(module.input(x[at]), module.state(state), state, 1.0 if attention is None else attention[at])
            states.append(state)
    return torch.stack(states)


@pytest.mark.parametrize("attended", [False, True])
def test_recurrence_equals_a_loop_over_rows_with_gradients(attended: bool) -> None:
    lengths = torch.tensor([3, 0, 1, 6, 3, 0, 2])
    offsets = torch.cat([torch.zeros(1, dtype=torch.long), lengths.cumsum(0)])
    row = torch.repeat_interleave(torch.arange(len(lengths)), lengths)
    module = Recurrent(5, 4).double()
    x = torch.randn(len(row), 5, dtype=torch.float64, requires_grad=True)
    attention = torch.rand(len(row), dtype=torch.float64, requires_grad=True) if attended else None
    steps = steps_of(offsets, row)
    packed = module(x[steps.token], steps.sizes, None if attention is None else attention[steps.token])
    ours = torch.zeros_like(packed).index_copy(0, steps.token, packed)
    expected = states_of(module, x, attention, offsets)
    assert torch.allclose(ours, expected, atol=1e-13)
    leaves = [leaf for leaf in (x, attention, *module.parameters()) if leaf is not None]
    by = torch.randn_like(ours)
    for found, wanted in zip(
        torch.autograd.grad((ours * by).sum(), leaves), torch.autograd.grad((expected * by).sum(), leaves), strict=True
    ):
        assert torch.allclose(found, wanted, atol=1e-13)


def scores_row_by_row(model: DIEN, batch: PointwiseBatch) -> Tensor:
    """Extractor, softmax attention and evolution of one example after the other."""
    example, query = model.inputs(batch)
    key, offsets = model.inputs.keys(batch.history), batch.history.offsets.tolist()
    logits = []
    for at, (begin, end) in enumerate(pairwise(offsets)):
        interest = key.new_zeros(model.evolution.width)
        if end > begin:
            whole = torch.tensor([0, end - begin])
            states = states_of(model.extractor, key[begin:end], None, whole)
            attention = torch.softmax(states @ (model.attention.weight @ query[at]), dim=0)
            interest = states_of(model.evolution, states, attention, whole)[-1]
        logits.append(model.out(model.mlp(torch.cat([example[at], interest]).unsqueeze(0))).squeeze())
    return torch.stack(logits)


@pytest.mark.parametrize("time", ["none", "request"])
def test_scores_equal_a_loop_over_examples_and_events(time: str, make_spec: MakeSpec, make_batch: MakeBatch) -> None:
    spec = make_spec(time)
    model, batch = DIEN(Config(embedding_dim=3, state=4, hidden=(5,)), spec).double().eval(), make_batch(spec, n=20)
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.4)
    logit = model(batch)
    assert logit.std() > 0.05
    assert torch.allclose(logit, scores_row_by_row(model, batch), atol=1e-12)


def test_the_auxiliary_loss_is_drawn_in_training_alone_and_asked_for_once(make_spec: MakeSpec, make_batch: MakeBatch) -> None:
    spec = make_spec()
    model, batch = DIEN(Config(), spec), make_batch(spec)
    model.eval()(batch)
    assert model.auxiliary_loss() is None
    model.train()(batch)
    loss = model.auxiliary_loss()
    assert loss is not None and loss > 0 and model.auxiliary_loss() is None
    without = DIEN(Config(auxiliary=0.0), spec).train()
    without(batch)
    assert without.auxiliary_loss() is None


def test_the_auxiliary_loss_is_the_mean_over_events_with_a_next_one(make_spec: MakeSpec, make_batch: MakeBatch) -> None:
    spec = make_spec()
    model, batch = DIEN(Config(embedding_dim=3, state=4), spec).double(), make_batch(spec, n=20)
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.4)
    history, row = batch.history, example_of_event(batch.history)
    key, steps = model.inputs.keys(history), steps_of(history.offsets, row)
    state = torch.randn(len(row), 4, dtype=torch.float64)
    torch.manual_seed(7)
    found = model.next_event_loss(state[steps.token], key, history, steps)
    torch.manual_seed(7)
    other, item = torch.randint(len(row), (len(row) - 1,)).tolist(), history.fields["item"]
    assert isinstance(item, Tensor) and model.next is not None
    losses = []
    for at in range(len(row) - 1):
        if row[at] == row[at + 1] and item[other[at]] != item[at + 1]:
            guess = model.next(state[at])
            real = torch.sigmoid(guess @ key[at + 1, : model.item_width])
            fake = torch.sigmoid(guess @ key[other[at], : model.item_width])
            losses.append(-torch.log(real) - torch.log(1 - fake))
    assert torch.allclose(found, torch.stack(losses).mean(), atol=1e-12)
