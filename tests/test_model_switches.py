"""The contract of a model with each of its switches turned: what holds for its defaults holds for what a search may choose."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any, Literal, get_args, get_origin, get_type_hints

import numpy as np
import pytest
import torch

from rankbench.bench import registry
from rankbench.bench.config import DataConfig
from rankbench.bench.contract import Ranker
from rankbench.bench.data.dataset import RankingData
from rankbench.bench.data.requests import request_batch, request_of
from support.contract import other_outcomes, scattered, scores
from support.logs import make_data

Altered = tuple[list[int], RankingData]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> RankingData:
    config = DataConfig("tiny", history_length=6, request_window=600)
    return make_data(tmp_path_factory.mktemp("log") / "tiny", config, users=25, longest=80)


@pytest.fixture(scope="module")
def altered(data: RankingData, tmp_path_factory: pytest.TempPathFactory) -> Altered:
    return other_outcomes(data, tmp_path_factory.mktemp("altered") / "log", 1)


def switches() -> Iterator[tuple[str, str, Any]]:
    """Model, setting, value: each value of a choice that is not the default."""
    for name in registry.MODELS:
        info = registry.info(name)
        if info.fit == "gradient":
            hints, usual = get_type_hints(info.config), info.config()
            for field in dataclasses.fields(usual):
                kind, value = hints[field.name], getattr(usual, field.name)
                others = (not value,) if kind is bool else get_args(kind) if get_origin(kind) is Literal else ()
                yield from ((name, field.name, other) for other in others if other != value)


def turned(name: str, field: str, value: Any, data: RankingData) -> Ranker:
    """Skips what the model's settings refuse."""
    try:
        registry.info(name).config(**{field: value})
    except ValueError as refusal:
        pytest.skip(f"refused: {refusal}")
    return scattered(registry.info(name), data, **{field: value}).eval()


@pytest.mark.long
@pytest.mark.parametrize(("name", "field", "value"), list(switches()))
def test_a_switch_lets_nothing_through(name: str, field: str, value: Any, data: RankingData, altered: Altered) -> None:
    """No outcome at or after hi; no other example of the batch, nor the order of a request's candidates."""
    info, model = registry.info(name), turned(name, field, value, data)
    expected = scores(model, info, data)
    assert np.ptp(list(expected.values())) > 1e-3, "a model that says the same of all shows nothing"
    events, other = altered
    found = scores(model, info, other)
    assert [found[event] for event in events] == pytest.approx([expected[event] for event in events], abs=1e-6)
    apart = scores(model, info, data, size=7)
    assert list(apart.values()) == pytest.approx([expected[event] for event in apart], abs=1e-5)
    for event in data.split.examples("test")[::30]:
        items = np.array([3, int(data.log.item[event]), 5, 0])
        with torch.inference_mode():
            both = (
                model(request_batch(data, info.view, request_of(data, int(event)), one)) for one in (items, items[::-1].copy())
            )
            one, two = (found if found.dim() == 1 else found[:, 0] for found in both)
        assert one[1].sigmoid().item() == pytest.approx(expected[int(event)], abs=1e-5)
        assert one.sigmoid().tolist() == pytest.approx(two.sigmoid().tolist()[::-1], abs=1e-5)
