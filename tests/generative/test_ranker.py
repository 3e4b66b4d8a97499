"""Every layout with every head and every switch keeps the contract: no leak, no batch mates, no order, and it can learn."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from rankbench.bench.config import DataConfig
from rankbench.bench.contract import DataSpec, Ranker, SequenceBatch
from rankbench.bench.data.batches import SequenceBatches
from rankbench.bench.data.dataset import RankingData
from rankbench.bench.data.requests import candidate_batch, past_batch, request_batch, request_of
from rankbench.generative import fuxi, fuxi_beta, fuxi_linear, gpt, hstu
from rankbench.generative.attention import make_geometry
from rankbench.generative.config import READS_CANDIDATE, SequenceConfig
from rankbench.generative.request_tokens import make_tokens
from rankbench.generative.tokens import TokenLinear
from rankbench.kernels.hstu_attention.plan import own_buckets
from rankbench.kernels.time_buckets import time_buckets
from support.logs import make_data, with_config

HEADS = ("mlp", "ffn", "mmoe", *READS_CANDIDATE)
CASES: list[dict[str, Any]] = [
    {"layout": layout, "head": head}
    for layout in ("interleaved", "candidate", "late", "request")
    for head in HEADS
    if layout != "late" or head in READS_CANDIDATE
]
SWITCHES: list[dict[str, Any]] = [
    {"actions": False}, {"actions": False, "layout": "candidate"}, {"item_fields": "none"}, {"item_fields": "sum"},
    {"user_context": False}, {"user_context": False, "layout": "late", "head": "dot"}, {"rope": True}, {"alibi": True},
    {"absolute_position": True}, {"attention": "softmax"}, {"divisor": "own"}, {"gate": False}, {"residual": "normalised"},
    {"relative_bias": "none"}, {"own_time": "recency"}, {"own_time": "recency", "layout": "candidate"}, {"token_start": "scaled"},
    {"user_id": "embedding"}, {"user_id": "embedding", "user_context": False}, {"action_encoding": "bits"},
    {"token_network": "mlp"}, {"token_network": "mlp", "layout": "candidate", "token_start": "scaled"}, {"clock": "state"},
    {"layout": "request", "time_embedding": "sqrt-minutes", "absolute_position": True, "context_min_events": 2},
    {"layout": "request", "user_context": False, "actions": False}, {"layout": "request", "rope": True, "alibi": True},
]  # fmt: skip


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> RankingData:
    return make_data(tmp_path_factory.mktemp("log") / "tiny", DataConfig("tiny", history_length=6), users=40, longest=90)


def name(case: dict[str, Any]) -> str:
    return "-".join(f"{key}={value}" for key, value in case.items())


def trained(case: dict[str, Any], data: RankingData, steps: int = 3) -> Ranker:
    torch.manual_seed(0)
    model = hstu.build(dataclasses.replace(hstu.Config(), width=16, embedding_dim=8, **case), data.spec)
    batches = SequenceBatches(data, "train", 400)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.02)
    for plan in batches.plans(0)[:steps]:
        batch = batches.assemble(plan, None)
        optimizer.zero_grad()
        F.binary_cross_entropy_with_logits(model(batch), batch.label).backward()
        for parameter_name, parameter in model.named_parameters():
            assert parameter.grad is not None, f"{parameter_name} takes no part in the score"
        optimizer.step()
    return model.eval()


def scores(model: Ranker, data: RankingData, size: int = 10_000) -> dict[int, float]:
    batches, found = SequenceBatches(data, "test", size), {}
    with torch.inference_mode():
        for plan in batches.plans(None):
            batch = batches.assemble(plan, None)
            found |= dict(zip(batch.example.tolist(), model(batch).tolist(), strict=True))
    return found


@pytest.mark.long
@pytest.mark.parametrize("case", CASES + SWITCHES, ids=name)
def test_candidates_batched_or_alone_in_any_order_and_in_any_batch(case: dict[str, Any], data: RankingData) -> None:
    model = trained(case, data)
    together, apart = scores(model, data), scores(model, data, size=3)
    assert [together[e] for e in together] == pytest.approx([apart[e] for e in together], abs=1e-5)
    for event in data.split.examples("test")[::20].tolist():
        items = np.array([3, int(data.log.item[event]), 5, 0])
        with torch.inference_mode():
            slate, turned = (
                model(request_batch(data, "sequence", request_of(data, event), chosen)).tolist()
                for chosen in (items, items[::-1].copy())
            )
            alone = [model(request_batch(data, "sequence", request_of(data, event), items[[at]])).item() for at in range(4)]
        assert slate == pytest.approx(turned[::-1], abs=1e-5) and slate == pytest.approx(alone, abs=1e-5)
        assert slate[1] == pytest.approx(together[event], abs=1e-5)


@pytest.mark.parametrize("case", CASES + SWITCHES, ids=name)
def test_outcomes_that_an_example_must_not_know_change_nothing(case: dict[str, Any], data: RankingData) -> None:
    """Outcome and item of every event at or after hi, in the packed batch itself, for the first example that sees something."""
    model = trained(case, data)
    batches = SequenceBatches(data, "test", 300)
    batch = batches.assemble(batches.plans(None)[-1], None)
    assert isinstance(batch, SequenceBatch)
    with torch.inference_mode():
        expected = model(batch)
        for row in range(0, len(batch), 7):
            event = int(batch.target[row])
            hidden = torch.arange(int(batch.hi[event]), len(batch.lo))
            other = dataclasses.replace(
                batch, action=batch.action.clone(), past_label=batch.past_label.clone(), fields=dict(batch.fields)
            )
            other.action[hidden] = torch.where(batch.observed[hidden], 2, 0)
            other.past_label[hidden] = torch.where(batch.observed[hidden], 1 - batch.past_label[hidden], 0.0)
            items = batch.fields["item"]
            assert isinstance(items, torch.Tensor)
            moved = items.clone()
            moved[hidden[hidden != event]] = 2 + (moved[hidden[hidden != event]] + 3) % 10
            other.fields["item"] = moved
            assert model(other)[row].item() == pytest.approx(expected[row].item(), abs=1e-5)


@pytest.mark.long
@pytest.mark.parametrize("case", CASES, ids=name)
def test_64_rows_can_be_learnt_by_heart(case: dict[str, Any], data: RankingData) -> None:
    torch.manual_seed(0)
    model = hstu.build(dataclasses.replace(hstu.Config(), dropout=0.0, embedding_dim=16, **case), data.spec)
    batches = SequenceBatches(data, "train", 64)
    batch = next(b for plan in batches.plans(None) if len(b := batches.assemble(plan, None)) >= 48)
    chosen = torch.arange(min(64, len(batch)))
    batch = dataclasses.replace(batch, target=batch.target[chosen], example=batch.example[chosen], label=batch.label[chosen])
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(300):
        optimizer.zero_grad()
        loss = F.binary_cross_entropy_with_logits(model(batch), batch.label)
        loss.backward()
        optimizer.step()
        if loss.item() < 0.04:
            break
    assert loss.item() < 0.05


@pytest.mark.parametrize("module", [fuxi, gpt, hstu])
def test_weights_survive_a_file(module: Any, data: RankingData, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = module.build(module.Config(width=16), data.spec).eval()
    torch.save(model.state_dict(), tmp_path / "weights.pt")
    torch.manual_seed(1)
    again = module.build(module.Config(width=16), data.spec).eval()
    again.load_state_dict(torch.load(tmp_path / "weights.pt", weights_only=True))
    assert scores(again, data) == scores(model, data)


@pytest.mark.parametrize("layout", ["interleaved", "candidate"])
def test_one_layer_sees_the_same_however_sequences_are_cut(layout: str, data: RankingData) -> None:
    """Deeper models differ: with long segments their states have seen more than one history length. Without position bias,
    because ties that a cut goes through share another position."""
    alone = with_config(data, supervision="impression")
    shallow = trained({"layout": layout, "layers": 1, "relative_bias": "time"}, data)
    expected, found = scores(shallow, data), scores(shallow, alone, size=500)
    assert [found[event] for event in expected] == pytest.approx(list(expected.values()), abs=1e-5)
    deep = trained({"layout": layout, "layers": 3}, data)
    assert scores(deep, alone) != pytest.approx(scores(deep, data), abs=1e-4)
    again = scores(trained({"layout": layout, "layers": 2}, alone), alone)
    assert again.keys() == expected.keys()


@pytest.mark.parametrize("layout", ["interleaved", "candidate"])
def test_a_position_beyond_the_table_is_an_error(layout: str, data: RankingData) -> None:
    """The table is as long as `DataSpec.longest_segment` says; data that is cut otherwise must not share its last row unseen."""
    batches = SequenceBatches(data, "train", 10_000)
    batch = batches.assemble(batches.plans(None)[-1], None)
    config = hstu.Config(layout=layout, absolute_position=True)  # type: ignore[arg-type]
    longest = int((batch.hi - batch.offsets[:-1].repeat_interleave(batch.offsets.diff())).max())
    assert longest < data.spec.longest_segment
    assert torch.isfinite(hstu.build(config, data.spec)(batch)).all()
    short = dataclasses.replace(data.spec, longest_segment=longest)
    with pytest.raises(IndexError, match="index out of range"):
        hstu.build(config, short)(batch)


def test_scaled_tokens_start_as_embeddings_times_the_root_of_the_width() -> None:
    """Of fresh embeddings the released code makes tokens with a spread of about .15 that have nothing in common."""
    embeddings, size, cosine = torch.randn(500, 48) * 0.02, {}, {}
    for start in ("linear", "scaled"):
        x = TokenLinear(48, hstu.Config(token_start=start))(embeddings).detach()  # type: ignore[arg-type]
        size[start] = float(x.square().mean().sqrt())
        cosine[start] = float(F.cosine_similarity(x[:250], x[250:]).mean())
    assert size["scaled"] == pytest.approx(0.02 * 64**0.5, rel=0.1) and abs(cosine["scaled"]) < 0.05
    assert size["linear"] < 0.1 and cosine["linear"] > 0.9


def test_every_token_of_every_layout_starts_so(spec: DataSpec) -> None:
    layers = [
        layer
        for layout in ("interleaved", "candidate", "late")
        for layer in make_tokens(hstu.Config(layout=layout, head="dot", token_start="scaled"), spec).children()  # type: ignore[arg-type]
        if isinstance(layer, nn.Linear)
    ]
    scaled = [layer for layer in layers if isinstance(layer, TokenLinear)]
    assert len(scaled) == len(layers) - 3, "all but the candidate's projection for the head"
    assert all(layer.scale == 8 and not layer.bias.any() for layer in scaled)


@pytest.mark.parametrize("layout", ["interleaved", "candidate"])
def test_recency_is_the_gap_to_the_latest_event_that_a_token_sees(layout: str, data: RankingData) -> None:
    batches = SequenceBatches(data, "test", 300)
    batch = batches.assemble(batches.plans(None)[-1], None)
    config = hstu.Config(layout=layout, own_time="recency")  # type: ignore[arg-type]
    tokens = make_tokens(config, data.spec)(batch)
    buckets = own_buckets(make_geometry(config, data.spec, tokens).plan)
    assert buckets is not None and batch.time is not None and batch.query_time is not None
    some = 0
    for row, event in enumerate(batch.target.tolist()):
        hi = int(batch.hi[event])
        seen = hi > int(batch.lo[event])
        gap = batch.query_time[event] - batch.time[hi - 1] if seen else torch.tensor(0)
        assert buckets[tokens.readout[row]] == time_buckets(gap)
        some += int(gap > 1000)
    assert some > 10
    assert own_buckets(make_geometry(hstu.Config(layout=layout), data.spec, tokens).plan) is None  # type: ignore[arg-type]


@pytest.mark.parametrize("layout", ["interleaved", "candidate"])
@pytest.mark.parametrize("module", [fuxi, fuxi_beta, fuxi_linear, hstu])
def test_a_remembered_past_knows_how_long_ago_it_was(module: Any, layout: str, data: RankingData) -> None:
    torch.manual_seed(0)
    model = module.build(module.Config(layout=layout, own_time="recency"), data.spec).eval()
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.3)
    for event in data.split.examples("test")[::15].tolist():
        request, items = request_of(data, event), np.array([3, 5, 0])
        with torch.inference_mode():
            memory = model.remember(past_batch(data, request))
            found = model.forward_after(memory, request.lo - request.start, candidate_batch(data, request, items))
            expected = model(request_batch(data, "sequence", request, items))
        assert torch.allclose(found, expected, atol=1e-4)


def test_more_tokens_cost_what_the_config_says(data: RankingData) -> None:
    assert SequenceConfig().tokens_per_event == 2
    assert SequenceConfig(actions=False).tokens_per_event == SequenceConfig(layout="candidate").tokens_per_event == 1
