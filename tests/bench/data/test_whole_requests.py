"""Batches of whole requests: every example once an epoch, no request torn, the same for a seed, as full as their limit allows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rankbench.bench.config import DataConfig
from rankbench.bench.data import columns
from rankbench.bench.data.batches import SequenceBatches, make_batches
from rankbench.bench.data.dataset import RankingData
from rankbench.bench.data.whole_requests import has_mixed_request, packed, request_offsets
from support.logs import changed, make_data, with_config

SETTINGS = [{}, {"supervision": "impression"}, {"behaviours": ("label",)}, {"negatives": "uniform"}, {"train_share": 0.4}]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> RankingData:
    config = DataConfig("tiny", history_length=5, request_window=600)
    return make_data(tmp_path_factory.mktemp("log") / "tiny", config, users=40, longest=200)


@given(size=st.lists(st.integers(1, 9), max_size=30), limit=st.integers(1, 12))
def test_batches_are_filled_one_thing_after_the_other(size: list[int], limit: int) -> None:
    batches: list[list[int]] = [[]]
    for one in size:
        if batches[-1] and sum(batches[-1]) + one > limit:
            batches.append([])
        batches[-1].append(one)
    assert packed(np.array(size, dtype=np.int64), limit) == [0, *np.cumsum([len(batch) for batch in batches]).tolist()]


def test_requests_are_found_across_blocks(data: RankingData, monkeypatch: pytest.MonkeyPatch) -> None:
    event = data.examples("train").event
    whole = request_offsets(data, event)
    monkeypatch.setattr(columns, "BLOCK_ROWS", 7)
    assert np.array_equal(request_offsets(data, event), whole)
    names, count = np.unique(data.request[event], return_counts=True)
    assert len(names) == len(whole) - 1 and np.array_equal(np.diff(whole), count)
    assert not len(request_offsets(data, event[:0])[:-1])


@pytest.mark.parametrize("settings", SETTINGS, ids=lambda one: next(iter(one.items()), "default"))
@pytest.mark.parametrize("view", ["pointwise", "sequence"])
def test_a_batch_has_all_of_a_request_or_nothing(view: str, settings: dict[str, object], data: RankingData) -> None:
    data = with_config(data, **settings)
    for role in (data, data.with_validation()):
        batches = make_batches(role, view, "train", 60, 90, 0, True)
        orders = []
        for epoch in (0, 1):
            plans, seen, where = batches.plans(epoch), [], {}
            for at, plan in enumerate(plans):
                example = batches.assemble(plan, None).example.numpy()
                seen += example.tolist()
                for request in set(role.request[example % role.log.meta.events].tolist()):
                    assert where.setdefault(request, at) == at, "a request in two batches"
            assert sorted(seen) == sorted(batches.examples.ids().tolist())
            assert all(map(np.array_equal, plans, make_batches(role, view, "train", 60, 90, 0, True).plans(epoch)))
            orders.append(seen)
        assert orders[0] != orders[1], "each epoch has an order of its own"


def test_batches_of_requests_hold_what_they_can(data: RankingData) -> None:
    batches = make_batches(data, "pointwise", "train", 10, 0, 0, True)
    sizes = [len(plan) for plan in batches.plans(0)]
    requests = np.diff(request_offsets(data, batches.examples.event))
    assert requests.max() > 10, "a request that is larger than a batch"
    assert sorted(size for size in sizes if size > 10) == sorted(requests[requests > 10])


def test_dense_segments_are_the_same_batches_either_way(data: RankingData) -> None:
    """So the setting has nothing to choose for them."""
    one, other = (SequenceBatches(data, "train", 300, 3, whole) for whole in (False, True))
    for epoch in (0, 2):
        assert all(map(np.array_equal, one.plans(epoch), other.plans(epoch)))


def test_held_out_examples_keep_their_batches(data: RankingData) -> None:
    for view in ("pointwise", "sequence"):
        one, other = (make_batches(data, view, "valid", 20, 60, 0, whole).plans(None) for whole in (False, True))
        assert all(map(np.array_equal, one, other))


def test_a_log_says_whether_there_is_anything_to_compare(data: RankingData, tmp_path: Path) -> None:
    assert has_mixed_request(data)
    assert not has_mixed_request(changed(data, tmp_path / "likes", label=np.ones(data.log.meta.events, dtype=np.uint8)))
    first = (data.request[:] % 2).astype(np.uint8)
    assert not has_mixed_request(changed(data, tmp_path / "requests", label=first))
