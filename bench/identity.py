"""Which settings make an experiment another one: a hash of the whole resolved config without what has no effect in it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

VERSION = 2
"""Of INERT. Raised when the list changes for settings that hashes hold already, so that a hash never means two things."""

Config = Mapping[str, Any]
"""A resolved experiment as plain values: model, data, train, params; see `config.Experiment.as_dict`."""


def _never_sampled(config: Config) -> bool:
    return config["data"]["negatives"] == config["data"]["test_negatives"] == "exposed"


def _no_codes(value: Any, config: Config) -> bool:
    return config["data"]["item_id"] in ("id", "none")


def _no_gap_to_itself(config: Config) -> bool:
    """Without a bias over time gaps, and where a token looks back from the latest event that it sees."""
    biases = (config["params"].get(name) for name in ("relative_bias", "channels"))
    return config["data"]["time"] != "request" or not any(bias in ("time", "both") for bias in biases)


def _no_function_of_time(config: Config) -> bool:
    return config["data"]["time"] == "none" or config["params"].get("channels") == "position"


def _once_through_time(config: Config) -> bool:
    return config["train"].get("order") == "time"


def _no_waves(config: Config) -> bool:
    return config["data"]["time"] == "none" or config["params"].get("channels") in ("none", "position")


COSTS = ("checkpoint_seconds", "recompute", "whole_step", "assembly")
"""Settings of training that change time and memory, and no number beyond rounding and the masks of dropout, as the choice of a
kernel does."""

INERT: Mapping[tuple[str, str], Callable[[Config], bool]] = {
    ("data", "test_negative_rate"): lambda config: config["data"]["test_negatives"] == "exposed",
    ("data", "repeats"): _never_sampled,
    ("data", "exclude_future_positives"): _never_sampled,
    **{("train", key): lambda config: True for key in COSTS},
    ("train", "loss_weight"): lambda config: config["train"].get("loss") not in ("joint", "jrc"),
    **{("train", key): _once_through_time for key in ("epochs", "patience", "monitor", "max_seconds", "refit")},
    ("params", "experts"): lambda config: config["params"].get("head", "mmoe") != "mmoe",
    ("params", "own_time"): _no_gap_to_itself,
    ("params", "time_function"): _no_function_of_time,
    **{("params", key): _no_waves for key in ("periods", "shortest_period", "period_factor")},
    ("params", "position_dim"): lambda config: config["params"].get("channels") in ("none", "time"),
    ("params", "window_hours"): lambda config: config["data"]["time"] == "none",
    ("params", "clock"): lambda config: config["data"]["time"] != "request",
    ("params", "time_embedding"): lambda config: config["data"]["time"] == "none",
}
"""Section and key -> when it changes no number of a run. A record holds such a setting all the same; no hash does."""


LATER: Mapping[tuple[str, str], Callable[[Any, Config], bool]] = {
    ("data", "behaviours"): lambda value, config: not value,
    ("data", "pools"): lambda value, config: not value,
    ("data", "outcomes"): lambda value, config: value == "action",
    ("data", "side_information"): lambda value, config: value == "all",
    ("data", "domain_field"): lambda value, config: value is True,
    ("data", "domains"): lambda value, config: not value,
    ("data", "item_id"): lambda value, config: value == "id",
    **{("data", key): _no_codes for key in ("code_source", "code_method", "code_levels", "code_size")},
    ("data", "backoff_events"): lambda value, config: config["data"]["item_id"] != "backoff",
    ("data", "held_out_items"): lambda value, config: value == 0,
    ("train", "loss"): lambda value, config: value == "bce",
    ("train", "loss_weight"): lambda value, config: value == 1,
    ("train", "table_optimizer"): lambda value, config: value == "adamw",
    ("train", "order"): lambda value, config: value == "shuffled",
    ("train", "batches"): lambda value, config: value in ("default", "examples"),
    ("train", "recompute"): lambda value, config: value is False,
    ("train", "whole_step"): lambda value, config: value == "off",
    ("train", "assembly"): lambda value, config: value == "host",
    # Generative rankers always had the setting of items.
    ("params", "item_fields"): lambda value, config: value == "concat" and "layout" not in config["params"],
    ("params", "user_fields"): lambda value, config: value == "concat",
    ("params", "input_dropout"): lambda value, config: value is None,
    ("params", "stochastic_depth"): lambda value, config: value == 0,
    ("params", "context_min_events"): lambda value, config: value == 0,
    ("params", "action_encoding"): lambda value, config: value == "combination",
    ("params", "token_network"): lambda value, config: value == "linear",
    ("params", "clock"): lambda value, config: value == "tokens",
    ("params", "time_embedding"): lambda value, config: value == "none",
    ("params", "head_norm"): lambda value, config: value is False,
}
"""Section and key of settings that came when there were runs already -> whether a value is what all of them had, or does nothing.
No hash holds it then, so that an experiment keeps its name; records that were made before lack the key."""


def active(config: Config) -> dict[str, Any]:
    """The same config without what is inert in it, and without later settings that are as if they did not exist."""
    inert = {(section, key) for (section, key), holds in INERT.items() if key in (config[section] or ()) and holds(config)}
    return _without(earlier(config), inert)


def earlier(config: Config) -> dict[str, Any]:
    """The same config as a record had it before there were LATER settings, where it is none that needs one of them."""
    later = {
        (section, key)
        for (section, key), usual in LATER.items()
        if key in (config[section] or ()) and usual(config[section][key], config)
    }
    return _without(config, later)


def _without(config: Config, keys: set[tuple[str, str]]) -> dict[str, Any]:
    return {
        section: {key: value for key, value in values.items() if (section, key) not in keys}
        if isinstance(values, Mapping)
        else values
        for section, values in config.items()
    }


def config_hash(config: Config) -> str:
    """12 hex digits of the sha256 of the canonical JSON of a resolved experiment."""
    return short_hash({"inert": VERSION, **active(config)})


def dotted(config: Config) -> dict[str, Any]:
    """Every setting by its dotted key, such as train.lr."""
    sections = {section: values for section, values in config.items() if isinstance(values, Mapping)}
    return {f"{section}.{key}": value for section, values in sections.items() for key, value in values.items()}


def short_hash(value: Any, digits: int = 12) -> str:
    """Of plain values, the first hex digits of the sha256 of their canonical JSON."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()[:digits]


def file_hash(path: Path) -> str:
    """64 hex digits: sha256 of a file's content.

    Raises:
        OSError: it cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def data_hash(content_hash: str, split_hash: str) -> str:
    """8 hex digits of content and split together."""
    return short_hash([content_hash, split_hash], 8)


def difference(default: Config, actual: Config) -> dict[str, Any]:
    """Settings of `actual` that are not those of `default`, by dotted key; what is inert is no difference."""
    return _different(active(default), active(actual), "")


def ignored(default: Config, actual: Config) -> dict[str, Any]:
    """Settings of `actual` that are not those of `default` and yet change no number, by dotted key; COSTS are to change none."""
    changed, counted = _different(default, actual, ""), _different(active(default), active(actual), "")
    return {key: value for key, value in changed.items() if key not in counted and key.removeprefix("train.") not in COSTS}


def _different(default: Mapping[str, Any], actual: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key, value in actual.items():
        if isinstance(value, Mapping):
            result |= _different(default.get(key, {}), value, f"{prefix}{key}.")
        elif key not in default or value != default[key]:
            result[f"{prefix}{key}"] = value
    return result
