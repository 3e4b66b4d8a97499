"""The interval of a difference between slices: that of what moves both, and of neither slice alone."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from rankbench.bench.evaluation.contrast import contrast
from rankbench.bench.evaluation.predictions import Predictions
from rankbench.bench.evaluation.stats import Comparison, Estimate, compare

USERS, ITEMS, EACH = 60, 40, 20


def asked(seed: int, gain: float = 0.0, seeds: int = 3) -> tuple[Predictions, np.ndarray, np.ndarray]:
    """`ours` knows as much as `theirs`, and more by `gain` of the second half of the items; with the item of each example and
    whether it is of that half."""
    rng = np.random.default_rng(seed)
    user, item = np.repeat(np.arange(USERS), EACH), rng.integers(0, ITEMS, USERS * EACH)
    logit = rng.normal(size=len(user))
    label = (rng.random(len(user)) < 1 / (1 + np.exp(-logit))).astype(int)
    often = item >= ITEMS // 2

    def told(better: float) -> list[np.ndarray]:
        known = np.where(often, 0.3 + better, 0.3)
        noise = rng.normal(size=ITEMS)[item] * 0.2
        return [1 / (1 + np.exp(-(known * logit + noise + rng.normal(size=len(user))))) for _ in range(seeds)]

    return Predictions(label, user, np.arange(len(user)), {"ours": told(gain), "theirs": told(0.0)}), item, often


def test_its_value_is_the_difference_of_both_slices() -> None:
    predictions, item, often = asked(0, 1.0)
    found = contrast(predictions, item, often, ~often).difference("ours", "theirs")

    def auc(name: str, mask: np.ndarray) -> float:
        return float(np.mean([roc_auc_score(predictions.label[mask], score[mask]) for score in predictions.scores[name]]))

    expected = (auc("ours", often) - auc("theirs", often)) - (auc("ours", ~often) - auc("theirs", ~often))
    assert found.value == pytest.approx(expected, abs=1e-12)


def test_slices_of_other_users_and_items_err_apart() -> None:
    predictions, item, _ = asked(1)
    # Users of the first half see items of the first half alone.
    first = predictions.user < USERS // 2
    item = item % (ITEMS // 2) + np.where(first, 0, ITEMS // 2)
    found = contrast(predictions, item, first, ~first)
    for both, of in ((found, predictions.user), (found.of_items, item)):
        over = predictions._replace(user=of, request=np.arange(len(of)))
        alone = [Comparison.noise_of(compare(over.part(mask), "auc"), 0, 1) for mask in (first, ~first)]
        assert Comparison.noise_of(both, 0, 1).users == pytest.approx(sum(one.users for one in alone))


def test_what_users_do_to_both_slices_is_counted_once() -> None:
    """The delete-one jackknife over users, by hand."""
    predictions, item, often = asked(2)
    label, score = predictions.label, {name: seeds[0] for name, seeds in predictions.scores.items()}

    def apart(keep: np.ndarray) -> float:
        value = {
            (name, side): roc_auc_score(label[keep & mask], of[keep & mask])
            for name, of in score.items()
            for side, mask in (("often", often), ("seldom", ~often))
        }
        return (value["ours", "often"] - value["theirs", "often"]) - (value["ours", "seldom"] - value["theirs", "seldom"])

    without = np.array([apart(predictions.user != user) for user in range(USERS)])
    expected = (USERS - 1) / USERS * ((without - without.mean()) ** 2).sum()
    one = predictions._replace(scores={name: [of] for name, of in score.items()})
    found = contrast(one, item, often, ~often)
    users = found.influence[:, 0] - found.influence[:, 1]
    assert (users**2).sum() / (USERS * (USERS - 1)) == pytest.approx(expected, rel=1e-9)


@pytest.mark.long
def test_a_difference_that_is_there_is_found_and_none_where_none_is() -> None:
    shown = {gain: sum(_apart(seed, gain).low > 0 for seed in range(30)) for gain in (0.0, 2.0)}
    assert shown[0.0] <= 3, "2.5% of 30 are .75"
    assert shown[2.0] >= 27


def _apart(seed: int, gain: float) -> Estimate:
    predictions, item, often = asked(seed, gain)
    return contrast(predictions, item, often, ~often).difference("ours", "theirs")


def test_slices_must_be_apart_and_the_metric_of_examples() -> None:
    predictions, item, often = asked(0)
    with pytest.raises(ValueError, match="no example in common"):
        contrast(predictions, item, often, np.ones(len(often), dtype=bool))
    with pytest.raises(ValueError, match="no items of their own"):
        contrast(predictions, item, often, ~often, "request_gauc")
