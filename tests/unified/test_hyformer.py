"""HyFormer against its equations, one example, event and token at a time in float64, with each of its encoders."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from rankbench.bench.contract import DataSpec, PointwiseBatch
from rankbench.unified import din_hyformer, hyformer
from rankbench.unified.hyformer import Config, EventEncoder, HyFormer, QueryDecoder
from support.example_rows import in_double

from .literal import Vectors, assert_same, attend, cross, gelu, line, mixed, own_line, rms, scatter, swiglu

SMALL: dict[str, Any] = {"tokens": 4, "width": 8, "embedding_dim": 3, "hidden": (5,)}


def literal_encoder(encoder: EventEncoder, h: Vectors, whole: Vectors) -> Vectors:
    d = len(h[0]) if h else 0
    if encoder.sequence == "full":
        normed = [rms(event, encoder.norm) for event in h]
        both = [line(event, encoder.attention.key_value) for event in normed]
        keys, values = [b[:d] for b in both], [b[d:] for b in both]
        read = [attend(line(event, encoder.attention.query), keys, values, encoder.heads) for event in normed]
        h = [event + line(one, encoder.attention.out) for event, one in zip(h, read, strict=True)]
    elif encoder.sequence == "longer":
        past = [rms(event, encoder.norm) for event in whole]
        h = [event + cross(rms(event, encoder.norm), past, encoder.attention) for event in h]
    return [event + swiglu(rms(event, encoder.feed_norm), encoder.feed) for event in h]


def literal(model: HyFormer, fields: Vectors, sequences: list[Vectors]) -> Tensor:
    """Tokens of one example after the last layer, from its fields' tokens and its events, oldest first."""
    config = model.config
    zero = torch.zeros(config.width, dtype=torch.float64)
    means = [torch.stack(events).sum(0) / len(events) if events else zero for events in sequences]
    info = torch.cat([*fields, *means])
    x = [own_line(gelu(own_line(info, model.query_up, n)), model.query_down, n) for n in range(config.all_queries)] + fields
    short = [events[-config.recent :] for events in sequences] if config.sequence == "longer" else sequences
    for layer in model.layers:
        after = []
        for at, decoder in enumerate(layer.decoders):
            assert isinstance(decoder, QueryDecoder)
            short[at] = literal_encoder(decoder.encoder, short[at], sequences[at])
            past = [rms(event, decoder.event_norm) for event in short[at]]
            for query in x[at * config.queries : (at + 1) * config.queries]:
                after.append(query + cross(rms(query, decoder.query_norm), past, decoder.attention))
        x = after + x[config.all_queries :]
        boosted = [
            own_line(gelu(own_line(rms(m, layer.norm), layer.feed.up, t)), layer.feed.down, t) for t, m in enumerate(mixed(x))
        ]
        x = [token + more for token, more in zip(x, boosted, strict=True)]
    return torch.cat([rms(token, model.norm) for token in x])


@pytest.mark.parametrize(
    "settings",
    [{}, {"sequence": "full"}, {"sequence": "longer", "recent": 2}, {"apart": True, "queries": 1}, {"layers": 1, "heads": 1}],
    ids=str,
)
def test_it_is_its_equations(
    settings: dict[str, Any], make_spec: Callable[..., DataSpec], make_batch: Callable[..., PointwiseBatch]
) -> None:
    spec = make_spec()
    model = HyFormer(Config(**{**SMALL, **settings}), spec)
    scatter(model)
    batch = in_double(make_batch(spec, n=6, longest=4))
    history = batch.history
    seen: list[Tensor] = []
    model.mlp.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    model(batch)
    fields = model.field_tokens(model.inputs(batch)[0])
    tokens = model.event_token(model.inputs.keys(history))
    rows = []
    for row, (begin, end) in enumerate(pairwise(history.offsets.tolist())):
        places = [
            [e for e in range(begin, end) if history.label[e] == label] if model.config.apart else list(range(begin, end))
            for label in range(model.config.sequences)
        ]
        sequences = [[tokens[e] + model.order.weight[len(own) - 1 - at] for at, e in enumerate(own)] for own in places]
        rows.append(literal(model, list(fields[row]), sequences))
    left_out = {id(parameter) for part in (model.mlp, model.out) for parameter in part.parameters()}
    assert_same(seen[0], torch.stack(rows), [p for p in model.parameters() if id(p) not in left_out])


def test_din_inside_joins_the_fields_alone(make_spec: Callable[..., DataSpec], make_batch: Callable[..., PointwiseBatch]) -> None:
    """With no weight on DIN's sum, and the same weights otherwise, it is HyFormer."""
    spec = make_spec()
    batch = make_batch(spec)
    inside = din_hyformer.build(din_hyformer.Config(), spec).eval()
    plain = hyformer.build(Config(), spec).eval()
    assert isinstance(inside, HyFormer) and isinstance(plain, HyFormer) and inside.interest is not None
    query = inside.inputs(batch)[1]
    interest = inside.interest(inside.inputs, query, batch.history)
    weights = dict(inside.state_dict())
    more = {name: weights[name] for name in plain.state_dict() if not name.startswith("field_tokens")}
    plain.load_state_dict(more, strict=False)
    plain.field_tokens = nn.Module()  # type: ignore[assignment]
    plain.field_tokens.forward = lambda row: inside.field_tokens(torch.cat([row, interest], dim=1))  # type: ignore[method-assign]
    torch.testing.assert_close(plain(batch), inside(batch))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"heads": 3}, "cannot be divided among 3 heads"),
        ({"queries": 4, "apart": True}, "leaves none for the fields"),
        ({"recent": 5}, "recent belongs to sequence=longer"),
    ],
)
def test_settings_that_do_not_fit_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Config(**settings)
