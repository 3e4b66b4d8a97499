"""Arithmetic for an example, against what can be counted by hand."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from rankbench.bench import registry
from rankbench.bench.config import DataConfig, Experiment, TrainConfig
from rankbench.bench.data.batches import make_batches
from rankbench.bench.data.dataset import RankingData
from rankbench.bench.evaluation import flops as flops_module
from rankbench.bench.evaluation.flops import flops_per_example
from rankbench.kernels import decayed_attention, dispatch
from rankbench.kernels.decayed_attention import DecayedInputs
from rankbench.kernels.hstu_attention import plan_attention
from rankbench.kernels.padded_attention import PaddedInputs
from rankbench.kernels.segments import SegmentReading, Segments
from support.logs import make_data

TRAIN = TrainConfig(batch_size=64, batch_events=200)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> RankingData:
    return make_data(tmp_path_factory.mktemp("log"), DataConfig(history_length=6))


def flops(name: str, data: RankingData, **params: object) -> float:
    info = registry.info(name)
    return flops_per_example(Experiment(name, data.config, TRAIN, info.config(**params)), info, data)


def test_of_an_mlp_every_weight_is_a_multiply_and_an_add(data: RankingData) -> None:
    info = registry.info("dnn")
    model = info.build(info.config(), data.spec)
    weights = sum(module.weight.numel() for module in model.modules() if isinstance(module, nn.Linear))
    assert flops("dnn", data) == 2 * weights


def test_of_attention_pairs_that_see_each_other_are_counted(data: RankingData) -> None:
    """Between one layer and two lie a layer's products and the pairs of its tokens."""
    width, batches = 32, make_batches(data, "sequence", "train", 64, 200)
    pairs = tokens = examples = 0
    plans = batches.plans(None)
    assert len(plans) <= 8, "all of them are counted"
    for plan in plans:
        batch = batches.assemble(plan, None)
        seen = 2 * (batch.hi - batch.lo)
        # A token sees two tokens for each event, and itself; an event has an action token if anything sees it.
        pairs += int((seen + 1).sum() + (seen + 1)[batch.observed].sum())
        tokens, examples = tokens + len(seen) + int(batch.observed.sum()), examples + len(batch)
    layer = 2 * (tokens * 5 * width * width + 2 * pairs * width)
    options = {"width": width, "heads": 2, "relative_bias": "none"}
    found = flops("hstu", data, layers=2, **options) - flops("hstu", data, layers=1, **options)
    assert found == pytest.approx(layer / examples)


def test_of_queries_over_a_padded_past_only_what_they_see_is_counted() -> None:
    """Two queries of a row see three keys, those of the other none: q . k over 2 heads of 4, and A v over 2 heads of 3."""
    pairs, visible = flops_module._Pairs(), torch.tensor([[[True, True, False, True]], [[False] * 4]])
    inputs = PaddedInputs(torch.ones(2, 2, 2, 4), torch.ones(2, 4, 2, 4), torch.ones(2, 4, 2, 3), visible, None)
    assert pairs.reading(inputs).shape == (2, 2, 2, 3)
    assert pairs.flops == 2 * (2 * 3) * (2 * 4 + 2 * 3)


@pytest.mark.parametrize(("behind", "pairs"), [(False, 2 * 3 + 2 * 1), (True, (3 + 2) + 1)])
def test_of_queries_over_their_own_tokens_only_what_they_see_is_counted(behind: bool, pairs: int) -> None:
    """Two queries of examples with 3, 1 and no tokens: q . k and A v over a width of 8."""
    counted, segments = flops_module._Pairs(), Segments(torch.tensor([0, 3, 4, 4]), 3)
    inputs = SegmentReading(torch.ones(3, 2, 8), torch.ones(4, 16), segments, 2, behind)
    assert counted.reading_segments(inputs).shape == (3, 2, 8)
    assert counted.flops == pairs * 2 * (8 + 8)


@pytest.mark.parametrize(("behind", "pairs"), [(False, 3 * 3 + 1), (True, (3 + 2 + 1) + 1)])
def test_of_tokens_that_read_each_other_only_what_they_see_is_counted(behind: bool, pairs: int) -> None:
    counted, segments = flops_module._Pairs(), Segments(torch.tensor([0, 3, 4, 4]), 3)
    inputs = SegmentReading(torch.ones(4, 8), torch.ones(4, 16), segments, 2, behind)
    assert counted.reading_segments(inputs).shape == (4, 8)
    assert counted.flops == pairs * 2 * (8 + 8)


def test_of_products_with_an_own_matrix_every_token_counts_once() -> None:
    counted = flops_module._Pairs()
    assert counted.turning(torch.ones(4, 8), torch.ones(3, 8, 5), Segments(torch.tensor([0, 3, 4, 4]), 3)).shape == (4, 5)
    assert counted.flops == 4 * 2 * 8 * 5


@pytest.mark.long
@pytest.mark.parametrize("name", [name for name in registry.MODELS if name not in ("lr", "fm")])
def test_every_network_counts_something_and_leaves_no_trace(name: str, data: RankingData) -> None:
    before = torch.get_rng_state()
    with dispatch.watching() as ran:
        found = flops(name, data)
    assert not ran
    assert found == 0 if registry.info(name).fit == "counts" else found > 1000
    assert torch.equal(torch.get_rng_state(), before)


def test_of_a_recurrence_states_and_the_keys_of_one_chunk_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Six tokens in chunks of four, each of which sees those before it: 1 to 4 keys and 1 key one by one, and itself. Six keys go
    into states, and five readings look there; 2 heads of 4 and 3."""
    monkeypatch.setattr(decayed_attention, "CHUNK", 4)
    pairs, place = flops_module._Pairs(), torch.arange(6)
    plan = plan_attention(torch.tensor([0, 6]), torch.zeros_like(place), place, place)
    narrow, wide = torch.ones(6, 2, 4), torch.ones(6, 2, 3)
    assert pairs.decayed(DecayedInputs(narrow, narrow, wide, narrow, plan, "position", None)).shape == wide.shape
    assert pairs.flops == 2 * 2 * ((1 + 2 + 3 + 4 + 1 + 6) * (4 + 3) + (6 + 5) * 4 * 3)
