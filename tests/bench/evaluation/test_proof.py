"""95% intervals hold the truth in about 95% of tests with real user sizes, whatever noise is the larger; the audit counts
rightly."""

from __future__ import annotations

import numpy as np
import pytest

from rankbench.bench.evaluation import proof
from rankbench.bench.evaluation.influence import METRICS
from rankbench.bench.evaluation.made_up import World
from rankbench.bench.evaluation.predictions import Predictions
from rankbench.bench.evaluation.stats import LEAST_USERS


@pytest.mark.long
def test_intervals_cover_in_small_tests_with_real_user_sizes() -> None:
    """Thirty users of 1 to 428 examples; three standard errors of 40 tests around 93% to 97%."""
    found = proof.coverage(World(30, 0.02), times=40)
    assert [(one.seeds, one.metric) for one in found] == [(seeds, metric) for seeds in proof.SEEDS for metric in METRICS]
    for one in found:
        assert min(one.value, one.difference, one.alone, one.best) >= 0.83, one
        assert 1 <= one.among_best <= 4


@pytest.mark.slow
@pytest.mark.parametrize("world", proof.WORLDS, ids=str)
def test_intervals_cover_what_they_promise(world: World) -> None:
    times = 400
    for one in proof.coverage(world, times):
        # Values of four models and two differences of one test depend on each other.
        error = 3 * np.sqrt(0.95 * 0.05 / times)
        assert 0.93 - error <= one.value <= 0.97 + error, one
        assert 0.93 - error <= one.difference <= 0.985 and 0.93 - error <= one.alone <= 0.99, one
        assert one.best >= 0.95 - error, one


def table(models: int, seeds: int, training: float, users: int = 60) -> Predictions:
    return World(users, training, models=models).test(np.random.default_rng(0), seeds)


@pytest.mark.parametrize("metric", METRICS)
def test_a_model_against_itself_is_seldom_called_different(metric: str) -> None:
    found = proof.self_comparison(table(12, 5, 0.03), metric)  # type: ignore[arg-type]
    assert found is not None and (found.models, found.compared) == (12, 120)
    # Ten ways to part five seeds depend on each other: about three are worth of them.
    assert found.share <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 36)


def test_seeds_that_are_no_seeds_of_one_model_are_called_different() -> None:
    """What the count would not see, it could not refuse: of every model two seeds know far more."""
    test = table(6, 5, 0.0, users=200)
    scores = {name: [*of[:3], *(0.3 * score + 0.7 * test.label for score in of[3:])] for name, of in test.scores.items()}
    found = proof.self_comparison(test._replace(scores=scores), "auc")
    assert found is not None and found.different >= 1 and found.worst != "none"


def test_what_cannot_be_compared_with_itself_is_left_out() -> None:
    assert proof.self_comparison(table(3, 4, 0.01), "auc") is None, "four seeds"
    test = table(3, 5, 0.01)
    alike = {**test.scores, "floor": [test.scores["model 0"][0]] * 5}
    found = proof.self_comparison(test._replace(scores=alike), "auc")
    assert found is not None and found.models == 3
    assert proof.self_comparison(table(3, 5, 0.01, users=LEAST_USERS - 1), "auc") is None
