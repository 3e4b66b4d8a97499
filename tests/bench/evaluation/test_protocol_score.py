"""The mean of GAUC and NDCG@5 by user: against loops over users, with the jackknife for its influence."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from rankbench.bench.evaluation.predictions import Predictions
from rankbench.bench.evaluation.protocol_score import gauc_ndcg5


def literal(label: np.ndarray, user: np.ndarray, score: np.ndarray) -> tuple[float, float]:
    """GAUC weighted by positives over users with both labels; NDCG@5 over all users, 0 without a positive."""
    weighted, weight, gains = 0.0, 0, []
    for one in np.unique(user):
        mine, ranked = label[user == one], score[user == one]
        positives = int(mine.sum())
        if 0 < positives < len(mine):
            weighted += positives * roc_auc_score(mine, ranked)
            weight += positives
        order = np.argsort(-ranked)[:5]
        gain = sum(mine[at] / math.log2(place + 2) for place, at in enumerate(order))
        ideal = sum(1 / math.log2(place + 2) for place in range(min(5, positives)))
        gains.append(gain / ideal if positives else 0.0)
    return weighted / weight, float(np.mean(gains))


def example(seed: int) -> Predictions:
    rng = np.random.default_rng(seed)
    user = np.sort(rng.integers(0, 40, 300))
    label = (rng.random(300) < np.where(user % 5 == 0, 0.05, 0.4)).astype(int)
    label[user == 7] = 1
    label[user == 8] = 0
    scores = {name: [rng.permutation(300) / 300 for _ in range(seeds)] for name, seeds in (("one", 3), ("other", 2))}
    return Predictions(label, user, np.arange(300), scores)


@pytest.mark.parametrize("seed", range(3))
def test_it_is_the_mean_of_both_as_the_organisers_compute_them(seed: int) -> None:
    predictions = example(seed)
    found = gauc_ndcg5(predictions)
    for name, scores in predictions.scores.items():
        values = np.array([literal(predictions.label, predictions.user, score) for score in scores])
        parts = [part.values[part.place(name)] for part in found.parts.values()]
        np.testing.assert_allclose(np.array(parts).T, values, rtol=1e-12)
        np.testing.assert_allclose(found.whole.values[found.whole.place(name)], values.mean(axis=1), rtol=1e-12)


@pytest.mark.long
def test_its_influence_is_what_it_loses_without_each_user() -> None:
    predictions = example(5)
    label, user, score = predictions.label, predictions.user, predictions.scores["one"][0]
    found = gauc_ndcg5(Predictions(label, user, predictions.request, {"one": [score]}))
    users = np.unique(user)
    whole = np.mean(literal(label, user, score))
    without = np.array([np.mean(literal(label[user != one], user[user != one], score[user != one])) for one in users])
    lost = (len(users) - 1) * (whole - without)
    np.testing.assert_allclose(found.whole.influence[:, 0], lost - lost.mean(), rtol=1e-9, atol=1e-12)


def test_ties_get_their_expected_value() -> None:
    label, user = np.array([1, 0, 0, 1, 0, 0, 0, 0, 0, 0]), np.zeros(10, dtype=int)
    found = gauc_ndcg5(Predictions(label, user, np.arange(10), {"same": [np.full(10, 0.5)]}))
    expected = 2 * sum(1 / math.log2(place + 2) for place in range(5)) / 10 / (1 + 1 / math.log2(3))
    assert found.parts["GAUC"].point[0] == 0.5
    assert found.parts["NDCG@5"].point[0] == pytest.approx(expected)
