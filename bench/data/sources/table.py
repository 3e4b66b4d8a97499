"""Your own tables in csv, parquet, feather or JSON lines, described by a YAML file (docs/howto/own-data.md has all of its keys):

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

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from ...errors import UserError
from .event_rows import in_examples, in_parts, one_row_an_entry, refuse_absent
from .files import TextFormat, column_of, files_of, read_blocks, source_file
from .schema import Feature, RawLog, Schema, Within
from .side_files import SideFiles
from .table_description import OUTCOME, TableDescription, describe_table


def load_table(path: Path, keys: dict[str, Any]) -> RawLog:
    """The table that the keys of the YAML file `path` describe.

    Raises:
        UserError: an unknown or missing key, a missing file or column, an unreadable file.
    """
    described = describe_table(path, keys)
    config, columns = described.config, described.columns
    form = TextFormat(config.delimiter, quoted=config.quoted, header=config.header, first=1)
    by_role = {role: files_of(path.parent, entries, f"{path}: events") for role, entries in described.events.items()}
    event_files = [file for files in by_role.values() for file in files]
    if twice := next((file for at, file in enumerate(event_files) if file in event_files[:at]), None):
        raise UserError(f"{path}: events lists {twice} twice")
    events = TableEvents(path, by_role, described, form)
    files = list(event_files)
    notes = [f"columns: {', '.join(f'{role} = {name}' for role, name in described.read.items())}"]
    tables: dict[str, SideFiles | None] = {"user": None, "item": None}
    for owner, entries, key, features in (
        ("user", config.users, config.user_key or columns.user, described.user_features),
        ("item", config.items, config.item_key or columns.item, described.item_features),
    ):
        if features and entries:
            side_files = files_of(path.parent, entries, f"{path}: {owner}s")
            joined = {feature.column: feature.separator for feature in features if feature.kind == "multi"}
            names = [feature.column for feature in features]
            tables[owner] = SideFiles(side_files, key, names, form=form, joined=joined, repeated="equal")
            files += side_files
        elif entries:
            raise UserError(f"{path}: {owner}s is given, but no {owner}_features: list the columns to use, or leave {owner}s out")
        if getattr(config, f"{owner}_key") and not entries:
            raise UserError(f"{path}: {owner}_key is the key of a table of {owner}s, and none is given: leave it out")
    return RawLog(
        name=described.name,
        events=events,
        users=tables["user"],
        items=tables["item"],
        schema=Schema(
            label=described.label,
            action=described.action,
            user_features=described.user_features,
            item_features=described.item_features,
            context_features=described.context_features,
            time_unit=described.time_unit,
            time_format=config.time_format,
            time_zone=config.time_zone,
            calendar=config.time_origin == "1970",
            utc_offset_hours=config.utc_offset_hours,
            decimal=config.decimal,
            labels=described.labels,
            request_ids=bool(columns.request) or described.impressions is not None,
            request_at_time=described.impressions is not None and not columns.request,
            roles=events.has_roles,
            domain=described.domain,
            request_window=config.request_window,
            margin=config.margin,
        ),
        within=events.within,
        files=tuple(source_file(file, "own table") for file in files),
        licence=config.licence,
        citation=config.citation,
        default_split=config.default_split or ("declared" if described.declares_test else "global-time"),
        where=str(event_files[0]),
        named={**columns.named(), **({"item": described.impressions.column} if described.impressions else {})},
        notes=tuple(notes),
        steps=described.steps,
    )


class TableEvents:
    """The rows of the files of events in blocks: columns user, item, time and perhaps request and role under these names; those
    of outcomes, action and features under their own."""

    def __init__(self, path: Path, by_role: dict[str, list[Path]], described: TableDescription, form: TextFormat) -> None:
        self._path, self._by_role, self._described, self._form = path, by_role, described, form
        config = described.config
        self._files = [file for files in by_role.values() for file in files]
        self._inner: dict[str, tuple[Feature, ...]] = {
            "user": () if config.users else described.user_features,
            "item": () if config.items else described.item_features,
        }
        self._left_out, self._kinds = 0, set[str]()
        self._refuse_other_columns()

    @property
    def has_roles(self) -> bool:
        """Whether blocks have the column `role`."""
        return "" not in self._by_role or self._described.split is not None or self._described.behaviours is not None

    def __iter__(self) -> Iterator[pd.DataFrame]:
        described, lists = self._described, self._described.impressions
        self._left_out, self._kinds = 0, set()
        joined = {feature.column: feature.separator for feature in self._features if feature.kind == "multi"}
        if lists:
            joined |= {lists.column: lists.separator, lists.clicked: lists.separator}
        wanted = list(dict.fromkeys([*described.read.values(), *self._read]))
        for role, files in self._by_role.items():
            for file in files:
                for source in read_blocks(file, wanted, self._form, joined):
                    yield self._shaped(source, role, file)

    def finish(self, raw: RawLog) -> RawLog:
        """The log with the number of rows that were left out.

        Raises:
            UserError: a behaviour that no row has.
        """
        behaviours = self._described.behaviours
        if behaviours is not None:
            refuse_absent(behaviours, self._kinds, f"{self._path}: behaviours")
        return replace(raw, left_out=self._left_out)

    @property
    def within(self) -> dict[str, Within]:
        """Features of users and items in the event table, each id with one value."""
        return {feature.column: "same" for features in self._inner.values() for feature in features}

    @property
    def _features(self) -> list[Feature]:
        """Those in the event table."""
        return [*self._inner["user"], *self._inner["item"], *self._described.context_features]

    @property
    def _needed(self) -> list[str]:
        """Columns of blocks beside ids and times."""
        described = self._described
        return list(dict.fromkeys([*described.outcomes, *described.action, *(feature.column for feature in self._features)]))

    @property
    def _read(self) -> list[str]:
        """Columns of the files beside ids and times."""
        described, lists = self._described, self._described.impressions
        named = [part.column for part in (lists, described.split, described.behaviours) if part]
        named += [lists.clicked] if lists and lists.clicked else []
        return list(dict.fromkeys([*(name for name in self._needed if not (lists and name == OUTCOME)), *named]))

    def _refuse_other_columns(self) -> None:
        columns = self._described.read
        for column in self._needed:
            if column in {*columns, "role"} and column != columns.get(column):
                raise UserError(
                    f"{self._files[0]}: column {column!r} is not the one that `columns` names as {column}: rename it in the file"
                )

    def _shaped(self, source: pd.DataFrame, role: str, file: Path) -> pd.DataFrame:
        """A block of a file as one of events."""
        described, lists = self._described, self._described.impressions
        events = pd.DataFrame({name: source[column] for name, column in described.read.items()})
        for column in self._read:
            events[column] = source[column]
        if role:
            events["role"] = pd.Series(role, index=events.index, dtype="str")
        elif described.split:
            events["role"] = in_parts(column_of(events, described.split.column), described.split, str(file))
        if described.behaviours:
            events, left_out = in_examples(events, described.behaviours, self._kinds)
            self._left_out += left_out
        if lists:
            events = one_row_an_entry(events, lists, f"{file}: column {lists.column!r}")
        return events
