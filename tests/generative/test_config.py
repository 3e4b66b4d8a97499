"""Impossible combinations of switches are refused with the reason, from the command line too."""

from __future__ import annotations

import pytest

from rankbench.bench import registry
from rankbench.bench.config import DataConfig, Experiment, Settings, resolve
from rankbench.bench.errors import UserError
from rankbench.bench.identity import config_hash
from rankbench.generative.config import SequenceConfig

GENERATIVE = [name for name, entry in registry.MODELS.items() if entry.family == "generative"]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"width": 10, "heads": 4}, "width 10 cannot be divided among 4 heads"),
        ({"width": 6, "heads": 2, "rope": True}, "rope turns pairs of numbers"),
        ({"attention": "softmax", "divisor": "own"}, "divisor belongs to attention=silu"),
        ({"layout": "late", "head": "mlp"}, "layout=late needs a head that reads the candidate"),
        ({"time_embedding": "sqrt-minutes"}, "time_embedding needs layout=request"),
        ({"layout": "candidate", "context_min_events": 20}, "context_min_events needs layout=request"),
        ({"layout": "request", "user_fields": "sum"}, "user_fields=sum does nothing: with layout=request each field"),
        ({"action_encoding": "bits", "actions": False}, "action_encoding does nothing: actions=false leaves actions out"),
    ],
)
def test_impossible_combinations_are_refused(changes: dict, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        SequenceConfig(**changes)
    with pytest.raises(UserError, match=f"^hstu: .*{reason}"):
        resolve(registry.info("hstu"), Settings(models={"hstu": changes}))


@pytest.mark.parametrize(
    ("model", "changes", "time", "counts"),
    [
        ("hstu", {}, "request", True), ("hstu", {"relative_bias": "position"}, "request", False), ("hstu", {}, "history", False),
        ("fuxi", {}, "request", True), ("fuxi", {"channels": "position"}, "request", False), ("sasrec", {}, "request", False),
        ("fuxi-beta", {}, "request", True), ("fuxi-beta", {"channels": "position"}, "request", False),
    ],
)  # fmt: skip
def test_the_gap_to_oneself_is_inert_without_a_bias_over_gaps(model: str, changes: dict, time: str, counts: bool) -> None:
    """Where the request's time is not known, a token looks back from the latest event, to which there is no gap."""
    info, hashes = registry.info(model), set()
    for own_time in ("zero", "recency"):
        params = info.config(**changes, own_time=own_time)
        hashes.add(config_hash(Experiment(model, DataConfig(time=time), params=params).as_dict()))  # type: ignore[arg-type]
    assert len(hashes) == (2 if counts else 1)


@pytest.mark.parametrize(
    ("model", "changes", "reason"),
    [
        ("fuxi-beta", {"rope": True}, "rope does nothing: there are no queries"),
        ("fuxi", {"gate": True}, "gate does nothing: the channels are always multiplied by u"),
        ("stu", {"gate": True}, "gate does nothing"),
    ],
)
def test_a_setting_that_a_backbone_has_no_use_for_is_refused(model: str, changes: dict, reason: str) -> None:
    with pytest.raises(UserError, match=f"^{model}: .*{reason}"):
        resolve(registry.info(model), Settings(models={model: changes}))


@pytest.mark.parametrize("name", GENERATIVE)
def test_every_backbone_has_the_common_switches(name: str) -> None:
    assert issubclass(registry.info(name).config, SequenceConfig)


@pytest.mark.parametrize(
    ("setting", "value", "times"),
    [("clock", "tokens", {"request"}), ("time_embedding", "none", {"request", "history"})],
)
def test_what_is_told_of_time_is_inert_where_nothing_is_known_of_it(setting: str, value: str, times: set[str]) -> None:
    info = registry.info("dlrm-v3")
    for time in ("none", "history", "request"):
        hashes = {
            config_hash(Experiment("dlrm-v3", DataConfig(time=time), params=params).as_dict())
            for params in (info.config(), info.config(**{setting: value}))
        }
        assert len(hashes) == (2 if time in times else 1)
