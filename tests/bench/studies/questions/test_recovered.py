"""Studies of simulated scenarios find what was planted, and do not find what was not."""

from __future__ import annotations

import pytest

from support.recovered import answered, value, verdicts

pytestmark = [pytest.mark.long, pytest.mark.usefixtures("own_folders")]


def test_behaviours_finds_the_one_that_predicts_and_not_the_other() -> None:
    log = {"users": 110, "pages": 16, "items": 40, "categories": 8, "search": 3.0}
    found = answered("behaviours", log, ("din, history",), "din")
    word = verdicts(found, "din, history")
    assert word["the target and search"] == "better"
    assert word["the target and scroll"] != "better"
    assert word["the target alone"] == "worse" and word["all, not told apart"] == "worse"
    assert value(found, "din, history @ the target and search") > value(found, "din, history @ the target alone") + 0.05


def test_behaviours_finds_nothing_where_nothing_was_planted() -> None:
    log = {"users": 100, "pages": 16, "items": 40, "categories": 8, "search": 0.0}
    word = verdicts(answered("behaviours", log, ("din, history",), "din"), "din, history")
    assert word["the target and search"] != "better" and word["the target and scroll"] != "better"
    assert word["the target alone"] != "worse"


def test_domains_finds_the_one_that_helps_and_the_one_that_misleads() -> None:
    found = answered("domains", {"users": 400, "items": 400, "shop": 0.1}, ("dnn",), "dnn", history=1)
    assert verdicts(found, "dnn")["one for all, domain hidden"] == "worse"
    alone = "a model trained on shop alone"
    shop = verdicts(found, "dnn", "domain shop", alone)
    assert shop["one for all"] == shop["trained on feed"] == "better" and shop["trained on games"] == "worse"
    assert verdicts(found, "dnn", "domain shop", "one for all")["one for each domain"] == "worse"
    feed = verdicts(found, "dnn", "domain feed", "a model trained on feed alone")
    assert feed["one for all"] != "better" and feed["trained on shop"] == "worse"


def test_domains_finds_no_reason_to_know_them_where_all_have_one_taste() -> None:
    found = answered("domains", {"users": 250, "items": 60, "opposition": 1.0}, ("dnn",), "dnn", history=1)
    word = verdicts(found, "dnn")
    assert word["one for all, domain hidden"] != "worse" and word["one for each domain"] != "better"


def test_side_information_finds_the_features_that_tell() -> None:
    log = {"users": 220, "items": 4000, "brands": 10, "brand": 0.7, "segment": 2.0}
    found = answered("side-information", log, ("lr", "dnn"), "dnn", history=1)
    for model in ("lr", "dnn"):
        word = verdicts(found, model)
        assert word["items"] == word["items and users"] == "better" and word["users"] != "better", model
    # Only a model that looks at pairs of features can learn how a segment likes a brand.
    assert value(found, "dnn @ items and users") > value(found, "dnn @ items") + 0.01


def test_side_information_finds_nothing_where_features_tell_nothing() -> None:
    log = {"users": 120, "items": 600, "brand": 0.0, "segment": 0.0}
    found = answered("side-information", log, ("lr", "dnn"), "dnn", history=1)
    for model in ("lr", "dnn"):
        assert set(verdicts(found, model).values()) <= {"equivalent", "not settled"}, model
