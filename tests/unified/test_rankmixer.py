"""RankMixer's and TokenMixer-Large's blocks and mixtures against the equations, token by token in float64."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from rankbench.bench.contract import DataSpec, PointwiseBatch
from rankbench.unified import rankmixer
from rankbench.unified._experts import PerTokenSwiGLU, ReluExperts
from rankbench.unified._inputs import FieldTokens
from rankbench.unified._per_token import mix
from rankbench.unified.rankmixer import Config, RankMixer, RankMixerBlock, TokenMixerLargeBlock

from .literal import Vectors, assert_same, gelu, layer_norm, mixed, own_line, rms, scatter, silu

TOKENS, WIDTH = 4, 8


def feed_forward(x: Tensor, feed: nn.Module, token: int) -> Tensor:
    return own_line(gelu(own_line(x, feed.up, token)), feed.down, token)


def relu_experts(x: Tensor, feed: ReluExperts, token: int) -> Tensor:
    """Each expert has its part of the hidden numbers, and a bias of its own."""
    gate = torch.relu(own_line(x, feed.sparse_router, token))
    hidden, size = own_line(x, feed.up, token), feed.up.weight.shape[2] // feed.experts
    total = torch.zeros_like(x)
    for expert in range(feed.experts):
        own = slice(expert * size, (expert + 1) * size)
        output = gelu(hidden[own]) @ feed.down.weight[token, own] + feed.down_bias.weight[token, expert]
        total = total + gate[expert] * output
    return total


def swiglu(x: Tensor, feed: PerTokenSwiGLU, token: int) -> Tensor:
    gate, up = own_line(x, feed.gate_up, token).chunk(2)
    hidden = silu(gate) * up
    if feed.router is None:
        return own_line(hidden, feed.down, token)
    logits = own_line(x, feed.router, token)
    share = torch.exp(logits) / torch.exp(logits).sum()
    best, size = int(share.argmax()), len(hidden) // (len(share) + 1)
    own = slice((best + 1) * size, (best + 2) * size)
    shared = own_line(torch.cat([hidden[:size], torch.zeros_like(hidden[size:])]), feed.down, token)
    return shared + len(share) * share[best] * (hidden[own] @ feed.down.weight[token, own])


def literal_rankmixer(block: RankMixerBlock, x: Vectors) -> Vectors:
    s = [layer_norm(new + old, block.mixing_norm) for new, old in zip(mixed(x), x, strict=True)]
    network = relu_experts if isinstance(block.feed, ReluExperts) else feed_forward
    return [layer_norm(network(token, block.feed, at) + token, block.feed_norm) for at, token in enumerate(s)]


def literal_large(block: TokenMixerLargeBlock, x: Vectors) -> Vectors:
    h = mixed(x)
    h = [head + swiglu(rms(head, block.mixed_norm), block.mixed_feed, at) for at, head in enumerate(h)]
    # Mixed back: token t is part t of every head.
    size = WIDTH // TOKENS
    back = [torch.cat([head[t * size : (t + 1) * size] for head in h]) for t in range(TOKENS)]
    return [token + swiglu(rms(r, block.own_norm), block.own_feed, at) for at, (token, r) in enumerate(zip(x, back, strict=True))]


@pytest.mark.parametrize("experts", [1, 4])
@pytest.mark.parametrize("kind", ["rankmixer", "large"])
def test_a_block_is_its_equations(kind: str, experts: int) -> None:
    config = Config(tokens=TOKENS, width=WIDTH, expansion=2.0, experts=experts, block=kind)  # type: ignore[arg-type]
    make, literal = {
        "rankmixer": (RankMixerBlock, literal_rankmixer),
        "large": (TokenMixerLargeBlock, literal_large),
    }[kind]
    block = scatter(make(config, TOKENS))
    x = torch.randn(3, TOKENS, WIDTH, dtype=torch.float64, requires_grad=True)
    slow = torch.stack([torch.stack(literal(block, list(row))) for row in x])  # type: ignore[operator]
    assert_same(block(x), slow, [x, *block.parameters()])


def test_mixing_is_its_own_inverse_and_moves_every_head() -> None:
    x = torch.arange(2 * TOKENS * WIDTH).view(2, TOKENS, WIDTH)
    assert torch.equal(mix(x)[1], torch.stack(mixed(list(x[1]))))
    assert torch.equal(mix(mix(x)), x)


def test_field_tokens_are_pieces_of_the_row_under_matrices_of_their_own() -> None:
    tokens = scatter(FieldTokens(10, 4, WIDTH))
    row = torch.randn(2, 10, dtype=torch.float64)
    found = tokens(row)
    filled = F.pad(row, (0, 2))
    for at in range(4):
        expected = torch.stack([own_line(one[at * 3 : at * 3 + 3], tokens.projection, at) for one in filled])
        torch.testing.assert_close(found[:, at], expected)


def test_both_routers_learn_of_the_task_and_that_for_inference_alone_is_penalised() -> None:
    torch.manual_seed(0)
    experts = ReluExperts(TOKENS, WIDTH, 8, experts=3, dropout=0.0)
    x = torch.randn(64, TOKENS, WIDTH)
    experts(x).square().sum().backward()
    assert all(router.weight.grad.any() for router in (experts.dense_router, experts.sparse_router))
    experts.zero_grad()
    experts(x)
    gates = experts.take_gates()
    assert gates is not None and experts.take_gates() is None
    assert gates.shape == (len(x),)
    gates.mean().backward()
    assert experts.sparse_router.weight.grad is not None and experts.sparse_router.weight.grad.any()
    assert experts.dense_router.weight.grad is None
    before = experts.eval()(x)
    nn.init.zeros_(experts.dense_router.weight)
    assert torch.equal(experts(x), before), "the router of training says nothing in inference"


def test_the_penalty_closes_gates(make_spec: Callable[..., DataSpec], make_batch: Callable[..., PointwiseBatch]) -> None:
    spec = make_spec()
    batch = make_batch(spec)
    shares = []
    for penalty in (0.0, 1.0):
        torch.manual_seed(0)
        model = rankmixer.build(Config(experts=4, gate_penalty=penalty, width=16, tokens=4, dropout=0.0), spec)
        optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
        for _ in range(10):
            optimizer.zero_grad()
            loss = F.binary_cross_entropy_with_logits(model(batch), batch.label)
            auxiliary = model.auxiliary_loss()
            assert auxiliary is not None
            (loss + auxiliary).backward()
            optimizer.step()
        model(batch)
        gates = [module.take_gates() for module in model.modules() if isinstance(module, ReluExperts)]
        shares.append(sum(gate.mean().item() for gate in gates if gate is not None))
    assert shares[1] < shares[0] / 2


def test_inner_blocks_of_the_large_kind_predict_the_label_in_training_alone(
    make_spec: Callable[..., DataSpec], make_batch: Callable[..., PointwiseBatch]
) -> None:
    """Four blocks have one long skip connection, behind the second; two have none, because the last block never has one."""
    spec = make_spec()
    batch = make_batch(spec)
    for layers, connections in ((2, 0), (4, 1), (5, 2)):
        model = rankmixer.build(Config(block="large", layers=layers, width=16, tokens=4), spec)
        assert isinstance(model, RankMixer) and len(model.early) == connections
        model.train()(batch)
        assert (model.auxiliary_loss() is not None) == (connections > 0)
        model.eval()(batch)
        assert model.auxiliary_loss() is None


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"width": 30}, "cannot be cut into 8 heads"),
        ({"gate_penalty": 0.1}, "gate_penalty belongs to"),
        ({"block": "large", "experts": 3}, "cannot be shared out among 3 experts"),
        ({"block": "large", "experts": 2}, "needs 3 experts at least"),
    ],
)
def test_settings_that_do_not_fit_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Config(**settings)  # type: ignore[arg-type]
