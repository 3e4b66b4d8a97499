"""BST against one example at a time, without padding, and its attention against a loop over heads."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rankbench.baselines._inputs import example_of_event
from rankbench.baselines.bst import BST, Config
from rankbench.bench.contract import DataSpec, PointwiseBatch


def block(layer: nn.TransformerEncoderLayer, x: Tensor) -> Tensor:
    """The paper's equations 2 to 5 on the tokens of one example [tokens, width]."""
    attention = layer.self_attn
    assert attention.in_proj_weight is not None and attention.in_proj_bias is not None
    size, outputs = attention.head_dim, []
    query, key, value = (x @ attention.in_proj_weight.T + attention.in_proj_bias).chunk(3, dim=1)
    for head in range(attention.num_heads):
        own = slice(head * size, (head + 1) * size)
        weights = torch.softmax(query[:, own] @ key[:, own].T / math.sqrt(size), dim=1)
        outputs.append(weights @ value[:, own])
    x = layer.norm1(x + attention.out_proj(torch.cat(outputs, dim=1)))
    return layer.norm2(x + layer.linear2(F.leaky_relu(layer.linear1(x))))


@pytest.mark.parametrize("time", ["none", "history", "request"])
@pytest.mark.parametrize("training", [False, True])
def test_equals_one_example_at_a_time(
    training: bool, time: str, make_spec: Callable[..., DataSpec], make_batch: Callable[..., PointwiseBatch]
) -> None:
    """Without dropout; torch has another path for scoring than for training."""
    spec = make_spec(time)
    options = {"embedding_dim": 3, "width": 8, "heads": 2, "blocks": 2, "block_dropout": 0.0}
    model, batch = BST(Config(**options), spec).double().train(training), make_batch(spec, n=20)
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.3)
    query = model.inputs(batch)[1]
    found = model.interest(query, batch.history)
    past = model.token(model.tokens(batch.history, example_of_event(batch.history)))
    offsets = batch.history.offsets.tolist()
    for row, (begin, end) in enumerate(pairwise(offsets)):
        target = torch.zeros(1, model.token.in_features, dtype=torch.float64)
        target[0, : query.shape[1]] = query[row]
        x = torch.cat([model.token(target), past[begin:end]])
        for layer in model.blocks:
            assert isinstance(layer, nn.TransformerEncoderLayer)
            x = block(layer, x)
        mean = x[1:].mean(0) if end > begin else torch.zeros(8, dtype=torch.float64)
        assert torch.allclose(found[row], torch.cat([x[0], mean]), atol=1e-10)


def test_without_time_information_the_order_counts(
    make_spec: Callable[..., DataSpec], make_batch: Callable[..., PointwiseBatch]
) -> None:
    """Events back from the latest, whatever the length of the past: 2 for the latest, never beyond the table."""
    spec = make_spec("none")
    model, batch = BST(Config(), spec), make_batch(spec)
    assert model.order is not None
    table = model.order.tables[0].weight
    assert isinstance(table, Tensor)
    nn.init.normal_(table)
    row = example_of_event(batch.history)
    order = model.tokens(batch.history, row)[:, model.inputs.key_width :]
    for at, example in enumerate(row.tolist()):
        assert torch.equal(order[at], table[int(batch.history.offsets[example + 1]) - at + 1])
