"""TransAct beside torch's own encoder, one example at a time, and its window of time."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from rankbench.baselines._encoder import EncoderBlock
from rankbench.baselines._inputs import example_of_event
from rankbench.baselines.transact import Config, RecentActions, TransAct
from rankbench.bench.contract import DataSpec, PointwiseBatch
from rankbench.kernels.time_buckets import smallest_gaps

MakeSpec = Callable[..., DataSpec]
MakeBatch = Callable[..., PointwiseBatch]
SMALL: dict[str, Any] = {"embedding_dim": 3, "width": 6, "inner": 5, "columns": 3, "hidden": (4,), "block_dropout": 0.0}


def torchs_own(block: EncoderBlock, x: Tensor) -> Tensor:
    """torch's encoder layer, as functions of the block's weights."""
    width = x.shape[1]
    attended, _ = nn.functional.multi_head_attention_forward(
        x, x, x, width, block.heads, block.qkv.weight, block.qkv.bias, None, None, False, 0.0, block.out.weight, block.out.bias
    )
    x = nn.functional.layer_norm(x + attended, (width,), block.attention_norm.weight, block.attention_norm.bias)
    fed = block.outer(torch.relu(block.inner(x)))
    return nn.functional.layer_norm(x + fed, (width,), block.feed_norm.weight, block.feed_norm.bias)


def literal(actions: RecentActions, query: Tensor, key: Tensor) -> Tensor:
    """Of one example and its events, oldest first."""
    width, columns = actions.greatest.in_features, actions.columns
    if not len(key):
        return torch.zeros((columns + 1) * width, dtype=torch.float64)
    tokens = []
    for one in key:
        token = torch.stack([(row * one).sum() for row in actions.event.weight]) + actions.event.bias
        if actions.candidate is not None:
            token = token + torch.stack([(row * query).sum() for row in actions.candidate.weight])
        tokens.append(token)
    x = torch.stack(tokens)
    for block in actions.blocks:
        assert isinstance(block, EncoderBlock)
        x = torchs_own(block, x)
    parts = [actions.greatest(torch.stack([max(column, key=lambda number: float(number.detach())) for column in x.T]))]
    parts += [x[-1 - back] if back < len(x) else torch.zeros(width, dtype=torch.float64) for back in range(columns)]
    return torch.cat(parts)


@pytest.mark.parametrize("fused", [True, False])
def test_it_is_one_example_at_a_time_beside_torch_s_encoder(fused: bool, make_spec: MakeSpec, make_batch: MakeBatch) -> None:
    """The encoder and the cross layers; with gradients of candidates, keys and all parameters behind the embeddings."""
    spec = make_spec()
    torch.manual_seed(1)
    model, batch = TransAct(Config(**SMALL, early_fusion=fused), spec).double().eval(), make_batch(spec, n=20)
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.3)
    offsets, row = batch.history.offsets, example_of_event(batch.history)
    example, query = (part.detach().requires_grad_() for part in model.inputs(batch))
    key = model.inputs.keys(batch.history).detach().requires_grad_()
    model.inputs.forward = lambda _: (example, query)  # type: ignore[method-assign]
    model.inputs.keys = lambda _: key  # type: ignore[method-assign]
    found = model(batch)
    expected = []
    for at, (begin, end) in enumerate(pairwise(offsets.tolist())):
        x0 = x = torch.cat([example[at], literal(model.actions, query[at], key[begin:end])])
        for cross in model.crosses:
            x = x0 * cross(x) + x
        expected.append(model.out(model.mlp(x)))
    slow = torch.cat(expected)
    torch.testing.assert_close(found, slow, rtol=1e-9, atol=1e-9)
    assert offsets.diff().min() == 0 and offsets.diff().max() > 3 and len(row) == len(key)
    behind = [p for name, p in model.named_parameters() if not name.startswith("inputs")]
    read = [example, query, key, *behind] if fused else [example, key, *behind]
    weight = torch.randn_like(found)
    for one, two in zip(
        torch.autograd.grad((found * weight).sum(), read), torch.autograd.grad((slow * weight).sum(), read), strict=True
    ):
        torch.testing.assert_close(one, two, rtol=1e-9, atol=1e-9)


def test_training_hides_a_random_time_before_the_request_and_scoring_does_not(make_spec: MakeSpec, make_batch: MakeBatch) -> None:
    spec = make_spec()
    model, history = TransAct(Config(window_hours=24.0), spec), make_batch(spec, n=200).history
    assert history.gap is not None
    seconds, kept = smallest_gaps(torch.zeros(()))[history.gap], set()
    for seed in range(5):
        torch.manual_seed(seed)
        window = float(torch.rand(())) * 86_400
        torch.manual_seed(seed)
        left = model.train().visible(history)
        assert torch.equal(left.action, history.action[seconds >= window])
        kept.add(len(left.action))
    assert len(kept) > 1 and max(kept) < len(history.action)
    assert model.eval().visible(history) is history
    assert TransAct(Config(window_hours=0.0), spec).train().visible(history) is history


def test_without_time_information_nothing_is_hidden(make_spec: MakeSpec, make_batch: MakeBatch) -> None:
    spec = make_spec("none")
    history = make_batch(spec).history
    assert TransAct(Config(), spec).train().visible(history) is history


def test_heads_that_do_not_divide_the_width_are_refused() -> None:
    with pytest.raises(ValueError, match="width 6 cannot be divided among 4 heads"):
        Config(width=6, heads=4)
