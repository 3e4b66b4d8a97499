"""BST against torch's own transformer layer, one example at a time."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rankbench.baselines._encoder import EncoderBlock
from rankbench.baselines._inputs import example_of_event
from rankbench.baselines.bst import BST, Config
from rankbench.bench.contract import DataSpec, PointwiseBatch


def torchs_own(block: EncoderBlock, heads: int) -> nn.TransformerEncoderLayer:
    """torch's layer with the block's weights."""
    width, inner = block.out.in_features, block.inner.out_features
    layer = nn.TransformerEncoderLayer(width, heads, inner, 0.0, F.leaky_relu, batch_first=True, dtype=torch.float64)
    pairs = {
        "self_attn.in_proj_": block.qkv, "self_attn.out_proj.": block.out, "linear1.": block.inner, "linear2.": block.outer,
        "norm1.": block.attention_norm, "norm2.": block.feed_norm,
    }  # fmt: skip
    weights = {prefix + name: value for prefix, module in pairs.items() for name, value in module.state_dict().items()}
    layer.load_state_dict(weights)
    return layer


@pytest.mark.parametrize("time", ["none", "history", "request"])
@pytest.mark.parametrize("training", [False, True])
def test_equals_one_example_at_a_time(
    training: bool, time: str, make_spec: Callable[..., DataSpec], make_batch: Callable[..., PointwiseBatch]
) -> None:
    """Without dropout, beside torch's own layer on the tokens of each example."""
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
        x = torch.cat([past[begin:end], model.token(target)])
        for block in model.blocks:
            assert isinstance(block, EncoderBlock)
            x = torchs_own(block, 2)(x.unsqueeze(0)).squeeze(0)
        mean = x[:-1].mean(0) if end > begin else torch.zeros(8, dtype=torch.float64)
        assert torch.allclose(found[row], torch.cat([x[-1], mean]), atol=1e-10)


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
