"""Conversion of a small log in memory, as literal as can be: what the conversion in blocks must give for the same rows."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import pandas as pd

from rankbench.bench.data.cleaning import CleaningReport, with_offset
from rankbench.bench.data.content import ContentFacts, Owner, content_hash, encoded, in_order
from rankbench.bench.data.eventlog import EventLog, facts_of
from rankbench.bench.data.sources.files import column_of
from rankbench.bench.data.sources.labels import parse_label, refuse_mostly_unread
from rankbench.bench.data.sources.schema import ALL_POSITIVE, HISTORY, ROLE_WORDS, Feature, Label, RawLog, Schema, SourceFile
from rankbench.bench.data.sources.values import as_feature, as_numbers, as_text
from rankbench.bench.data.times import milliseconds
from rankbench.bench.errors import UserError


def in_memory(raw: RawLog) -> tuple[str, dict[str, np.ndarray], dict[str, np.ndarray], CleaningReport]:
    """Content hash, columns and dictionaries of the log, and what was dropped."""
    cleaned, report = clean(raw)
    facts = facts_of(cleaned.schema)
    columns, dictionaries = _columns(cleaned, facts)
    return content_hash(facts, columns, dictionaries), columns, dictionaries, report


def assert_as_in_memory(log: EventLog, raw: RawLog) -> None:
    """A log holds what the conversion in memory gives for the same rows, and nothing else."""
    wanted, columns, dictionaries, report = in_memory(raw)
    for name, values in columns.items():
        found = log.column(name)
        assert found.dtype == values.dtype and np.array_equal(found, values, equal_nan=found.dtype.kind == "f"), name
    for name, texts in dictionaries.items():
        assert log.dictionary(name).tolist() == texts.tolist(), name
    assert {path.stem for path in log.folder.glob("*.npy")} == columns.keys()
    assert log.meta.content_hash == wanted and log.meta.cleaning == report


@dataclass(frozen=True)
class CleanLog:
    """A data set whose rows are all usable."""

    name: str
    events: pd.DataFrame
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
    events, schema = raw.events, raw.schema
    assert isinstance(events, pd.DataFrame)
    assert isinstance(raw.users, pd.DataFrame | None) and isinstance(raw.items, pd.DataFrame | None)
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
    users = side_table(raw.users, schema.user_features, f"user table of {raw.name}", schema, unread)
    items = side_table(raw.items, schema.item_features, f"item table of {raw.name}", schema, unread)
    report = CleaningReport(
        rows_read=len(events),
        **counts,
        repeated=ordered.repeated,
        conflicting=ordered.conflicting,
        rows_kept=len(table),
        sorted_by_time=bool((np.diff(time[rows]) >= 0).all()),
        users_without_features=absent([np.asarray(table["user"].cat.categories)], users),
        items_without_features=absent([np.asarray(table["item"].cat.categories)], items),
        unread_numbers=tuple((name, count) for name, count in unread.items() if count),
        left_out=raw.left_out,
    )
    clean_log = CleanLog(
        name=raw.name,
        events=table,
        users=users,
        items=items,
        schema=with_offset(schema, int(table["time"].min()), raw.name),
        files=raw.files,
        licence=raw.licence,
        citation=raw.citation,
        default_split=raw.default_split,
        bayes_auc=raw.bayes_auc,
        notes=raw.notes,
    )
    return clean_log, report


def side_table(
    table: pd.DataFrame | None, features: tuple[Feature, ...], where: str, schema: Schema, unread: dict[str, int]
) -> pd.DataFrame | None:
    """A table of users or items in its final form: index is the id, unique; categories and multi-valued features are strings
    ("" = missing), numbers float32 with NaN.

    Args:
        unread: number feature -> its values that are there but no numbers; those of this table are added.

    Raises:
        UserError: an id that stands twice, a number feature that holds few numbers.
    """
    if table is None or not features:
        return None
    table = cast(pd.DataFrame, table.loc[table.index.notna()])
    repeated = table.index.duplicated()
    if repeated.any():
        raise UserError(f"the {where} lists {str(table.index[repeated.argmax()])!r} more than once: keep one row for each id")
    columns = {}
    for feature in features:
        column = column_of(table, feature.column)
        if feature.kind == "number":
            exact = as_numbers(column, schema.decimal)
            what = f"the {where}: feature {feature.column!r}"
            unread[feature.column] = refuse_mostly_unread(what, column, exact, schema.decimal)
            columns[feature.column] = pd.Series(as_feature(exact), index=column.index)
        else:
            columns[feature.column] = as_text(column).fillna("")
    return pd.DataFrame(columns, index=table.index.astype("str"))


def absent(ids: Iterable[np.ndarray], table: pd.DataFrame | None) -> int:
    """Ids, which come in blocks, that a side table lacks; 0 if there is none."""
    return 0 if table is None else sum(int((~pd.Index(block).isin(table.index)).sum()) for block in ids)


def _empty(column: pd.Series) -> np.ndarray:
    """bool [rows]: missing or of no letters."""
    return (column.isna() | (column == "")).to_numpy()


def _labels(events: pd.DataFrame, text: str, schema: Schema) -> np.ndarray:
    """float32 [rows]: 0, 1 or NaN."""
    if text == ALL_POSITIVE:
        return (_roles(events) != HISTORY).astype(np.float32) if schema.roles else np.ones(len(events), dtype=np.float32)
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
        raise UserError(f"the label {label.name} is missing")
    return values.astype(np.uint8)


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
        exact = as_numbers(column, schema.decimal)
        unread[feature.column] = refuse_mostly_unread(f"{where}: feature {feature.column!r}", column, exact, schema.decimal)
        return pd.Series(as_feature(exact), index=column.index)
    return as_text(column).fillna("")


def _columns(clean: CleanLog, facts: ContentFacts) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """All columns and all dictionaries of the log, by the names of their files."""
    events = clean.events
    columns: dict[str, np.ndarray] = {}
    dictionaries: dict[str, np.ndarray] = {}
    for name in ("user", "item", "action"):
        columns[name] = events[name].cat.codes.to_numpy(dtype=np.int32)
        dictionaries[name] = events[name].cat.categories.to_numpy(dtype=object)
    columns["user_offsets"] = np.concatenate(
        [[0], np.cumsum(np.bincount(columns.pop("user"), minlength=len(dictionaries["user"])))]
    )
    columns["time"] = events["time"].to_numpy(dtype=np.int64)
    columns["label"] = events["label"].to_numpy(dtype=np.uint8)
    if "role" in events:
        columns["role"] = events["role"].to_numpy(dtype=np.uint8)
    for label in facts.labels:
        columns[f"label.{label.name}"] = events[f"label.{label.name}"].to_numpy(dtype=np.uint8)
    if "request" in events:
        # Pairs of user and id, numbered as they come in the log.
        ids = events["request"].cat
        pair = events["user"].cat.codes.to_numpy(dtype=np.int64) * len(ids.categories) + ids.codes.to_numpy()
        columns["request_id"] = pd.factorize(pair)[0].astype(np.int32)
    tables: dict[Owner, pd.DataFrame | None] = {
        "user": None if clean.users is None else clean.users.reindex(dictionaries["user"]),
        "item": None if clean.items is None else clean.items.reindex(dictionaries["item"]),
        "context": events,
    }
    for owner, feature in facts.features:
        table = tables[owner]
        assert table is not None, f"{owner} features without a table"
        name = f"feature.{feature.column}"
        column = pd.Series(table[feature.column])
        if feature.kind == "number":
            columns[name] = column.to_numpy(dtype=np.float32)
            continue
        text = column.astype("str").fillna("")
        if feature.kind == "multi":
            rows = [[part for part in value.split(feature.separator) if part] for value in text]
            lengths = np.array([len(row) for row in rows], dtype=np.int64)
            columns[f"{name}.offsets"] = np.concatenate([[0], np.cumsum(lengths)])
            text = pd.Series([part for row in rows for part in row], dtype="str")
        values = encoded(text)
        columns[name], dictionaries[name] = values.codes.astype(np.int32), values.categories.to_numpy(dtype=object)
    return columns, dictionaries
