"""Your own csv, csv.gz or parquet table, described by a small YAML file:

    events: events.csv.gz                         # paths are relative to the YAML file
    columns: {user: uid, item: sku, time: ts}     # left out: user, item, time; request: a column that names the list shown
    request_window: 600                           # seconds within which a user's rows are one request, without such a column
    time_unit: s                                  # s, ms, day or datetime
    label: rating >= 4                            # or a column that holds 0 and 1, or `all`: every row is a positive
    labels: {favourite: rating >= 5}              # further outcomes, for models of several labels
    action: [rating]                              # left out: the column of the label
    domain: market                                # a context feature
    context_features: [device]
    items: items.parquet                          # its key has the name of the item column, or is named by item_key
    item_features: [brand, {column: price, kind: number}, {column: genres, kind: multi, separator: "|"}]

Ids are read as text: ids beyond 2**63 and leading zeros stay apart. Features of users or items may also stand in the event
table; then each id must have one value throughout (missing values aside), because a value that changes with time would carry
the future into the past. Such a column is a context feature.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, cast

import pandas as pd

from ...errors import UserError
from ...typed import from_dict
from .files import as_text, column_of, columns_of, read_columns, source_file
from .labels import parse_label
from .schema import ALL_POSITIVE, Feature, Label, RawLog, Schema


@dataclass(frozen=True)
class Columns:
    """Names of the three columns without which there is no event, and of one that may be there."""

    user: str = "user"
    item: str = "item"
    time: str = "time"
    request: str = ""
    """Rows of one user with the same value were shown together."""


@dataclass(frozen=True)
class TableConfig:
    """The keys of the YAML file; `events` and `label` are required."""

    events: str = ""
    label: str = ""
    labels: dict = field(default_factory=dict)
    name: str = ""
    """Left out: the name of the YAML file."""
    columns: dict = field(default_factory=dict)
    time_unit: Literal["s", "ms", "day", "datetime"] = "s"
    utc_offset_hours: float = 0.0
    request_window: float = 0.0
    action: tuple[str, ...] = ()
    domain: str = ""
    users: str = ""
    user_key: str = ""
    items: str = ""
    item_key: str = ""
    user_features: list = field(default_factory=list)
    item_features: list = field(default_factory=list)
    context_features: list = field(default_factory=list)
    delimiter: str = ","
    """Between the fields of text files; `"\\t"` for tabs."""
    default_split: str = "global-time"
    licence: str = "not stated"
    citation: str = "none"


def load_table(path: Path, mapping: dict[str, Any]) -> RawLog:
    """The table that the keys of the YAML file `path` describe.

    Raises:
        UserError: an unknown or missing key, a missing file or column, an unreadable file, a feature that is not constant.
    """
    config = from_dict(TableConfig, mapping, str(path))
    for key in ("events", "label"):
        if not getattr(config, key):
            raise UserError(f"{path} lacks the key {key!r}")
    name = config.name or path.stem
    if not re.fullmatch(r"[\w.-]+", name):
        raise UserError(f"{path}: name {name!r} may hold letters, digits, '.', '-' and '_' only")
    if len(config.delimiter) != 1:
        raise UserError(f"{path}: delimiter must be one character, not {config.delimiter!r}")
    columns = from_dict(Columns, config.columns, f"{path}: columns")
    user_features = _features(config.user_features, f"{path}: user_features")
    item_features = _features(config.item_features, f"{path}: item_features")
    context = _features(config.context_features, f"{path}: context_features")
    if config.domain and config.domain not in [feature.column for feature in context]:
        context = (Feature(config.domain), *context)
    main = () if config.label == ALL_POSITIVE else (parse_label(config.label).column,)
    labels = tuple(Label(str(label), str(rule)) for label, rule in config.labels.items())
    outcome = tuple(dict.fromkeys((*main, *(parse_label(label.rule).column for label in labels))))
    action = config.action or main

    event_file = path.parent / config.events
    within = (*(() if config.users else user_features), *(() if config.items else item_features))
    needed = [*outcome, *action, *(feature.column for feature in (*context, *within))]
    events = _events(event_file, columns, needed, (*context, *within), config.delimiter)
    files, notes = [event_file], [f"columns: user = {columns.user}, item = {columns.item}, time = {columns.time}"]
    tables: dict[str, pd.DataFrame | None] = {"user": None, "item": None}
    for owner, file, key, features in (
        ("user", config.users, config.user_key or columns.user, user_features),
        ("item", config.items, config.item_key or columns.item, item_features),
    ):
        if features and file:
            table = tables[owner] = _side_table(path.parent / file, key, features, config.delimiter)
            files.append(path.parent / file)
            absent = len(set(events[owner].dropna()) - set(table.index))
            if absent:
                notes.append(f"{absent:,} {owner}s are not in {file}: their features are missing")
        elif features:
            tables[owner] = _constant(events, owner, features, event_file)
    identity = ("user", "item", "time", *(("request",) if columns.request else ()))
    own = dict.fromkeys([*identity, *outcome, *action, *(feature.column for feature in context)])
    return RawLog(
        name=name,
        events=columns_of(events, own),
        users=tables["user"],
        items=tables["item"],
        schema=Schema(
            label=config.label,
            action=action,
            user_features=user_features,
            item_features=item_features,
            context_features=context,
            time_unit=config.time_unit,
            utc_offset_hours=config.utc_offset_hours,
            labels=labels,
            request_ids=bool(columns.request),
            request_window=config.request_window,
        ),
        files=tuple(source_file(file, "own table") for file in files),
        licence=config.licence,
        citation=config.citation,
        default_split=config.default_split,
        notes=tuple(notes),
    )


def _events(path: Path, columns: Columns, needed: Sequence[str], features: Sequence[Feature], delimiter: str) -> pd.DataFrame:
    """Columns user, item, time under these names, and the needed ones under their own."""
    own = (columns.user, columns.item, columns.time, *((columns.request,) if columns.request else ()))
    source = _read(path, [*own, *needed], features, delimiter)
    user, item = _ids(column_of(source, columns.user), path), _ids(column_of(source, columns.item), path)
    events = pd.DataFrame({"user": user, "item": item, "time": source[columns.time]})
    if columns.request:
        events["request"] = _ids(column_of(source, columns.request), path)
    for column in needed:
        if column in ("user", "item", "time", "request") and column != getattr(columns, column):
            raise UserError(f"{path}: column {column!r} is not the one that `columns` names as {column}: rename it in the file")
        events[column] = source[column]
    return events


def _features(entries: Sequence[Any], where: str) -> tuple[Feature, ...]:
    features = []
    for entry in entries:
        if isinstance(entry, str):
            features.append(Feature(entry))
        elif isinstance(entry, dict) and isinstance(entry.get("column"), str):
            features.append(from_dict(Feature, entry, where, Feature(entry["column"])))
        else:
            raise UserError(f"{where}: write a column name or {{column: name, kind: number}}, not {entry!r}")
        if not features[-1].separator:
            raise UserError(f"{where}: the separator of {features[-1].column!r} is empty")
    return tuple(features)


def _read(path: Path, columns: Sequence[str], features: Sequence[Feature], delimiter: str) -> pd.DataFrame:
    joined = {feature.column: feature.separator for feature in features if feature.kind == "multi"}
    return read_columns(path, columns, delimiter, joined)


def _ids(column: pd.Series, path: Path) -> pd.Series:
    if pd.api.types.is_float_dtype(column.dtype) and bool((column.abs() >= 2**53).any()):
        raise UserError(
            f"{path}: column {column.name!r} holds ids as floating point numbers beyond 2**53, which fall together: store text"
        )
    return as_text(column)


def _side_table(path: Path, key: str, features: tuple[Feature, ...], delimiter: str) -> pd.DataFrame:
    table = _read(path, [key, *(feature.column for feature in features)], features, delimiter)
    table[key] = _ids(column_of(table, key), path)
    table = table.dropna(subset=[key]).drop_duplicates().set_index(key)
    repeated = table.index.duplicated()
    if repeated.any():
        raise UserError(
            f"{path} lists {table.index[repeated.argmax()]!r} more than once with different values: keep one row for each id"
        )
    return table


def _constant(events: pd.DataFrame, owner: str, features: tuple[Feature, ...], path: Path) -> pd.DataFrame:
    """Features of users or items out of the event table, one row for each id."""
    names = [feature.column for feature in features]
    rows = columns_of(events, [owner, *names]).dropna(subset=[owner])
    for name in names:
        distinct = columns_of(rows, [owner, name]).dropna().drop_duplicates()
        repeated = distinct[owner].duplicated()
        if repeated.any():
            raise UserError(
                f"{path}: {owner} feature {name!r} of {distinct[owner].iloc[repeated.argmax()]!r} changes between events: "
                f"list it under context_features, or give a table with one row for each {owner}"
            )
    return cast(pd.DataFrame, rows.groupby(owner, sort=False).first())
