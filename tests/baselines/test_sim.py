"""SIM's hard search against a loop over examples and events."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from rankbench.baselines._inputs import EmbeddingConfig, EventInputs, category_field, select_events
from rankbench.baselines.sim import SIM, Config
from rankbench.bench.contract import DataSpec, Ids, PointwiseBatch

MakeSpec = Callable[..., DataSpec]
MakeBatch = Callable[..., PointwiseBatch]


def values(ids: Ids, row: int) -> set[int]:
    """Known values of one row."""
    found = ids[row : row + 1] if isinstance(ids, Tensor) else ids.values[ids.offsets[row] : ids.offsets[row + 1]]
    return {value for value in found.tolist() if value > 1}


@pytest.mark.parametrize("category", ["item", "genres", "year"])
@pytest.mark.parametrize(("top", "recent"), [(2, 1), (50, 3)])
def test_search_equals_a_loop(category: str, top: int, recent: int, make_spec: MakeSpec, make_batch: MakeBatch) -> None:
    spec = make_spec()
    model, batch = SIM(Config(category=category, top=top, recent=recent), spec), make_batch(spec, n=300)
    past, found, latest = batch.history, [], []
    for row in range(len(batch)):
        events = list(range(int(past.offsets[row]), int(past.offsets[row + 1])))
        wanted = values(batch.fields[category], row)
        found.append([event for event in events if wanted & values(past.fields[category], event)][-top:])
        latest.append(events[-recent:])
    assert any(found) and not all(found)
    for history, expected in zip(model.search(batch), (found, latest), strict=True):
        assert history.offsets.diff().tolist() == [len(events) for events in expected]
        index = torch.tensor([event for events in expected for event in events], dtype=torch.long)
        assert torch.equal(history.action, past.action[index]) and torch.equal(history.label, past.label[index])
        assert history.gap is not None and past.gap is not None and torch.equal(history.gap, past.gap[index])
        for name, ids in history.fields.items():
            for at, event in enumerate(index.tolist()):
                assert values(ids, at) == values(past.fields[name], event)


def test_embeddings_of_kept_events_are_those_of_all(make_spec: MakeSpec, make_batch: MakeBatch) -> None:
    spec = make_spec()
    inputs, history = EventInputs(EmbeddingConfig(embedding_dim=3), spec), make_batch(spec).history
    keep = torch.rand(len(history.action)) < 0.5
    assert torch.equal(inputs.keys(select_events(history, keep)), inputs.keys(history)[keep])


def test_the_category_is_the_first_side_field_or_the_item(make_spec: MakeSpec) -> None:
    spec = make_spec()
    assert category_field(spec).name == "genres" and category_field(spec, "year").name == "year"
    bare = DataSpec(**{**vars(spec), "item": spec.item[:1]})
    assert category_field(bare).name == "item"
    with pytest.raises(ValueError, match="items have no field 'colour'; they have item, genres, year"):
        category_field(spec, "colour")
