"""What is gathered on a device is, number by number, what the host assembles."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from rankbench.bench.config import DataConfig
from rankbench.bench.contract import Jagged, SequenceBatch
from rankbench.bench.data.batches import make_batches
from rankbench.bench.data.dataset import RankingData
from rankbench.bench.data.resident import ResidentRows, ResidentSequences, batches_at
from rankbench.bench.errors import UserError
from rankbench.bench.recorded import tensors_of
from support.logs import make_data, with_config

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> RankingData:
    config = DataConfig("tiny", history_length=6, request_window=600)
    return make_data(tmp_path_factory.mktemp("log") / "tiny", config, users=30, longest=80)


VARIANTS: tuple[dict[str, Any], ...] = (
    {},
    {"time": "none"},
    {"time": "history"},
    {"supervision": "impression"},
    {"negatives": "uniform", "negative_rate": 2.0},
    {"outcomes": "none"},
    {"outcomes": "label"},
    {"train_share": 0.4, "unknown_rate": 0.0, "feedback_delay": 5000.0},
)


@pytest.mark.parametrize("view", ["sequence", "pointwise"])
@pytest.mark.parametrize("changes", VARIANTS, ids=lambda changes: " ".join(f"{key}={value}" for key, value in changes.items()))
def test_batches_are_those_of_the_host(changes: dict[str, Any], view: str, data: RankingData) -> None:
    data = with_config(data, **changes)
    usual, there = make_batches(data, view, "train", 100, 200), batches_at(CPU, data, view, "train", 100, 200)
    for epoch in (0, 1):
        for one, two in zip(usual.plans(epoch), there.plans(epoch), strict=True):
            assert np.array_equal(one, two)
            expected, found = usual.assemble(one, np.random.default_rng(7)), there.assemble(two, np.random.default_rng(7))
            assert list(expected.fields) == list(found.fields)
            for value, own in zip(tensors_of(expected), tensors_of(found), strict=True):
                assert own.dtype == value.dtype and torch.equal(own, value)
            if isinstance(there, ResidentSequences):
                assert isinstance(expected, SequenceBatch) and there.observed(two) == int(expected.observed.sum())
    for role in ("valid", "test"):
        usual, of_role = make_batches(data, view, role, 100, 200), batches_at(CPU, data, view, role, 100, 200)
        for one, two in zip(usual.plans(None), of_role.plans(None), strict=True):
            expected, found = usual.assemble(one, None), of_role.assemble(two, None)
            assert all(map(torch.equal, tensors_of(expected), tensors_of(found)))
            if isinstance(of_role, ResidentSequences):
                assert isinstance(expected, SequenceBatch) and of_role.observed(two) == int(expected.observed.sum())
        assert isinstance(of_role, ResidentRows | ResidentSequences) and isinstance(there, ResidentRows | ResidentSequences)
        assert of_role.log is there.log, "the columns lie on the device twice"
    if data.config.negatives == "uniform" and isinstance(there, ResidentSequences):
        assert int(there.extra.sum()) > 0, "no sampled item stands behind its segment"
    assert any(isinstance(ids, Jagged) for ids in found.fields.values())


@pytest.mark.parametrize("view", ["sequence", "pointwise"])
def test_data_that_it_cannot_gather_are_refused(view: str, data: RankingData) -> None:
    with pytest.raises(
        UserError, match=r"assembly=device does not work with these data: histories do not hold all events .* use"
    ):
        batches_at(CPU, with_config(data, behaviours=("label",)), view, "train", 100, 200)
