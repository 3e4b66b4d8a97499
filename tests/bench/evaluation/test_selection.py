"""AUC within users punishes the use of a user's past where test labels are seen, and does not where they are not."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from rankbench.bench.config import DataConfig
from rankbench.bench.data.dataset import RankingData
from rankbench.bench.evaluation.selection import selection_effect
from support.logs import make_data, with_config


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> RankingData:
    """Users like different shares of what they see, independently from event to event."""
    data = make_data(tmp_path_factory.mktemp("log") / "log", DataConfig("tiny", history_length=50), users=600, longest=20)
    rng = np.random.default_rng(0)
    share = rng.beta(1, 1, data.log.meta.users)[data.log.user_of(np.arange(data.log.meta.events))]
    log = dataclasses.replace(data.log)
    log.__dict__["label"] = (rng.random(len(share)) < share).astype(np.uint8)
    return dataclasses.replace(data, log=log)


def test_a_good_score_is_far_below_one_half_within_users_and_one_half_within_requests(data: RankingData) -> None:
    found = selection_effect(data, permutations=5)
    assert found.auc > 0.6, "the past rate is right about users"
    assert found.user_gauc < 0.42 and abs(found.user_gauc - found.user_gauc_exchanged) < 0.08
    assert found.request_gauc == 0.5, "the examples of a request see one past"


def test_frozen_histories_know_nothing_within_a_user(data: RankingData) -> None:
    frozen = with_config(data, test_history="frozen")
    found = selection_effect(frozen, permutations=2)
    assert found.auc > 0.55
    assert found.user_gauc == found.user_gauc_exchanged == found.request_gauc == 0.5
