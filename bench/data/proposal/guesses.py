"""From samples of files to what they seem to be: the event table, side tables, and which of their columns mean what."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import pandas as pd

from ...errors import UserError
from ..sources.files import columns_of
from .columns import TimeGuess, entry_sign, is_flag, is_outcome, named, numbers_of, separator_of, time_of
from .sample import Sample
from .tables import LeftOut, Table, events_among, shown_and_clicked, tables_of, time_column

_PARTS = {
    "train": ("train", "training"),
    "valid": ("valid", "validation", "val", "dev"),
    "test": ("test", "testing"),
}
_STRONGEST = (
    "purchase",
    "buy",
    "order",
    "transaction",
    "pay",
    "conversion",
    "addtocart",
    "cart",
    "favorite",
    "fav",
    "like",
    "click",
)
"""Behaviours that may be asked for, the rarest and most wanted first."""
_QUANTITIES = re.compile(r"age$|year|price|cost|amount|duration|length|count|num_|size|weight|height|width")
"""Whole numbers that are no codes, by the name of their column."""
_MOST_KINDS = 20
"""Different values that a column of behaviours or domains may have."""


@dataclass(frozen=True)
class SideGuess:
    """A table with one row for each user or item."""

    table: Table
    owner: str
    key: str

    @property
    def sample(self) -> Sample:
        return self.table.sample


@dataclass
class Guess:
    """What the files seem to be. What is None or empty was not told by them."""

    table: Table
    """Of events."""
    parts: dict[str, list[Path]]
    """Role ("" for all) -> files of events."""
    left_out: list[LeftOut] = field(default_factory=list)
    """What lies in a folder and is of no use."""
    sides: list[SideGuess] = field(default_factory=list)
    columns: dict[str, str | None] = field(default_factory=dict)
    time: TimeGuess | None = None
    decimal_comma: bool = False
    impressions: tuple[str, str] | None = None
    """Column, and the sign before an outcome."""
    clicked: tuple[str, str] | None = None
    """Column of lists of what was shown, and that of what was clicked."""
    behaviour: str | None = None
    kinds: list[str] = field(default_factory=list)
    """Values of `behaviour`, the most frequent first."""
    wanted: str | None = None
    """The kind that is probably asked for."""
    label: str | None = None
    label_rule: str | None = None
    flags: list[str] = field(default_factory=list)
    """Other columns of 0 and 1 that sound like outcomes."""
    domain: str | None = None
    split: str | None = None
    split_words: list[str] = field(default_factory=list)
    features: dict[str, list[tuple[str, str, str | None]]] = field(default_factory=dict)
    """Owner -> column, kind, separator."""
    unused: list[str] = field(default_factory=list)
    """Columns of the event table whose meaning is open."""

    @property
    def events(self) -> Sample:
        return self.table.sample


def guess(files: Sequence[Path]) -> Guess:
    """What files, and those below folders, seem to be; the first that has times holds the events.

    Raises:
        UserError: a file that cannot be read, or one that is neither events nor about their users or items; a folder with
            several tables that may hold the events.
    """
    tables, left_out = tables_of(files)
    # Side tables may hold a date, too: files of events have the same columns as the first one.
    first = events_among(tables)
    events = [table for table in tables if table.columns == first.columns]
    found = Guess(first, _in_parts([path for table in events for path in table.paths]), left_out=left_out)
    _columns(found)
    for table in tables:
        if table.columns != first.columns and (side := _side(found, table)) is not None:
            found.sides.append(side)
    _outcome(found)
    _one_table_each(found)
    _features(found)
    return found


def _in_parts(paths: list[Path]) -> dict[str, list[Path]]:
    words = {word: role for role, words in _PARTS.items() for word in words}
    parts: dict[str, list[Path]] = {}
    for path in paths:
        told = [
            words[word] for name in (path.name, path.parent.name) for word in re.split(r"[\W_]+", name.lower()) if word in words
        ]
        parts.setdefault(told[0] if told else "", []).append(path)
    return parts if {"train", "test"} <= parts.keys() <= _PARTS.keys() else {"": paths}


def _columns(found: Guess) -> None:
    sample = found.events
    columns = [column for column in sample.frame.columns if column not in sample.lists]
    free = list(columns)

    def take(column: str | None) -> str | None:
        if column in free:
            free.remove(column)
        return column

    found.columns["time"] = take(time_column(sample))
    if (time := found.columns["time"]) is not None:
        found.time = time_of(sample.values(time))
    _lists(found, free)
    found.columns["user"] = take(named(free, "user"))
    listed = found.impressions is not None or found.clicked is not None
    if not listed:
        found.columns["item"] = take(named(free, "item"))
    found.columns["request"] = take(named(free, "request"))
    if sample.header or not listed:
        return
    # Lists of impressions: what is another in each row names the request, and what is left over the user.
    unique = [column for column in free if sample.values(column).is_unique]
    if found.columns["request"] is None and len(unique) == 1:
        found.columns["request"] = take(unique[0])
    left = [column for column in free if not sample.values(column).str.contains(" ", regex=False).any()]
    if found.columns["user"] is None and len(left) == 1:
        found.columns["user"] = take(left[0])


def _lists(found: Guess, free: list[str]) -> None:
    sample = found.events
    for column in list(free):
        if (sign := entry_sign(sample.values(column))) is not None:
            found.impressions = (column, sign)
            free.remove(column)
            return
    found.clicked = shown_and_clicked(sample)


def _side(found: Guess, table: Table) -> SideGuess | None:
    """Whose table it is: the column whose values are most of all ids of users or items. None of one that belongs to ids of which
    it is open whose they are, and of a table that lies in a folder and belongs to nothing."""
    sample = table.sample
    best: tuple[float, str, str] = (0.0, "", "")
    for owner in ("user", "item"):
        ids = _ids(found, owner)
        for column in sample.frame.columns:
            values = sample.values(column)
            if len(ids) and len(values) and values.is_unique:
                # A table may hold a part of the ids, and ids that are not in the sample.
                share = max(float(pd.Series(ids).isin(values).mean()), float(values.isin(ids).mean()))
                # Numbers from 1 on are ids of both: the name of the column decides.
                share += 1 if column in (found.columns.get(owner), named(list(sample.frame.columns), owner)) else 0
                best = max(best, (share, owner, str(column)))
    if best[0] < 0.05:
        if (column := _shared_ids(found, sample)) is not None:
            found.left_out.append(LeftOut(table.paths, _OPEN_OWNER.format(column=column, events=found.events.path.name)))
            return None
        neither = f"neither the columns of {found.events.path.name} nor one whose values are its users or items"
        if table.folder is None:
            raise UserError(f"{sample.path} has {neither}: describe it by hand, as docs/howto/own-data.md says")
        found.left_out.append(LeftOut(table.paths, f"it has {neither}"))
        return None
    return SideGuess(table, best[1], best[2])


_OPEN_OWNER = (
    "its column {column} is one of {events}, too, but whether it holds users or items is open: name the table under users "
    "(user_key: {column}) or items (item_key: {column}) once columns are filled in"
)


def _shared_ids(found: Guess, sample: Sample) -> str | None:
    """A column that names rows of a table, and is also one of the events with the same values, where users or items are open."""
    events = found.events
    if all(_ids(found, owner) for owner in ("user", "item")):
        return None
    for column in sample.frame.columns:
        values = sample.values(column)
        if column in events.frame.columns and len(values) and values.is_unique:
            share = float(events.values(column).isin(values).mean())
            if share > 0.5:
                return str(column)
    return None


def _one_table_each(found: Guess) -> None:
    """Of several tables of users, or of items, the one with the most features.

    Raises:
        UserError: two that were named themselves.
    """
    for owner in ("user", "item"):
        sides = [side for side in found.sides if side.owner == owner]
        chosen = max(sides, key=lambda side: (side.table.folder is None, _features_in(found, side)), default=None)
        for side in sides:
            if chosen is None or side is chosen:
                continue
            if side.table.folder is None:
                raise UserError(
                    f"{chosen.sample.path} and {side.sample.path} are both tables of {owner}s: join them, or pass one of them"
                )
            found.sides.remove(side)
            found.left_out.append(LeftOut(side.table.paths, f"{chosen.sample.path.name} is the table of {owner}s"))


def _features_in(found: Guess, side: SideGuess) -> int:
    decimal_comma = found.decimal_comma
    features = sum(column != side.key and _kind(found, side.sample, column) is not None for column in side.table.columns)
    found.decimal_comma = decimal_comma  # which a table that is left out does not decide
    return features


def _ids(found: Guess, owner: str) -> list[str]:
    sample = found.events
    if owner == "item" and found.impressions is not None:
        column, sign = found.impressions
        return [entry.rpartition(sign)[0] for cell in sample.values(column).iloc[:500] for entry in cell.split()]
    if owner == "item" and found.clicked is not None:
        return [one for cell in sample.values(found.clicked[0]).iloc[:500] for one in cell.split("\x1f")]
    column = found.columns.get(owner)
    return [] if column is None else sample.values(column).tolist()


def _outcome(found: Guess) -> None:
    sample = found.events
    taken = {column for column in found.columns.values() if column}
    free = [column for column in sample.frame.columns if column not in taken | sample.lists]
    if not sample.header:
        return
    split = named(free, "split")
    if split is not None and sample.values(split).nunique() <= 5:
        found.split, found.split_words = split, sorted(sample.values(split).unique())
    domain = named(free, "domain")
    if domain is not None and 1 < sample.values(domain).nunique() <= _MOST_KINDS:
        found.domain = domain
    if found.impressions or found.clicked:
        return
    flags = [column for column in free if is_flag(sample.values(column)) and column != found.split]
    kind, label = named(free, "behaviour"), named(free, "label")
    if kind is not None and not is_flag(sample.values(kind)) and sample.values(kind).nunique() <= _MOST_KINDS:
        found.behaviour = kind
        found.kinds = [str(one) for one in sample.values(kind).value_counts().index]
        plain = {re.sub(r"[\W_]", "", one).lower(): one for one in found.kinds}
        found.wanted = next((plain[one] for one in _STRONGEST if one in plain), None)
        return
    if label is None and len(flags) == 1:
        label = flags[0]
    if label is None:
        return
    found.label, values = label, sample.values(label)
    numbers, comma = numbers_of(values)
    found.decimal_comma |= comma
    if is_flag(values):
        found.label_rule = label
    elif len(numbers) and set(numbers) <= {half / 2 for half in range(11)} and numbers.max() > 2:
        found.label_rule = f"{label} >= 4"
    found.flags = [column for column in flags if column != label and is_outcome(column)]


def _features(found: Guess) -> None:
    sample = found.events
    taken = {found.label, found.behaviour, found.domain, found.split, *found.flags, *found.columns.values()}
    taken |= {*(found.impressions or ()), *(found.clicked or ())}
    for side in found.sides:
        for column in side.sample.frame.columns:
            if column != side.key and (kind := _kind(found, side.sample, column)) is not None:
                found.features.setdefault(side.owner, []).append((column, *kind))
    owned = {side.owner for side in found.sides}
    for column in sample.frame.columns:
        if column in taken:
            continue
        owner = None if is_outcome(column) else _constant_of(found, column)
        kind = _kind(found, sample, column) if owner else None
        if owner and owner not in owned and kind is not None:
            found.features.setdefault(owner, []).append((column, *kind))
        else:
            found.unused.append(column)


def _constant_of(found: Guess, column: str) -> str | None:
    """Whose property a column seems to be: each user or item that comes again has one value."""
    for owner in ("item", "user"):
        key = found.columns.get(owner)
        if key is None:
            continue
        rows = columns_of(found.events.frame, [key, column]).dropna()
        again = cast(pd.DataFrame, rows[rows[key].duplicated(keep=False)])
        pairs = again.drop_duplicates()
        several = len(set(again[key])) >= 20 and len(set(rows[column])) > 1
        if several and len(pairs) == len(set(again[key])):
            return owner
    return None


def _kind(found: Guess, sample: Sample, column: str) -> tuple[str, str | None] | None:
    """Kind and separator of a feature; None for free text, addresses and what is nearly an id."""
    values = sample.values(column)
    if len(values) == 0 or values.nunique() < 2:
        return None
    if column in sample.lists:
        return "multi", "|"
    numbers, comma = numbers_of(values)
    if len(numbers) and values.str.contains("[.,]").any():
        found.decimal_comma |= comma
        return "number", None
    if len(numbers) and _QUANTITIES.search(column.lower()):
        return "number", None
    if (sign := separator_of(values)) is not None:
        return "multi", sign
    if values.nunique() > max(0.5 * len(values), 20) or values.str.len().mean() > 60:
        return None
    return "category", None
