"""The YAML file that describes your own table: its keys, and what can be wrong with them. docs/data.md explains each key."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from annotated_types import Ge

from ...errors import UserError
from ...typed import from_dict
from .equivalence import MARGIN
from .labels import parse_label
from .names import name_in
from .schema import ALL_POSITIVE, Feature, Label, TimeUnit


@dataclass(frozen=True)
class Columns:
    """Names of the three columns without which there is no event, and of one that may be there."""

    user: str = "user"
    item: str = "item"
    time: str = "time"
    request: str = ""
    """Rows of one user with the same value were shown together. Left out: requests follow from request_window."""

    def named(self) -> dict[str, str]:
        """Role -> column, of those that there are."""
        return {role: column for role, column in vars(self).items() if column}


@dataclass(frozen=True)
class TableConfig:
    """The keys of the YAML file; `events` and `label` are required."""

    events: tuple[str, ...] = ()
    """One file, folder or pattern, or a list of them, whose rows are joined; relative to the YAML file."""
    label: str = ""
    labels: dict = field(default_factory=dict)
    name: str = ""
    """Left out: the name of the YAML file."""
    columns: dict = field(default_factory=dict)
    header: bool = True
    """False: text files have no header, and columns are named by position, from 1."""
    delimiter: str = ","
    """Between the fields of text files; `"\\t"` for tabs."""
    decimal: Literal[".", ","] = "."
    time_unit: TimeUnit = "s"
    time_format: str = ""
    time_zone: str = "UTC"
    time_origin: Literal["1970", "relative"] = "1970"
    utc_offset_hours: float | None = None
    request_window: float = 0.0
    action: tuple[str, ...] = ()
    domain: str = ""
    users: tuple[str, ...] = ()
    user_key: str = ""
    items: tuple[str, ...] = ()
    item_key: str = ""
    user_features: list = field(default_factory=list)
    item_features: list = field(default_factory=list)
    context_features: list = field(default_factory=list)
    default_split: str = "global-time"
    margin: Annotated[float, Ge(0)] = MARGIN
    """Up to which difference of a metric two models count as equivalent."""
    licence: str = "not stated"
    citation: str = "none"


@dataclass(frozen=True)
class TableDescription:
    """A YAML file that was read and found sound, its parts in their types."""

    config: TableConfig
    name: str
    columns: Columns
    labels: tuple[Label, ...]
    action: tuple[str, ...]
    user_features: tuple[Feature, ...]
    item_features: tuple[Feature, ...]
    context_features: tuple[Feature, ...]

    @property
    def outcomes(self) -> tuple[str, ...]:
        """Columns of the label rules."""
        main = () if self.config.label == ALL_POSITIVE else (parse_label(self.config.label).column,)
        return tuple(dict.fromkeys((*main, *(parse_label(label.rule).column for label in self.labels))))


def describe_table(path: Path, keys: dict[str, Any]) -> TableDescription:
    """What the keys of `path` say.

    Raises:
        UserError: an unknown or missing key, a value that is empty or cannot be.
    """
    for key, value in keys.items():
        if value is None or value == "":
            raise UserError(f"{path}: the key {key!r} has no value: give one or leave the key out")
    if keys.get("header") is False:
        keys = {key: _positions(value) if key in _WITH_COLUMNS else value for key, value in keys.items()}
    if keys.get("time_origin") == 1970:
        keys = {**keys, "time_origin": "1970"}
    for key in ("events", "users", "items"):
        if isinstance(keys.get(key), str):
            keys = {**keys, key: [keys[key]]}
    config = from_dict(TableConfig, keys, str(path))
    for key in ("events", "label"):
        if not getattr(config, key):
            raise UserError(f"{path} lacks the key {key!r}")
    name = name_in(path, keys)
    _check_values(path, config)
    columns = from_dict(Columns, config.columns, f"{path}: columns")
    for role, column in config.columns.items():
        if not column:
            raise UserError(f"{path}: columns.{role} has no value: give one or leave the key out")
    if len(set(columns.named().values())) < len(columns.named()):
        raise UserError(f"{path}: columns names one column for two of {', '.join(columns.named())}")
    context = _features(config.context_features, f"{path}: context_features")
    if config.domain and config.domain not in [feature.column for feature in context]:
        context = (Feature(config.domain), *context)
    features = {owner: _features(getattr(config, owner), f"{path}: {owner}") for owner in ("user_features", "item_features")}
    for owner, owned in (*features.items(), ("context_features", context)):
        for feature in owned:
            if feature.column in columns.named().values():
                raise UserError(
                    f"{path}: {owner} lists {feature.column!r}, the column of an id or a time, which is an input in any case: "
                    "leave it out"
                )
    labels = tuple(Label(label, _rule(path, label, rule)) for label, rule in config.labels.items())
    main = () if config.label == ALL_POSITIVE else (parse_label(config.label).column,)
    return TableDescription(config, name, columns, labels, config.action or main, context_features=context, **features)


_WITH_COLUMNS = (
    *("columns", "label", "labels", "action", "domain", "user_key", "item_key"),
    *("user_features", "item_features", "context_features"),
)


def _positions(value: Any) -> Any:
    """Positions of columns as the names that columns without a header have."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if isinstance(value, list):
        return [_positions(entry) for entry in value]
    return {key: _positions(entry) for key, entry in value.items()} if isinstance(value, dict) else value


def _check_values(path: Path, config: TableConfig) -> None:
    if len(config.delimiter) != 1:
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
