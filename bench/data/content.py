"""What a model or a metric can see of a log: its order and codes, which the content alone decides, and the hash over it.

Nothing here depends on the order of the source's rows, on the names of its files or on their format. Events are sorted by user,
time, request and item; values of any column by `order_of`.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from .sources.schema import Feature, Label

CONVERTER_VERSION = 1
"""Raised by hand when conversion gives another log for the same rows: every identity that holds a content hash then changes."""

Owner = Literal["user", "item", "context"]


@dataclass(frozen=True)
class ContentFacts:
    """What was made of the source's columns; with the columns themselves it decides the content hash."""

    converter: int
    label: str
    """The rule, as `LabelRule.text` writes it, or `all`."""
    labels: tuple[Label, ...]
    actions: tuple[str, ...]
    """Columns whose combination is the action of an event."""
    features: tuple[tuple[Owner, Feature], ...]
    utc_offset_hours: float
    """Hour of the day and weekday are taken with this offset."""


def order_of(values: pa.Array) -> np.ndarray:
    """int64 positions that sort distinct strings: by value if each is written in digits alone (or empty), else by code point.

    Numbers of equal value, such as 7 and 007, are in order of their texts. No number is too long.
    """
    keys = key_of_digits(values) if in_digits(values) else values
    return pc.call_function("sort_indices", [keys]).to_numpy().astype(np.int64)


def in_digits(values: pa.Array) -> bool:
    """Whether each of some strings is written in digits alone, or empty."""
    return pc.call_function("all", [pc.call_function("match_substring_regex", [values], _DIGITS)]).as_py() is not False


def key_of_digits(values: pa.Array) -> pa.Array:
    """Strings whose order by code point is that of `values` as numbers: how many digits there are, then these."""
    bare = pc.call_function("utf8_ltrim", [values], pc.TrimOptions("0"))
    length = pc.call_function("utf8_length", [bare]).cast(values.type)
    padded = pc.call_function("utf8_lpad", [length], pc.PadOptions(10, "0"))
    return pc.call_function("binary_join_element_wise", [padded, bare, values, pa.scalar(" ", values.type)])


def text_of_key(keys: pa.Array) -> pa.Array:
    """What `key_of_digits` made keys of."""
    return pc.call_function("replace_substring_regex", [keys], pc.ReplaceSubstringOptions("^[0-9]* [0-9]* ", ""))


def order_of_texts(texts: np.ndarray) -> np.ndarray:
    """`order_of` for an array of Python's strings."""
    return order_of(pa.array(texts, type=pa.large_string()))


_DIGITS = pc.MatchSubstringOptions("^[0-9]*$")


def encoded(column: pd.Series) -> pd.Categorical:
    """A column of strings as codes of its sorted values, none missing."""
    codes, values = pd.factorize(column)
    texts = np.asarray(values, dtype=object)
    order = order_of_texts(texts)
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    return pd.Categorical.from_codes(rank[codes], categories=pd.Index(texts[order], dtype="str"))


@dataclass(frozen=True)
class Ordered:
    """Rows that are kept, in order of content, and how many were not."""

    rows: np.ndarray
    """int64 positions in the table."""
    repeated: int
    """Rows equal to a kept one in everything."""
    conflicting: int
    """Rows equal to a kept one in user, item, time and request, not in what is said of them."""


def in_order(table: pd.DataFrame, key: tuple[str, ...]) -> Ordered:
    """The order of a log's rows, one for each key.

    Of rows that agree in all columns of `key` the first by the other columns is kept: the one declared test, then
    validation, then any that is more than history; then the one with the positive label; then with the positive further labels;
    then with the smallest action and context.

    Args:
        table: categories with sorted values, or numbers (NaN counts as largest); labels are named `label` and `label.<name>`.
        key: columns, the most significant first.
    """
    codes = [_codes(table, name) for name in key]
    rows = np.lexsort(codes[::-1])
    same = np.ones(max(len(table) - 1, 0), dtype=bool)
    for code in codes:
        same &= code[rows[1:]] == code[rows[:-1]]
    if not same.any():
        return Ordered(rows, 0, 0)
    rest = [_codes(table, name) for name in table.columns if name not in key]
    rows = np.lexsort([*rest[::-1], *codes[::-1]])
    equal = same.copy()
    for code in rest:
        equal &= code[rows[1:]] == code[rows[:-1]]
    first = np.concatenate([[True], ~same])
    return Ordered(rows[first], int(equal.sum()), int((same & ~equal).sum()))


def _codes(table: pd.DataFrame, name: str) -> np.ndarray:
    column = table[name]
    if isinstance(column.dtype, pd.CategoricalDtype):
        return column.cat.codes.to_numpy()
    values = column.to_numpy()
    if name == "role":
        # Test, valid, train, undeclared, history: of a row that is declared twice the held-out one is kept.
        return np.array([3, 2, 1, 0, 4])[values]
    if name == "label" or name.startswith("label."):
        return 1 - values.astype(np.int64)
    return np.unique(values, return_inverse=True)[1] if values.dtype.kind == "f" else values


_HASHED = 1_000_000
"""Rows of a column that are hashed at a time."""


def content_hash(
    facts: ContentFacts,
    columns: Mapping[str, np.ndarray],
    dictionaries: Mapping[str, Iterable[str]],
    steps: Sequence[str] = (),
) -> str:
    """64 hex digits: sha256 over the facts, every column (name, type, shape, values) and every dictionary (name, strings), and
    the declared steps if there are any."""
    digest = hashlib.sha256(json.dumps(dataclasses.asdict(facts), sort_keys=True).encode())
    if steps:
        digest.update(f"\0steps\0{json.dumps(list(steps))}".encode())
    for name in sorted(columns):
        column = columns[name]
        digest.update(f"\0{name} {column.dtype.str} {column.shape}\0".encode())
        for begin in range(0, len(column), _HASHED):
            values = np.ascontiguousarray(column[begin : begin + _HASHED])
            if values.dtype.kind == "f":  # there are many NaN
                values = np.where(np.isnan(values), values.dtype.type(np.nan), values)
            digest.update(values.data)
    for name in sorted(dictionaries):
        digest.update(f"\0{name}\0".encode())
        for text in dictionaries[name]:
            encoded_text = str(text).encode()
            digest.update(b"%d:%b" % (len(encoded_text), encoded_text))
    return digest.hexdigest()
