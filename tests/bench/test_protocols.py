"""Protocols of others: what they set, what may not stand beside them, and that records tell who followed one."""

from __future__ import annotations

import argparse
from typing import Any

import pytest

from rankbench.bench import protocols, registry
from rankbench.bench.commands.settings import settings
from rankbench.bench.config import resolve
from rankbench.bench.data.sources import DATASETS
from rankbench.bench.errors import UserError

MODELS = ("lr", "din")


def asked(**given: Any) -> argparse.Namespace:
    usual = {"config": None, "dataset": None, "split": None, "set": [], "protocol": "kuairand-long-view"}
    return argparse.Namespace(**(usual | given))


@pytest.mark.parametrize("protocol", protocols.PROTOCOLS.values(), ids=lambda one: one.name)
def test_each_protocol_is_one_that_models_can_be_trained_under(protocol: protocols.Protocol) -> None:
    found = settings(asked(protocol=protocol.name), MODELS)
    for name in MODELS:
        config = resolve(registry.info(name), found).as_dict()
        for path, value in protocol.settings.items():
            section, _, key = path.partition(".")
            assert config[section][key] == value
        assert config["data"]["dataset"] == protocol.datasets[0] and protocol.followed(config)
    assert set(protocol.datasets) <= set(DATASETS) and set(protocol.why) == set(protocol.settings)


def test_other_settings_are_free_and_those_of_the_protocol_are_not() -> None:
    found = settings(asked(set=["data.history_length=20", "train.epochs=2"]), MODELS)
    assert found.data["history_length"] == 20 and found.train["epochs"] == 2
    for given, key in (
        ({"set": ["data.test_history=live"]}, "data.test_history to frozen"),
        ({"set": ["train.monitor=auc"]}, "train.monitor to request_gauc"),
        ({"split": "global-time"}, "data.split to declared"),
    ):
        with pytest.raises(UserError, match=f"protocol kuairand-long-view sets {key}; leave it out"):
            settings(asked(**given), MODELS)


def test_another_data_set_or_name_is_refused() -> None:
    with pytest.raises(UserError, match="is for kuairand-pure-long-view, not for ml-100k"):
        settings(asked(dataset="ml-100k"), MODELS)
    with pytest.raises(UserError, match="unknown protocol 'kuairand-long'; did you mean 'kuairand-long-view'"):
        settings(asked(protocol="kuairand-long"), MODELS)


def test_a_floor_alone_follows_it_without_what_no_floor_reads() -> None:
    assert "monitor" not in settings(asked(), ("popularity",)).train


def test_other_settings_of_data_do_not_follow_it() -> None:
    protocol = protocols.find("kuairand-long-view")
    config = resolve(registry.info("din"), settings(asked(), MODELS)).as_dict()
    config["data"]["test_history"] = "live"
    assert not protocol.followed(config)
