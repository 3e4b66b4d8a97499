"""Intervals follow from their parts as written, hold what they promise, and tell apart only what differs."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rankbench.bench.evaluation import stats
from rankbench.bench.evaluation.influence import influence, rows
from rankbench.bench.evaluation.predictions import Predictions
from rankbench.bench.evaluation.stats import (
    LARGEST,
    METRICS,
    TAKEN_OFF,
    Comparison,
    Metric,
    assemble,
    compare,
    seed_spread,
    verdict,
)
from rankbench.bench.evaluation.training_noise import training_noise


def world(users: int = 60, size: int = 20, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels, users and requests; users differ in their base rate and number of rows, and come in no order."""
    rng = np.random.default_rng(seed)
    user = rng.permutation(np.repeat(np.arange(users), rng.integers(2, 2 * size, users)))
    label = (rng.random(len(user)) < rng.beta(2, 3, users)[user]).astype(np.int64)
    return label, user, user * 2 + rng.integers(0, 2, len(user))


def scored(label: np.ndarray, skill: float, seed: int) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(size=len(label))
    return 1 / (1 + np.exp(-(skill * (label - 0.4) + noise)))


def several(skills: dict[str, float], seeds: int = 3, users: int = 60) -> Predictions:
    label, user, request = world(users)
    scores = {
        name: [scored(label, skill, 10 * at + seed) for seed in range(seeds)] for at, (name, skill) in enumerate(skills.items())
    }
    return Predictions(label, user, request, scores)


@pytest.mark.parametrize("metric", METRICS)
def test_variances_of_both_noises_are_those_of_the_written_definition(metric: Metric) -> None:
    predictions = several({"a": 1.0, "b": 0.8})
    found = compare(predictions, metric)
    asked = rows(predictions.label, predictions.user, predictions.request)
    each = {name: [influence(metric, asked, score) for score in seeds] for name, seeds in predictions.scores.items()}
    users = asked.users
    for at, name in enumerate("ab"):
        values = np.array([value for value, _ in each[name]])
        assert found.point[at] == pytest.approx(values.mean(), abs=1e-15)
        influences = np.array([of for _, of in each[name]])
        apart = ((influences - influences.mean(0)) ** 2).sum() / 2 / (users * (users - 1))
        assert found.beside[at] == pytest.approx(apart)
        variance = training_noise([np.array([value for value, _ in each[other]]) for other in "ab"]).variance[at]
        assert found.training[at] == pytest.approx(max(0.0, variance - TAKEN_OFF * apart) / 3)
    gap = np.mean([of for _, of in each["a"]], 0) - np.mean([of for _, of in each["b"]], 0)
    noise = found.noise_of(0, 1)
    assert noise.users == pytest.approx((gap**2).sum() / (users * (users - 1)))
    assert noise.users_freedom == pytest.approx(min(users - 1, 3 * (gap**2).sum() ** 2 / (gap**4).sum()))
    assert noise.training == pytest.approx(found.training.sum())
    one = found.difference("a", "b")
    assert (one.high - one.low) / 2 == pytest.approx(noise.half_width()) and one.value == pytest.approx((one.low + one.high) / 2)


@pytest.mark.parametrize("metric", METRICS)
def test_a_worse_model_is_told_apart_and_equal_ones_are_not(metric: Metric) -> None:
    found = compare(several({"good": 1.0, "bad": 0.2, "alike": 1.0}, users=200), metric).standing()
    assert found.among_best == {"good", "alike"} and found.best in found.among_best
    other = found.models["alike" if found.best == "good" else "good"]
    assert other.difference_low <= 0 <= other.difference_high
    bad = found.models["bad"]
    assert bad.difference_low > 0 if metric == "logloss" else bad.difference_high < 0
    assert not bad.among_best and bad.training == "measured"


def test_pairing_finds_a_small_difference_that_single_intervals_hide() -> None:
    label, user, request = world(users=400)
    both, rng = scored(label, 1.0, 0), np.random.default_rng(9)

    def noisy(noise: float) -> list[np.ndarray]:
        return [np.clip(both + noise * rng.normal(size=len(label)), 0.001, 0.999) for _ in range(3)]

    strong, weaker = noisy(0.01), noisy(0.1)
    found = compare(Predictions(label, user, request, {"strong": strong, "weaker": weaker}), "request_gauc")
    one, other = found.value("strong"), found.value("weaker")
    assert one.low < other.high and found.difference("strong", "weaker").shown


@pytest.mark.parametrize("metric", METRICS)
def test_the_order_of_models_changes_no_number(metric: Metric) -> None:
    predictions = several({"a": 1.0, "b": 0.9, "c": 0.3})
    one = compare(predictions, metric).standing()
    turned = compare(predictions._replace(scores=dict(reversed(predictions.scores.items()))), metric).standing()
    assert (turned.best, turned.among_best) == (one.best, one.among_best)
    for name in "abc":
        assert turned.models[name].low == pytest.approx(one.models[name].low, abs=1e-12)
        assert turned.models[name].difference_low == pytest.approx(one.models[name].difference_low, rel=0.05, abs=3e-4)
    assert one == compare(predictions, metric).standing(), "and nothing is left to chance"


def test_differences_together_are_wider_than_alone_and_narrower_than_of_all_pairs() -> None:
    found = compare(several(dict.fromkeys("abcdef", 1.0)), "auc")
    alone = found.difference("a", "b")
    two = found.differences([("a", "b"), ("c", "d")])[0]
    every = found.differences(list(itertools.combinations("abcdef", 2)))[0]
    widths = [one.high - one.low for one in (alone, two, every)]
    assert widths == sorted(set(widths)) and {one.value for one in (alone, two, every)} == {alone.value}
    assert found.differences([]) == []
    turned = found.difference("b", "a")
    assert (turned.value, turned.low, turned.high) == pytest.approx((-alone.value, -alone.high, -alone.low))


def test_rows_of_a_user_count_together() -> None:
    """Were examples independent, five copies of each would make intervals narrower."""
    predictions = several({"a": 1.0})
    copies = Predictions(
        *(np.tile(of, 5) for of in predictions[:3]), {"a": [np.tile(score, 5) for score in predictions.scores["a"]]}
    )
    for metric in METRICS:
        once, often = (compare(of, metric).value("a") for of in (predictions, copies))
        assert often.high - often.low == pytest.approx(once.high - once.low, rel=1e-9)


def made(
    rng: np.random.Generator, models: int, seeds: int, users: float, training: float, apart: float = 0.0, count: int = 60
) -> Comparison:
    """Values that truly are 0, minus `apart` for all but the first model: errors of users and of training, normal."""
    shared = rng.normal(0, 1, count)
    measured = {}
    for at in range(models):
        own = shared + rng.normal(0, 1, count)
        by_user = users * math.sqrt(count) * (own - own.mean())
        level = users * math.sqrt(count) * own.mean() - (apart if at else 0.0)
        measured[str(at)] = [(level + training * rng.normal(), by_user) for _ in range(seeds)]
    return assemble("auc", measured, count)


@pytest.mark.parametrize(("users", "training"), [(1e-2, 1e-3), (1e-2, 1e-2), (1e-3, 1e-2)])
@pytest.mark.parametrize("seeds", [2, 3, 5])
def test_intervals_hold_the_truth_whichever_noise_is_larger(seeds: int, users: float, training: float) -> None:
    rng, held = np.random.default_rng(seeds), []
    for _ in range(400):
        found = made(rng, 4, seeds, users, training)
        held += [not found.difference("0", "1").shown, not found.difference("2", "3").shown]
    assert 0.92 <= np.mean(held) <= 0.985, "95%, and three standard errors of 800 comparisons"


@pytest.mark.long
@pytest.mark.parametrize("apart", [0.0, 0.06])
def test_the_best_is_among_the_best_and_many_equal_models_are_seldom_told_apart(apart: float) -> None:
    rng, best, every, errors = np.random.default_rng(0), 0, 0, 0
    for _ in range(200):
        found = made(rng, 8, 3, 1e-2, 1e-2, apart).standing()
        best += "0" in found.among_best
        every += len(found.among_best)
        errors += any(one.difference_low > 0 or one.difference_high < 0 for one in found.models.values())
        # Who is told apart from the best by the intervals of all pairs is never among the best.
        assert all(one.difference_low <= 0 <= one.difference_high for one in found.models.values() if one.among_best)
    assert best / 200 >= 0.92
    if apart:
        assert every / 200 < 4, "worse ones go"
    else:
        assert errors / 200 <= 0.1


def test_few_users_tell_nothing_apart() -> None:
    label, user, request = world(users=stats.LEAST_USERS - 1)
    right, wrong = np.where(label, 0.9, 0.1), np.where(label, 0.1, 0.9)
    for metric in METRICS:
        found = compare(Predictions(label, user, request, {"right": [right] * 2, "wrong": [wrong] * 2}), metric)
        assert not found.trusted and found.standing().among_best == {"right", "wrong"}
        assert not found.difference("right", "wrong").shown
        assert (found.value("right").low, found.value("right").high) == (0, LARGEST[metric])
        assert found.resolution().half_width == found.resolution().detectable == LARGEST[metric]


def test_a_metric_that_does_not_exist_tells_nothing_apart() -> None:
    predictions = several({"a": 1.0, "b": 0.1})
    ones = predictions._replace(label=np.ones_like(predictions.label))
    for metric in ("auc", "user_gauc", "request_gauc"):
        found = compare(ones, metric)
        assert found.users == 0 and found.standing().among_best == {"a", "b"}
        assert math.isnan(found.value("a").value) and math.isnan(found.value("a").high)
        assert not found.difference("a", "b").shown and math.isnan(found.resolution().half_width)


def test_one_seed_has_the_noise_of_the_others_or_none_that_is_known() -> None:
    predictions = several({"a": 1.0, "b": 0.9, "c": 0.8, "d": 0.2, "e": 0.9}, seeds=3, users=300)
    single = {name: seeds[:1] if name in "ad" else seeds for name, seeds in predictions.scores.items()}
    found = compare(predictions._replace(scores=single), "auc")
    assert found.noise.known == ("of others", "measured", "measured", "of others", "measured")
    assert found.difference("a", "d").shown and found.standing().models["a"].seed_sd is None
    alone = compare(predictions._replace(scores={name: seeds[:1] for name, seeds in single.items()}), "auc")
    assert alone.noise.known == ("unknown",) * 5 and len(alone.standing().among_best) == 5
    assert not alone.difference("a", "d").shown
    assert (alone.value("a").low, alone.value("a").high) == (0, 1)


def test_a_slice_is_the_comparison_of_its_rows() -> None:
    predictions = several({"a": 1.0, "b": 0.5})
    mask = predictions.user < 30
    part = predictions.part(mask)
    assert len(part.label) == mask.sum() and set(np.unique(part.user)) == set(range(30))
    alone = Predictions(*(of[mask] for of in predictions[:3]), {n: [s[mask] for s in of] for n, of in predictions.scores.items()})
    assert compare(part, "auc").difference("a", "b") == compare(alone, "auc").difference("a", "b")


def test_the_resolution_is_that_of_a_typical_pair() -> None:
    found = compare(several(dict.fromkeys("abc", 1.0)), "auc")
    pairs = list(itertools.combinations("abc", 2))
    widths = sorted((one.high - one.low) / 2 for one in (found.difference(*pair) for pair in pairs))
    resolution = found.resolution()
    assert resolution.half_width == pytest.approx(widths[1])
    assert 1.25 * resolution.half_width < resolution.detectable < 1.6 * resolution.half_width
    assert math.isnan(compare(several({"a": 1.0}), "auc").resolution().half_width)


@pytest.mark.parametrize(
    ("low", "high", "margin", "word"),
    [
        (0.001, 0.003, 0.0, "better"),
        (-0.003, -0.001, 0.0, "worse"),
        (0.001, 0.003, 0.002, "better"),
        (0.001, 0.002, 0.002, "equivalent"),
        (-0.002, 0.002, 0.002, "equivalent"),
        (-0.002, 0.0020001, 0.002, "not settled"),
        (0.0, 0.003, 0.002, "not settled"),
        (-0.003, 0.0, 0.002, "not settled"),
        (0.0, 0.0, 0.0, "not settled"),
        (math.nan, math.nan, 0.002, "not settled"),
        (-math.inf, math.inf, 0.002, "not settled"),
    ],
)
def test_each_interval_has_one_of_four_words(low: float, high: float, margin: float, word: str) -> None:
    assert verdict(low, high, margin) == word
    mirrored = {"better": "worse", "worse": "better"}.get(word, word)
    assert verdict(low, high, margin, lower_is_better=True) == mirrored
    assert verdict(-high, -low, margin) == mirrored


@given(st.floats(-1, 1), st.floats(0, 1), st.floats(0, 1))
def test_words_are_what_they_mean(low: float, width: float, margin: float) -> None:
    high, word = low + width, verdict(low, low + width, margin)
    if word == "equivalent":
        assert max(abs(low), abs(high)) <= margin
    elif word == "not settled":
        assert low <= 0 <= high
    else:
        assert (low > 0) == (word == "better") and max(abs(low), abs(high)) >= margin


def test_no_margin_is_negative_and_no_interval_turned() -> None:
    for low, high, margin in ((0.0, 1.0, -0.1), (0.0, 1.0, math.nan), (1.0, 0.0, 0.1)):
        with pytest.raises(ValueError, match="an interval from"):
            verdict(low, high, margin)


def test_nothing_to_compare_is_refused() -> None:
    predictions = several({"a": 1.0})
    for scores in ({}, {"a": []}):
        with pytest.raises(ValueError, match="needs models with at least one seed each"):
            compare(predictions._replace(scores=scores), "auc")
    score = predictions.scores["a"][0]
    with pytest.raises(ValueError, match="must be two arrays of one length"):
        compare(predictions._replace(scores={"a": [score[1:]]}), "auc")
    with pytest.raises(ValueError, match="NaN"):
        compare(predictions._replace(scores={"a": [np.where(predictions.label > 0, np.nan, score)]}), "auc")


def test_seed_spread() -> None:
    assert seed_spread([0.5]) == (0.5, None)
    assert seed_spread([1.0, 3.0]) == (2.0, pytest.approx(math.sqrt(2)))
