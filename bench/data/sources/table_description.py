"""What the YAML file of your own table says, its parts in their types, and what can be wrong with it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...errors import UserError, unknown_name
from ...typed import from_dict
from ..steps.declared import Step, read_steps
from .labels import parse_label
from .names import name_in
from .schema import ALL_POSITIVE, ROLE_WORDS, Domain, Feature, Label, TimeUnit
from .table_config import Behaviours, Columns, Impressions, SplitColumn, TableConfig

OUTCOME = "outcome"
"""The column that holds what came of each entry of an impression list."""


@dataclass(frozen=True)
class TableDescription:
    """A YAML file that was read and found sound, its parts in their types."""

    config: TableConfig
    name: str
    events: dict[str, tuple[str, ...]]
    """Role ("" where none is declared by file) -> names of files, folders and patterns."""
    columns: Columns
    label: str
    labels: tuple[Label, ...]
    action: tuple[str, ...]
    split: SplitColumn | None
    impressions: Impressions | None
    behaviours: Behaviours | None
    domain: Domain | None
    user_features: tuple[Feature, ...]
    item_features: tuple[Feature, ...]
    context_features: tuple[Feature, ...]
    steps: tuple[Step, ...]

    @property
    def outcomes(self) -> tuple[str, ...]:
        """Columns of the label rules."""
        main = () if self.label == ALL_POSITIVE else (parse_label(self.label).column,)
        return tuple(dict.fromkeys((*main, *(parse_label(label.rule).column for label in self.labels))))

    @property
    def time_unit(self) -> TimeUnit:
        return self.config.time_unit or ("datetime" if self.config.time_format else "s")

    @property
    def declares_test(self) -> bool:
        """Whether the source says which rows are the test."""
        return self.split is not None or "test" in self.events

    @property
    def read(self) -> dict[str, str]:
        """Role -> column of the files, of those columns that have a role as they stand."""
        columns = self.columns.named()
        return {role: column for role, column in columns.items() if role != "item" or self.impressions is None}


def describe_table(path: Path, keys: dict[str, Any]) -> TableDescription:
    """What the keys of `path` say.

    Raises:
        UserError: an unknown or missing key, a value that is empty or cannot be.
    """
    for key, value in keys.items():
        if value is None or value == "":
            raise UserError(f"{path}: the key {key!r} has no value: give one or leave the key out")
        if key in vars(Columns()):
            raise UserError(f"unknown key in {path} {key!r}: write columns: {{{key}: {value}}}")
    keys, events = _plain(path, keys)
    config = from_dict(TableConfig, keys, str(path))
    name = name_in(path, keys)
    _check_values(path, config)
    columns = _columns(path, config)
    impressions = from_dict(Impressions, config.impressions, f"{path}: impressions") if config.impressions else None
    if impressions is not None and bool(impressions.outcome) == bool(impressions.clicked):
        raise UserError(
            f"{path}: impressions needs either outcome, the sign between an item and what came of it, or clicked, the column of "
            "clicked items"
        )
    label = config.label or (OUTCOME if impressions else "")
    for key, given in (("events", config.events), ("label", label)):
        if not given:
            raise UserError(f"{path} lacks the key {key!r}")
    behaviours = from_dict(Behaviours, config.behaviours, f"{path}: behaviours") if config.behaviours else None
    split = from_dict(SplitColumn, config.split, f"{path}: split") if config.split else None
    _check_roles(path, events, split)
    domain = from_dict(Domain, config.domain, f"{path}: domain") if config.domain else None
    context = _features(config.context_features, f"{path}: context_features")
    if domain is not None and domain.column not in [feature.column for feature in context]:
        context = (Feature(domain.column), *context)
    if domain is not None and Feature(domain.column) not in context:
        raise UserError(f"{path}: the domain {domain.column!r} must be a category in context_features, one value a row")
    features = {owner: _features(getattr(config, owner), f"{path}: {owner}") for owner in ("user_features", "item_features")}
    ids = set(columns.named().values())
    for owner, owned, taken in (
        ("user_features", features["user_features"], {config.user_key or columns.user} if config.users else ids),
        ("item_features", features["item_features"], {config.item_key or columns.item} if config.items else ids),
        ("context_features", context, ids),
    ):
        for feature in owned:
            if feature.column in taken:
                raise UserError(
                    f"{path}: {owner} lists {feature.column!r}, the column of an id or a time, which is an input in any case: "
                    "leave it out"
                )
    labels = tuple(Label(further, _rule(path, further, rule)) for further, rule in config.labels.items())
    main = () if label == ALL_POSITIVE else (parse_label(label).column,)
    return TableDescription(
        config=config,
        name=name,
        events=events,
        columns=columns,
        label=label,
        labels=labels,
        action=config.action or ((behaviours.column,) if behaviours else main),
        split=split,
        impressions=impressions,
        behaviours=behaviours,
        domain=domain,
        context_features=context,
        steps=read_steps(config.steps, f"{path}: steps"),
        **features,
    )


_WITH_COLUMNS = (
    *("columns", "label", "labels", "action", "domain", "user_key", "item_key", "split", "impressions", "behaviours"),
    *("user_features", "item_features", "context_features"),
)


def _plain(path: Path, keys: dict[str, Any]) -> tuple[dict[str, Any], dict[str, tuple[str, ...]]]:
    """The keys, each in its longest form, and the files of events by role."""
    if keys.get("header") is False:
        keys = {key: _texts(value) if key in _WITH_COLUMNS else value for key, value in keys.items()}
    if keys.get("time_origin") == 1970:
        keys = {**keys, "time_origin": "1970"}
    for key in ("domain", "split"):
        if isinstance(keys.get(key), str):
            keys = {**keys, key: {"column": keys[key]}}
    for key in ("behaviours", "split"):
        # A single word is a list of one, and a number a word: that is how they stand in the column.
        if isinstance(keys.get(key), dict):
            entries = {one: value if one == "column" or isinstance(value, list) else [value] for one, value in keys[key].items()}
            keys = {**keys, key: _texts(entries)}
    events = keys.get("events")
    by_role = events if isinstance(events, dict) else {"": events}
    files: dict[str, tuple[str, ...]] = {}
    for role, entries in by_role.items():
        if isinstance(events, dict) and role not in ROLE_WORDS[1:]:
            raise unknown_name(f"part of events in {path}", str(role), ROLE_WORDS[1:])
        entries = [entries] if isinstance(entries, str) else entries
        if isinstance(events, dict) and not entries:
            raise UserError(f"{path}: events.{role} has no value: give one or leave it out")
        files[role] = tuple(entries) if isinstance(entries, list) and all(isinstance(one, str) for one in entries) else ()
        if isinstance(events, dict) and not files[role]:
            raise UserError(f"{path}: events.{role} must be a file, a folder, a pattern or a list of these, not {entries!r}")
    if isinstance(events, dict):
        keys = {**keys, "events": [entry for entries in files.values() for entry in entries]}
    for key in ("events", "users", "items"):
        if isinstance(keys.get(key), str):
            keys = {**keys, key: [keys[key]]}
    return keys, files


def _texts(value: Any) -> Any:
    """Whole numbers, which stand for columns without a header or for words of a column, as text."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return str(value)
    if isinstance(value, list):
        return [_texts(entry) for entry in value]
    return {key: _texts(entry) for key, entry in value.items()} if isinstance(value, dict) else value


def _columns(path: Path, config: TableConfig) -> Columns:
    columns = from_dict(Columns, config.columns, f"{path}: columns")
    for role, column in config.columns.items():
        if not column:
            raise UserError(f"{path}: columns.{role} has no value: give one or leave the key out")
    if config.impressions and "item" in config.columns:
        raise UserError(f"{path}: columns.item and impressions name the items twice: leave one of them out")
    if len(set(columns.named().values())) < len(columns.named()):
        raise UserError(f"{path}: columns names one column for two of {', '.join(columns.named())}")
    return columns


def _check_roles(path: Path, events: dict[str, tuple[str, ...]], split: SplitColumn | None) -> None:
    if split is not None and "" not in events:
        raise UserError(f"{path}: both events and split say what is for training and what for the test: leave one of them out")
    for role in ("train", "test"):
        if "" not in events and role not in events:
            raise UserError(f"{path}: events has parts, but none is called {role}")
    words = [] if split is None else [word for word, _ in split.words()]
    if twice := next((word for at, word in enumerate(words) if word in words[:at]), None):
        raise UserError(f"{path}: split gives {twice!r} two meanings")


def _check_values(path: Path, config: TableConfig) -> None:
    if len(config.delimiter) > 1:
        raise UserError(f"{path}: delimiter must be one character, not {config.delimiter!r}")
    offset = config.utc_offset_hours
    if offset is not None and not -24 < offset < 24:
        raise UserError(f"{path}: utc_offset_hours must be a number of hours between -24 and 24, not {offset}")
    if not (config.request_window >= 0 and math.isfinite(config.request_window)):
        raise UserError(f"{path}: request_window must be a number of seconds, 0 or more, not {config.request_window}")
    for key in ("events", "users", "items", "action"):
        if any(not entry.strip() or "\0" in entry for entry in getattr(config, key)):
            raise UserError(f"{path}: {key} lists an empty name")


def _rule(path: Path, label: str, rule: Any) -> str:
    if not isinstance(rule, str) or not rule.strip():
        raise UserError(f"{path}: labels.{label} must be a column or a rule such as rating >= 5, not {rule!r}")
    return rule


def _features(entries: Sequence[Any], where: str) -> tuple[Feature, ...]:
    features: list[Feature] = []
    for entry in entries:
        if isinstance(entry, str) and entry:
            features.append(Feature(entry))
        elif isinstance(entry, dict) and isinstance(entry.get("column"), str) and entry["column"]:
            features.append(from_dict(Feature, entry, where, Feature(entry["column"])))
        else:
            raise UserError(f"{where}: write a column name or {{column: name, kind: number}}, not {entry!r}")
        if not features[-1].separator:
            raise UserError(f"{where}: the separator of {features[-1].column!r} is empty")
    return tuple(features)
