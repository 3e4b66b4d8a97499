"""Protocols of others: what they set, what may not stand beside them, and that records tell who followed one."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from typing import Any

import pytest

from rankbench.bench import protocols, registry
from rankbench.bench.commands.settings import settings
from rankbench.bench.commands.streams import check_stream_options
from rankbench.bench.config import resolve
from rankbench.bench.data.sources import DATASETS
from rankbench.bench.errors import UserError

MODELS = ("lr", "din")


def asked(**given: Any) -> argparse.Namespace:
    usual = {"config": None, "dataset": None, "split": None, "set": [], "protocol": "kuairand-long-view"}
    return argparse.Namespace(**(usual | given))


@pytest.mark.parametrize("protocol", protocols.PROTOCOLS.values(), ids=lambda one: one.name)
def test_each_protocol_is_one_that_models_can_be_trained_under(protocol: protocols.Protocol) -> None:
    for dataset in protocol.datasets:
        found = settings(asked(protocol=protocol.name, dataset=dataset), MODELS)
        for name in MODELS:
            config = resolve(registry.info(name), found).as_dict()
            for path, value in protocol.on(dataset).items():
                section, _, key = path.partition(".")
                assert config[section][key] == (list(value) if isinstance(value, tuple) else value)
            assert config["data"]["dataset"] == dataset and protocol.followed(config)
    assert settings(asked(protocol=protocol.name), MODELS).data["dataset"] == protocol.datasets[0]
    assert set(protocol.datasets) <= set(DATASETS) and set(protocol.why) == set(protocol.settings)
    assert all(own.keys() <= protocol.settings.keys() for own in protocol.own.values())
    assert {*protocol.own, *protocol.targets} <= set(protocol.datasets) and protocol.free.keys() <= protocol.settings.keys()
    assert bool(protocol.targets) == (protocol.score == "to-target")


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


def test_a_history_may_have_other_lengths_where_the_protocol_leaves_them_free() -> None:
    mini = {"protocol": "dlrmv4-mini", "dataset": "ml-1m"}
    protocol = protocols.find("dlrmv4-mini")
    found = settings(asked(**mini, set=["data.history_length=256"]), MODELS)
    assert found.data["history_length"] == 256 and found.data["split"] == "stream-20" and found.train["order"] == "time"
    config = resolve(registry.info("ctr"), found).as_dict()
    assert protocol.followed(config)
    assert not protocol.followed({**config, "train": {**config["train"], "order": "shuffled"}})
    assert not protocol.followed({**config, "data": {**config["data"], "history_length": 100}})
    for length in (127, 513):
        with pytest.raises(UserError, match=rf"protocol dlrmv4-mini allows data\.history_length from 128 to 512, not {length}"):
            settings(asked(**mini, set=[f"data.history_length={length}"]), MODELS)
    with pytest.raises(UserError, match=r"protocol dlrmv4-mini sets data.split to stream-20; leave it out"):
        settings(asked(**mini, split="stream-days"), MODELS)


def test_a_target_is_asked_for_under_a_protocol_that_has_one_and_refused_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    mini = {"protocol": "dlrmv4-mini", "given": frozenset(), "target": None, "envelope": None}
    check_stream_options(argparse.Namespace(**mini), "yambda-50m")
    untold = dataclasses.replace(protocols.find("dlrmv4-mini"), name="untold", targets={})
    monkeypatch.setitem(protocols.PROTOCOLS, "untold", untold)
    with pytest.raises(UserError, match="untold has no target for ml-1m; name one with --target AUC"):
        check_stream_options(argparse.Namespace(**(mini | {"protocol": "untold"})), "ml-1m")
    with pytest.raises(UserError, match="--envelope nowhere: there are no runs in that folder"):
        check_stream_options(argparse.Namespace(**(mini | {"envelope": Path("nowhere")})), "yambda-50m")
    for protocol in (None, "kuairand-long-view"):
        options = argparse.Namespace(**(mini | {"protocol": protocol, "given": frozenset({"--target"})}))
        with pytest.raises(UserError, match=r"not under a protocol that goes through time .* makes no use of --target"):
            check_stream_options(options, "ml-100k")


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
