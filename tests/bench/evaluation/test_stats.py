"""The bootstrap equals literal resampling, its intervals hold what they promise, and it tells apart only what differs."""

from __future__ import annotations

import math
from typing import get_args

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import log_loss, roc_auc_score

from rankbench.bench.errors import UserError
from rankbench.bench.evaluation import metrics, stats
from rankbench.bench.evaluation.stats import Metric, align, differences, paired_bootstrap, seed_spread

METRICS: tuple[Metric, ...] = get_args(Metric)


def world(users: int = 60, rows: int = 20, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Labels and users; users differ in their base rate and number of rows, and come in no order."""
    rng = np.random.default_rng(seed)
    user = rng.permutation(np.repeat(np.arange(users), rng.integers(1, 2 * rows, users)))
    return (rng.random(len(user)) < rng.beta(2, 3, users)[user]).astype(np.int64), user


def scored(label: np.ndarray, skill: float, seed: int, cells: int | None = None) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(size=len(label))
    score = 1 / (1 + np.exp(-(skill * (label - 0.4) + noise)))
    return np.clip(np.round(score * cells) / cells, 0.01, 0.99) if cells else score


def value(label: np.ndarray, score: np.ndarray, user: np.ndarray, metric: Metric) -> float:
    if metric == "auc":
        return float(roc_auc_score(label, score))
    if metric == "logloss":
        return float(log_loss(label, score))
    return metrics.gauc(label, score, user).weighted


@pytest.mark.parametrize("cells", [None, 6])
@pytest.mark.parametrize("metric", METRICS)
def test_a_draw_is_the_metric_of_literally_resampled_rows(metric: Metric, cells: int | None) -> None:
    label, user = world()
    arrays = [scored(label, skill, seed, cells) for seed, skill in enumerate((0.5, 1.5))]
    drawn = np.concatenate(list(stats._resamples(60, 8, seed=3)))
    found = np.concatenate([statistic(drawn) for statistic in stats._statistics(label, user, arrays, metric)], axis=1)
    for counts, row in zip(drawn.astype(int), found, strict=True):
        # Each time a user is drawn, it is a user of its own.
        copies = [np.flatnonzero(user == who) for who in np.repeat(np.arange(60), counts)]
        rows = np.concatenate(copies)
        own = np.repeat(np.arange(len(copies)), [len(copy) for copy in copies])
        assert row == pytest.approx([value(label[rows], array[rows], own, metric) for array in arrays], abs=1e-12)


def test_first_everyone_once_then_draws_of_as_many_users(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = np.concatenate(list(stats._resamples(50, 400, seed=1)))
    assert whole.shape == (401, 50) and (whole[0] == 1).all() and (whole.sum(1) == 50).all()
    assert whole[1:].var() == pytest.approx(1 - 1 / 50, rel=0.05), "counts of a multinomial draw"
    monkeypatch.setattr(stats, "_BLOCK", 350)
    assert np.array_equal(np.concatenate(list(stats._resamples(50, 400, seed=1))), whole), "blocks change nothing"
    assert not np.array_equal(np.concatenate(list(stats._resamples(50, 400, seed=2))), whole)


@pytest.mark.parametrize("metric", METRICS)
def test_points_are_means_over_seeds_on_all_users(metric: Metric) -> None:
    label, user = world()
    scores = {"a": [scored(label, 1.0, seed) for seed in range(3)], "b": [scored(label, 1.1, 9)]}
    result = paired_bootstrap(label, user, scores, metric, draws=50)
    each = [value(label, score, user, metric) for score in scores["a"]]
    assert result.models["a"].point == pytest.approx(np.mean(each), abs=1e-12)
    assert result.models["a"].seed_sd == pytest.approx(np.std(each, ddof=1), abs=1e-12)
    assert result.models["b"].seed_sd is None
    assert result.metric == metric and result.models.keys() == scores.keys()
    better = min if metric == "logloss" else max
    assert result.best == better(scores, key=lambda name: result.models[name].point)


@pytest.mark.parametrize("metric", METRICS)
def test_intervals_are_those_of_the_written_definition(metric: Metric) -> None:
    label, user = world()
    scores = {name: [scored(label, skill, at)] for at, (name, skill) in enumerate({"a": 1.0, "b": 0.9, "c": 0.2}.items())}
    result = paired_bootstrap(label, user, scores, metric, draws=200, seed=5)
    counts = np.concatenate(list(stats._resamples(60, 200, seed=5)))
    arrays = [seeds[0] for seeds in scores.values()]
    found = np.concatenate([statistic(counts) for statistic in stats._statistics(label, user, arrays, metric)], axis=1)
    point, drawn = dict(zip(scores, found[0], strict=True)), dict(zip(scores, found[1:].T, strict=True))
    deviations = []
    for one, other in (("a", "b"), ("a", "c"), ("b", "c")):
        moved = drawn[one] - drawn[other]
        deviations.append(np.abs(moved - (point[one] - point[other])) / moved.std(ddof=1))
    critical = np.quantile(np.max(deviations, axis=0), 0.95)
    assert result.critical == pytest.approx(critical, rel=1e-9) and 1.9 < critical < 4
    for name in scores.keys() - {result.best}:
        model, moved = result.models[name], drawn[name] - drawn[result.best]
        half = critical * moved.std(ddof=1)
        assert (model.low, model.high) == pytest.approx(np.quantile(drawn[name], [0.025, 0.975]), abs=1e-12)
        assert model.difference == pytest.approx(point[name] - point[result.best], abs=1e-12)
        assert model.difference_low == pytest.approx(model.difference - half, abs=1e-9)
        assert model.difference_high == pytest.approx(model.difference + half, abs=1e-9)
        behind = moved > 0 if metric == "logloss" else moved < 0
        assert model.win_probability == pytest.approx(behind.mean())


@pytest.mark.parametrize("metric", METRICS)
def test_a_worse_model_is_told_apart_and_equal_ones_are_not(metric: Metric) -> None:
    label, user = world(users=200)
    good = [scored(label, 1.0, seed) for seed in range(2)]
    scores = {"good": good, "copy": good[::-1], "bad": [scored(label, 0.2, 7)]}
    result = paired_bootstrap(label, user, scores, metric, draws=300)
    assert result.indistinguishable == {"good", "copy"}
    for name in ("good", "copy"):
        model = result.models[name]
        assert model.win_probability == 0.5
        assert model.difference_low <= 0 <= model.difference_high <= 1e-9
    bad = result.models["bad"]
    assert bad.win_probability > 0.99
    assert bad.difference_low > 0 if metric == "logloss" else bad.difference_high < 0


def test_pairing_finds_a_small_difference_that_single_intervals_hide() -> None:
    label, user = world(users=300)
    strong = scored(label, 1.0, 0)
    noise = np.random.default_rng(1).normal(size=len(label))
    weaker = 1 / (1 + np.exp(-(np.log(strong / (1 - strong)) + 0.3 * noise)))
    result = paired_bootstrap(label, user, {"strong": [strong], "weaker": [weaker]}, "gauc", draws=300)
    assert result.models["weaker"].high > result.models["strong"].low, "the single intervals overlap"
    assert result.indistinguishable == {"strong"}


def test_the_same_call_gives_the_same_result_and_order_of_models_changes_no_number() -> None:
    label, user = world()
    scores = {"a": [scored(label, 1.0, 0)], "b": [scored(label, 0.8, 1)], "c": [scored(label, 0.3, 2)]}
    for metric in METRICS:
        one = paired_bootstrap(label, user, scores, metric, draws=60)
        assert one == paired_bootstrap(label, user, scores, metric, draws=60)
        turned = paired_bootstrap(label, user, dict(reversed(scores.items())), metric, draws=60)
        assert (turned.best, turned.indistinguishable) == (one.best, one.indistinguishable)
        for name in scores:
            assert turned.models[name].difference_low == pytest.approx(one.models[name].difference_low, abs=1e-12)
            assert turned.models[name].win_probability == pytest.approx(one.models[name].win_probability)
        assert one != paired_bootstrap(label, user, scores, metric, draws=60, seed=1)


@pytest.mark.parametrize("metric", get_args(Metric))
def test_one_difference_is_that_of_the_two_models_alone(metric: Metric) -> None:
    label, user = world()
    scores = {name: [scored(label, skill, 1), scored(label, skill, 2)] for name, skill in (("a", 0.8), ("b", 1.0), ("c", 0.2))}
    (found,) = differences(label, user, scores, [("a", "b")], metric, 200)
    alone = paired_bootstrap(label, user, {name: scores[name] for name in "ab"}, metric, 200)
    assert alone.best == "b"
    assert found == pytest.approx(
        (alone.models["a"].difference, alone.models["a"].difference_low, alone.models["a"].difference_high)
    )
    (back,) = differences(label, user, scores, [("b", "a")], metric, 200)
    assert back == pytest.approx((-found.value, -found.high, -found.low))


def test_differences_together_are_wider_than_alone_and_narrower_than_of_all_pairs() -> None:
    label, user = world()
    scores = {f"m{at}": [scored(label, 1.0, at)] for at in range(8)}
    pairs = [(f"m{at}", "m0") for at in range(1, 8)]
    together = differences(label, user, scores, pairs, "auc", 400)
    alone = [differences(label, user, scores, [pair], "auc", 400)[0] for pair in pairs]
    everything = differences(label, user, scores, [(a, b) for a in scores for b in scores if a < b], "auc", 400)
    assert all(many.low < one.low and one.high < many.high for many, one in zip(together, alone, strict=True))
    half = [one.high - one.value for one in (alone[0], together[0], everything[0])]
    assert half == sorted(half)


def test_a_difference_over_too_few_users_shows_nothing() -> None:
    label, user = world(users=stats.LEAST_USERS - 1)
    scores = {"good": [scored(label, 3.0, 0)], "bad": [scored(label, 0.0, 0)]}
    (found,) = differences(label, user, scores, [("good", "bad")], "gauc", 100)
    assert found.value > 0 and not found.shown


def test_rows_of_a_user_count_together() -> None:
    """Every row five times over brings no information: the interval must not shrink, as one over rows would."""
    label, user = world()
    score = scored(label, 1.0, 0)
    for metric in METRICS:
        once = paired_bootstrap(label, user, {"a": [score]}, metric, draws=100).models["a"]
        often = paired_bootstrap(np.tile(label, 5), np.tile(user, 5), {"a": [np.tile(score, 5)]}, metric, draws=100).models["a"]
        assert (often.low, often.high) == pytest.approx((once.low, once.high), abs=1e-12)


@pytest.fixture(scope="module")
def replications() -> dict[Metric, tuple[float, float, float]]:
    """Per metric: share of 300 samples of users whose intervals hold the truth, of a model and of a difference, and
    share in which two models of equal skill are told apart. The truth is measured on 40,000 users."""
    skills = {"a": 1.0, "b": 0.6, "twin": 1.0}

    def sample(users: int, seed: int) -> tuple[np.ndarray, np.ndarray, dict[str, list[np.ndarray]]]:
        rng = np.random.default_rng(seed)
        user = np.repeat(np.arange(users), rng.integers(4, 13, users))
        label = (rng.random(len(user)) < rng.beta(4, 6, users)[user]).astype(np.int64)
        # Users differ in how well they can be predicted, so that examples of one user depend on each other.
        ease = rng.uniform(0.2, 1.8, users)[user]
        logits = {name: skill * ease * (2 * label - 1) + rng.normal(size=len(user)) for name, skill in skills.items()}
        return label, user, {name: [1 / (1 + np.exp(-logit))] for name, logit in logits.items()}

    everyone = sample(40_000, 1)
    samples = [sample(120, seed) for seed in range(1000, 1300)]
    result: dict[Metric, tuple[float, float, float]] = {}
    for metric in ("gauc", "logloss"):
        truth = {name: value(everyone[0], seeds[0], everyone[1], metric) for name, seeds in everyone[2].items()}
        of_model = of_difference = apart = 0
        for label, user, scores in samples:
            one = paired_bootstrap(label, user, {"a": scores["a"]}, metric, draws=500).models["a"]
            of_model += one.low <= truth["a"] <= one.high
            pair = paired_bootstrap(label, user, {name: scores[name] for name in ("a", "b")}, metric, draws=500)
            other = next(name for name in ("a", "b") if name != pair.best)
            found = pair.models[other]
            of_difference += found.difference_low <= truth[other] - truth[pair.best] <= found.difference_high
            twins = {name: scores[name] for name in ("a", "twin")}
            apart += len(paired_bootstrap(label, user, twins, metric, draws=500).indistinguishable) < 2
        result[metric] = (of_model / 300, of_difference / 300, apart / 300)
    return result


@pytest.mark.parametrize("metric", ["gauc", "logloss"])
def test_intervals_hold_the_truth_as_often_as_they_say(replications: dict[Metric, tuple[float, ...]], metric: Metric) -> None:
    of_model, of_difference, apart = replications[metric]
    # 0.95, a little less because 120 users are few, and three standard errors of a share of 300 samples.
    assert 0.90 <= of_model <= 0.985
    assert 0.90 <= of_difference <= 0.985
    assert 0.01 <= apart <= 0.09


def test_many_equal_models_are_seldom_told_apart() -> None:
    """Eight models of one skill: an interval against the chosen best alone would part some of them in every fifth case."""
    rng = np.random.default_rng(0)
    apart = 0
    for _ in range(200):
        user = np.repeat(np.arange(150), 4)
        label = np.tile([0, 1, 0, 1], 150)
        scores = {str(at): [1 / (1 + np.exp(-(label + rng.normal(size=600))))] for at in range(8)}
        apart += len(paired_bootstrap(label, user, scores, "gauc", draws=200).indistinguishable) < 8
    assert apart / 200 < 0.11


def test_too_few_users_tell_nothing_apart() -> None:
    label, user = np.tile([0, 1], 45), np.repeat(np.arange(9), 10)
    scores = {"right": [0.1 + 0.8 * label], "wrong": [0.9 - 0.8 * label]}
    for metric in METRICS:
        result = paired_bootstrap(label, user, scores, metric, draws=50)
        assert result.users == 9 and result.best == "right"
        assert result.indistinguishable == {"right", "wrong"} and result.models["wrong"].win_probability == 0.5
        model = result.models["right"]
        assert (model.low, model.high) == (0, stats.LARGEST[metric]) and math.isfinite(model.high)
    enough = paired_bootstrap(
        np.tile(label, 2), np.r_[user, user + 9], {name: [np.tile(s[0], 2)] for name, s in scores.items()}, "gauc"
    )
    assert enough.users == 18 and enough.indistinguishable == {"right"}


def test_a_single_user_tells_nothing_apart() -> None:
    label = np.tile([0, 1], 50)
    scores = {"right": [0.1 + 0.8 * label], "wrong": [0.9 - 0.8 * label]}
    for metric in METRICS:
        assert paired_bootstrap(label, np.zeros(100), scores, metric, draws=20).indistinguishable == scores.keys()


def test_users_that_matter_are_those_that_carry_the_metric() -> None:
    """30 users with one label value each, then 12 with both."""
    label = np.r_[np.zeros(25), np.ones(5), np.tile([0, 1], 12)].astype(int)
    user = np.r_[np.arange(30), 30 + np.repeat(np.arange(12), 2)]
    scores = {"a": [scored(label, 1.0, 0)]}
    users = {metric: paired_bootstrap(label, user, scores, metric, draws=20).users for metric in METRICS}
    assert users == {"gauc": 12, "auc": 17, "logloss": 42}


def test_one_class_has_no_order_to_compare() -> None:
    label, user = np.ones(60, dtype=int), np.repeat(np.arange(20), 3)
    scores = {"a": [scored(label, 1.0, 0)], "b": [scored(label, 1.0, 1)]}
    for metric in ("auc", "gauc"):
        result = paired_bootstrap(label, user, scores, metric, draws=20)
        assert math.isnan(result.models["a"].point) and result.users == 0
        assert result.indistinguishable == {"a", "b"}
    assert paired_bootstrap(label, user, scores, "logloss", draws=20).users == 20


def test_nothing_to_draw_from_is_refused() -> None:
    label, user = world()
    score = scored(label, 1.0, 0)
    for arguments in ((label, user, {}), (label, user, {"a": []}), (label[:0], user[:0], {"a": [score[:0]]})):
        with pytest.raises(ValueError, match="a bootstrap needs examples, models"):
            paired_bootstrap(*arguments, "gauc")
    with pytest.raises(ValueError, match="must be two arrays of one length"):
        paired_bootstrap(label, user, {"a": [score], "b": [score[1:]]}, "auc")
    with pytest.raises(ValueError, match="users for"):
        paired_bootstrap(label, user[1:], {"a": [score]}, "auc")
    with pytest.raises(ValueError, match="NaN"):
        paired_bootstrap(label, user, {"a": [np.where(label > 0, np.nan, score)]}, "auc")


def table(n: int = 20) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    columns = {name: np.arange(n) for name in ("example", "user", "item", "time")}
    return pd.DataFrame({**columns, "label": np.arange(n) % 2, "score": rng.random(n)})


def test_align_gives_labels_users_and_scores_by_model() -> None:
    first, second = table(), table().assign(score=0.25)
    aligned = align({"a": [first, second], "b": [second]})
    assert np.array_equal(aligned.label, first["label"]) and np.array_equal(aligned.user, first["user"])
    assert [len(seeds) for seeds in aligned.scores.values()] == [2, 1]
    assert np.array_equal(aligned.scores["a"][0], first["score"]) and (aligned.scores["a"][1] == 0.25).all()
    result = paired_bootstrap(*aligned, "auc", draws=20)
    assert result.models.keys() == {"a", "b"}


@pytest.mark.parametrize("key", stats.IDENTITY)
def test_align_refuses_other_rows(key: str) -> None:
    other = table()
    other.loc[4, key] = 1 - other.loc[4, key] if key == "label" else 99
    with pytest.raises(UserError, match=rf"predictions of b and a are not about the same rows \({key}\); run both"):
        align({"a": [table()], "b": [table(), other]})


def test_align_refuses_what_cannot_be_compared() -> None:
    with pytest.raises(UserError, match=r"not about the same rows \(19 and 20 rows\)"):
        align({"a": [table()], "b": [table(19)]})
    turned = table().iloc[::-1].reset_index(drop=True)
    with pytest.raises(UserError, match="not about the same rows"):
        align({"a": [table()], "b": [turned]})
    with pytest.raises(UserError, match="predictions of a lack the columns time, score"):
        align({"a": [table().drop(columns=["time", "score"])]})
    with pytest.raises(UserError, match="predictions of a: score of row 2 is nan"):
        align({"a": [table().assign(score=[0.5, 0.5, np.nan, *[0.5] * 17])]})
    for nothing in ({}, {"a": []}):
        with pytest.raises(UserError, match="there are no predictions to compare"):
            align(nothing)


def test_seed_spread() -> None:
    assert seed_spread([0.5]) == (0.5, None)
    assert seed_spread([1.0, 3.0]) == (2.0, pytest.approx(math.sqrt(2)))
