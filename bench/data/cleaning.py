"""Cleaning: what counts as a broken row, how many there were, and one form for labels, times and actions.

Broken rows are dropped and counted, each under the first fault that it has: missing user, missing item, unreadable time,
missing label, missing request id. What is left is put into the order that its content decides (content.py). Of rows of the same
user, item, time and request one is kept, and the others are counted: as repeated if they are equal in everything, else as
conflicting. Faults that no dropping of rows can mend stop with an error: a negative time, a label other than 0 and 1, a single
class, nothing left.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import pandas as pd

from ..errors import UserError
from .content import encoded, in_order
from .sources.files import column_of
from .sources.labels import parse_label, refuse_mostly_unread
from .sources.schema import ALL_POSITIVE, HISTORY, ROLE_WORDS, Feature, Label, RawLog, Schema, SourceFile
from .sources.values import as_numbers, as_text
from .times import milliseconds, standard_offset_hours, zone_of

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
    """Rows of behaviours that are not asked for, beside rows_read."""

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
            lines.append(f"{self.left_out:,} more rows are of behaviours that are left out")
        for owner, absent in (("users", self.users_without_features), ("items", self.items_without_features)):
            if absent:
                lines.append(f"{absent:,} {owner} are not in the table of {owner}: their features are missing")
        if self.unread_numbers:
            unread = ", ".join(f"{count:,} of {name}" for name, count in self.unread_numbers)
            lines.append(f"values that are not numbers, and count as missing: {unread}")
        return lines


@dataclass(frozen=True)
class CleanLog:
    """A data set whose rows are all usable."""

    name: str
    events: pd.DataFrame
    """Columns user, item, time (int64, ms since 1970), request (if the log has request ids), role (uint8, a code of ROLE_WORDS,
    if any is declared), label (uint8), further labels (uint8) as `label.<name>`, action, and the context features, in the order of
    content.py. Ids, actions and categories are categorical with sorted values, numbers float32 with NaN."""
    users: pd.DataFrame | None
    """Index: user id, unique. Categories and multi-valued features are strings ("" = missing), numbers float32 with NaN."""
    items: pd.DataFrame | None
    schema: Schema
    files: tuple[SourceFile, ...]
    licence: str
    citation: str
    default_split: str
    bayes_auc: float | None
    notes: tuple[str, ...]


def clean(raw: RawLog) -> tuple[CleanLog, CleaningReport]:
    """Drop and count broken rows, and bring what is left into one form.

    Raises:
        UserError: a column that the schema names is absent or unfit, a negative time, a label other than 0 and 1,
            only one class, or no row left.
    """
    _check_schema(raw)
    events, schema = raw.events, raw.schema
    if len(events) == 0:
        raise UserError(f"{raw.name} has no rows")
    user, item = as_text(column_of(events, "user")), as_text(column_of(events, "item"))
    time, has_time = milliseconds(column_of(events, "time"), schema, raw.name)
    label = _labels(events, schema.label, schema)

    request = as_text(column_of(events, "request")) if schema.request_ids else None
    if request is not None and schema.request_at_time:
        request = request.mask(request.notna(), pd.Series(time, index=request.index).astype("str") + "-" + request)
    role = _roles(events) if schema.roles else None
    if role is not None:
        # What is no example needs no label; histories show one all the same.
        label = np.where(np.isnan(label) & (role == HISTORY), np.float32(0), label)

    kept = np.ones(len(events), dtype=bool)
    counts: dict[str, int] = {}
    for fault, broken in (
        ("missing_user", _empty(user)),
        ("missing_item", _empty(item)),
        ("unreadable_time", ~has_time),
        ("missing_label", np.isnan(label)),
        ("missing_request", np.zeros(len(events), dtype=bool) if request is None else _empty(request)),
    ):
        counts[fault] = int((kept & broken).sum())
        kept &= ~broken
    rows = np.flatnonzero(kept)
    columns: dict[str, Any] = {"user": encoded(user.iloc[rows]), "item": encoded(item.iloc[rows]), "time": time[rows]}
    if request is not None:
        columns["request"] = encoded(request.iloc[rows])
    if role is not None and role[rows].any():
        columns["role"] = role[rows]
    columns["label"] = label[rows].astype(np.uint8)
    for further in schema.labels:
        columns[f"label.{further.name}"] = _further(events, further, rows, role, schema, raw.name)
    columns["action"] = encoded(pd.Series(_joined(events, schema.action, rows)))
    unread: dict[str, int] = {}
    for feature in schema.context_features:
        values = _feature(column_of(events, feature.column).iloc[rows], feature, schema, raw.name, unread)
        columns[feature.column] = values.to_numpy() if feature.kind == "number" else encoded(values)
    table = pd.DataFrame(columns)
    ordered = in_order(table, ("user", "time", "item") if request is None else ("user", "time", "request", "item"))
    table = table.iloc[ordered.rows].reset_index(drop=True)
    if len(table) < len(rows):
        for name in table.columns:
            if isinstance(table[name].dtype, pd.CategoricalDtype):
                table[name] = table[name].cat.remove_unused_categories()
    users = _side_table(raw.users, schema.user_features, f"user table of {raw.name}", schema, unread)
    items = _side_table(raw.items, schema.item_features, f"item table of {raw.name}", schema, unread)
    report = CleaningReport(
        rows_read=len(events),
        **counts,
        repeated=ordered.repeated,
        conflicting=ordered.conflicting,
        rows_kept=len(table),
        sorted_by_time=bool((np.diff(time[rows]) >= 0).all()),
        users_without_features=_absent(table["user"], users),
        items_without_features=_absent(table["item"], items),
        unread_numbers=tuple((name, count) for name, count in unread.items() if count),
        left_out=raw.left_out,
    )
    _check_rows(raw, table, report)
    clean_log = CleanLog(
        name=raw.name,
        events=table,
        users=users,
        items=items,
        schema=_with_offset(schema, table["time"], raw.name),
        files=raw.files,
        licence=raw.licence,
        citation=raw.citation,
        default_split=raw.default_split,
        bayes_auc=raw.bayes_auc,
        notes=raw.notes,
    )
    return clean_log, report


def _empty(column: pd.Series) -> np.ndarray:
    """bool [rows]: missing or of no letters."""
    return (column.isna() | (column == "")).to_numpy()


def _labels(events: pd.DataFrame, text: str, schema: Schema) -> np.ndarray:
    """float32 [rows]: 0, 1 or NaN."""
    if text == ALL_POSITIVE:
        return np.ones(len(events), dtype=np.float32)
    rule = parse_label(text)
    return rule.apply(column_of(events, rule.column), schema.decimal)


def _roles(events: pd.DataFrame) -> np.ndarray:
    """uint8 [rows]: codes of ROLE_WORDS."""
    codes = {word: code for code, word in enumerate(ROLE_WORDS)}
    return column_of(events, "role").map(codes).to_numpy(dtype=np.uint8)


def _further(
    events: pd.DataFrame, label: Label, rows: np.ndarray, role: np.ndarray | None, schema: Schema, name: str
) -> np.ndarray:
    """uint8 [kept rows]"""
    values = _labels(events, label.rule, schema)[rows]
    if role is not None:
        values = np.where(np.isnan(values) & (role[rows] == HISTORY), 0, values)
    if np.isnan(values).any():
        raise UserError(
            f"{name}: the label {label.name} ({label.rule}) is missing in {int(np.isnan(values).sum()):,} rows; fill it in, "
            "drop these rows or leave the label out"
        )
    return values.astype(np.uint8)


def _check_schema(raw: RawLog) -> None:
    schema = raw.schema
    owned = (
        ("user table", raw.users, schema.user_features),
        ("item table", raw.items, schema.item_features),
        ("event table", raw.events, schema.context_features),
    )
    seen = set(_RESERVED)
    for table_name, table, features in owned:
        for feature in features:
            if feature.column in seen or "/" in feature.column or not feature.column:
                raise UserError(
                    f"{raw.name}: feature name {feature.column!r} is reserved, used twice or holds '/': rename the column"
                )
            seen.add(feature.column)
            if table is None:
                raise UserError(f"{raw.name}: feature {feature.column!r} needs a {table_name}, and there is none")
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
        _require(raw.name, "event table", raw.events, column)
    for feature in schema.context_features:
        if feature.column in outcomes:
            raise UserError(f"{raw.name}: {feature.column!r} is an outcome (label or action) and cannot be a context feature")


def _require(name: str, table_name: str, table: pd.DataFrame, column: str) -> None:
    if column not in table.columns:
        raise UserError(f"{name}: the {table_name} has no column {column!r}; it has: {', '.join(map(str, table.columns))}")


def _joined(events: pd.DataFrame, columns: tuple[str, ...], rows: np.ndarray) -> np.ndarray | pd.api.extensions.ExtensionArray:
    """str [rows]: the action columns' values with | between them; only distinct combinations are spelled out."""
    combined, texts = np.zeros(len(rows), dtype=np.int64), [""]
    for position, column in enumerate(columns):
        codes, values = pd.factorize(as_text(column_of(events, column).iloc[rows]).fillna(""))
        combined, pairs = pd.factorize(combined * len(values) + codes)
        words = [str(value) for value in values]
        texts = [
            words[pair % len(words)] if position == 0 else f"{texts[pair // len(words)]}|{words[pair % len(words)]}"
            for pair in pairs
        ]
    return pd.array(texts, dtype="str").take(combined)


def _feature(column: pd.Series, feature: Feature, schema: Schema, where: str, unread: dict[str, int]) -> pd.Series:
    """A feature's values in their final form; what is there but no number is counted in `unread`."""
    if feature.kind == "number":
        with np.errstate(over="ignore"):
            exact = as_numbers(column, schema.decimal)
            numbers = exact.astype(np.float32)
        unread[feature.column] = refuse_mostly_unread(f"{where}: feature {feature.column!r}", column, exact, schema.decimal)
        # Adding 0 turns -0 into 0: equal values have equal bytes.
        return pd.Series(np.where(np.isfinite(numbers), numbers, np.float32(np.nan)) + np.float32(0), index=column.index)
    return as_text(column).fillna("")


def _with_offset(schema: Schema, time: pd.Series, name: str) -> Schema:
    """The schema with an offset from UTC: its own, or that of its zone at the first event."""
    if schema.utc_offset_hours is not None or len(time) == 0:
        return schema
    return replace(schema, utc_offset_hours=standard_offset_hours(zone_of(schema.time_zone, name), int(time.min())))


def _absent(ids: pd.Series, table: pd.DataFrame | None) -> int:
    """Ids that the side table lacks; 0 if there is none."""
    return 0 if table is None else int((~ids.cat.categories.isin(table.index)).sum())


def _side_table(
    table: pd.DataFrame | None, features: tuple[Feature, ...], where: str, schema: Schema, unread: dict[str, int]
) -> pd.DataFrame | None:
    if table is None or not features:
        return None
    table = cast(pd.DataFrame, table.loc[table.index.notna()])
    repeated = table.index.duplicated()
    if repeated.any():
        raise UserError(f"the {where} lists {str(table.index[repeated.argmax()])!r} more than once: keep one row for each id")
    columns = {
        feature.column: _feature(column_of(table, feature.column), feature, schema, f"the {where}", unread)
        for feature in features
    }
    return pd.DataFrame(columns, index=table.index.astype("str"))


def _check_rows(raw: RawLog, table: pd.DataFrame, report: CleaningReport) -> None:
    if len(table) == 0:
        raise UserError(f"{raw.name} has no usable row; {report.lines()[0]}")
    asked = table[table["role"] != HISTORY] if "role" in table else table
    if len(asked) == 0:
        raise UserError(f"{raw.name} has histories alone: name the rows that are examples")
    classes = cast(pd.Series, asked["label"]).unique()
    if len(classes) == 1 and raw.schema.label != ALL_POSITIVE:
        raise UserError(
            f"{raw.name}: the label {raw.schema.label!r} is {classes[0]} in all {len(asked):,} rows; ranking needs both classes "
            f"(where every row is a positive by nature, write label: {ALL_POSITIVE} and negatives will be sampled)"
        )
