"""Second and third pass: which rows of a spool are kept, as which codes, and in which order they stand in the log."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from ...errors import UserError
from ..content import Ordered, in_order
from ..sources.labels import parse_label
from ..sources.schema import ALL_POSITIVE, HISTORY
from ..sources.values import Ids
from .coding import Codes, coded, coded_words, ids_of, wording_of
from .dictionary import Values
from .spool import Block, Spool

PARTITION_ROWS = 500_000
"""Rows that are sorted at a time; the users of a partition have them together, one user alone may have more."""


@dataclass
class Screened:
    """What of a spool is kept."""

    faults: dict[str, int]
    sorted_by_time: bool
    first_time: int
    declares_roles: bool
    labels: dict[str, np.ndarray]
    """Rule -> uint8 by code of the spool, the last for a missing value."""
    codes: dict[str, Codes]
    """Column -> codes; `action` beside the columns."""
    action_keys: np.ndarray
    """int64, ascending: combinations of the action columns, as `_action_key` writes them; codes["action"].rank goes by their
    place."""
    user_rows: np.ndarray
    """int64 [users]: kept rows."""
    sizes: dict[str, int]
    """Text column -> its distinct values."""
    unread: dict[str, int] = field(default_factory=dict)
    """Number feature -> values of kept rows that are there, but no numbers."""
    kept: list[np.ndarray] = field(default_factory=list)
    """Block -> bool [rows], packed into bits."""


def screen(spool: Spool) -> Screened:
    """Drop rows with faults, and give a code to every value that is left.

    Raises:
        UserError: ids that fell together, labels other than 0 and 1, a further label that is missing.
    """
    raw, schema = spool.raw, spool.raw.schema
    values = {name: dictionary.finish(spool.blocks) for name, dictionary in spool.texts.items()}
    ids, empty = dict[str, Ids](), dict[str, np.ndarray]()
    for name in spool.ids:
        named = f"{raw.where or raw.name}: column {raw.named.get(name, name)!r}"
        ids[name], empty[name] = ids_of(values[name], named)
    outcome = _outcomes(spool, values)
    sizes = {name: len(column) for name, column in values.items()}
    used = {name: np.zeros(len(column) + 1, dtype=bool) for name, column in values.items()}
    user_rows = np.zeros(len(values["user"]) + 1, dtype=np.int64)
    keys = np.empty(0, dtype=np.int64)
    found = Screened(dict.fromkeys(_FAULTS, 0), True, 0, False, {}, {}, keys, user_rows, sizes)
    latest, earliest, lacking = -(2**62), 2**62, dict.fromkeys([label.name for label in schema.labels], 0)
    for block in spool:
        texts = {name: block.text(name) for name in values}
        role = block["role"] if schema.roles else None
        broken = {
            "missing_user": empty["user"][texts["user"]],
            "missing_item": empty["item"][texts["item"]],
            "unreadable_time": ~block["known"],
            "missing_label": _missing(outcome, schema.label, texts, role),
        }
        if "request" in empty:
            broken["missing_request"] = empty["request"][texts["request"]]
        kept = np.ones(len(role if role is not None else texts["user"]), dtype=bool)
        for fault, rows in broken.items():
            found.faults[fault] += int((kept & rows).sum())
            kept &= ~rows
        found.kept.append(np.packbits(kept))
        time = block["time"][kept]
        if len(time):
            found.sorted_by_time &= bool(time[0] >= latest) and bool((np.diff(time) >= 0).all())
            latest, earliest = int(time[-1]), min(earliest, int(time.min()))
        found.declares_roles |= role is not None and bool(role[kept].any())
        for label in schema.labels:
            lacking[label.name] += int((_missing(outcome, label.rule, texts, role) & kept).sum())
        for feature in spool.numbers:
            lost = int(block[f"unread.{feature.column}"][kept].sum())
            found.unread[feature.column] = found.unread.get(feature.column, 0) + lost
        for name, codes in texts.items():
            used[name][codes[kept]] = True
        user_rows += np.bincount(texts["user"][kept], minlength=len(user_rows))
        keys = np.union1d(keys, np.unique(_action_key(schema.action, texts, sizes, raw.name)[kept]))
    for label in schema.labels:
        if lacking[label.name]:
            raise UserError(
                f"{raw.name}: the label {label.name} ({label.rule}) is missing in {lacking[label.name]:,} rows; fill it in, "
                "drop these rows or leave the label out"
            )
    found.first_time, found.action_keys = earliest, keys
    found.labels = {rule: np.nan_to_num(lookup).astype(np.uint8) for rule, lookup in outcome.items()}
    for name, one in ids.items():
        found.codes[name] = coded(values[name], one.wording, used[name], spool.folder / f"{name}.id")
    for at, feature in enumerate(schema.context_features):
        if feature.kind != "number":
            name = feature.column
            wording = wording_of(values[name], used[name])
            found.codes[name] = coded(values[name], wording, used[name], spool.folder / f"{at}.feature")
    words = {name: wording_of(values[name], used[name]).write(values[name].whole()) for name in schema.action}
    found.codes["action"] = _actions(schema.action, keys, words)
    rows = np.zeros(len(found.codes["user"].texts), dtype=np.int64)
    np.add.at(rows, found.codes["user"].rank[:-1][used["user"][:-1]], user_rows[:-1][used["user"][:-1]])
    found.user_rows = rows
    return found


_FAULTS = ("missing_user", "missing_item", "unreadable_time", "missing_label", "missing_request")


def _outcomes(spool: Spool, values: dict[str, Values]) -> dict[str, np.ndarray]:
    """Label rule -> float32 by code of its column: 0, 1 or NaN; the last for a missing value."""
    schema = spool.raw.schema
    rules = [rule for rule in dict.fromkeys((schema.label, *(label.rule for label in schema.labels))) if rule != ALL_POSITIVE]
    times = {name: np.zeros(len(values[name]) + 1, dtype=np.int64) for name in spool.rules}
    first = {name: np.zeros(len(values[name]) + 1, dtype=np.int64) for name in spool.rules}
    begin = 0
    for block in spool:
        for name in spool.rules:
            codes = block.text(name)
            times[name] += np.bincount(codes % len(times[name]), minlength=len(times[name]))
            new = np.zeros_like(first[name])
            new[codes[::-1]] = np.arange(begin + len(codes), begin, -1)
            first[name] = np.where(first[name] > 0, first[name], new)
        begin += len(block["time"])
    found = {}
    for rule in rules:
        parsed = parse_label(rule)
        at = first[parsed.column][:-1] - 1
        order = np.argsort(at, kind="stable")  # so that the first row with a fault is the one that is named
        whole = values[parsed.column].whole()
        column = pd.Series(whole.to_numpy()[order], index=at[order]).astype(whole.dtype)
        lookup = np.full(len(at) + 1, np.nan, dtype=np.float32)
        lookup[order] = parsed.apply(column, schema.decimal, times[parsed.column][:-1][order])
        found[rule] = lookup
    return found


def _missing(outcome: dict[str, np.ndarray], rule: str, texts: dict[str, np.ndarray], role: np.ndarray | None) -> np.ndarray:
    """bool [rows]: no label where there must be one; what is history needs none."""
    if rule == ALL_POSITIVE:
        return np.zeros(len(texts["user"]), dtype=bool)
    missing = np.isnan(outcome[rule])[texts[parse_label(rule).column]]
    return missing if role is None else missing & (role != HISTORY)


def _action_key(columns: tuple[str, ...], texts: dict[str, np.ndarray], sizes: dict[str, int], name: str) -> np.ndarray:
    """int64 [rows]: one number for each combination of the codes of the action columns, missing ones included."""
    if np.prod([sizes[column] + 1.0 for column in columns]) > 2**62:
        raise UserError(f"{name}: the action columns {', '.join(columns)} have too many different values: name fewer")
    key = np.zeros(len(texts["user"]), dtype=np.int64)
    for column in columns:
        key = key * (sizes[column] + 1) + (texts[column] + 1)
    return key


def _actions(columns: tuple[str, ...], keys: np.ndarray, words: dict[str, pd.Series]) -> Codes:
    """Codes of the combinations `keys`: their texts with | between them."""
    text, rest = np.full(len(keys), "", dtype=object), keys
    for at, column in reversed(list(enumerate(columns))):
        size = len(words[column]) + 1
        word = np.append("", words[column].fillna("").to_numpy(dtype=object))[rest % size]
        rest = rest // size
        text = word if at == len(columns) - 1 else word + "|" + text
    return coded_words(pd.Series(text, dtype="str"))


class Records:
    """Kept rows as numbers, in parts that hold some users each, in the order of the users."""

    def __init__(self, spool: Spool, screened: Screened, folder: Path) -> None:
        schema = spool.raw.schema
        self._spool, self._screened, self._folder = spool, screened, folder
        self.key = ("user", "time", *(("request",) if schema.request_ids else ()), "item")
        numbers = {feature.column for feature in spool.numbers}
        kinds: dict[str, str] = {"user": "<i4", "item": "<i4", "time": "<i8"}
        kinds |= {"request": "<i4"} if schema.request_ids else {}
        kinds |= {"role": "u1"} if screened.declares_roles else {}
        kinds |= {"label": "u1"} | {f"label.{label.name}": "u1" for label in schema.labels} | {"action": "<i4"}
        context = [feature.column for feature in schema.context_features]
        # Context columns may be called like anything else.
        kinds |= {f"feature.{name}": "<f4" if name in numbers else "<i4" for name in context}
        self.kind = np.dtype(list(kinds.items()))
        bound = np.cumsum(screened.user_rows) // PARTITION_ROWS
        self._partition = bound - bound.min(initial=0)
        self.partitions = int(self._partition.max(initial=-1)) + 1

    def __iter__(self) -> Iterator[tuple[np.ndarray, Ordered]]:
        """Each part: its rows in order of the log, one for each key, and how many were not kept."""
        self._scatter_all()
        for part in range(self.partitions):
            path = self._folder / f"part{part}"
            rows = np.fromfile(path, dtype=self.kind) if path.exists() else np.empty(0, dtype=self.kind)
            ordered = in_order(pd.DataFrame({name: rows[name] for name in self.kind.names or ()}), self.key)
            yield rows[ordered.rows], ordered

    def _scatter_all(self) -> None:
        """Once for all, if the conversion is killed afterwards."""
        done = self._folder / "scattered"
        if done.exists():
            return
        for path in self._folder.glob("part*"):
            path.unlink()
        for block in range(self._spool.blocks):
            self._scatter(self._spool.read(block), block)
        done.touch()

    def _scatter(self, block: Block, number: int) -> None:
        schema, screened = self._spool.raw.schema, self._screened
        size = len(block["time"])
        kept = np.unpackbits(screened.kept[number], count=size).astype(bool)
        texts = {name: block.text(name) for name in self._spool.texts}
        rows = np.empty(int(kept.sum()), dtype=self.kind)
        for name in ("user", "item", *(("request",) if schema.request_ids else ())):
            rows[name] = screened.codes[name].rank[texts[name][kept]]
        rows["time"] = block["time"][kept]
        if screened.declares_roles:
            rows["role"] = block["role"][kept]
        for name, rule in (("label", schema.label), *((f"label.{label.name}", label.rule) for label in schema.labels)):
            if rule == ALL_POSITIVE:  # of what can be an example; what only histories hold is another kind of event
                rows[name] = rows["role"] != HISTORY if screened.declares_roles else 1
            else:
                rows[name] = screened.labels[rule][texts[parse_label(rule).column][kept]]
        sizes = self._screened.sizes
        key = _action_key(schema.action, texts, sizes, self._spool.raw.name)[kept]
        rows["action"] = screened.codes["action"].rank[np.searchsorted(screened.action_keys, key)]
        for feature in schema.context_features:
            name = feature.column
            numbers = feature.kind == "number"
            rows[f"feature.{name}"] = block[f"number.{name}"][kept] if numbers else screened.codes[name].rank[texts[name][kept]]
        part = self._partition[rows["user"]] if len(rows) else np.empty(0, dtype=np.int64)
        order = np.argsort(part, kind="stable")
        bounds = np.searchsorted(part[order], np.arange(self.partitions + 1))
        for one in range(self.partitions):
            if bounds[one] < bounds[one + 1]:
                with (self._folder / f"part{one}").open("ab") as stream:
                    rows[order[bounds[one] : bounds[one + 1]]].tofile(stream)
