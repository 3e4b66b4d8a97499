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
from sklearn.metrics import log_loss, roc_auc_score

from rankbench.bench.errors import UserError
from rankbench.bench.evaluation import metrics
from rankbench.bench.evaluation.cards import METRICS
from rankbench.bench.records import schema


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
def test_auc_within_groups_is_that_of_a_loop_over_groups(cells: int | None) -> None:
    data = made(n=600, cells=cells)
    used = [(len(label), roc_auc_score(label, score)) for label, score in by_user(data) if 0 < label.sum() < len(label)]
    size, value = np.array(used).T
    found = metrics.grouped_auc(data.label, data.score, data.user)
    assert found.value == pytest.approx(np.average(value, weights=size), abs=1e-14)
    assert (found.groups, found.rows) == (len(used), size.sum())
    assert found.dropped == len(np.unique(data.user)) - len(used) > 0


@given(rows(), st.lists(st.integers(1, 9), min_size=5, max_size=5), st.lists(st.integers(-9, 9), min_size=5, max_size=5))
def test_auc_within_groups_sees_only_the_order_within_a_group(data: Rows, slope: list[int], shift: list[int]) -> None:
    """Each group has a monotone map of its own; whole numbers, so that no tie is made or broken."""
    level = np.round(data.score * 8)
    moved = np.array(slope)[data.user] * level**3 + np.array(shift)[data.user]
    before, after = (metrics.grouped_auc(data.label, score, data.user) for score in (data.score, moved))
    assert before == after or (math.isnan(before.value) and math.isnan(after.value))


@given(rows(), st.randoms(use_true_random=False))
def test_no_metric_depends_on_the_order_of_rows(data: Rows, random) -> None:
    order = np.array(random.sample(range(len(data.label)), len(data.label)))
    shuffled = Rows(*(column[order] for column in data))
    one, other = (metrics._metrics(*some, some.user) for some in (data, shuffled))
    assert one.keys() == other.keys()
    for name, value in one.items():
        assert other[name] == (None if value is None else pytest.approx(value, abs=1e-12)), name


def test_auc_by_group_has_one_value_per_group() -> None:
    label, score = np.array([1, 0, 1, 0, 0]), np.array([0.2, 0.2, 0.9, 0.1, 0.3])
    users, value, count = metrics.auc_by_group(label, score, np.array([7, 7, 3, 3, 5]))
    assert users.tolist() == [3, 5, 7] and count.tolist() == [2, 1, 2]
    assert value[0] == 1 and np.isnan(value[1]) and value[2] == 0.5


def test_groups_may_have_names() -> None:
    data = made(n=400)
    named = metrics.grouped_auc(data.label, data.score, np.array([f"user {user}" for user in data.user]))
    assert named.value == pytest.approx(metrics.grouped_auc(*data).value, abs=1e-14)


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


def frame(data: Rows, request: np.ndarray | None = None, **columns: np.ndarray | int) -> pd.DataFrame:
    """A table of predictions; a request is a user unless others are given."""
    known = {"user_events": 5, "item_events": 5, "user_gap_days": 1}
    return pd.DataFrame({**data._asdict(), "request": data.user if request is None else request, **known, **columns})


def test_slices_are_the_metrics_of_their_rows() -> None:
    data = made()
    rng = np.random.default_rng(1)
    events, gap, items = (
        rng.choice([0, 1, 19, 20, 49, 50, 90], 3000),
        rng.choice([-1, 0, 6, 7, 29, 30, 179, 180], 3000),
        rng.choice([0, 1, 9, 10, 99, 100], 3000),
    )
    request = data.user * 10 + rng.integers(0, 3, 3000)
    found = metrics.evaluate(frame(data, request, user_events=events, user_gap_days=gap, item_events=items))
    expected = {
        "all": events >= 0,
        "user_events: 0": events == 0,
        "user_events: 1-19": (events > 0) & (events < 20),
        "user_events: 20-49": (events >= 20) & (events < 50),
        "user_events: 50+": events >= 50,
        "user_gap: none": gap == -1,
        "user_gap: 0-6": (gap >= 0) & (gap < 7),
        "user_gap: 7-29": (gap >= 7) & (gap < 30),
        "user_gap: 30-179": (gap >= 30) & (gap < 180),
        "user_gap: 180+": gap >= 180,
        "item_events: 0": items == 0,
        "item_events: 1-9": (items > 0) & (items < 10),
        "item_events: 10-99": (items >= 10) & (items < 100),
        "item_events: 100+": items >= 100,
    }
    assert list(found) == list(expected)
    for name, mask in expected.items():
        part = Rows(*(column[mask] for column in data))
        assert found[name]["auc"] == pytest.approx(roc_auc_score(part.label, part.score), abs=1e-13)
        assert found[name]["user_gauc"] == metrics.grouped_auc(*part).value
        assert (found[name]["n"], found[name]["positives"]) == (mask.sum(), part.label.sum())
        within = metrics.grouped_auc(part.label, part.score, request[mask])
        keys = ("request_groups", "request_groups_dropped", "request_rows")
        assert [found[name][key] for key in keys] == [within.groups, within.dropped, within.rows]
        assert found[name]["request_gauc"] == (within.value if within.groups else None)


def test_a_score_that_is_one_within_each_request_ranks_nothing_there() -> None:
    """What a floor such as the user's own past rate says: right between users, silent within a request."""
    data = made()
    rate = np.bincount(data.user, weights=data.label) / np.bincount(data.user)
    found = metrics.evaluate(frame(data._replace(score=rate[data.user])))["all"]
    assert found["request_gauc"] == 0.5 and found["auc"] > 0.55  # type: ignore[operator]


@given(rows())
def test_pairs_within_groups_are_counted(data: Rows) -> None:
    pairs = [(a, b) for a in np.flatnonzero(data.label == 1) for b in np.flatnonzero(data.label == 0)]
    expected = np.mean([data.user[a] == data.user[b] for a, b in pairs]) if pairs else math.nan
    assert metrics.pairs_within(data.label, data.user) == pytest.approx(expected, nan_ok=True)


def test_every_metric_has_a_card_and_every_card_a_metric() -> None:
    every = metrics.evaluate(frame(made()))["all"]
    assert every.keys() == schema.METRICS.keys(), "what a record documents is what is computed"
    beside = {"ece_floor", "auc_pairs_within_request", "auc_pairs_within_user"}
    assert METRICS.keys() == {name for name, value in every.items() if isinstance(value, float)} - beside
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
    nobody = metrics.evaluate(frame(made()))["user_gap: none"]
    counted = {name for name, value in nobody.items() if value is not None}
    assert counted == {"n", "positives", *(name for name in nobody if name.endswith(("groups", "users", "dropped", "rows")))}
    assert all(value in (0, None) for value in nobody.values())
    assert all(value in (0, None) for value in metrics.evaluate(frame(made()).iloc[:0])["all"].values())


@pytest.mark.parametrize("only", [0, 1])
def test_one_class_has_logloss_but_no_order(only: int) -> None:
    data = made(n=200, users=20)
    found = metrics.evaluate(frame(data._replace(label=np.full(200, only))))["all"]
    ranking = ("auc", "user_gauc", "request_gauc", "ne", "request_ndcg@10", "request_mrr", "auc_pairs_within_user")
    assert [found[name] for name in ranking] == [None] * len(ranking)
    assert found["user_gauc_users"] == 0 and found["request_groups_dropped"] == 20
    assert found["logloss"] == pytest.approx(-np.log(np.abs(1 - only - data.score)).mean())


def test_auc_within_one_group_is_its_auc() -> None:
    data = made(n=100, users=1)
    found = metrics.grouped_auc(*data)
    assert found.value == metrics.auc(data.label, data.score)
    assert (found.groups, found.dropped, found.rows) == (1, 0, 100)


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
    with pytest.raises(UserError, match="predictions lack the columns request, label; make them again"):
        metrics.evaluate(frame(made(n=10)).drop(columns=["label", "request"]))


def test_arrays_that_cannot_be_scored_are_refused() -> None:
    label, score = np.array([0, 1]), np.array([0.2, 0.7])
    for wrong_label, wrong_score in (([0, 2], score), (label, [0.2, np.nan]), (label, [0.2]), ([0.5, 1], score)):
        with pytest.raises(ValueError, match="must be"):
            metrics.auc(np.array(wrong_label), np.array(wrong_score))
    with pytest.raises(ValueError, match=r"probabilities must be in \[0, 1\]"):
        metrics.logloss(label, np.array([0.2, 1.7]))
    with pytest.raises(ValueError, match="3 groups for 2 scores"):
        metrics.grouped_auc(label, score, np.array([1, 2, 3]))
