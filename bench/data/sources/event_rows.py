"""Rows of an event table that stand for something else than one example each: impression lists, parts, other behaviours."""

from __future__ import annotations

from typing import cast

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from pandas.core.util.hashing import hash_array

from ...errors import UserError
from .files import column_of
from .table_config import Behaviours, Impressions, SplitColumn
from .table_description import OUTCOME
from .values import as_text


def in_parts(column: pd.Series, split: SplitColumn, where: str) -> pd.Series:
    """The role of each row, by the column that declares it; "" where that is missing.

    Raises:
        UserError: a value that stands for no role.
    """
    text, roles = as_text(column).str.removesuffix(".0"), dict(split.words())
    known = text.isin(roles) | text.isna()
    if not known.all():
        raise UserError(
            f"{where}: column {split.column!r} holds {str(text[~known].iloc[0])[:40]!r}, which is none of {', '.join(roles)}: "
            "say under split what it stands for, such as split: {column: fold, train: [0, 1], test: 2}"
        )
    return text.map(roles).fillna("").astype("str")


def in_examples(events: pd.DataFrame, behaviours: Behaviours, met: set[str]) -> tuple[pd.DataFrame, int]:
    """The rows of behaviours that are asked for, `role` history where they are no examples, and how many others there were.

    Args:
        met: behaviours of earlier rows, to which those of these rows are added.
    """
    text = as_text(column_of(events, behaviours.column)).str.removesuffix(".0")
    met |= set(text.dropna().unique())
    example = text.isin(behaviours.examples).to_numpy()
    history = ~example if behaviours.history is None else text.isin(behaviours.history).to_numpy() & ~example
    role = column_of(events, "role") if "role" in events else pd.Series("", index=events.index, dtype="str")
    events = events.assign(role=role.mask(history, "history"))
    kept = example | history
    return cast(pd.DataFrame, events[kept]).reset_index(drop=True), int((~kept).sum())


def refuse_absent(behaviours: Behaviours, met: set[str], where: str) -> None:
    """Refuse a behaviour that none of the rows `met` has.

    Raises:
        UserError: there is one.
    """
    for word in (*behaviours.examples, *(behaviours.history or ())):
        if word not in met:
            shown = ", ".join(sorted(map(str, met))[:12])
            raise UserError(f"{where}: no row has {word!r} in column {behaviours.column!r}; there are: {shown}")


def one_row_an_entry(events: pd.DataFrame, lists: Impressions, where: str) -> pd.DataFrame:
    """The events with `item` and OUTCOME of each entry of the impression lists, all else repeated; empty lists give no row.

    Entries of one cell are one request: where no column names it, `request` is a digest of the cell.

    Raises:
        UserError: no entry has an outcome.
    """
    cells = pa.array(as_text(column_of(events, lists.column)), type=pa.large_string(), from_pandas=True)
    row, entries = _split(cells, lists.separator)
    if lists.outcome:
        halves = pc.call_function("split_pattern", [entries], pc.SplitPatternOptions(lists.outcome, max_splits=1, reverse=True))
        told = pc.call_function("equal", [pc.call_function("list_value_length", [halves]), 2])
        if len(entries) and not pc.call_function("any", [told]).as_py():
            raise UserError(
                f"{where}: no entry has the sign {lists.outcome!r} before its outcome, such as {str(entries[0])[:40]!r}"
            )
        parts = pc.call_function("list_flatten", [halves])
        at = np.cumsum(1 + told.to_numpy(zero_copy_only=False)) - 1
        item = parts.take(pa.array(at - told.to_numpy(zero_copy_only=False)))
        outcome = pc.call_function("if_else", [told, parts.take(pa.array(at)), pa.scalar(None, pa.large_string())])
    else:
        clicked_row, clicked = _split(
            pa.array(as_text(column_of(events, lists.clicked)), type=pa.large_string(), from_pandas=True), lists.separator
        )
        # Whoever was clicked was shown, listed or not.
        shown = pd.DataFrame({"row": row, "item": entries.to_pandas()}).drop_duplicates()
        hit = pd.DataFrame({"row": clicked_row, "item": clicked.to_pandas()}).drop_duplicates()
        both = shown.merge(hit, how="outer", on=["row", "item"], indicator=True)
        row, item = both["row"].to_numpy(), pa.array(both["item"], type=pa.large_string())
        outcome = pa.array(np.where(both["_merge"] == "left_only", "0", "1"), type=pa.large_string())
    table = events.drop(columns=[OUTCOME, "item"], errors="ignore")
    if "request" not in table:
        table["request"] = hash_array(np.asarray(cells.fill_null(""), dtype=object), categorize=False).astype(str)  # pyright: ignore[reportCallIssue]
    table = table.iloc[row].reset_index(drop=True)
    table["item"], table[OUTCOME] = item.to_pandas(), outcome.to_pandas()
    return table


def _split(cells: pa.Array, separator: str) -> tuple[np.ndarray, pa.Array]:
    """Entries of lists in text that are not empty, white space at their ends aside, and the row of each."""
    lists = pc.call_function("split_pattern", [cells], pc.SplitPatternOptions(separator))
    row = pc.call_function("list_parent_indices", [lists])
    entries = pc.call_function("utf8_trim_whitespace", [pc.call_function("list_flatten", [lists])])
    filled = pc.call_function("not_equal", [entries, ""])
    return row.filter(filled).to_numpy(zero_copy_only=False).astype(np.int64), entries.filter(filled)
