"""Your own csv, csv.gz or parquet tables, described by a small YAML file (docs/howto/own-data.md has all of its keys):

    events: events.csv.gz                         # paths are relative to the YAML file
    columns: {user: uid, item: sku, time: ts}
    label: rating >= 4
    items: items.parquet
    item_features: [brand, {column: price, kind: number}, {column: genres, kind: multi, separator: "|"}]

Ids are read as text: ids beyond 2**63 and leading zeros stay apart. Features of users or items may also stand in the event
table; then each id must have one value throughout (missing values aside), because a value that changes with time would carry
the future into the past. Such a column is a context feature.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import pandas as pd

from ...errors import UserError
from .files import TextFormat, column_of, columns_of, files_of, read_columns, source_file
from .schema import Feature, RawLog, Schema
from .table_config import TableDescription, describe_table
from .values import as_ids, as_text


def load_table(path: Path, keys: dict[str, Any]) -> RawLog:
    """The table that the keys of the YAML file `path` describe.

    Raises:
        UserError: an unknown or missing key, a missing file or column, an unreadable file, a feature that is not constant.
    """
    described = describe_table(path, keys)
    config, columns = described.config, described.columns
    form = TextFormat(config.delimiter, header=config.header, first=1)
    event_files = files_of(path.parent, config.events, f"{path}: events")
    inner = (
        *(() if config.users else described.user_features),
        *(() if config.items else described.item_features),
        *described.context_features,
    )
    events = _events(event_files, described, inner, form)
    files, notes = list(event_files), [f"columns: {', '.join(f'{role} = {name}' for role, name in columns.named().items())}"]
    tables: dict[str, pd.DataFrame | None] = {"user": None, "item": None}
    for owner, entries, key, features in (
        ("user", config.users, config.user_key or columns.user, described.user_features),
        ("item", config.items, config.item_key or columns.item, described.item_features),
    ):
        if features and entries:
            side_files = files_of(path.parent, entries, f"{path}: {owner}s")
            tables[owner] = _side_table(side_files, key, features, form)
            files += side_files
        elif features:
            tables[owner] = _constant(events, owner, features, ", ".join(map(str, event_files)))
        elif entries:
            raise UserError(f"{path}: {owner}s is given, but no {owner}_features: list the columns to use, or leave {owner}s out")
        if getattr(config, f"{owner}_key") and not entries:
            raise UserError(f"{path}: {owner}_key is the key of a table of {owner}s, and none is given: leave it out")
    context = [feature.column for feature in described.context_features]
    own = dict.fromkeys([*columns.named(), *described.outcomes, *described.action, *context])
    return RawLog(
        name=described.name,
        events=columns_of(events, own),
        users=tables["user"],
        items=tables["item"],
        schema=Schema(
            label=config.label,
            action=described.action,
            user_features=described.user_features,
            item_features=described.item_features,
            context_features=described.context_features,
            time_unit=config.time_unit,
            time_format=config.time_format,
            time_zone=config.time_zone,
            calendar=config.time_origin == "1970",
            utc_offset_hours=config.utc_offset_hours,
            decimal=config.decimal,
            labels=described.labels,
            request_ids=bool(columns.request),
            request_window=config.request_window,
            margin=config.margin,
        ),
        files=tuple(source_file(file, "own table") for file in files),
        licence=config.licence,
        citation=config.citation,
        default_split=config.default_split,
        notes=tuple(notes),
    )


def _events(files: Sequence[Path], described: TableDescription, features: Sequence[Feature], form: TextFormat) -> pd.DataFrame:
    """Columns user, item, time and perhaps request under these names; those of outcomes, action and features under their own."""
    columns = described.columns.named()
    needed = dict.fromkeys([*described.outcomes, *described.action, *(feature.column for feature in features)])
    for column in needed:
        if column in columns and column != columns[column]:
            raise UserError(
                f"{files[0]}: column {column!r} is not the one that `columns` names as {column}: rename it in the file"
            )
    source = _read(files, [*columns.values(), *needed], features, form)
    events = pd.DataFrame({role: source[column] for role, column in columns.items()})
    for role in columns.keys() - {"time"}:
        events[role] = as_ids(column_of(source, columns[role]), str(files[0]))
    for column in needed:
        events[column] = source[column]
    return events


def _read(files: Sequence[Path], columns: Sequence[str], features: Sequence[Feature], form: TextFormat) -> pd.DataFrame:
    """The rows of all files; a column that has different types in them is text."""
    joined = {feature.column: feature.separator for feature in features if feature.kind == "multi"}
    parts = [read_columns(file, columns, form, joined) for file in files]
    if len(parts) == 1:
        return parts[0]
    for name in parts[0].columns:
        if len({part[name].dtype for part in parts}) > 1:
            for part in parts:
                part[name] = as_text(column_of(part, name))
    return pd.concat(parts, ignore_index=True)


def _side_table(files: Sequence[Path], key: str, features: tuple[Feature, ...], form: TextFormat) -> pd.DataFrame:
    table = _read(files, [key, *(feature.column for feature in features)], features, form)
    table[key] = as_ids(column_of(table, key), str(files[0]))
    table = table.dropna(subset=[key]).drop_duplicates().set_index(key)
    repeated = table.index.duplicated()
    if repeated.any():
        raise UserError(
            f"{files[0]} lists {table.index[repeated.argmax()]!r} more than once with different values: keep one row for each id"
        )
    return table


def _constant(events: pd.DataFrame, owner: str, features: tuple[Feature, ...], where: str) -> pd.DataFrame:
    """Features of users or items out of the event table, one row for each id."""
    names = [feature.column for feature in features]
    rows = columns_of(events, [owner, *names]).dropna(subset=[owner])
    for name in names:
        distinct = columns_of(rows, [owner, name]).dropna().drop_duplicates()
        repeated = distinct[owner].duplicated()
        if repeated.any():
            raise UserError(
                f"{where}: {owner} feature {name!r} of {distinct[owner].iloc[repeated.argmax()]!r} changes between events: "
                f"list it under context_features, or give a table with one row for each {owner}"
            )
    return cast(pd.DataFrame, rows.groupby(owner, sort=False).first())
