"""Intervals over items: guesses about items that tell nothing are called nothing, and few items are no evidence."""

from __future__ import annotations

import numpy as np
import pytest

from rankbench.bench.evaluation.crossed import compare_crossed
from rankbench.bench.evaluation.predictions import Predictions
from rankbench.bench.evaluation.stats import Verdict, compare, verdict

USERS, ITEMS, EACH = 60, 30, 12


def asked(seed: int, items: int = ITEMS) -> tuple[Predictions, np.ndarray]:
    """Items differ; one model guesses how without knowing anything, the other guesses nothing. With the item of each example."""
    rng = np.random.default_rng(seed)
    user, item = np.repeat(np.arange(USERS), EACH), rng.integers(0, items, USERS * EACH)
    label = (rng.random(len(user)) < 1 / (1 + np.exp(-rng.normal(size=items)[item]))).astype(int)
    beside = rng.normal(size=len(user)) * 1e-3
    scores = {"guess": rng.normal(size=items)[item] + beside, "none": beside}
    told = {name: [1 / (1 + np.exp(-logit))] * 2 for name, logit in scores.items()}
    return Predictions(label, user, np.arange(len(user)), told), item


def test_guesses_that_tell_nothing_are_told_apart_from_none_as_often_as_promised() -> None:
    by_users: list[Verdict] = []
    by_both: list[Verdict] = []
    for seed in range(80):
        predictions, item = asked(seed)
        for found, said in ((compare(predictions, "auc"), by_users), (compare_crossed(predictions, item, "auc"), by_both)):
            apart = found.difference("guess", "none")
            said.append(verdict(apart.low, apart.high, 0.002))
    assert by_both.count("not settled") >= 72, "5% of 80 are 4; 8 or fewer in 97% of runs of such a test"
    assert by_users.count("not settled") < 60, "or this needed no intervals of its own"


def half(found_low: float, found_high: float) -> float:
    return (found_high - found_low) / 2


@pytest.mark.parametrize("metric", ["auc", "logloss"])
def test_an_interval_over_both_is_no_narrower_than_over_either(metric: str) -> None:
    for seed in range(10):
        predictions, item = asked(seed)
        both = compare_crossed(predictions, item, metric).noise_of(0, 1)  # type: ignore[arg-type]
        users = compare(predictions, metric).noise_of(0, 1)  # type: ignore[arg-type]
        items = compare(predictions._replace(user=item, request=np.arange(len(item))), metric).noise_of(0, 1)  # type: ignore[arg-type]
        assert both.users >= max(users.users, items.users) and both.users_freedom == min(users.users_freedom, items.users_freedom)


def test_where_no_item_comes_twice_users_are_all_there_is() -> None:
    predictions, _ = asked(0)
    both = compare_crossed(predictions, np.arange(USERS * EACH), "auc").noise_of(0, 1)
    assert both.users == pytest.approx(compare(predictions, "auc").noise_of(0, 1).users)


def test_of_a_few_items_nothing_is_told() -> None:
    predictions, item = asked(0, items=8)
    found = compare_crossed(predictions, item, "auc")
    assert compare(predictions, "auc").trusted and not found.trusted
    apart = found.difference("guess", "none")
    assert half(apart.low, apart.high) == 1.0


def test_ranking_within_requests_is_of_users_alone() -> None:
    predictions, item = asked(0)
    with pytest.raises(ValueError, match="request_gauc is of users or their requests"):
        compare_crossed(predictions, item, "request_gauc")
