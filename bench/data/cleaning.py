"""Cleaning: what counts as a broken row, how many there were, and what is wrong with a table that no dropping of rows can mend.

Broken rows are dropped and counted, each under the first fault that it has: missing user, missing item, unreadable time,
missing label, missing request id. What is left is put into the order that its content decides (content.py). Of rows of the same
user, item, time and request one is kept, and the others are counted: as repeated if they are equal in everything, else as
conflicting. Faults that stop with an error: a negative time, a label other than 0 and 1, a single class, nothing left.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, replace

import pandas as pd

from ..errors import UserError
from .sources.labels import parse_label
from .sources.schema import ALL_POSITIVE, RawLog, Schema
from .times import standard_offset_hours, zone_of

_RESERVED = {"user", "item", "time", "label", "action", "request", "role", "hour", "weekday", "since_last"}


@dataclass(frozen=True)
class CleaningReport:
    """How many rows were read, dropped (each counted once) and kept."""

    rows_read: int
    missing_user: int
    missing_item: int
    unreadable_time: int
    missing_label: int
    missing_request: int
    """Rows without a request id, in a log that has them."""
    repeated: int
    """Rows that are equal to a kept one in everything that is read."""
    conflicting: int
    """Rows with the user, item, time and request of a kept one, but another label, action or context. Kept is the row with the
    positive label; among these, the one with more of the further labels; then the first by action and context."""
    rows_kept: int
    sorted_by_time: bool
    """Whether the kept rows came in order of time; they are sorted in any case."""
    users_without_features: int
    """Users with events who are not in the table of users, if there is one."""
    items_without_features: int
    unread_numbers: tuple[tuple[str, int], ...]
    """Number feature, and its values that are there, but not numbers: they count as missing. Other features are left out."""
    left_out: int = 0
    """Rows that the source or its description leaves out, such as those of behaviours not asked for; beside rows_read."""

    def counts(self) -> dict[str, int]:
        """All numbers of the report, by name; left_out only where rows were."""
        values = {name: int(value) for name, value in vars(self).items() if isinstance(value, int)}
        if not self.left_out:
            del values["left_out"]
        return values | {f"unread_numbers.{name}": count for name, count in self.unread_numbers}

    def lines(self) -> list[str]:
        """For printing: what was dropped, in which order rows came, and what is missing of side information."""
        faults = {
            "without user": self.missing_user,
            "without item": self.missing_item,
            "with unreadable time": self.unreadable_time,
            "without label": self.missing_label,
            "without request id": self.missing_request,
            "repeated": self.repeated,
            "of the same user, item and time as another row, but otherwise different": self.conflicting,
        }
        dropped = ", ".join(f"{count:,} {fault}" for fault, count in faults.items() if count)
        order = "in order of time" if self.sorted_by_time else "not in order of time (sorted on conversion)"
        lines = [f"rows: {self.rows_read:,} read, {self.rows_kept:,} kept; dropped: {dropped or 'none'}", f"rows came {order}"]
        if self.left_out:
            lines.append(f"{self.left_out:,} more rows are left out, as the source or its description says")
        for owner, absent in (("users", self.users_without_features), ("items", self.items_without_features)):
            if absent:
                lines.append(f"{absent:,} {owner} are not in the table of {owner}: their features are missing")
        if self.unread_numbers:
            unread = ", ".join(f"{count:,} of {name}" for name, count in self.unread_numbers)
            lines.append(f"values that are not numbers, and count as missing: {unread}")
        return lines


def check_schema(raw: RawLog) -> None:
    """Refuse a schema that its tables cannot fulfil.

    Raises:
        UserError: a column that is absent, a name that is reserved or used twice, an outcome among the context features.
    """
    schema = raw.schema
    # Blocks come with the columns that they were asked for, and may bring the tables of users and items.
    events = raw.events if isinstance(raw.events, pd.DataFrame) else None
    owned = (
        ("user table", raw.users, schema.user_features),
        ("item table", raw.items, schema.item_features),
        ("event table", events, schema.context_features),
    )
    seen = set(_RESERVED)
    for table_name, table, features in owned:
        if features and table is not None and not isinstance(table, pd.DataFrame):
            table.check()
        for feature in features:
            if feature.column in seen or "/" in feature.column or not feature.column:
                raise UserError(
                    f"{raw.name}: feature name {feature.column!r} is reserved, used twice or holds '/': rename the column"
                )
            seen.add(feature.column)
            if feature.column in raw.within:
                if events is not None:
                    _require(raw.name, "event table", events, feature.column)
                continue
            if table is None and events is not None:
                raise UserError(f"{raw.name}: feature {feature.column!r} needs a {table_name}, and there is none")
            if isinstance(table, pd.DataFrame):
                _require(raw.name, table_name, table, feature.column)
    rules = [*(() if schema.label == ALL_POSITIVE else (schema.label,)), *(label.rule for label in schema.labels)]
    outcomes = {*schema.action, *(parse_label(rule).column for rule in rules)}
    names = [label.name for label in schema.labels]
    for at, name in enumerate(names):
        if not re.fullmatch(r"[\w-]+", name) or name == "label" or name in names[:at]:
            raise UserError(f"{raw.name}: label {name!r} is reserved, used twice or has other than letters, digits, _ and -")
    for column in (
        "user",
        "item",
        "time",
        *(("request",) if schema.request_ids else ()),
        *(("role",) if schema.roles else ()),
        *sorted(outcomes),
    ):
        if events is not None:
            _require(raw.name, "event table", events, column)
    for feature in schema.context_features:
        if feature.column in outcomes:
            raise UserError(f"{raw.name}: {feature.column!r} is an outcome (label or action) and cannot be a context feature")


def _require(name: str, table_name: str, table: pd.DataFrame, column: str) -> None:
    if column not in table.columns:
        raise UserError(f"{name}: the {table_name} has no column {column!r}; it has: {', '.join(map(str, table.columns))}")


def with_offset(schema: Schema, first_ms: int, name: str) -> Schema:
    """The schema with an offset from UTC: its own, or that of its zone at the first event."""
    if schema.utc_offset_hours is not None:
        return schema
    return replace(schema, utc_offset_hours=standard_offset_hours(zone_of(schema.time_zone, name), first_ms))


def check_rows(raw: RawLog, report: CleaningReport, classes: Collection[int], asked: int) -> None:
    """Refuse a log that cannot be ranked.

    Args:
        classes: labels of the rows that can be examples; `asked`: how many there are.

    Raises:
        UserError: no row is left, none can be an example, or their label is always the same.
    """
    if report.rows_kept == 0:
        raise UserError(f"{raw.name} has no usable row; {report.lines()[0]}")
    if asked == 0:
        raise UserError(f"{raw.name} has histories alone: name the rows that are examples")
    if len(classes) == 1 and raw.schema.label != ALL_POSITIVE:
        raise UserError(
            f"{raw.name}: the label {raw.schema.label!r} is {next(iter(classes))} in all {asked:,} rows; ranking needs both "
            f"classes (where every row is a positive by nature, write label: {ALL_POSITIVE} and negatives will be sampled)"
        )
