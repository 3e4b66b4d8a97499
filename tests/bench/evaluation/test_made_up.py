"""Made-up tests are what they say: users of real sizes, models that are alike, seeds that differ as asked."""

from __future__ import annotations

import numpy as np
import pytest

from rankbench.bench.evaluation import metrics
from rankbench.bench.evaluation.made_up import ML_100K, REQUEST, World


def test_sizes_are_those_of_ml_100k() -> None:
    assert (len(ML_100K), sum(ML_100K), min(ML_100K), max(ML_100K), np.median(ML_100K)) == (166, 10_000, 1, 428, 24.5)


def test_a_test_has_whole_users_and_their_requests() -> None:
    test = World(users=300, training=0.01).test(np.random.default_rng(0), 2)
    names, sizes = np.unique(test.user, return_counts=True)
    assert len(names) == 300 and set(sizes) <= set(ML_100K)
    owners = {request: set(test.user[test.request == request]) for request in np.unique(test.request)[:200]}
    assert all(len(users) == 1 for users in owners.values())
    assert len(test.label) / len(np.unique(test.request)) == pytest.approx(REQUEST, rel=0.25)
    assert [len(seeds) for seeds in test.scores.values()] == [2] * 4


def test_training_noise_is_what_is_asked() -> None:
    """The same users, many seeds: quality scatters in proportion."""
    spread = []
    for training in (0.02, 0.08):
        (seeds,) = World(400, training, models=1).test(np.random.default_rng(0), 20).scores.values()
        test = World(400, training, models=1).test(np.random.default_rng(0), 20)
        spread.append(np.std([metrics.grouped_auc(test.label, score, test.request).value for score in seeds]))
    assert 2.5 < spread[1] / spread[0] < 6
