"""The YAML file that describes your own table: its keys, of which docs/reference/table.md is made, and its mistakes."""

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


def _shown(example: str, values: str = "", left_out: str = "") -> dict[str, str]:
    """What the reference page shows of a key beside its docstring.

    Args:
        example: the key's value as it stands in a YAML file.
        values: what it may be, where the field's type does not say it.
        left_out: what holds where the key is left out, where the default does not say it.
    """
    return {"example": example, "values": values, "left_out": left_out}


@dataclass(frozen=True)
class Columns:
    """Names of the three columns without which there is no event, and of one that may be there."""

    user: str = field(default="user", metadata=_shown("uid"))
    """The column of user ids."""
    item: str = field(default="item", metadata=_shown("sku"))
    """The column of item ids."""
    time: str = field(default="time", metadata=_shown("shown_at"))
    """The column of times, in the unit that `time_unit` names."""
    request: str = field(default="", metadata=_shown("page_view", left_out="no request column"))
    """The column of request ids: rows of one user with the same value were shown together. Left out: requests follow from
    `request_window`."""

    def named(self) -> dict[str, str]:
        """Role -> column, of those that there are."""
        return {role: column for role, column in vars(self).items() if column}


_FILES = "file, folder, pattern, or a list of these"
_FEATURES = "list of column names or features"


@dataclass(frozen=True)
class TableConfig:
    """The keys of the YAML file; `events` and `label` are required."""

    events: tuple[str, ...] = field(
        default=(), metadata=_shown('[2023.parquet, "2024-*.csv.gz"]', values=_FILES, left_out="required")
    )
    """The event table: a csv, csv.gz or parquet file, a folder of such files, a pattern, or a list of them, whose rows are
    joined. Paths are relative to the YAML file."""
    label: str = field(default="", metadata=_shown("rating >= 4", values="column, rule, or `all`", left_out="required"))
    """What a positive is: a column that holds 0 and 1 (or true and false), or a rule over one column, such as `rating >= 4` or
    `behaviour == buy`. `all`: every row is a positive, and negatives are sampled."""
    labels: dict = field(
        default_factory=dict, metadata=_shown("{loved: stars >= 5}", values="name: column or rule", left_out="none")
    )
    """Further outcomes, which models of several labels learn (`data.labels`). No row may lack them."""
    name: str = field(default="", metadata=_shown("shop", left_out="the YAML file's name"))
    """The data set's name in results: letters, digits, `.`, `-` and `_`, at most 100."""
    columns: dict = field(
        default_factory=dict,
        metadata=_shown("{user: uid, item: sku, time: shown_at}", values="role: column", left_out="the names below"),
    )
    """Which columns hold the user, the item, the time and, if the log has one, the request."""
    header: bool = field(default=True, metadata=_shown("false"))
    """Whether text files have a header. Without one, columns are named by position, from 1, as in
    `columns: {user: 1, item: 2, time: 4}` and `label: 3 >= 4`."""
    delimiter: str = field(default=",", metadata=_shown('"\\t"', values="one character"))
    """Stands between the fields of text files; `"\\t"` for tabs."""
    decimal: Literal[".", ","] = field(default=".", metadata=_shown('","'))
    """The decimal sign of numbers in text. Beside a comma, points may group the digits by three."""
    time_unit: TimeUnit = field(default="s", metadata=_shown("datetime"))
    """The unit of times that are counted from 1970-01-01 UTC; `datetime` for dates."""
    time_format: str = field(
        default="", metadata=_shown('"%d/%m/%Y %H:%M"', values="as for Python's `strptime`", left_out="ISO 8601")
    )
    """The form of dates that are not ISO 8601."""
    time_zone: str = field(default="UTC", metadata=_shown("Europe/Berlin", values="IANA name"))
    """The zone of dates that name none."""
    time_origin: Literal["1970", "relative"] = field(default="1970", metadata=_shown("relative"))
    """`1970`: times are dates, and a wrong unit is looked for. `relative`: they count from a start of their own."""
    utc_offset_hours: float | None = field(
        default=None, metadata=_shown("1", left_out="that of `time_zone` without daylight saving, at the first event")
    )
    """The offset by which the hour of the day and the weekday are taken, all the year."""
    request_window: float = field(default=0.0, metadata=_shown("600", values="seconds, from 0"))
    """Events of a user within this time are one request, where `columns` names no request; 0: equal timestamps alone.
    `data.request_window` overrides it."""
    action: tuple[str, ...] = field(
        default=(), metadata=_shown("[stars, channel]", values="list of columns", left_out="the column of `label`")
    )
    """The columns whose combination says what the user did at a past event; models see it in histories."""
    domain: str = field(default="", metadata=_shown("market", values="column", left_out="none"))
    """A context feature that names the market or the page; the same as to list it first in `context_features`."""
    users: tuple[str, ...] = field(default=(), metadata=_shown("customers.csv", values=_FILES, left_out="the event table"))
    """A table with one row for each user."""
    user_key: str = field(default="", metadata=_shown("customer", values="column", left_out="the name of the user column"))
    """The column of user ids in `users`."""
    items: tuple[str, ...] = field(default=(), metadata=_shown("products.parquet", values=_FILES, left_out="the event table"))
    """A table with one row for each item."""
    item_key: str = field(default="", metadata=_shown("id", values="column", left_out="the name of the item column"))
    """The column of item ids in `items`."""
    user_features: list = field(
        default_factory=list, metadata=_shown("[segment, {column: age, kind: number}]", values=_FEATURES, left_out="none")
    )
    """Columns of `users`, or of the event table if each user has one value throughout."""
    item_features: list = field(
        default_factory=list, metadata=_shown("[brand, {column: price, kind: number}]", values=_FEATURES, left_out="none")
    )
    """Columns of `items`, or of the event table if each item has one value throughout."""
    context_features: list = field(
        default_factory=list, metadata=_shown("[device, {column: basket, kind: number}]", values=_FEATURES, left_out="none")
    )
    """Columns of the event table that are known when an item is shown; never an outcome."""
    default_split: str = field(default="global-time", metadata=_shown("per-user-time", values="a split"))
    """What `--split default` means: `global-time`, `per-user-time`, `leave-one-out` or `chrono-rank`."""
    margin: Annotated[float, Ge(0)] = field(default=MARGIN, metadata=_shown("0.005"))
    """Up to which difference of a metric two models count as equivalent: boards call them so where the whole interval of the
    difference lies within ± this."""
    licence: str = field(default="not stated", metadata=_shown("internal"))
    """Shown by `rankbench data describe`."""
    citation: str = field(default="none", metadata=_shown("Miller 2024, Our shop"))
    """Shown by `rankbench data describe`."""


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
