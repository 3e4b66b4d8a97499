"""A metric without a user is the metric of the other users' rows, computed anew."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rankbench.bench.evaluation import metrics
from rankbench.bench.evaluation.influence import METRICS, Metric, influence, rows


def world(users: int = 25, cells: int | None = 6, seed: int = 0) -> tuple[np.ndarray, ...]:
    """Label, user, request and score, rows in no order; users of very different size, some of one label."""
    rng = np.random.default_rng(seed)
    user = rng.permutation(np.repeat(np.arange(users), rng.integers(1, 30, users)))
    label = (rng.random(len(user)) < rng.beta(1, 1, users)[user]).astype(int)
    score = 1 / (1 + np.exp(-(label - 0.5 + rng.normal(size=len(user)))))
    return label, user, user * 3 + rng.integers(0, 3, len(user)), np.round(score * cells) / cells if cells else score


def value(metric: Metric, label: np.ndarray, user: np.ndarray, request: np.ndarray, score: np.ndarray) -> float:
    if metric == "auc":
        return metrics.auc(label, score)
    if metric == "logloss":
        return metrics.logloss(label, score)
    return metrics.grouped_auc(label, score, request if metric == "request_gauc" else user).value


@pytest.mark.parametrize("cells", [None, 6])
@pytest.mark.parametrize("metric", METRICS)
def test_the_influence_is_that_of_leaving_each_user_out(metric: Metric, cells: int | None) -> None:
    label, user, request, score = world(cells=cells)
    found, by_user = influence(metric, rows(label, user, request), score)
    assert found == pytest.approx(value(metric, label, user, request, score), abs=1e-14)
    without = np.array([value(metric, *(of[user != who] for of in (label, user, request, score))) for who in range(25)])
    assert by_user == pytest.approx(24 * (without.mean() - without), abs=1e-10)


@given(st.integers(0, 10_000))
def test_no_value_depends_on_names_or_on_the_order_of_rows(seed: int) -> None:
    label, user, request, score = world(12, 4, seed)
    order = np.random.default_rng(seed).permutation(len(label))
    names = np.array([f"u{99 - who}" for who in user])
    for metric in METRICS:
        one, other = (
            influence(metric, rows(label, user, request), score),
            influence(metric, rows(label[order], names[order], request[order] + 7), score[order]),
        )
        assert one[0] == pytest.approx(other[0], abs=1e-13, nan_ok=True)
        assert np.sort(one[1]) == pytest.approx(np.sort(other[1]), abs=1e-9, nan_ok=True)


def test_users_that_matter_are_those_that_a_metric_can_ask() -> None:
    user = np.repeat(np.arange(6), 4)
    label = np.array([[0, 0, 0, 0], [1, 1, 1, 1], [0, 1, 0, 1], [0, 0, 1, 1], [1, 0, 1, 0], [0, 0, 0, 0]]).ravel()
    request = np.arange(24) // 2
    asked = rows(label, user, request)
    assert {metric: asked.matter(metric) for metric in METRICS} == {"request_gauc": 2, "user_gauc": 3, "auc": 4, "logloss": 6}


def test_a_metric_that_does_not_exist_has_no_influence() -> None:
    label, user, request, score = world()
    for metric in ("auc", "user_gauc", "request_gauc"):
        found, by_user = influence(metric, rows(np.ones_like(label), user, request), score)
        assert np.isnan(found) and np.isnan(by_user).all()


def test_rows_that_are_none_are_refused() -> None:
    label, user, request, _ = world()
    with pytest.raises(ValueError, match="must be as many, and some"):
        rows(label, user[1:], request)
    with pytest.raises(ValueError, match="must be as many, and some"):
        rows(label[:0], user[:0], request[:0])
    with pytest.raises(ValueError, match="labels must be 0 or 1"):
        rows(label + 1, user, request)
    with pytest.raises(ValueError, match="a request has two users"):
        rows(label, user, np.zeros(len(user)))
