"""Simulated scenarios: each holds what it says was planted, its best AUC is known, and settings decide all of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from rankbench.bench.data import sources
from rankbench.bench.data.eventlog import write_log
from rankbench.bench.data.sources import (
    simulated_behaviours,
    simulated_domains,
    simulated_long_history,
    simulated_side_information,
)
from rankbench.bench.data.sources.schema import DataRoots, RawLog
from rankbench.bench.errors import UserError
from rankbench.bench.evaluation import metrics

SMALL = {"users": 60, "pages": 8, "items": 120}
SCENARIOS: dict[str, tuple[Callable[..., RawLog], type]] = {
    "simulator-behaviours": (simulated_behaviours.simulate, simulated_behaviours.BehavioursConfig),
    "simulator-domains": (simulated_domains.simulate, simulated_domains.DomainsConfig),
    "simulator-side-information": (simulated_side_information.simulate, simulated_side_information.SideInformationConfig),
    "simulator-long-history": (simulated_long_history.simulate, simulated_long_history.LongHistoryConfig),
}


def drawn(name: str, **settings: Any) -> RawLog:
    simulate, config = SCENARIOS[name]
    near = {"distance": 12} if name == "simulator-long-history" else {}
    return simulate(config(**{**SMALL, **near, **settings}), name)


def examples(raw: RawLog) -> pd.DataFrame:
    assert isinstance(raw.events, pd.DataFrame)
    return raw.events[raw.events["true_probability"].notna()]


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_seed_draws_one_log_and_another_seed_another(name: str, tmp_path: Path) -> None:
    logs = [write_log(drawn(name, seed=seed), tmp_path / str(at)) for at, seed in enumerate((0, 0, 1))]
    hashes = [log.meta.content_hash for log in logs]
    assert hashes[0] == hashes[1] != hashes[2]


@pytest.mark.parametrize("name", SCENARIOS)
def test_clicks_follow_their_probabilities_whose_auc_is_the_best(name: str) -> None:
    raw = drawn(name, users=600)
    rows = examples(raw)
    click, probability = rows["click"].to_numpy(), rows["true_probability"].to_numpy()
    error = np.sqrt((probability * (1 - probability)).sum())
    assert abs(click.sum() - probability.sum()) < 4 * error
    assert raw.bayes_auc is not None
    assert metrics.auc(click, probability) == pytest.approx(raw.bayes_auc, abs=0.02)
    known = float(raw.notes[1].rpartition(" ")[2])
    assert known < raw.bayes_auc - 0.05, "what was planted is worth knowing"


@pytest.mark.parametrize(
    ("name", "off"),
    [
        ("simulator-behaviours", {"search": 0.0}),
        ("simulator-domains", {"opposition": 1.0}),
        ("simulator-side-information", {"brand": 0.0, "segment": 0.0}),
        ("simulator-long-history", {"search": 0.0}),
    ],
)
def test_what_is_off_is_not_there_and_changes_nothing_else(name: str, off: dict[str, float]) -> None:
    on, without = drawn(name), drawn(name, **off)
    same = [column for column in examples(on) if column not in ("click", "liked", "true_probability")]
    pd.testing.assert_frame_equal(examples(on)[same], examples(without)[same])
    if name == "simulator-side-information":
        assert examples(without)["true_probability"].nunique() == 1
    else:
        known = float(without.notes[1].rpartition(" ")[2])
        assert without.bayes_auc == pytest.approx(known, abs=1e-4)


def test_a_page_has_an_item_of_the_category_that_was_searched_for_and_it_is_clicked_more_often() -> None:
    raw = drawn("simulator-behaviours", users=400, popularity=0.0)
    assert isinstance(raw.events, pd.DataFrame) and raw.items is not None
    events = raw.events.assign(category=raw.items["category"].reindex(raw.events["item"]).to_numpy())
    views = events[events["behaviour"] == "view"].sort_values("time")
    rates = {}
    for behaviour in ("search", "scroll"):
        past = events[events["behaviour"] == behaviour][["user", "time", "category"]].sort_values("time")
        latest = pd.merge_asof(views, past, on="time", by="user", suffixes=("", "_of"))
        hit = latest["category"] == latest["category_of"]
        assert (hit.groupby([latest["user"], latest["time"]]).sum() == 1).all()
        rates[behaviour] = latest["click"][hit].mean() - latest["click"][~hit].mean()
    assert rates["search"] > 0.4 and rates["scroll"] < 0


@pytest.mark.parametrize("distance", [0, 7])
def test_what_a_history_holds_of_a_search_begins_at_its_distance(distance: int) -> None:
    """The last `distance` events before a page tell nothing; the one before these is a search for what is clicked."""
    raw = drawn("simulator-long-history", distance=distance, popularity=0.0, categories=6)
    assert isinstance(raw.events, pd.DataFrame) and raw.items is not None
    events = raw.events.assign(category=raw.items["category"].reindex(raw.events["item"]).to_numpy()).sort_values(
        ["user", "time"]
    )
    pages = events[events["behaviour"] == "view"].groupby(["user", "time"], sort=False)
    past = {user: rows for user, rows in events.groupby("user")}
    clicked = {True: [], False: []}
    for (user, time), page in pages:
        before = past[user][past[user]["time"] < time]
        near, search = before.iloc[len(before) - distance :], before.iloc[len(before) - distance - 1]
        assert set(near["behaviour"]) <= {"scroll"} and set(near["category"]) <= {"other"} and search["behaviour"] == "search"
        hit = page["category"] == search["category"]
        assert hit.sum() == 1
        for found in (True, False):
            clicked[found] += list(page["click"][hit == found])
    assert np.mean(clicked[True]) > np.mean(clicked[False]) + 0.4


def test_a_category_without_items_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    for name in ("behaviours", "long-history"):
        file.write_text(f"source: simulator-{name}\nitems: 5\ncategories: 6\n")
        with pytest.raises(UserError, match=r"categories \(6\) must not exceed items \(5\)"):
            sources.load(str(file), DataRoots(None, tmp_path))


def test_tastes_agree_between_feed_and_shop_and_turn_in_the_games() -> None:
    rows = examples(drawn("simulator-domains", users=600, shop=0.2))
    rate = rows.groupby(["page", "item"])["true_probability"].mean().unstack(0)
    assert rate["feed"].corr(rate["shop"]) == pytest.approx(1) and rate["feed"].corr(rate["games"]) < -0.9


def test_brands_tell_and_colours_do_not() -> None:
    raw = drawn("simulator-side-information", users=400)
    assert raw.items is not None
    rows = examples(raw).join(raw.items, on="item")
    spread = {name: rows.groupby(name)["true_probability"].mean().std() for name in ("brand", "colour")}
    assert spread["brand"] > 3 * spread["colour"]


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_yaml_file_sets_its_strengths(name: str, tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(f"source: {name}\nusers: 30\npages: 4\nitems: 50\nintercept: -1\n")
    raw = sources.load(str(file), DataRoots(None, tmp_path))
    assert raw.name == "mine" and len(examples(raw)) <= 30 * 4 * 5 and '"intercept": -1' in raw.notes[2]
    file.write_text(f"source: {name}\nuser: 30\n")
    with pytest.raises(UserError, match="unknown key in mine 'user'; did you mean 'users'"):
        sources.load(str(file), DataRoots(None, tmp_path))
    file.write_text(f"source: {name}\nusers: 0\n")
    with pytest.raises(UserError, match=r"mine\.users must be at least 1, not 0"):
        sources.load(str(file), DataRoots(None, tmp_path))


def test_users_never_open_two_pages_at_once() -> None:
    config = simulated_domains.DomainsConfig(users=50, pages=40)
    rows = examples(simulated_domains.simulate(config, "domains"))
    times = rows.groupby("user")["time"].unique()
    assert all(np.diff(np.sort(one)).min() > 60 and len(one) == 40 for one in times)
    assert dataclasses.asdict(config)["users"] == rows["user"].nunique()
