"""Search spaces of all models: they name real settings, hold the defaults, ask for the same effort, and all of them runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rankbench.bench import registry
from rankbench.bench.config import Settings, resolve
from rankbench.bench.contract import BATCH_SETTINGS, BATCHES, SHARED_SPACE, Choice, ModelInfo, Range, Real
from rankbench.bench.data.batches import make_batches
from rankbench.bench.data.dataset import RankingData
from support.logs import make_data

CARDS = [registry.info(name) for name in registry.MODELS]
SEARCHED = [card for card in CARDS if card.space]
by_name = pytest.mark.parametrize("card", SEARCHED, ids=lambda card: card.name)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> RankingData:
    return make_data(tmp_path_factory.mktemp("log") / "tiny")


def values(searched: Range) -> st.SearchStrategy[Any]:
    if isinstance(searched, Choice):
        return st.sampled_from(searched.values)
    if isinstance(searched, Real):
        return st.floats(searched.low, searched.high)
    return st.integers(searched.low, searched.high)


def resolved(card: ModelInfo, drawn: Mapping[str, Any]) -> Any:
    return resolve(card, Settings(models={card.name: dict(drawn)}))


def test_every_model_but_the_plain_floors_can_be_tuned() -> None:
    assert {card.name for card in CARDS if not card.space} == {"random", "popularity", "own-rate", "ctr"}


@pytest.mark.long
@by_name
@given(drawing=st.data())
def test_everything_in_the_space_is_a_valid_setting(card: ModelInfo, drawing: st.DataObject) -> None:
    drawn = {name: drawing.draw(values(searched), name) for name, searched in card.space.items()}
    experiment = resolved(card, drawn)
    for name, value in drawn.items():
        section, key = (experiment.train, name[6:]) if name.startswith("train.") else (experiment.params, name)
        assert getattr(section, key) == value


@by_name
def test_the_defaults_lie_inside(card: ModelInfo) -> None:
    experiment = resolved(card, {})
    for name, searched in card.space.items():
        section, key = (experiment.train, name[6:]) if name.startswith("train.") else (experiment.params, name)
        default = getattr(section, key)
        inside = default in searched.values if isinstance(searched, Choice) else searched.low <= default <= searched.high
        assert inside, f"{name}={default}"


@by_name
def test_the_effort_is_the_same(card: ModelInfo) -> None:
    """All of the shared settings, depth and width in up to three keys, at most four settings of the model's own; and how much a
    step learns from, over the same numbers for either family."""
    assert len(card.space) <= len(SHARED_SPACE) + 1 + 3 + 4
    batches = {name: card.space[name] for name in BATCH_SETTINGS.values() if name in card.space}
    assert batches == ({BATCH_SETTINGS[card.view]: BATCHES} if card.fit == "gradient" else {})
    if card.fit == "gradient" and card.family != "floor":
        assert {name: card.space.get(name) for name in SHARED_SPACE} == dict(SHARED_SPACE)


@pytest.mark.long
@pytest.mark.parametrize("card", [card for card in SEARCHED if card.fit == "gradient"], ids=lambda card: card.name)
def test_corners_of_the_space_score_a_batch(card: ModelInfo, data: RankingData) -> None:
    """The smallest and the largest of everything, and a few draws between them, give finite logits and gradients."""
    batches = make_batches(data, card.view, "train", batch_size=32, batch_events=256)
    batch = batches.assemble(batches.plans(None)[0], None)
    for drawn in draws(card, 4):
        torch.manual_seed(0)
        model = card.build(resolved(card, drawn).params, data.spec)
        logits = model(batch)
        assert logits.isfinite().all(), drawn
        logits.sum().backward()
        assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters()), drawn


def draws(card: ModelInfo, count: int) -> list[dict[str, Any]]:
    ends = [{name: _end(searched, last) for name, searched in card.space.items()} for last in (False, True)]
    rng = np.random.default_rng(0)
    return ends + [{name: _draw(searched, rng) for name, searched in card.space.items()} for _ in range(count)]


def _end(searched: Range, last: bool) -> Any:
    if isinstance(searched, Choice):
        return searched.values[-1 if last else 0]
    return searched.high if last else searched.low


def _draw(searched: Range, rng: np.random.Generator) -> Any:
    if isinstance(searched, Choice):
        return searched.values[rng.integers(len(searched.values))]
    if isinstance(searched, Real):
        return float(rng.uniform(searched.low, searched.high))
    return int(rng.integers(searched.low, searched.high + 1))
