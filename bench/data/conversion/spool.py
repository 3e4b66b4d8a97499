"""First pass: blocks of raw rows become numbers on disk. What only the whole can decide is decided when all blocks were read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from ..sources.files import column_of
from ..sources.labels import Unread, parse_label
from ..sources.schema import ALL_POSITIVE, ROLE_WORDS, RawLog
from ..sources.values import apart, as_feature, as_numbers, present
from ..times import TimeReader
from .dictionary import Dictionary


class Spool:
    """Rows of an event table in blocks of numbers: times, number features, and codes of every column that is text."""

    def __init__(self, raw: RawLog, folder: Path) -> None:
        schema = raw.schema
        self.raw, self.folder, self.blocks, self.rows = raw, folder, 0, 0
        self.times = TimeReader(schema, raw.name)
        self.numbers = [feature for feature in schema.context_features if feature.kind == "number"]
        self.unread = {
            feature.column: Unread(f"{raw.name}: feature {feature.column!r}", schema.decimal) for feature in self.numbers
        }
        rules = [rule for rule in (schema.label, *(label.rule for label in schema.labels)) if rule != ALL_POSITIVE]
        self.rules = tuple(dict.fromkeys(parse_label(rule).column for rule in rules))
        features = [feature.column for feature in schema.context_features if feature.kind != "number"]
        self.ids = ("user", "item", *(("request",) if schema.request_ids else ()))
        self.texts = {
            name: Dictionary(folder, f"text{at}")
            for at, name in enumerate(dict.fromkeys((*self.ids, *self.rules, *schema.action, *features)))
        }
        self.owned = {
            feature.column: (owner, feature, Dictionary(folder, f"{owner}{at}"))
            for owner, owned in (("user", schema.user_features), ("item", schema.item_features))
            for at, feature in enumerate(owned)
            if feature.column in raw.within
        }
        """Features of users and items that stand in the event table -> whose, which, and their values where the id is known."""

    def add(self, frame: pd.DataFrame) -> None:
        """Keep the numbers of one more block; if a killed conversion has kept them, they are not written again.

        Raises:
            UserError: dates of another form than stated, ids that fell together in a file.
        """
        path = self.folder / f"{self.blocks}.npz"
        kept = path.exists()
        time, known = self.times.read(column_of(frame, "time"))
        columns = {"time": time, "known": known}
        for feature in self.numbers:
            column = column_of(frame, feature.column)
            exact = as_numbers(column, self.raw.schema.decimal)
            self.unread[feature.column].note(column, exact)
            columns[f"number.{feature.column}"] = as_feature(exact)
            columns[f"unread.{feature.column}"] = present(column) & np.isnan(exact)
        if self.raw.schema.roles:
            codes = {word: code for code, word in enumerate(ROLE_WORDS)}
            columns["role"] = column_of(frame, "role").map(codes).to_numpy(dtype=np.uint8)
        for name, dictionary in self.texts.items() if not kept else ():
            column = column_of(frame, name)
            if name in self.ids:
                apart(column, f"{self.raw.where or self.raw.name}: column {self.raw.named.get(name, name)!r}")
            if name == "request" and self.raw.schema.request_at_time:
                column = column.mask(column.notna(), pd.Series(time, index=column.index).astype("str") + "-" + column)
            columns[f"text.{name}"] = dictionary.add(self.blocks, column)
        for name, (owner, feature, dictionary) in self.owned.items() if not kept else ():
            column = column_of(frame, name)
            if feature.kind == "number" and pd.api.types.is_float_dtype(column.dtype):
                column = column.astype("float64")  # a text of fewer bits would be read as another number
            columns[f"owned.{name}"] = dictionary.add(self.blocks, column.where(column_of(frame, owner).notna()))
        if not kept:
            part = path.with_suffix(".part.npz")
            np.savez(part, **columns)  # type: ignore[arg-type]
            part.replace(path)
        self.blocks += 1
        self.rows += len(frame)

    def read(self, block: int) -> Block:
        """One block; its columns are read when they are asked for."""
        return Block(self, block)

    def __iter__(self) -> Iterator[Block]:
        return (Block(self, block) for block in range(self.blocks))


class Block:
    """Columns of one block of a spool."""

    def __init__(self, spool: Spool, number: int) -> None:
        self._spool, self._number = spool, number
        self._stored = np.load(spool.folder / f"{number}.npz")

    def text(self, name: str) -> np.ndarray:
        """int32 [rows]: code among all values of a text column, -1 where missing."""
        return self._spool.texts[name].codes(self._number, self._stored[f"text.{name}"])

    def owned(self, name: str) -> np.ndarray:
        """int32 [rows]: the same of a feature of users or items."""
        return self._spool.owned[name][2].codes(self._number, self._stored[f"owned.{name}"])

    def __getitem__(self, name: str) -> np.ndarray:
        return self._stored[name]
