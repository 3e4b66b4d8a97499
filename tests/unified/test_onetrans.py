"""OneTrans against its equations, one example at a time in float64, and what it keeps of a past against one pass."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from rankbench.bench.config import DataConfig
from rankbench.bench.contract import SequenceBatch
from rankbench.bench.data.batches import SequenceBatches
from rankbench.bench.data.dataset import RankingData
from rankbench.bench.data.requests import candidate_batch, past_batch, request_batch, request_of
from rankbench.unified.onetrans import Config, EventLayer, OneTrans, RequestLayer, TokenBias
from support.logs import make_data, with_config

from .literal import Vectors, assert_same, attend, gelu, line, own_line, rms, scatter

HISTORY = 6
SMALL: dict[str, Any] = {"embedding_dim": 3, "width": 8, "tokens": 3, "layers": 3}
CASES: list[dict[str, Any]] = [{}, {"own_weights": False}, {"pyramid": False, "heads": 1}, {"layers": 1}]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> RankingData:
    config = DataConfig("tiny", history_length=HISTORY, request_window=600)
    return make_data(tmp_path_factory.mktemp("log") / "tiny", config, users=12, longest=20)


def bias_of(bias: TokenBias, batch: SequenceBatch, asking: int, key: int) -> Tensor:
    """Of an event that looks back at another: how many more events its request sees, and how long ago it was."""
    distance = min(int(batch.hi[asking] - batch.hi[key]), HISTORY) if asking != key else 0
    total = bias.position[distance]
    if bias.time is not None:
        assert batch.time is not None and batch.query_time is not None
        seconds = 0 if asking == key else abs(int(batch.query_time[asking] - batch.time[key])) / 1000
        total = total + bias.time[min(int(math.log(max(1, seconds)) / 0.301), 71)]
    return total


def event_layer(
    x: dict[int, Tensor], window: int, layer: EventLayer, bias: TokenBias, batch: SequenceBatch
) -> dict[int, Vectors]:
    """Event -> its query, key and value, and what comes out."""
    found: dict[int, Vectors] = {}
    for event, token in x.items():
        found[event] = list(line(rms(token, layer.attention_norm), layer.qkv).chunk(2 if layer.last else 3))
    if layer.last:
        return found
    for event, token in x.items():
        seen = [*range(max(int(batch.lo[event]), int(batch.hi[event]) - window), int(batch.hi[event])), event]
        biases = [bias_of(bias, batch, event, key) for key in seen]
        q = found[event][0]
        read = attend(q, [found[key][1] for key in seen], [found[key][2] for key in seen], layer.heads, biases)
        z = token + line(read, layer.out)
        found[event].append(z + line(gelu(line(rms(z, layer.feed_norm), layer.up)), layer.down))
    return found


def request_layer(x: Vectors, keys: Vectors, values: Vectors, biases: Vectors, layer: RequestLayer) -> Vectors:
    own = [at if layer.qkv.tokens > 1 else 0 for at in range(len(x))]
    parts = [own_line(rms(token, layer.attention_norm), layer.qkv, at).chunk(3) for token, at in zip(x, own, strict=True)]
    after = []
    for n, token in enumerate(x):
        k, v = [*keys, *(part[1] for part in parts[: n + 1])], [*values, *(part[2] for part in parts[: n + 1])]
        zero = [torch.zeros((), dtype=torch.float64)] * (n + 1)
        z = token + own_line(attend(parts[n][0], k, v, layer.heads, [*biases, *zero]), layer.out, own[n])
        feed = own_line(gelu(own_line(rms(z, layer.feed_norm), layer.feed.up, own[n])), layer.feed.down, own[n])
        after.append(z + feed)
    return after


def literal(model: OneTrans, batch: SequenceBatch) -> Tensor:
    """Logits, from the embeddings on."""
    config, vectors = model.config, model.embeddings(batch.fields, model.names)
    x = {}
    for event in batch.observed.nonzero().squeeze(1).tolist():
        label = int(batch.past_label[event]) + 2
        outcome = model.outcomes.tables[0].weight[batch.action[event]] + model.outcomes.tables[1].weight[label]
        x[event] = line(torch.cat([vectors[event, model.shared].flatten(), outcome]), model.event_token)
    requests = [list(line(vectors[e].flatten(), model.request_tokens).view(config.tokens, -1)) for e in batch.target.tolist()]
    for at in range(config.layers):
        layer, asking, bias = model.event_layers[at], model.request_layers[at], model.bias[at]
        assert isinstance(layer, EventLayer) and isinstance(asking, RequestLayer) and isinstance(bias, TokenBias)
        window = config.seen(at, HISTORY)
        found = event_layer(x, window, layer, bias, batch)
        for row, event in enumerate(batch.target.tolist()):
            seen = range(max(int(batch.lo[event]), int(batch.hi[event]) - window), int(batch.hi[event]))
            place = 0 if layer.last else 1
            keys, values = [found[key][place] for key in seen], [found[key][place + 1] for key in seen]
            requests[row] = request_layer(requests[row], keys, values, [bias_of(bias, batch, event, key) for key in seen], asking)
        x = {event: parts[3] for event, parts in found.items() if not layer.last}
    rows = [torch.cat([rms(token, model.norm) for token in row]) for row in requests]
    return torch.stack([line(row, model.out) for row in rows]).squeeze(1)


@pytest.mark.parametrize("time", ["request", "none"])
@pytest.mark.parametrize("settings", CASES, ids=str)
def test_it_is_its_equations(settings: dict[str, Any], time: str, data: RankingData) -> None:
    """A few targets of two users, their events packed end to end, with ties and requests of several events among them."""
    data = with_config(data, time=time)
    model = OneTrans(Config(**{**SMALL, **settings}), data.spec)
    scatter(model)
    batches = SequenceBatches(data, "train", 30)
    batch = batches.assemble(batches.plans(None)[1], None)
    assert isinstance(batch, SequenceBatch)
    chosen = torch.arange(0, len(batch), 4)
    batch = dataclasses.replace(
        batch,
        target=batch.target[chosen],
        example=batch.example[chosen],
        label=batch.label[chosen].double(),
        past_label=batch.past_label.double(),
    )
    assert (batch.hi - batch.lo)[batch.target].max() > 2
    assert_same(model(batch), literal(model, batch), list(model.parameters()))


@pytest.mark.parametrize("settings", CASES, ids=str)
def test_candidates_after_a_kept_past_score_as_in_one_pass(settings: dict[str, Any], data: RankingData) -> None:
    model = OneTrans(Config(**{**SMALL, **settings}), data.spec)
    scatter(model).float()
    items = np.array([3, 1, 5, 0])
    checked = 0
    for event in data.split.examples("test").tolist()[::2]:
        request = request_of(data, event)
        if request.hi == request.start:
            continue
        with torch.inference_mode():
            memory = model.remember(past_batch(data, request))
            after = model.forward_after(memory, request.lo - request.start, candidate_batch(data, request, items))
            whole = model(request_batch(data, "sequence", request, items))
        torch.testing.assert_close(after, whole, atol=1e-5, rtol=1e-4)
        checked += 1
    assert checked >= 3


def test_the_pyramid_falls_from_the_history_towards_the_tokens_of_fields() -> None:
    config = Config(layers=4, tokens=4)
    assert [config.seen(layer, 100) for layer in range(4)] == [100, 76, 52, 28]
    assert [config.seen(layer, 3) for layer in range(4)] == [3] * 4
    assert Config(layers=4, pyramid=False).seen(3, 100) == 100


def test_heads_must_divide_the_width() -> None:
    with pytest.raises(ValueError, match="cannot be divided among 3 heads"):
        Config(heads=3)


def test_without_weights_of_their_own_tokens_share_one_matrix(data: RankingData) -> None:
    sizes = []
    for tokens in (2, 4):
        model = OneTrans(Config(own_weights=False, tokens=tokens), data.spec)
        sizes.append(sum(parameter.numel() for parameter in model.request_layers.parameters()))
    assert sizes[0] == sizes[1]
