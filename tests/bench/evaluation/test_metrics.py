"""Metrics equal those of scikit-learn and slow loops, do not depend on the order of rows, and say what they cannot say."""

from __future__ import annotations

import itertools
import math
import subprocess
import sys
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import log_loss, ndcg_score, roc_auc_score

from rankbench.bench.errors import UserError
from rankbench.bench.evaluation import metrics
from rankbench.bench.evaluation.cards import METRICS


class Rows(NamedTuple):
    label: np.ndarray
    score: np.ndarray
    user: np.ndarray


@st.composite
def rows(draw: st.DrawFn, levels: int = 8) -> Rows:
    """Up to 40 rows of up to 5 users with few different scores, so that ties and single-label users are common."""
    cells = st.tuples(st.integers(0, 1), st.integers(0, levels), st.integers(0, 4))
    label, score, user = np.array(draw(st.lists(cells, min_size=1, max_size=40))).T
    return Rows(label, score / levels, user)


def made(n: int = 3000, users: int = 150, cells: int | None = None, seed: int = 0) -> Rows:
    """Scores that know the label somewhat; `cells` rounds them into ties."""
    rng = np.random.default_rng(seed)
    label = (rng.random(n) < 0.3).astype(np.int64)
    score = 1 / (1 + np.exp(-(label - 1 + rng.normal(size=n))))
    return Rows(label, np.round(score * cells) / cells if cells else score, rng.integers(0, users, n))


def by_user(data: Rows) -> list[tuple[np.ndarray, np.ndarray]]:
    return [(data.label[data.user == user], data.score[data.user == user]) for user in np.unique(data.user)]


def brute_auc(label: np.ndarray, score: np.ndarray) -> float:
    pairs = [(p > n) + (p == n) / 2 for p, n in itertools.product(score[label == 1], score[label == 0])]
    return sum(pairs) / len(pairs) if pairs else math.nan


@pytest.mark.parametrize("cells", [None, 5])
def test_auc_is_that_of_sklearn(cells: int | None) -> None:
    data = made(cells=cells)
    assert metrics.auc(data.label, data.score) == pytest.approx(roc_auc_score(data.label, data.score), abs=1e-14)


@given(rows())
def test_auc_counts_every_pair_and_ties_half(data: Rows) -> None:
    assert metrics.auc(data.label, data.score) == pytest.approx(brute_auc(data.label, data.score), abs=1e-12, nan_ok=True)


@given(rows())
def test_auc_of_reversed_scores_is_the_complement(data: Rows) -> None:
    expected = 1 - metrics.auc(data.label, data.score)
    assert metrics.auc(data.label, -data.score) == pytest.approx(expected, abs=1e-12, nan_ok=True)
    assert metrics.auc(1 - data.label, data.score) == pytest.approx(expected, abs=1e-12, nan_ok=True)


def test_auc_does_not_round_scores_that_nearly_tie() -> None:
    near = np.array([0.5, np.nextafter(0.5, 1)])
    assert metrics.auc(np.array([0, 1]), near) == 1 and metrics.auc(np.array([1, 0]), near) == 0
    assert metrics.auc(np.array([0, 1]), np.array([0.0, -0.0])) == 0.5


@pytest.mark.parametrize("cells", [None, 5])
def test_gauc_is_that_of_a_loop_over_users(cells: int | None) -> None:
    data = made(n=600, cells=cells)
    used = [(len(label), roc_auc_score(label, score)) for label, score in by_user(data) if 0 < label.sum() < len(label)]
    size, value = np.array(used).T
    found = metrics.gauc(data.label, data.score, data.user)
    assert found.weighted == pytest.approx(np.average(value, weights=size), abs=1e-14)
    assert found.unweighted == pytest.approx(value.mean(), abs=1e-14)
    assert (found.users, found.rows_used) == (len(used), size.sum())
    assert found.users_dropped == len(np.unique(data.user)) - len(used) > 0


@given(rows(), st.lists(st.integers(1, 9), min_size=5, max_size=5), st.lists(st.integers(-9, 9), min_size=5, max_size=5))
def test_gauc_sees_only_the_order_within_a_user(data: Rows, slope: list[int], shift: list[int]) -> None:
    """Each user has a monotone map of its own; whole numbers, so that no tie is made or broken."""
    level = np.round(data.score * 8)
    moved = np.array(slope)[data.user] * level**3 + np.array(shift)[data.user]
    before, after = (metrics.gauc(data.label, score, data.user) for score in (data.score, moved))
    assert before == after or (math.isnan(before.weighted) and math.isnan(after.weighted))


@given(rows(), st.randoms(use_true_random=False))
def test_no_metric_depends_on_the_order_of_rows(data: Rows, random) -> None:
    order = np.array(random.sample(range(len(data.label)), len(data.label)))
    shuffled = Rows(*(column[order] for column in data))
    one, other = (metrics._metrics(*some) for some in (data, shuffled))
    assert one.keys() == other.keys()
    for name, value in one.items():
        assert other[name] == (None if value is None else pytest.approx(value, abs=1e-12)), name


def test_user_auc_has_one_value_per_user() -> None:
    label, score = np.array([1, 0, 1, 0, 0]), np.array([0.2, 0.2, 0.9, 0.1, 0.3])
    users, value, count = metrics.user_auc(label, score, np.array([7, 7, 3, 3, 5]))
    assert users.tolist() == [3, 5, 7] and count.tolist() == [2, 1, 2]
    assert value[0] == 1 and np.isnan(value[1]) and value[2] == 0.5


def test_users_may_have_names() -> None:
    data = made(n=400)
    named = metrics.gauc(data.label, data.score, np.array([f"user {user}" for user in data.user]))
    assert named.weighted == pytest.approx(metrics.gauc(*data).weighted, abs=1e-14)


def test_logloss_is_that_of_sklearn() -> None:
    data = made()
    assert metrics.logloss(data.label, data.score) == pytest.approx(log_loss(data.label, data.score), rel=1e-13)


def test_logloss_of_certainty_is_clipped() -> None:
    wrong = -math.log(metrics.EPSILON)
    assert metrics.logloss(np.array([1]), np.array([0.0])) == pytest.approx(wrong, rel=1e-12)
    assert metrics.logloss(np.array([0]), np.array([1.0])) == pytest.approx(wrong, rel=1e-3)
    assert 0 <= metrics.logloss(np.array([0, 1]), np.array([0.0, 1.0])) < 1e-14


def test_normalized_entropy_of_the_base_rate_is_one() -> None:
    data = made()
    rate = data.label.mean()
    assert metrics.normalized_entropy(data.label, np.full(len(data.label), rate)) == pytest.approx(1, abs=1e-12)
    base = log_loss(data.label, np.full(len(data.label), rate))
    assert metrics.normalized_entropy(data.label, data.score) == pytest.approx(log_loss(data.label, data.score) / base, rel=1e-12)


def test_calibration_error_of_equal_bins() -> None:
    """Without ties: the slow definition, bins of n / 15 rows in the order of their scores."""
    data = made(n=1500)
    order = np.argsort(data.score)
    bins = zip(np.split(data.label[order], 15), np.split(data.score[order], 15), strict=True)
    expected = np.mean([abs(label.mean() - score.mean()) for label, score in bins])
    assert metrics.expected_calibration_error(data.label, data.score) == pytest.approx(expected, abs=1e-12)


def test_calibration_error_keeps_ties_together() -> None:
    data = made(n=1000)
    rate = data.label.mean()
    for constant in (rate, 0.9):
        found = metrics.expected_calibration_error(data.label, np.full(1000, constant))
        assert found == pytest.approx(abs(constant - rate), abs=1e-12)


def test_calibration_error_tells_calibrated_from_shifted() -> None:
    rng = np.random.default_rng(0)
    truth = rng.uniform(0.1, 0.9, 60_000)
    label = (rng.random(60_000) < truth).astype(int)
    assert metrics.expected_calibration_error(label, truth) < 0.01
    assert metrics.expected_calibration_error(label, truth + 0.1) == pytest.approx(0.1, abs=0.01)


@pytest.mark.parametrize("k", [1, 3, 10])
def test_ndcg_is_that_of_sklearn_with_and_without_ties(k: int) -> None:
    for cells in (None, 5):
        data = made(n=1500, cells=cells)
        values = [
            ndcg_score(label[None], score[None], k=k, ignore_ties=False)
            for label, score in by_user(data)
            if label.any() and len(label) > 1
        ]
        alone = sum(len(label) == 1 and bool(label[0]) for label, _ in by_user(data))
        value, users = metrics.ndcg_at(data.label, data.score, data.user, k)
        assert users == len(values) + alone
        assert value == pytest.approx((np.sum(values) + alone) / users, abs=1e-12)


@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 2)), min_size=1, max_size=6), st.integers(1, 4))
def test_ndcg_is_its_mean_over_all_orders_of_the_tied(cells: list[tuple[int, int]], k: int) -> None:
    label, score = np.array(cells).T
    if not label.any():
        assert metrics.ndcg_at(label, score, np.zeros(len(label)), k)[1] == 0
        return

    def gain(ranked: np.ndarray) -> float:
        return sum(hit / math.log2(rank + 2) for rank, hit in enumerate(ranked[:k]))

    orders = [list(order) for order in itertools.permutations(range(len(label)))]
    sorted_orders = [order for order in orders if (np.diff(score[order]) <= 0).all()]
    expected = np.mean([gain(label[order]) for order in sorted_orders]) / gain(np.sort(label)[::-1])
    assert metrics.ndcg_at(label, score, np.zeros(len(label)), k) == (pytest.approx(expected, abs=1e-12), 1)


def frame(data: Rows, warm_user: np.ndarray | bool = True, warm_item: np.ndarray | bool = True) -> pd.DataFrame:
    return pd.DataFrame({**data._asdict(), "warm_user": warm_user, "warm_item": warm_item})


def test_slices_are_the_metrics_of_their_rows() -> None:
    data = made()
    warm_user, warm_item = data.user < 70, np.arange(len(data.label)) % 5 > 0
    found = metrics.evaluate(frame(data, warm_user, warm_item))
    masks = {
        "all": warm_user | True,
        "warm_user": warm_user,
        "cold_user": ~warm_user,
        "warm_item": warm_item,
        "cold_item": ~warm_item,
    }
    assert found.keys() == masks.keys()
    for name, mask in masks.items():
        part = Rows(*(column[mask] for column in data))
        assert found[name]["auc"] == pytest.approx(roc_auc_score(part.label, part.score), abs=1e-13)
        assert found[name]["gauc"] == metrics.gauc(*part).weighted
        assert (found[name]["n"], found[name]["positives"]) == (mask.sum(), part.label.sum())
    assert found["warm_user"]["n"] + found["cold_user"]["n"] == found["all"]["n"]  # type: ignore[operator]


def test_every_metric_has_a_card_and_every_card_a_metric() -> None:
    counts = {"n", "positives", "gauc_users", "gauc_users_dropped", "ndcg_users"}
    assert METRICS.keys() == metrics.evaluate(frame(made()))["all"].keys() - counts
    assert all(card.name == name and card.meaning and card.formula for name, card in METRICS.items())


def test_cards_say_truly_what_is_better() -> None:
    """Scores nearer to the labels are better in every metric, by the sign of its card."""
    data = made()
    worse = metrics.evaluate(frame(data))["all"]
    better = metrics.evaluate(frame(data._replace(score=0.02 * data.score + 0.98 * data.label)))["all"]
    for name, card in METRICS.items():
        gain = better[name] - worse[name]  # type: ignore[operator]
        assert gain > 0 if card.better == "higher" else gain < 0, name


def test_cards_import_nothing_heavy() -> None:
    code = "import sys; import rankbench.bench.evaluation.cards; print({'numpy', 'pandas', 'torch'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"


def test_an_empty_slice_has_counts_of_zero_and_no_values() -> None:
    cold = metrics.evaluate(frame(made()))["cold_user"]
    assert {name for name, value in cold.items() if value is not None} == {
        *("n", "positives", "gauc_users", "gauc_users_dropped", "ndcg_users")
    }
    assert all(value in (0, None) for value in cold.values())
    assert all(value in (0, None) for value in metrics.evaluate(frame(made()).iloc[:0])["all"].values())


@pytest.mark.parametrize("only", [0, 1])
def test_one_class_has_logloss_but_no_order(only: int) -> None:
    data = made(n=200, users=20)
    found = metrics.evaluate(frame(data._replace(label=np.full(200, only))))["all"]
    assert [found[name] for name in ("auc", "gauc", "gauc_unweighted", "ne")] == [None] * 4
    assert found["gauc_users"] == 0 and found["gauc_users_dropped"] == 20
    assert found["logloss"] == pytest.approx(-np.log(np.abs(1 - only - data.score)).mean())
    assert (found["ndcg@10"], found["ndcg_users"]) == ((1.0, 20) if only else (None, 0))


def test_gauc_of_one_user_is_its_auc() -> None:
    data = made(n=100, users=1)
    found = metrics.gauc(*data)
    assert found.weighted == found.unweighted == metrics.auc(data.label, data.score)
    assert (found.users, found.users_dropped, found.rows_used) == (1, 0, 100)


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("label", 2, "predictions: label of row 3 is 2, not 0 or 1"),
        ("score", np.nan, "predictions: score of row 3 is nan, not a probability"),
        ("score", 1.5, "predictions: score of row 3 is 1.5, not a probability"),
    ],
)
def test_a_table_with_a_wrong_value_is_refused(column: str, value: float, message: str) -> None:
    table = frame(made(n=10))
    table.loc[3, column] = value
    with pytest.raises(UserError, match=message):
        metrics.evaluate(table)


def test_a_table_without_a_column_is_refused() -> None:
    with pytest.raises(UserError, match="predictions lack the columns label, warm_item; make them again"):
        metrics.evaluate(frame(made(n=10)).drop(columns=["label", "warm_item"]))


def test_arrays_that_cannot_be_scored_are_refused() -> None:
    label, score = np.array([0, 1]), np.array([0.2, 0.7])
    for wrong_label, wrong_score in (([0, 2], score), (label, [0.2, np.nan]), (label, [0.2]), ([0.5, 1], score)):
        with pytest.raises(ValueError, match="must be"):
            metrics.auc(np.array(wrong_label), np.array(wrong_score))
    with pytest.raises(ValueError, match=r"probabilities must be in \[0, 1\]"):
        metrics.logloss(label, np.array([0.2, 1.7]))
    with pytest.raises(ValueError, match="3 users for 2 scores"):
        metrics.gauc(label, score, np.array([1, 2, 3]))
