"""LONGER against its equations, one example and token at a time in float64."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor

from rankbench.bench.contract import DataSpec, PointwiseBatch
from rankbench.unified.longer import GLOBAL, LONGER, Config, ReadingLayer
from support.example_rows import in_double

from .literal import Vectors, assert_same, cross, gelu, line, rms, scatter


def layer(x: Vectors, keys: list[Vectors], module: ReadingLayer) -> Vectors:
    """`keys`: what each query sees."""
    past = [[rms(key, module.norm) for key in own] for own in keys]
    x = [one + cross(rms(one, module.norm), own, module.attention) for one, own in zip(x, past, strict=True)]
    return [one + line(gelu(line(rms(one, module.feed_norm), module.up)), module.down) for one in x]


def literal(model: LONGER, query: Tensor, example: Tensor, events: Vectors) -> Tensor:
    """Outputs at the global tokens of one example; events with the latest first."""
    config, merged = model.config, []
    for begin in range(0, len(events), config.merge):
        group = [event + model.order.weight[begin + at] for at, event in enumerate(events[begin : begin + config.merge])]
        if model.inner is not None:
            group = layer(group, [group] * len(group), model.inner)
        absent = [torch.zeros_like(group[0])] * (config.merge - len(group))
        merged.append(torch.cat([*group, *absent]))
    r = [line(query, model.candidate), line(example, model.fields), model.learned, *merged]
    first, *rest = model.layers
    asking = min(GLOBAL + config.recent, len(r))
    assert isinstance(first, ReadingLayer)
    x = layer(r[:asking], [r[at:] for at in range(asking)], first)
    for module in rest:
        assert isinstance(module, ReadingLayer)
        x = layer(x, [x[at:] for at in range(asking)], module)
    return torch.cat([rms(token, model.norm) for token in x[:GLOBAL]] + [example])


@pytest.mark.parametrize("settings", [{}, {"inner": False}, {"merge": 1}, {"recent": 1, "layers": 2}], ids=str)
def test_it_is_its_equations(
    settings: dict[str, Any], make_spec: Callable[..., DataSpec], make_batch: Callable[..., PointwiseBatch]
) -> None:
    """Pasts of 0 to 5 events, merged by 2: whole tokens, half ones, none."""
    spec = make_spec()
    options = {"embedding_dim": 3, "width": 8, "merge": 2, "recent": 2, "hidden": (5,)}
    model = LONGER(Config(**{**options, **settings}), spec)
    scatter(model)
    batch = in_double(make_batch(spec, n=8, longest=5))
    history = batch.history
    seen: list[Tensor] = []
    model.mlp.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    model(batch)
    example, query = model.inputs(batch)
    events = model.event(model.inputs.keys(history))
    rows = [
        literal(model, query[row], example[row], [events[e] for e in reversed(range(begin, end))])
        for row, (begin, end) in enumerate(pairwise(history.offsets.tolist()))
    ]
    left_out = {id(parameter) for part in (model.mlp, model.out) for parameter in part.parameters()}
    assert_same(seen[0], torch.stack(rows), [p for p in model.parameters() if id(p) not in left_out])


def test_a_width_that_cannot_be_merged_is_refused() -> None:
    with pytest.raises(ValueError, match="no multiple of merge 3"):
        Config(merge=3)
