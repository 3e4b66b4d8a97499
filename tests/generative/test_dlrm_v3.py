"""HSTU's released ranking model, from ids to logits, against its equations written token by token in float64."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from rankbench.bench.config import DataConfig
from rankbench.bench.contract import Jagged, SequenceBatch
from rankbench.bench.data.batches import SequenceBatches
from rankbench.bench.data.dataset import RankingData
from rankbench.generative import dlrm_v3, hstu
from rankbench.generative.attention import make_geometry
from rankbench.generative.ranker import SequenceRanker
from rankbench.generative.request_tokens import LONGEST, RequestTokens, by_request, make_tokens, minute_buckets
from support.logs import make_data, with_config

MINUTE = 60_000


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> RankingData:
    config = DataConfig("tiny", history_length=6, request_window=600)
    return make_data(tmp_path_factory.mktemp("log") / "tiny", config, users=40, longest=60)


def a_batch(data: RankingData, role: str = "test", events: int = 200) -> SequenceBatch:
    batches = SequenceBatches(data, role, events)
    return batches.assemble(batches.plans(None)[-1], None)


def scattered(data: RankingData, **settings: Any) -> SequenceRanker:
    torch.manual_seed(0)
    model = dlrm_v3.INFO.build(dlrm_v3.Config(width=8, embedding_dim=4, head_hidden=6, **settings), data.spec).double().eval()
    assert isinstance(model, SequenceRanker)
    for parameter in model.parameters():  # starts of zero and one would hide mistakes
        nn.init.normal_(parameter, std=0.4)
    return model


def normed(x: Tensor, norm: Any, eps: float = 1e-5) -> Tensor:
    centred = x - x.sum() / len(x)
    return centred / torch.sqrt((centred * centred).sum() / len(x) + eps) * norm.weight + norm.bias


def affine(layer: Any, x: Tensor) -> Tensor:
    return layer.weight @ x + (0 if layer.bias is None else layer.bias)


def tower(part: Any, x: Tensor) -> Tensor:
    hidden = affine(part.up, x)
    return normed(affine(part.down, hidden / (1 + torch.exp(-normed(hidden, part.gate.norm)))), part.norm)


def vector(embeddings: Any, ids: Any, name: str, event: int) -> Tensor:
    table = embeddings.tables[embeddings.index[name]].weight
    if isinstance(ids, Jagged):
        rows = table[ids.values[int(ids.offsets[event]) : int(ids.offsets[event + 1])]]
        return rows.sum(0) / max(len(rows), 1)
    return table[int(ids[event])]


class Literal:
    """The model's parts by their meaning, for one batch."""

    def __init__(self, model: SequenceRanker, data: RankingData, batch: SequenceBatch) -> None:
        self.model, self.config, self.batch, self.data = model, model.config, batch, data
        self.tokens: Any = model.tokens
        assert isinstance(model.tokens, RequestTokens)
        stars = data.log.dictionary("action")
        self.stars = sorted(stars)
        codes = data.log.action
        self.said = {int(id_): str(stars[code]) for id_, code in zip(data.vocabulary.action_of_event[:], codes, strict=True)}

    def shown(self, event: int) -> Tensor:
        spec, fields = self.data.spec, self.batch.fields
        names = [f.name for f in (*spec.item, *spec.context) if f.name not in ("hour", "weekday")]
        return torch.cat([vector(self.tokens.embeddings, fields[name], name, event) for name in names])

    def done(self, event: int) -> Tensor:
        said = self.said.get(int(self.batch.action[event])) if int(self.batch.action[event]) > 1 else None
        on = [float(star == said) for star in self.stars] + [float(self.batch.past_label[event])]
        return torch.cat([o * vector_ for o, vector_ in zip(on, self.tokens.outcomes.vectors, strict=True)])

    def token(self, event: int, done: Tensor) -> Tensor:
        shown_tower, done_tower = self.tokens.event_token.towers
        return math.sqrt(self.config.width) * (tower(shown_tower, self.shown(event)) + tower(done_tower, done))

    def users(self, event: int, seen: int) -> list[Tensor]:
        names = [f.name for f in self.data.spec.user_fields(self.config.user_id)]
        silent = seen < self.config.context_min_events
        found = []
        for name, layer in zip(names, self.tokens.user_tokens, strict=True):
            one = vector(self.tokens.user_embeddings, self.batch.fields[name], name, event)
            found.append(math.sqrt(self.config.width) * affine(layer, one * 0 if silent else one))
        return found

    def sequence(self, event: int) -> Tensor:
        batch, model = self.batch, self.model
        lo, hi = int(batch.lo[event]), int(batch.hi[event])
        users = self.users(event, hi - lo)
        x = [*users, *(self.token(e, self.done(e)) for e in range(lo, hi)), self.token(event, self.tokens.mask)]
        places = [*range(len(users)), *(len(users) + hi - e for e in range(lo, hi)), len(users)]
        assert model.positions is not None
        x = [one + model.positions.weight[place] for one, place in zip(x, places, strict=True)]
        if model.times is not None:
            assert batch.time is not None and batch.query_time is not None
            now = int(batch.query_time[event])
            gaps = [int(math.sqrt((now - int(batch.time[e])) / 60_000)) for e in range(lo, hi)]
            rows = [*(2048 for _ in users), *gaps, 0]
            x = [one + model.times.weight[row] for one, row in zip(x, rows, strict=True)]
        return torch.stack(x)

    def layer(self, block: Any, x: Tensor) -> Tensor:
        d, heads = self.config.width, self.config.heads
        size, rows = d // heads, []
        z = torch.stack([affine(block.uvqk, normed(row, block.input_norm, 1e-6)) for row in x])
        u, v, q, k = (z[:, n * d : (n + 1) * d] for n in range(4))
        u = u / (1 + torch.exp(-u))
        divisor = self.data.spec.history_length + len(self.tokens.user_names) + 1
        for i in range(len(x)):
            o = []
            for h in range(heads):
                own, total = slice(h * size, (h + 1) * size), torch.zeros(size, dtype=torch.float64)
                for j in range(i + 1):
                    s = (q[i, own] * k[j, own]).sum() / math.sqrt(size)
                    total = total + s / (1 + torch.exp(-s)) / divisor * v[j, own]
                o.append(total)
            if self.config.head_norm:  # type: ignore[attr-defined]
                each = [type("One", (), {"weight": w, "bias": b}) for w, b in zip(*block.output_norm.parameters(), strict=True)]
                middle = torch.cat([normed(part, one, 1e-6) for part, one in zip(o, each, strict=True)])
            else:
                middle = normed(torch.cat(o), block.output_norm, 1e-6)
            joined = torch.cat([u[i], torch.cat(o), u[i] * middle])
            rows.append(x[i] + block.out.weight @ joined)
        return torch.stack(rows)

    def logit(self, row: int) -> Tensor:
        event, spec, head = int(self.batch.target[row]), self.data.spec, self.model.head
        x = self.sequence(event)
        for block in self.model.blocks:
            x = self.layer(block, x)
        state = x[-1]
        if self.model.clock is not None:
            turns = [2 * math.pi * (int(self.batch.fields[name][event]) - 2) / n for name, n in (("hour", 24), ("weekday", 7))]
            clock = torch.tensor([f(turn) for turn in turns for f in (math.sin, math.cos)], dtype=torch.float64)
            state = affine(self.model.clock, torch.cat([state, clock]))
        item = torch.cat([vector(self.tokens.embeddings, self.batch.fields[f.name], f.name, event) for f in spec.item])
        hidden = affine(head.hidden, normed(state, head.norm) * tower(self.tokens.candidate, item))
        return affine(head.out, hidden / (1 + torch.exp(-normed(hidden, head.gate.norm))))[0]


@pytest.mark.parametrize(
    ("time", "settings"),
    [
        ("request", {}),
        ("request", {"head_norm": True, "heads": 4, "context_min_events": 4, "user_id": "embedding", "layers": 1}),
        ("history", {"layers": 1}),
        ("none", {"layers": 1}),
    ],
)
def test_the_whole_model_is_its_equations(time: str, settings: dict[str, Any], data: RankingData) -> None:
    data = with_config(data, time=time)
    batch, model = a_batch(data), scattered(data, **settings)
    assert (model.times is None) == (time == "none") and (model.clock is None) == (time != "request")
    literal = Literal(model, data, batch)
    rows = range(0, len(batch), max(1, len(batch) // 12))
    found = model(batch)[list(rows)]
    expected = torch.stack([literal.logit(row) for row in rows])
    assert (found - expected).abs().max() < 1e-6 * expected.abs().max()
    weights = torch.linspace(-1, 1, len(rows), dtype=torch.float64)
    slopes = [torch.autograd.grad((out * weights).sum(), list(model.parameters())) for out in (found, expected)]
    for (name, _), ours, theirs in zip(model.named_parameters(), *slopes, strict=True):
        assert (ours - theirs).abs().max() < 1e-6 * theirs.abs().max().clamp(min=1e-3), name


def test_candidates_of_a_request_share_its_segment(data: RankingData) -> None:
    """With histories that end where the test begins, all of a user's test examples see the same events."""
    frozen = with_config(data, time="history", test_history="frozen")
    batch = a_batch(frozen)
    requests = by_request(batch)
    segments = torch.searchsorted(batch.offsets, batch.target, right=True)
    assert len(requests.size) == len(segments.unique()) < len(batch)
    for one, size in enumerate(requests.size.tolist()):
        ranks = requests.rank[requests.of_target == one]
        assert len(ranks) == size and ranks.sort().values.tolist() == list(range(size))
        assert requests.of_target[requests.example[one]] == one
    config = dlrm_v3.Config()
    tokens = make_tokens(config, frozen.spec)(batch)
    assert len(tokens.offsets) == len(requests.size) + 1
    # No candidate sees another, and the largest number that one sees is what the divisor says.
    seen = (tokens.hi - tokens.lo)[tokens.readout]
    assert (tokens.kind[tokens.readout] == 0).all() and seen.max() <= config.most_visible(frozen.spec)
    for at in tokens.readout.tolist():
        visible = range(int(tokens.lo[at]), int(tokens.hi[at]))
        assert not set(visible) & set(tokens.readout.tolist())
    geometry = make_geometry(config, frozen.spec, tokens)
    assert geometry.divisor == config.most_visible(frozen.spec) + 1


def test_buckets_grow_with_the_root_of_minutes() -> None:
    gaps = [-5, 0, MINUTE - 1, MINUTE, 4 * MINUTE - 1, 4 * MINUTE, 100 * MINUTE, 2048**2 * MINUTE, 10**15]
    assert minute_buckets(torch.tensor(gaps)).tolist() == [0, 0, 0, 1, 1, 2, 10, LONGEST, LONGEST]


def test_a_layer_is_left_out_in_training_alone(data: RankingData) -> None:
    batch = a_batch(data)
    torch.manual_seed(0)
    config = hstu.Config(dropout=0.0, stochastic_depth=0.5, width=8, layers=3)
    model = hstu.build(config, data.spec)
    model.train()
    calls = [0, 0, 0]
    for at, block in enumerate(model.blocks):
        block.register_forward_hook(lambda *_, at=at: calls.__setitem__(at, calls[at] + 1))
    outs = [model(batch) for _ in range(60)]
    assert all(15 < count < 45 for count in calls) and len({out.sum().item() for out in outs}) >= 4
    assert len({model.eval()(batch).sum().item() for _ in range(3)}) == 1
