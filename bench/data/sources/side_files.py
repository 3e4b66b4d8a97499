"""Tables of users or items in files, which are read in blocks when a log is converted, and never whole."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from .files import TextFormat, column_of, columns_of, read_blocks
from .schema import Repeated


def _files(paths: Sequence[Path]) -> str:
    first, *others = map(str, paths)
    return f"{first} (and {len(others)} more)" if others else first


@dataclass(frozen=True)
class SideFiles:
    """Files with a row for each user or item, one below the other; rows of ids that no event names are passed over."""

    paths: Sequence[Path]
    key: str
    """The column of ids."""
    columns: Sequence[str]
    """Features, by their names in the log."""
    shape: Callable[[pd.DataFrame], pd.DataFrame] | None = None
    """Of a block as it was read, before anything else; it makes the columns that the files do not have."""
    read: Sequence[str] = ()
    """Columns of the files, if they are others than key and columns."""
    form: TextFormat = field(default_factory=TextFormat)
    joined: Mapping[str, str] = field(default_factory=dict)
    """Column of lists -> the separator that is put between their values."""
    repeated: Repeated = "first"

    @property
    def where(self) -> str:
        """The files."""
        return _files(self.paths)

    @property
    def ids(self) -> str:
        """The column of ids, as files call it."""
        return f"{self.where}: column {(*self.read, self.key)[0]!r}"

    def __iter__(self) -> Iterator[tuple[pd.Series, pd.DataFrame]]:
        """Ids and features of some rows."""
        for path in self.paths:
            for block in self._blocks(path):
                shaped = self.shape(block) if self.shape else block
                yield column_of(shaped, self.key), columns_of(shaped, self.columns)

    def check(self) -> None:
        """Look at the beginning of each file.

        Raises:
            UserError: a file is missing, unreadable or lacks a column.
        """
        for path in self.paths:
            next(self._blocks(path), None)

    def _blocks(self, path: Path) -> Iterator[pd.DataFrame]:
        return read_blocks(path, list(self.read or (self.key, *self.columns)), self.form, self.joined)


@dataclass(frozen=True)
class SideParts:
    """Files of one table that are read differently, one below the other; they have one rule for ids that are listed twice."""

    parts: Sequence[SideFiles]
    repeated: Repeated = "first"

    @property
    def where(self) -> str:
        """The files."""
        return _files([path for part in self.parts for path in part.paths])

    @property
    def ids(self) -> str:
        """The column of ids, as the first file calls it."""
        return f"{self.where}: column {(*self.parts[0].read, self.parts[0].key)[0]!r}"

    def __iter__(self) -> Iterator[tuple[pd.Series, pd.DataFrame]]:
        """Ids and features of some rows."""
        return itertools.chain.from_iterable(self.parts)

    def check(self) -> None:
        """Look at the beginning of each file.

        Raises:
            UserError: a file is missing, unreadable or lacks a column.
        """
        for part in self.parts:
            part.check()
