"""Settings that came when there were runs: at their defaults experiments keep their names, and older records stay valid."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

from rankbench.bench import identity, registry
from rankbench.bench.config import DataConfig, LogDefaults, Settings, TrainConfig, resolve
from rankbench.bench.errors import UserError
from rankbench.bench.records.schema import from_json, to_json
from rankbench.bench.records.view import shared_settings
from support.records import predictions, record

LOG = LogDefaults("global-time", 0.0, positive_only=False)


def config(model: str, **settings: dict[str, Any]) -> dict[str, Any]:
    made = resolve(
        registry.info(model), Settings(settings.get("data", {}), settings.get("train", {}), {model: settings.get("params", {})})
    )
    return dataclasses.replace(made, data=made.data.resolved(LOG)).as_dict()


def before(one: dict[str, Any]) -> dict[str, Any]:
    """As a record of it was written before these settings existed."""
    old = {section: dict(values) if isinstance(values, dict) else values for section, values in one.items()}
    for section, key in identity.LATER:
        if (section, key) != ("params", "item_fields") or "layout" not in one["params"]:
            old[section].pop(key, None)
    return old


@pytest.mark.parametrize("model", ["ctr", "lr", "din", "mmoe", "rankmixer", "hstu", "stu"])
def test_an_experiment_with_defaults_has_the_name_that_it_always_had(model: str) -> None:
    today = config(model)
    assert identity.config_hash(today) == identity.config_hash(before(today))
    assert identity.earlier(today) == before(today) and identity.difference(before(today), today) == {}


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        ("data", "behaviours", ["label"]), ("data", "outcomes", "none"), ("data", "side_information", "items"),
        ("data", "domain_field", False), ("data", "domains", ["home"]),
        ("params", "item_fields", "sum"), ("params", "user_fields", "sum"),
        ("train", "loss", "pairwise"), ("train", "loss", "joint"), ("train", "loss", "jrc"), ("train", "batches", "requests"),
    ],
)  # fmt: skip
def test_another_value_makes_another_experiment(section: str, key: str, value: Any) -> None:
    usual, other = config("din"), config("din", **{section: {key: value}})
    assert identity.config_hash(usual) != identity.config_hash(other)
    assert list(identity.difference(usual, other)) == [f"{section}.{key}"]


@pytest.mark.parametrize("loss", ["joint", "jrc"])
def test_a_weight_counts_where_a_loss_has_one(loss: str) -> None:
    joint, heavier = (config("din", train={"loss": loss, "loss_weight": weight}) for weight in (1.0, 2.0))
    assert identity.config_hash(joint) != identity.config_hash(heavier)
    bce = config("din", train={"loss_weight": 2.0})
    assert identity.config_hash(bce) == identity.config_hash(config("din"))
    assert identity.ignored(config("din"), bce) == {"train.loss_weight": 2.0}


def test_what_batches_are_made_of_is_decided_by_the_loss_and_recorded() -> None:
    """A loss within requests has one choice, named or not."""
    named, left = (TrainConfig(loss="pairwise", batches=batches).resolved("auc") for batches in ("requests", "default"))
    assert named == left and left.batches == "requests"
    assert TrainConfig().resolved("auc").batches == "examples"
    with pytest.raises(
        UserError, match=r"train\.loss=listwise compares the rows of a request, which train.batches=examples tears"
    ):
        TrainConfig(loss="listwise", batches="examples")
    with pytest.raises(UserError, match=r"train\.monitor=logloss judges probabilities, and train.loss=pairwise gives none"):
        TrainConfig(loss="pairwise", monitor="logloss")


def test_the_items_of_generative_rankers_are_in_every_hash() -> None:
    """They had the setting from the first."""
    usual, other = config("hstu"), config("hstu", params={"item_fields": "sum"})
    assert usual["params"]["item_fields"] == "concat" and "item_fields" in identity.active(usual)["params"]
    assert identity.config_hash(usual) != identity.config_hash(other)


def test_a_record_from_before_is_read_and_stands_beside_one_of_today() -> None:
    frame = predictions(1.0, users=12)
    today = record("din", frame)
    text = json.loads(to_json(today))
    text["config"] = before(text["config"])
    assert "behaviours" not in text["config"]["data"]
    old = from_json(json.dumps(text), "old.json")
    assert shared_settings(old) == shared_settings(today)
    del text["config"]["data"]["history_length"]
    with pytest.raises(UserError, match=r"missing or unknown keys in config.data \(history_length\)"):
        from_json(json.dumps(text), "old.json")


def test_every_later_setting_exists() -> None:
    """One that was renamed would come into the hash of every experiment."""
    params = {field.name for name in registry.MODELS for field in dataclasses.fields(registry.info(name).config)}
    known = {
        "data": {field.name for field in dataclasses.fields(DataConfig)},
        "train": {field.name for field in dataclasses.fields(TrainConfig)},
        "params": params,
    }
    assert all(key in known[section] for section, key in identity.LATER)


NAMES = {"ctr": "5110a36614e3", "din": "703d9c7bc3d5", "mmoe": "58d29597d8df", "hstu": "04da303ca192"}
"""Hashes of defaults, before `default` is replaced by what it means for a log, as they were before there were later settings."""


@pytest.mark.parametrize("model", NAMES)
def test_names_of_default_experiments_are_those_of_the_first_runs(model: str) -> None:
    """If a default changes on purpose, its old runs are other experiments, and the name here changes with it."""
    assert resolve(registry.info(model), Settings()).hash == NAMES[model]
