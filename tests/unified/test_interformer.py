"""InterFormer against its equations, one example and token at a time in float64, with each of its interactions."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import combinations, pairwise

import pytest
import torch
from torch import Tensor, nn

from rankbench.bench.contract import DataSpec, PointwiseBatch
from rankbench.unified import interformer
from rankbench.unified.interformer import Config, ContextAttention, EventSummary, FieldInteraction, FieldSummary, InterFormer
from support.example_rows import in_double

from .literal import Vectors, assert_same, attend, cross, layer_norm, line, rms, scatter, sigmoid, silu


def gate(y: Tensor, module: nn.Module) -> Tensor:
    return y * sigmoid(line(silu(line(y, module.up)), module.down))


def field_summary(x: Vectors, module: FieldSummary) -> Vectors:
    weight, bias = module.compress.weight, module.compress.bias
    summed = [sum(weight[s, f] * x[f] for f in range(len(x))) + bias[s] for s in range(len(weight))]
    return [gate(y, module.gate) for y in summed]


def event_summary(s: Vectors, module: EventSummary, config: Config) -> Vectors:
    pooled = [cross(query, s, module.pool) for query in module.queries]
    events = s[config.summaries :]
    recent = [events[at] if at < len(events) else torch.zeros_like(s[0]) for at in range(config.recent)]
    return [gate(y, module.gate) for y in [*s[: config.summaries], *pooled, *recent]]


def interaction(x: Vectors, summary: Vectors, module: FieldInteraction) -> Vectors:
    tokens = x + summary
    total = torch.zeros(module.down.in_features, dtype=torch.float64)
    if module.dot is not None:
        total = total + line(torch.stack([(one * other).sum() for one, other in combinations(tokens, 2)]), module.dot)
    if module.cross is not None and module.after_cross is not None:
        flat = torch.cat(tokens)
        total = total + line(flat * line(flat, module.cross) + flat, module.after_cross)
    added = line(torch.relu(total), module.down).view(len(x), -1)
    return [layer_norm(token + more, module.norm) for token, more in zip(x, added, strict=True)]


def turned(x: Tensor, position: int, heads: int) -> Tensor:
    size, parts = len(x) // heads, []
    for head in x.view(heads, size):
        half = size // 2
        for n in range(half):
            parts.append(
                head[n] * math.cos(position * 10_000 ** (-n / half)) - head[n + half] * math.sin(position * 10_000 ** (-n / half))
            )
        for n in range(half):
            parts.append(
                head[n] * math.sin(position * 10_000 ** (-n / half)) + head[n + half] * math.cos(position * 10_000 ** (-n / half))
            )
    return torch.stack(parts)


def attention(s: Vectors, summary: Vectors, module: ContextAttention) -> Vectors:
    d = len(s[0])
    matrix = line(silu(line(torch.cat(summary), module.up)), module.matrix).view(d, d)
    projected = [line(rms(event, module.norm) @ matrix, module.qkv) for event in s]
    keys = [turned(p[d : 2 * d], at, module.heads) for at, p in enumerate(projected)]
    values = [p[2 * d :] for p in projected]
    read = [attend(turned(p[:d], at, module.heads), keys, values, module.heads) for at, p in enumerate(projected)]
    return [event + line(one, module.out) for event, one in zip(s, read, strict=True)]


def exact_rotation(position: Tensor, size: int) -> Tensor:
    """That of the kernel is made in single precision."""
    angle = position.double().unsqueeze(1) * 10_000.0 ** (-torch.arange(size // 2, dtype=torch.float64) / (size // 2))
    return torch.stack([angle.cos(), angle.sin()]).unsqueeze(2)


@pytest.mark.parametrize("kind", ["dot", "cross", "dhen"])
def test_it_is_its_equations(
    kind: str,
    make_spec: Callable[..., DataSpec],
    make_batch: Callable[..., PointwiseBatch],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(interformer, "rotation", exact_rotation)
    spec = make_spec("history")
    config = Config(embedding_dim=3, width=4, heads=1, summaries=2, pooled=1, recent=2, hidden=(5,), interaction=kind)  # type: ignore[arg-type]
    model = InterFormer(config, spec)
    scatter(model)
    batch = in_double(make_batch(spec, n=4, longest=3))
    history = batch.history
    seen: list[Tensor] = []
    model.mlp.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    model(batch)
    fields = model.field(model.inputs(batch)[0].unflatten(1, (-1, 3)))
    events = model.event(model.inputs.keys(history))
    rows = []
    for row, (begin, end) in enumerate(pairwise(history.offsets.tolist())):
        x = list(fields[row])
        s = field_summary(x, model.field_summaries[0]) + [events[e] for e in reversed(range(begin, end))]  # type: ignore[arg-type]
        for layer, summing in zip(model.layers, model.field_summaries, strict=True):
            x_sum, s_sum = field_summary(x, summing), event_summary(s, layer.event_summary, config)  # type: ignore[arg-type]
            x, s = interaction(x, s_sum, layer.interaction), attention(s, x_sum, layer.attention)  # type: ignore[arg-type]
        rows.append(torch.cat([*x, *event_summary(s, model.event_summary, config)]))
    left_out = {id(parameter) for part in (model.mlp, model.out) for parameter in part.parameters()}
    assert_same(seen[0], torch.stack(rows), [p for p in model.parameters() if id(p) not in left_out])


def test_heads_of_an_odd_size_cannot_turn() -> None:
    with pytest.raises(ValueError, match="heads of an even number"):
        Config(width=6, heads=2)
