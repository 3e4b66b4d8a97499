from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from rankbench.bench.data import sources
from rankbench.bench.data.sources.schema import DataRoots, RawLog
from rankbench.bench.data.sources.simulator import (
    TARGET,
    SimulatorConfig,
    expected_auc,
    load,
    load_yaml,
    simulate,
)
from rankbench.bench.errors import UserError
from support.converted import converted

ROOTS = DataRoots(None, Path("unused"))
QUIET = SimulatorConfig(
    events=40_000,
    users=400,
    items=400,
    categories=20,
    intercept=0.0,
    popularity=0.0,
    long_term_taste=0.0,
    recent_interest=0.0,
    time_of_day=0.0,
    target_match=0.0,
)


@cache
def only(effect: str, strength: float) -> RawLog:
    return simulate(dataclasses.replace(QUIET, **{effect: strength}), effect)


Frame = Any
"""A data frame; pandas' own annotations don't let a type checker follow it."""


def table(log: RawLog) -> Frame:
    """Events with category, hour and the logit of the true probability, each user's in order of time."""
    assert log.items is not None
    events: Frame = log.events.sort_values(["user", "time"], kind="stable", ignore_index=True)
    events["category"] = log.items["category"].reindex(events["item"]).to_numpy()
    events["hour"] = events["time"] // 3600 % 24
    p = events["true_probability"]
    return events.assign(logit=np.log(p / (1 - p)))


Past = dict[str, list]


def per_user(events: Frame, term: Callable[[Past, int], float]) -> np.ndarray:
    """`term(own, i)` of every event, where `own` are the columns of the same user's events; slow and literal."""
    columns = ["category", "vote", "click"]
    groups = [own[columns].to_dict("list") for _, own in events.groupby("user", sort=False)]
    return np.array([term(own, i) for own in groups for i in range(len(own["click"]))])


def last_vote(window: int) -> Callable[[Past, int], float]:
    def term(own: Past, i: int) -> float:
        for j in range(i - 1, max(i - window, 0) - 1, -1):
            if own["category"][j] == own["category"][i]:
                return 1.0 if own["vote"][j] == "up" else -1.0
        return 0.0

    return term


def auc_noise(clicks: Frame) -> float:
    """Standard error of the AUC of a predictor that knows nothing."""
    clicked = int(clicks.sum())
    return float(np.sqrt((len(clicks) + 1) / (12 * clicked * (len(clicks) - clicked))))


def rates(train: Frame, test: Frame, keys: list[str]) -> np.ndarray:
    """Smoothed click rates of the groups in train, looked up for test."""
    grouped = train.groupby(keys)["click"].agg(["sum", "count"])
    rate = (grouped["sum"] + 5) / (grouped["count"] + 10)
    index = pd.MultiIndex.from_frame(test[keys]) if len(keys) > 1 else test[keys[0]]
    return rate.reindex(index).fillna(0.5).to_numpy()


def by_time(events: Frame) -> tuple[Frame, Frame]:
    cut = events["time"].quantile(0.8)
    return events[events["time"] < cut], events[events["time"] >= cut]


def test_same_seed_same_log_other_seed_another() -> None:
    config = SimulatorConfig(events=2_000, users=50, items=100, seed=3)
    first, again, other = simulate(config, "a"), simulate(config, "a"), simulate(dataclasses.replace(config, seed=4), "a")
    pd.testing.assert_frame_equal(first.events, again.events)
    pd.testing.assert_frame_equal(first.users, again.users)  # type: ignore[arg-type]
    assert first.bayes_auc == again.bayes_auc
    assert not first.events["time"].equals(other.events["time"])
    assert first.notes != other.notes, "logs without files are told apart by their notes"


def test_exposures_do_not_depend_on_effects() -> None:
    exposure = ["user", "item", "time", "vote"]
    one, other = only("popularity", 1.0).events, only("recent_interest", 3.0).events
    pd.testing.assert_frame_equal(one.filter(exposure), other.filter(exposure))


@pytest.mark.parametrize("name", ["simulator", "simulator-target"])
def test_registered_logs(name: str) -> None:
    log = load(name, ROOTS)
    events: Frame = log.events
    assert log.bayes_auc == pytest.approx(roc_auc_score(events["click"], events["true_probability"]), abs=0.005)
    assert events["click"].mean() == pytest.approx(events["true_probability"].mean(), abs=0.005)
    assert events["time"].is_monotonic_increasing and events["time"].iloc[0] >= 1_704_067_200
    gaps = events.sort_values(["user", "time"]).groupby("user")["time"].diff().dropna()
    assert gaps.min() >= 1, "no two events of a user share a time"
    train, test = by_time(events)
    warm = test["user"].isin(train["user"])
    assert 0.9 < warm.mean() < 1, "a global split has warm users and a few new ones"
    assert log.users is not None and log.items is not None
    assert set(events["user"]) <= set(log.users.index) and set(events["item"]) <= set(log.items.index)


def test_registry_and_yaml_reach_the_simulator(tmp_path: Path) -> None:
    assert sources.load("simulator-target", ROOTS).name == "simulator-target"
    file = tmp_path / "mine.yaml"
    file.write_text("source: simulator\nevents: 500\nusers: 20\nitems: 60\ntarget_match: 1e-1\n")
    log = sources.load(str(file), ROOTS)
    assert log.name == "mine" and len(log.events) == 500
    assert "target_match 0.1" in log.notes[0]
    file.write_text(file.read_text() + "name: other\n")
    assert sources.load(str(file), ROOTS).name == sources.name_of(str(file)) == "other"


def test_true_probability_reaches_no_model() -> None:
    log = only("popularity", 1.0)
    schema = log.schema
    features = (*schema.user_features, *schema.item_features, *schema.context_features)
    assert "true_probability" not in {schema.label, *schema.action, *(feature.column for feature in features)}
    cleaned, report = converted(log)
    assert report.rows_kept == len(log.events)
    assert "true_probability" not in cleaned.events.columns


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"events": 0}, "simulator.events must be at least 2, not 0"),
        ({"users": 0}, "simulator.users must be at least 1"),
        ({"items": 0}, "simulator.items must be at least 1"),
        ({"categories": 0}, "simulator.categories must be at least 1"),
        ({"seed": -1}, "simulator.seed must be at least 0"),
        ({"history_window": 0}, "simulator.history_window must be at least 1"),
        ({"recency_half_life": 0.0}, "simulator.recency_half_life must be above 0"),
        ({"days": 0.0}, "simulator.days must be above 0"),
        ({"popularity": float("nan")}, "simulator.popularity must be a finite number"),
        ({"categories": 41, "items": 40}, r"simulator.categories \(41\) must not exceed simulator.items \(40\)"),
        ({"repeats": 13}, r"simulator.repeats \(13\) must not exceed simulator.block \(12\)"),
        ({"evnts": 5}, "did you mean 'events'"),
        ({"events": "many"}, "simulator.events must be a whole number, not 'many'"),
    ],
)
def test_bad_settings_are_one_clear_line(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message) as error:
        load_yaml(changes, "mine")
    assert str(error.value).startswith("mine: ") and "\n" not in str(error.value)


def test_extreme_sizes() -> None:
    wide: Frame = simulate(SimulatorConfig(events=1_000, items=1_000_000), "wide").events
    assert wide["item"].nunique() > 900
    few = simulate(SimulatorConfig(events=5, users=1_000, items=1, categories=1, block=1, repeats=1), "few")
    assert len(few.events) == 5
    one = simulate(SimulatorConfig(events=300, users=1, items=3, categories=3, days=0.001), "one")
    assert one.events["time"].is_unique


@given(st.lists(st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.9, 1.0]), min_size=2, max_size=12))
def test_expected_auc_is_the_sum_over_pairs(values: list[float]) -> None:
    p = np.array(values)
    weight = p[:, None] * (1 - p[None, :])
    np.fill_diagonal(weight, 0)
    if weight.sum() < 1e-12:
        with pytest.raises(UserError, match="no AUC"):
            expected_auc(p)
        return
    won = (p[:, None] > p[None, :]) + 0.5 * (p[:, None] == p[None, :])
    assert expected_auc(p) == pytest.approx((weight * won).sum() / weight.sum(), abs=1e-9)


def test_expected_auc_refuses_what_is_no_probability() -> None:
    for wrong in ([0.2, 1.2], [0.2, float("nan")]):
        with pytest.raises(UserError, match="within"):
            expected_auc(np.array(wrong))


def test_without_effects_nothing_can_be_ranked() -> None:
    log = only("popularity", 0.0)
    assert log.bayes_auc == pytest.approx(0.5, abs=1e-9)
    assert log.notes[0].endswith("none")


def test_popularity() -> None:
    events = table(only("popularity", 1.0))
    of_item = events.groupby("item")["logit"].agg(["min", "max"])
    assert (of_item["max"] - of_item["min"]).max() < 1e-9
    assert of_item["max"].std() == pytest.approx(1.0, abs=0.15)
    train, test = by_time(events)
    assert roc_auc_score(test["click"], rates(train, test, ["item"])) > 0.7


def test_long_term_taste() -> None:
    log = only("long_term_taste", 1.0)
    events = table(log)
    of_cell = events.groupby(["user", "category"])["logit"].agg(["min", "max"])
    assert (of_cell["max"] - of_cell["min"]).max() < 1e-9
    assert of_cell["max"].std() == pytest.approx(1.0, abs=0.15)
    assert log.users is not None and log.bayes_auc is not None
    events = events.join(log.users, on="user")
    train, test = by_time(events)
    for feature in ("segment", "region"):
        auc = roc_auc_score(test["click"], rates(train, test, [feature, "category"]))
        assert 0.5 + 3 * auc_noise(test["click"]) < auc < log.bayes_auc - 0.05, f"{feature} tells a little"


def test_time_of_day() -> None:
    events = table(only("time_of_day", 1.0))
    of_cell = events.groupby(["category", "hour"])["logit"].agg(["min", "max"])
    assert (of_cell["max"] - of_cell["min"]).max() < 1e-9
    strongest = of_cell["max"].groupby("category").max()
    assert strongest.min() > 0.9 and strongest.max() <= 1.0 + 1e-9
    best = events["logit"] > 0.7
    assert events["click"][best].mean() == pytest.approx(0.71, abs=0.02)
    assert events.groupby("hour")["logit"].mean().abs().max() < 0.1, "the hour alone tells nothing"


def test_recent_interest() -> None:
    log = only("recent_interest", 3.0)
    events = table(log)
    chosen = events[events["user"].isin(events["user"].unique()[:10])]

    def share(own: Past, i: int) -> float:
        same, total = 0.0, 0.0
        for j in range(max(0, i - QUIET.history_window), i):
            weight = own["click"][j] * 0.5 ** ((i - j) / QUIET.recency_half_life)
            total += weight
            same += weight * (own["category"][j] == own["category"][i])
        return same / total if total > 0 else 0.0

    np.testing.assert_allclose(chosen["logit"], 3.0 * per_user(chosen, share), atol=1e-9)
    interested = events["logit"] > 1.0
    assert events["click"][interested].mean() > 0.75
    assert events["click"][events["logit"].abs() < 1e-9].mean() == pytest.approx(0.5, abs=0.02)


def test_target_match_follows_the_last_vote_in_the_category() -> None:
    events = table(only("target_match", 2.0))
    vote = per_user(events, last_vote(QUIET.history_window))
    for sign, rate in ((1, 0.881), (-1, 0.119), (0, 0.5)):
        assert events["click"][vote == sign].mean() == pytest.approx(rate, abs=0.02)


def test_an_oracle_that_sees_fifty_events_reaches_the_best_auc() -> None:
    log = simulate(dataclasses.replace(TARGET, events=20_000, users=200, popularity=0.0), "target")
    events = table(log)
    oracle = per_user(events, last_vote(50))
    np.testing.assert_allclose(events["logit"], TARGET.target_match * oracle, atol=1e-9)
    assert log.bayes_auc is not None
    assert abs(roc_auc_score(events["click"], oracle) - log.bayes_auc) < 3 * auc_noise(events["click"])
    assert log.bayes_auc > 0.85


def test_target_match_is_invisible_without_the_history() -> None:
    events = table(simulate(dataclasses.replace(TARGET, popularity=0.0), "target"))
    earlier = events.groupby(["user", "category"])["click"]
    events["last_click"] = earlier.shift(fill_value=-1)
    train, test = by_time(events)
    noise = auc_noise(test["click"])
    keys = [["item"], ["user"], ["category"], ["hour"], ["vote"], ["user", "category"], ["user", "item"], ["last_click"]]
    found = {tuple(key): rates(train, test, key) for key in keys}
    for key, score in (*found.items(), ("item + user", found["item",] + found["user",])):
        assert abs(roc_auc_score(test["click"], score) - 0.5) < 4 * noise, key


def test_traits_tell_the_quality_and_nothing_of_popularity() -> None:
    config = dataclasses.replace(QUIET, traits=3)
    told = simulate(dataclasses.replace(config, told_quality=1.0), "told")
    names = ["trait0", "trait1", "trait2"]
    assert told.items is not None and [feature.column for feature in told.schema.item_features] == ["category", *names]
    logit = table(told).groupby("item")["logit"].first()
    traits = told.items.loc[logit.index, names]
    design = pd.get_dummies(traits).to_numpy(dtype=float)
    left = logit - design @ np.linalg.lstsq(design, logit.to_numpy(), rcond=None)[0]
    assert left.abs().max() < 1e-9 and logit.std() == pytest.approx(1.0, abs=0.4)
    silent = simulate(dataclasses.replace(config, popularity=1.0), "silent")
    pd.testing.assert_frame_equal(silent.items, told.items)  # type: ignore[arg-type]
    with pytest.raises(UserError, match=r"simulator\.traits must be at least 1"):
        dataclasses.replace(QUIET, told_quality=1.0)


def test_a_log_without_traits_is_what_it_was_before_there_were_any() -> None:
    plain, with_traits = (simulate(dataclasses.replace(QUIET, popularity=1.0, traits=traits), "a") for traits in (0, 2))
    pd.testing.assert_frame_equal(plain.events, with_traits.events)
    assert plain.items is not None and list(plain.items.columns) == ["category"]


@pytest.mark.parametrize(("drift", "low", "high"), [(0.0, 0.8, 1.0), (2.0, -1.0, -0.5)])
def test_a_drift_turns_what_is_popular_into_something_else(drift: float, low: float, high: float) -> None:
    effects = dict.fromkeys(("long_term_taste", "recent_interest", "time_of_day", "target_match"), 0.0)
    config = SimulatorConfig(events=20_000, users=200, items=20, categories=10, popularity=1.5, drift=drift, **effects)
    events = simulate(config, "world").events
    assert isinstance(events, pd.DataFrame)
    tenth = len(events) // 10
    first, last = (part.groupby("item")["true_probability"].mean() for part in (events[:tenth], events[-tenth:]))
    assert low < first.corr(last) <= high


def test_without_a_drift_the_log_is_what_it_was_before_worlds_could_turn() -> None:
    events = simulate(SimulatorConfig(events=2_000, users=50), "world").events
    assert isinstance(events, pd.DataFrame)
    assert float(events["true_probability"].sum()) == pytest.approx(734.965945, abs=1e-5)
