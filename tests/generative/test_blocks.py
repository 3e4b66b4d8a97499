"""Every backbone's block, outputs and input gradients, against its paper written token by token in float64.

The loops are written from the equations, with parameters taken out of the block by name; they share no code with it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor, nn

from rankbench.bench.contract import DataSpec
from rankbench.generative import fuxi, fuxi_beta, fuxi_linear, genrank, gpt, hstu, llama, mtgr, sasrec, sasrec_scalable, stu
from rankbench.generative.attention import Geometry
from rankbench.generative.config import SequenceConfig

from .conftest import HISTORY, geometry


def silu(x: Tensor) -> Tensor:
    return x / (1 + torch.exp(-x))


def layer_norm(x: Tensor, eps: float, weight: Tensor | None = None, bias: Tensor | None = None) -> Tensor:
    centred = x - x.sum() / len(x)
    normed = centred / torch.sqrt((centred * centred).sum() / len(x) + eps)
    return normed if weight is None or bias is None else normed * weight + bias


def rms(x: Tensor, weight: Tensor | None = None) -> Tensor:
    normed = x / torch.sqrt((x * x).sum() / len(x) + 1e-6)
    return normed if weight is None else normed * weight


def keys(g: Geometry, i: int) -> list[int]:
    return [*range(int(g.plan.lo[i]), int(g.plan.hi[i])), i]


def bucket(g: Geometry, i: int, j: int) -> int:
    assert g.plan.query_time is not None and g.plan.key_time is not None
    if i == j and g.plan.own_time is None:
        return 0
    time = g.plan.own_time[i] if i == j and g.plan.own_time is not None else g.plan.key_time[j]
    seconds = abs(int(g.plan.query_time[i] - time)) / 1000
    return min(int(math.log(max(1, seconds)) / 0.301), 71)


def distance(g: Geometry, i: int, j: int) -> int:
    return 0 if i == j else int(g.plan.position[i] - g.plan.position[j])


def bias_of(block: nn.Module, config: SequenceConfig, g: Geometry, i: int, j: int, head: int) -> Tensor:
    tables, total = block.bias, torch.zeros((), dtype=torch.float64)
    if tables.position is not None:
        total = total + tables.position[min(distance(g, i, j), len(tables.position) - 1)]
    if tables.time is not None:
        total = total + tables.time[bucket(g, i, j)]
    if config.alibi:  # flat beyond what a history without ties can span
        far = config.tokens_per_event * (HISTORY + 1) - 1
        total = total - 2.0 ** (-8 * (head + 1) / config.heads) * min(distance(g, i, j), far)
    return total


def turned(x: Tensor, position: int) -> Tensor:
    half = len(x) // 2
    angle = [position * 10_000 ** (-n / half) for n in range(half)]
    first = [x[n] * math.cos(angle[n]) - x[n + half] * math.sin(angle[n]) for n in range(half)]
    second = [x[n] * math.sin(angle[n]) + x[n + half] * math.cos(angle[n]) for n in range(half)]
    return torch.stack([*first, *second])


def attend(attention: nn.Module, config: SequenceConfig, g: Geometry, q: Tensor, k: Tensor, v: Tensor, alpha: float) -> Tensor:
    """[T, width] of q, k, v, head by head."""
    size, rows = config.width // config.heads, []
    for i in range(len(q)):
        parts = []
        for h in range(config.heads):
            own = slice(h * size, (h + 1) * size)
            logits = []
            for j in keys(g, i):
                one, other = q[i, own], k[j, own]
                if config.rope:
                    one, other = turned(one, int(g.plan.position[i])), turned(other, int(g.plan.position[j]))
                logits.append(alpha * (one * other).sum() + bias_of(attention, config, g, i, j, h))
            stacked = torch.stack(logits)
            if config.attention == "softmax":
                weights = torch.exp(stacked - stacked.max()) / torch.exp(stacked - stacked.max()).sum()
            else:
                weights = silu(stacked) / (g.divisor[i] if isinstance(g.divisor, Tensor) else g.divisor)
            parts.append(sum(w * v[j, own] for w, j in zip(weights, keys(g, i), strict=True)))
        rows.append(torch.cat(parts))
    return torch.stack(rows)


def each(x: Tensor, function: Callable[[Tensor], Tensor]) -> Tensor:
    return torch.stack([function(row) for row in x])


def literal_hstu(block: nn.Module, config: SequenceConfig, g: Geometry, x: Tensor) -> Tensor:
    normed = each(x, lambda row: layer_norm(row, 1e-6))
    z = silu(normed @ block.uvqk.weight.T)
    d = config.width
    u, v, q, k = (
        (z[:, n * d : (n + 1) * d] for n in range(4)) if config.gate else (None, *(z[:, n * d : (n + 1) * d] for n in range(3)))
    )
    scale = (d // config.heads) ** -0.5 if config.attention == "softmax" else 1.0
    o = each(attend(block.attention, config, g, q, k, v, scale), lambda row: layer_norm(row, 1e-6))
    y = o if u is None else u * o
    return (x if config.residual == "clean" else normed) + y @ block.out.weight.T + block.out.bias


def literal_mtgr(block: nn.Module, config: SequenceConfig, g: Geometry, x: Tensor) -> Tensor:
    def normed(norm: nn.Module, rows: Tensor) -> Tensor:
        kinds = [int(kind) if config.group_norm else 0 for kind in g.kind]
        return torch.stack([layer_norm(r, 1e-6, norm.weight[kind], norm.bias[kind]) for r, kind in zip(rows, kinds, strict=True)])

    z = silu(normed(block.input_norm, x) @ block.uvqk.weight.T)
    u, v, q, k = (z[:, n * config.width : (n + 1) * config.width] for n in range(4))
    y = u * normed(block.output_norm, attend(block.attention, config, g, q, k, v, 1.0))
    return x + y @ block.out.weight.T + block.out.bias


def literal_stu(block: nn.Module, config: SequenceConfig, g: Geometry, x: Tensor) -> Tensor:
    z = (
        each(x, lambda row: layer_norm(row, 1e-6, block.input_norm.weight, block.input_norm.bias)) @ block.uvqk.weight.T
        + block.uvqk.bias
    )
    u, v, q, k = (z[:, n * config.width : (n + 1) * config.width] for n in range(4))
    u, o = silu(u), attend(block.attention, config, g, q, k, v, (config.width // config.heads) ** -0.5)
    normed = each(o, lambda row: layer_norm(row, 1e-6, block.output_norm.weight, block.output_norm.bias))
    return x + torch.cat([u, o, u * normed], dim=1) @ block.out.weight.T


def swiglu(feed: nn.Module, x: Tensor) -> Tensor:
    hidden = feed.down.weight.shape[1]
    z = x @ feed.gate_up.weight.T
    return (silu(z[:, :hidden]) * z[:, hidden:]) @ feed.down.weight.T


def projected(block: nn.Module, config: SequenceConfig, g: Geometry, x: Tensor) -> Tensor:
    d, bias = config.width, block.qkv.bias
    z = x @ block.qkv.weight.T + (0 if bias is None else bias)
    o = attend(block.attention, config, g, z[:, :d], z[:, d : 2 * d], z[:, 2 * d :], (d // config.heads) ** -0.5)
    if block.gate is not None:
        o = silu(x @ block.gate.weight.T) * o
    return o @ block.out.weight.T + (0 if block.out.bias is None else block.out.bias)


def literal_llama(block: nn.Module, config: SequenceConfig, g: Geometry, x: Tensor) -> Tensor:
    x = x + projected(block.attention, config, g, each(x, lambda row: rms(row, block.attention_norm.weight)))
    return x + swiglu(block.feed, each(x, lambda row: rms(row, block.feed_norm.weight)))


def literal_gpt(block: nn.Module, config: SequenceConfig, g: Geometry, x: Tensor) -> Tensor:
    def norm(layer: nn.Module, rows: Tensor) -> Tensor:
        return each(rows, lambda row: layer_norm(row, 1e-5, layer.weight, layer.bias))

    x = x + projected(block.attention, config, g, norm(block.attention_norm, x))
    z = norm(block.feed_norm, x) @ block.feed[0].weight.T + block.feed[0].bias
    gelu = 0.5 * z * (1 + torch.tanh(math.sqrt(2 / math.pi) * (z + 0.044715 * z**3)))
    return x + gelu @ block.feed[2].weight.T + block.feed[2].bias


def literal_sasrec(block: nn.Module, config: SequenceConfig, g: Geometry, x: Tensor) -> Tensor:
    def norm(layer: nn.Module, rows: Tensor) -> Tensor:
        return each(rows, lambda row: layer_norm(row, 1e-8, layer.weight, layer.bias))

    def linear(layer: nn.Module, rows: Tensor) -> Tensor:
        return rows @ layer.weight.T + layer.bias

    clean, q = config.residual == "clean", norm(block.attention_norm, x)
    o = attend(
        block.attention, config, g, linear(block.query, q), linear(block.key, x), linear(block.value, x),
        (config.width // config.heads) ** -0.5,
    )  # fmt: skip
    x = (x if clean else q) + o
    y = norm(block.feed_norm, x)
    return (x if clean else y) + linear(block.feed[3], linear(block.feed[0], y).clamp(min=0))


def literal_fuxi(block: nn.Module, config: SequenceConfig, g: Geometry, x: Tensor) -> Tensor:
    d, size = config.width, config.width // config.heads
    z = silu(each(x, rms) @ block.uvqk.weight.T)
    u, v, q, k = z[:, : 3 * d], z[:, 3 * d : 4 * d], z[:, 4 * d : 5 * d], z[:, 5 * d :]
    semantic, rows = attend(block.attention, config, g, q, k, v, 1.0), []
    position, time = block.channels.position, block.channels.time
    for i in range(len(x)):
        by_place = sum(position[min(distance(g, i, j), len(position) - 1)] * v[j] for j in keys(g, i))
        by_time = sum(time[bucket(g, i, j)] * v[j] for j in keys(g, i))
        heads = [slice(h * size, (h + 1) * size) for h in range(config.heads)]
        rows.append(torch.cat([part for h in heads for part in (semantic[i, h], by_place[h], by_time[h])]))
    h = x + (u * each(torch.stack(rows), rms)) @ block.out.weight.T + block.out.bias
    return h + swiglu(block.feed, each(h, rms))


def literal_fuxi_beta(block: nn.Module, config: SequenceConfig, g: Geometry, x: Tensor) -> Tensor:
    assert isinstance(config, fuxi_beta.Config)
    d, size, channels = config.width, config.width // config.heads, 2 if config.channels == "both" else 1
    z = silu(each(x, rms) @ block.uv.weight.T)
    u, v, rows = z[:, : channels * d], z[:, channels * d :], []

    def of_time(place: int) -> Tensor:
        gap = math.ceil(math.exp(0.301 * place) * 1000) / 1000 if place else 0.0
        if config.time_function == "table":
            return block.time.table[place]
        a, b = block.time.scale[0], block.time.decay[0]
        return a * (1 + gap) ** -b if config.time_function == "power" else a * torch.exp(-torch.exp(b) * gap)

    for i in range(len(x)):
        mixed = []
        if config.channels != "time":
            mixed.append(sum(block.position[min(distance(g, i, j), len(block.position) - 1)] * v[j] for j in keys(g, i)))
        if config.channels != "position":
            mixed.append(sum(of_time(bucket(g, i, j)) * v[j] for j in keys(g, i)))
        heads = [slice(h * size, (h + 1) * size) for h in range(config.heads)]
        rows.append(torch.cat([channel[h] for h in heads for channel in mixed]))
    h = x + (u * each(torch.stack(rows), rms)) @ block.out.weight.T + block.out.bias
    return h + swiglu(block.feed, each(h, rms))


def literal_fuxi_linear(block: nn.Module, config: SequenceConfig, g: Geometry, x: Tensor) -> Tensor:
    assert isinstance(config, fuxi_linear.Config) and g.plan.query_time is not None and g.plan.key_time is not None
    d, size, heads = config.width, config.width // config.heads, config.heads
    channels = [name for name in ("time", "position") if config.channels in (name, "both")]
    normed = each(x, lambda row: layer_norm(row, 1e-6))
    z = silu(normed @ block.uvqk.weight.T)
    gate = (1 + len(channels)) * d
    u, v, q, k = z[:, :gate], *(z[:, gate + n * d : gate + (n + 1) * d] for n in range(3))
    values = {name: normed @ block.values.weight[n * d : (n + 1) * d].T for n, name in enumerate(channels)}
    rates = [torch.exp(-torch.log1p(torch.exp(block.rates[: h + 1])).sum()) for h in range(heads)]

    def semantic(i: int) -> Tensor:
        parts = []
        for h in range(heads):
            own, total = slice(h * size, (h + 1) * size), torch.zeros(size, dtype=torch.float64)
            for j in keys(g, i):
                one, other = q[i, own], k[j, own]
                if config.rope:
                    one, other = turned(one, int(g.plan.position[i])), turned(other, int(g.plan.position[j]))
                total = total + torch.exp(-rates[h] * (distance(g, i, j) + 1)) * (one * other).sum() * v[j, own]
            parts.append(total)
        return torch.cat(parts)

    def waves(i: int) -> Tensor:
        channel, parts = block.time, []
        part = d // (2 * config.periods)
        for h in range(2 * config.periods):
            own, total = slice(h * part, (h + 1) * part), torch.zeros(part, dtype=torch.float64)
            omega = 2 * math.pi / (config.shortest_period * config.period_factor ** (h % config.periods))
            kept = 1 / (1 + torch.exp(-channel.decay[h % config.periods]))
            for j in keys(g, i):
                at = g.plan.key_time[j] if i != j else g.plan.query_time[i] if g.plan.own_time is None else g.plan.own_time[i]
                gap = int(g.plan.query_time[i] - at) / 1000
                wave = math.sin(omega * gap) if h < config.periods else math.cos(omega * gap)
                total = total + kept ** (omega * gap) * wave * values["time"][j, own]
            parts.append(channel.mixed[h] * total + channel.kept[h] * values["time"][i, own])
        return torch.cat(parts)

    def places(i: int) -> Tensor:
        channel, total = block.position, torch.zeros(d, dtype=torch.float64)
        for j in keys(g, i):
            one, other = channel.vectors[g.plan.position[i]], channel.vectors[g.plan.position[j]]
            total = total + (one * other).sum() / (config.position_dim / 2) * values["position"][j]
        return channel.mixed * total + channel.kept * values["position"][i]

    mixing = [semantic, *({"time": waves, "position": places}[name] for name in channels)]
    joined = torch.stack([torch.cat([layer_norm(mix(i), 1e-6) for mix in mixing]) for i in range(len(x))])
    h = x + (u * joined) @ block.out.weight.T
    return h + swiglu(block.feed, each(h, rms))


def cases() -> Iterator[object]:
    same = {"width": 8, "dropout": 0.0}
    table = {
        "hstu": (hstu.HSTULayer, literal_hstu, hstu.Config, (
            {}, {"heads": 4, "divisor": "own"}, {"gate": False, "relative_bias": "time"},
            {"attention": "softmax", "residual": "normalised"}, {"own_time": "recency"},
        )),
        "stu": (stu.STULayer, literal_stu, stu.Config, ({}, {"heads": 1, "relative_bias": "both"})),
        "mtgr": (mtgr.MTGRLayer, literal_mtgr, mtgr.Config, ({}, {"group_norm": False})),
        "fuxi": (fuxi.FuXiLayer, literal_fuxi, fuxi.Config, ({}, {"heads": 4, "feed_forward": 2.0}, {"own_time": "recency"})),
        "fuxi-beta": (fuxi_beta.FuXiBetaLayer, literal_fuxi_beta, fuxi_beta.Config, (
            {}, {"heads": 4, "time_function": "exponential", "feed_forward": 2.0}, {"time_function": "table", "channels": "time"},
            {"channels": "position"}, {"own_time": "recency"},
        )),
        "fuxi-linear": (fuxi_linear.FuXiLinearLayer, literal_fuxi_linear, fuxi_linear.Config, (
            {"periods": 2}, {"periods": 4, "shortest_period": 60, "channels": "time", "own_time": "recency", "feed_forward": 2.0},
            {"periods": 1, "channels": "position", "position_dim": 6, "heads": 4},
            {"periods": 1, "channels": "none", "rope": True},
        )),
        "llama": (llama.LlamaBlock, literal_llama, llama.Config, (
            {}, {"heads": 1, "relative_bias": "none"}, {"gate": True, "attention": "silu"},
        )),
        "gpt": (gpt.GPTBlock, literal_gpt, gpt.Config, ({}, {"rope": True})),
        "genrank": (gpt.GPTBlock, literal_gpt, genrank.Config, ({}, {"heads": 4})),
        "sasrec": (sasrec.SASRecBlock, literal_sasrec, sasrec.Config, ({}, {"heads": 2})),
        "sasrec-scalable": (sasrec.SASRecBlock, literal_sasrec, sasrec_scalable.Config, ({},)),
    }  # fmt: skip
    for name, (block, literal, config, variants) in table.items():
        for at, changes in enumerate(variants):
            yield pytest.param(block, literal, config(**{**same, **changes}), id=f"{name}-{at}")


@pytest.mark.parametrize(("block", "literal", "config"), list(cases()))
def test_block_equals_its_equations(
    block: Callable[..., nn.Module], literal: Callable[..., Tensor], config: SequenceConfig, spec: DataSpec
) -> None:
    torch.manual_seed(1)
    layer = block(config, spec).double().eval()
    for parameter in layer.parameters():  # starts of zero and one would hide mistakes
        nn.init.normal_(parameter, std=0.4)
    g = geometry(config, spec)
    x = torch.randn(len(g.plan.lo), config.width, dtype=torch.float64, requires_grad=True)
    weights = torch.randn_like(x)
    found, expected = layer(x, g), literal(layer, config, g, x)
    assert (found - expected).abs().max() < 1e-9 * expected.abs().max()
    slopes = [torch.autograd.grad((out * weights).sum(), x)[0] for out in (found, expected)]
    assert (slopes[0] - slopes[1]).abs().max() < 1e-9 * slopes[1].abs().max()
    single = block(config, spec).eval()
    single.load_state_dict(layer.state_dict())
    narrow = Geometry(
        g.plan,
        None if g.turn is None else g.turn.float(),
        g.divisor.float() if isinstance(g.divisor, Tensor) else g.divisor,
        g.kind,
    )
    assert (single(x.detach().float(), narrow).double() - expected).abs().max() < 1e-5 * expected.abs().max()
