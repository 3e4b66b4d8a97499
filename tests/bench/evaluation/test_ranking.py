"""NDCG and MRR are means over every order of the tied, and those of scikit-learn."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import ndcg_score

from rankbench.bench.evaluation.ranking import ndcg, reciprocal_rank


@pytest.mark.parametrize("k", [1, 3, 10])
@pytest.mark.parametrize("cells", [None, 5])
def test_ndcg_is_that_of_sklearn(k: int, cells: int | None) -> None:
    rng = np.random.default_rng(0)
    label, group = (rng.random(1500) < 0.3).astype(int), rng.integers(0, 150, 1500)
    score = label + rng.normal(size=1500)
    score = np.round(score * cells) / cells if cells else score
    expected = []
    for one in np.unique(group):
        own = group == one
        if 0 < label[own].sum() < own.sum():
            expected.append(ndcg_score(label[own][None], score[own][None], k=k, ignore_ties=False))
    assert ndcg(label, score, group, k) == pytest.approx(expected, abs=1e-12)


@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 2)), min_size=1, max_size=6), st.integers(1, 4))
def test_values_are_means_over_all_orders_of_the_tied(cells: list[tuple[int, int]], k: int) -> None:
    label, score = np.array(cells).T
    group = np.full(len(label), 7)
    if not 0 < label.sum() < len(label):
        assert len(ndcg(label, score, group, k)) == len(reciprocal_rank(label, score, group)) == 0
        return

    def gain(ranked: np.ndarray) -> float:
        return sum(hit / math.log2(rank + 2) for rank, hit in enumerate(ranked[:k]))

    orders = [list(order) for order in itertools.permutations(range(len(label)))]
    allowed = [label[order] for order in orders if (np.diff(score[order]) <= 0).all()]
    best = gain(np.sort(label)[::-1])
    assert ndcg(label, score, group, k) == pytest.approx([np.mean([gain(one) for one in allowed]) / best], abs=1e-12)
    expected = np.mean([1 / (1 + int(np.argmax(one))) for one in allowed])
    assert reciprocal_rank(label, score, group) == pytest.approx([expected], abs=1e-12)


def test_groups_come_in_order_and_those_of_one_label_are_left_out() -> None:
    label = np.array([1, 0, 0, 1, 1, 0])
    score = np.array([0.1, 0.9, 0.5, 0.5, 0.7, 0.2])
    group = np.array(["b", "b", "a", "c", "d", "d"])
    assert reciprocal_rank(label, score, group).tolist() == pytest.approx([1 / 2, 1])
    with pytest.raises(ValueError, match="2 groups for 6 scores"):
        ndcg(label, score, group[:2])


def test_many_tied_rows_are_exact_enough() -> None:
    """Of 400 tied rows, one is positive: its place is any of them."""
    label, score = np.zeros(400, dtype=int), np.full(400, 0.3)
    label[17] = 1
    found = reciprocal_rank(label, score, np.zeros(400))
    assert found == pytest.approx([np.mean(1 / np.arange(1, 401))], rel=1e-11)
