"""Parts of the papers' equations, written one vector at a time in float64; they share no code with the models."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

Vectors = list[Tensor]


def gelu(x: Tensor) -> Tensor:
    return x * (1 + torch.erf(x / math.sqrt(2))) / 2


def silu(x: Tensor) -> Tensor:
    return x / (1 + torch.exp(-x))


def sigmoid(x: Tensor) -> Tensor:
    return 1 / (1 + torch.exp(-x))


def rms(x: Tensor, norm: nn.Module) -> Tensor:
    return x / torch.sqrt((x * x).sum() / len(x) + 1e-6) * norm.weight


def layer_norm(x: Tensor, norm: nn.Module) -> Tensor:
    centred = x - x.sum() / len(x)
    return centred / torch.sqrt((centred * centred).sum() / len(x) + 1e-5) * norm.weight + norm.bias


def line(x: Tensor, layer: nn.Module) -> Tensor:
    """W x + b of a linear layer that all tokens share."""
    y = layer.weight @ x
    return y if layer.bias is None else y + layer.bias


def own_line(x: Tensor, layer: nn.Module, token: int) -> Tensor:
    """W_t x + b_t, with the weights of a token."""
    y = x @ layer.weight[token]
    size = layer.weight.shape[2]
    return y if layer.bias is None else y + layer.bias[token * size : (token + 1) * size]


def mixed(x: Vectors) -> Vectors:
    """New token h is head h of all tokens."""
    size = len(x[0]) // len(x)
    return [torch.cat([token[head * size : (head + 1) * size] for token in x]) for head in range(len(x))]


def attend(
    q: Tensor, keys: Sequence[Tensor], values: Sequence[Tensor], heads: int, bias: Sequence[Tensor] | None = None
) -> Tensor:
    """softmax(q . k / sqrt(d) + bias) v, head by head; zeros without keys."""
    if not keys:
        return torch.zeros_like(q)
    size, parts = len(q) // heads, []
    for head in range(heads):
        own = slice(head * size, (head + 1) * size)
        logits = [(q[own] * k[own]).sum() / math.sqrt(size) for k in keys]
        if bias is not None:
            logits = [logit + more for logit, more in zip(logits, bias, strict=True)]
        power = [torch.exp(logit) for logit in logits]
        parts.append(sum(p * v[own] for p, v in zip(power, values, strict=True)) / sum(power))
    return torch.cat(parts)


def cross(x: Tensor, past: Sequence[Tensor], attention: nn.Module) -> Tensor:
    """A query of one vector over a past of vectors, with the weights of a CrossAttention."""
    d = len(x)
    both = [line(event, attention.key_value) for event in past]
    read = attend(line(x, attention.query), [b[:d] for b in both], [b[d:] for b in both], attention.heads)
    return line(read, attention.out)


def swiglu(x: Tensor, feed: nn.Module) -> Tensor:
    gate, up = line(x, feed.gate_up).chunk(2)
    return line(silu(gate) * up, feed.down)


def assert_same(fast: Tensor, slow: Tensor, wanted: Sequence[Tensor]) -> None:
    """Values, and gradients of inputs and parameters, to 1e-9."""
    torch.testing.assert_close(fast, slow, rtol=1e-9, atol=1e-10)
    weight = torch.linspace(0.5, 1.5, fast.numel(), dtype=fast.dtype).view(fast.shape)
    pairs = zip(
        torch.autograd.grad((fast * weight).sum(), wanted, allow_unused=True),
        torch.autograd.grad((slow * weight).sum(), wanted, allow_unused=True),
        strict=True,
    )
    for one, two in pairs:
        if one is None or two is None:  # what takes no part in one may have no gradient, or one of zeros, in the other
            assert not any(gradient is not None and gradient.any() for gradient in (one, two))
        else:
            torch.testing.assert_close(one, two, rtol=1e-9, atol=1e-10)


def scatter(model: nn.Module) -> nn.Module:
    """In float64, every parameter drawn anew, so that nothing is at a start of zeros or ones."""
    torch.manual_seed(1)
    for parameter in model.double().parameters():
        nn.init.normal_(parameter, std=0.3)
    return model.eval()


def by_row(x: Tensor, function: Callable[[Tensor], Tensor]) -> Tensor:
    return torch.stack([function(row) for row in x])
