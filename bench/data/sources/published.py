"""Files of published data sets below a data root: where they are looked for, and events that are read from them in blocks.

A source says which columns of which files it reads and how a block of rows becomes rows of the log; nothing here holds a whole
event table. What is known only when all rows were read, such as features of items that stand in every event, comes at the end.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, cast

import pandas as pd

from ...errors import UserError
from .files import TextFormat, columns_of, read_blocks, source_file
from .schema import DataRoots, RawLog, SourceFile

_MERGE_AT = 2_000_000
"""Rows of distinct values that wait before they are merged into those of all blocks so far."""


@dataclass(frozen=True)
class Place:
    """Where the files of a published data set lie."""

    name: str
    folders: tuple[str, ...]
    """Below the data root, the first choice first."""
    how: str
    """What to do to have the files, for messages."""

    def folder(self, roots: DataRoots, pattern: str) -> Path:
        """The first folder that holds a file of the form `pattern`, packed by gzip or not.

        Raises:
            UserError: there is no data root, or no such file.
        """
        if roots.root is None:
            raise UserError(f"{self.name} needs a data root: {self.how}")
        for folder in self.folders:
            if matching(roots.root / folder, pattern):
                return roots.root / folder
        raise UserError(f"{roots.root / self.folders[0]} has no {pattern}: {self.how}")

    def file(self, folder: Path, pattern: str) -> Path:
        """The one file of this form in a folder.

        Raises:
            UserError: there is none.
        """
        found = matching(folder, pattern)
        if not found:
            raise UserError(f"{folder} has no {pattern}: {self.how}")
        return found[0]


def matching(folder: Path, pattern: str) -> list[Path]:
    """Files of the form `pattern` in order of their names; one that is there packed and unpacked counts once, unpacked."""
    packed = {path.name.removesuffix(".gz"): path for path in folder.glob(f"{pattern}.gz")}
    found = packed | {path.name: path for path in folder.glob(pattern) if path.is_file()}
    return [found[name] for name in sorted(found)]


@dataclass(frozen=True)
class EventFile:
    """A file of events and how its rows become rows of the log."""

    path: Path
    columns: Sequence[str]
    """That are read."""
    shape: Callable[[pd.DataFrame], pd.DataFrame]
    """A block of these columns -> the same or fewer rows with the columns of the log."""
    form: TextFormat = field(default_factory=TextFormat)


class OwnFeatures:
    """Features of users or items that stand in every event: each id has one value, the smallest text where there are several.

    A value that changes with time would carry the future into the past; so the one that is taken depends on no time and no order.
    """

    def __init__(self, owner: Literal["user", "item"], columns: Sequence[str]) -> None:
        self._owner, self._columns = owner, list(columns)
        self._parts: list[pd.DataFrame] = []
        self._rows = 0

    def add(self, rows: pd.DataFrame) -> None:
        """Note the values of one more block."""
        part = columns_of(rows, [self._owner, *self._columns]).dropna(subset=[self._owner]).drop_duplicates()
        self._parts.append(part)
        self._rows += len(part)
        if self._rows > _MERGE_AT:
            self._parts = [self._merged()]
            self._rows = -len(self._parts[0])

    def table(self) -> pd.DataFrame:
        """Index: id, unique."""
        return self._merged().set_index(self._owner)

    def _merged(self) -> pd.DataFrame:
        if not self._parts:
            return pd.DataFrame({name: pd.Series(dtype="str") for name in (self._owner, *self._columns)})
        rows = pd.concat(self._parts, ignore_index=True).drop_duplicates()
        least = cast(pd.DataFrame, rows.groupby(self._owner, sort=False)[self._columns].min())
        return least.reset_index()


@dataclass
class FileEvents:
    """The rows of files in blocks, with features within them; read once, as EventBlocks."""

    files: Sequence[EventFile]
    features: dict[str, OwnFeatures] = field(default_factory=dict)
    """By owner, user or item."""
    left_out: int = 0
    """Rows that `shape` dropped."""

    def __iter__(self) -> Iterator[pd.DataFrame]:
        self.left_out = 0
        for file in self.files:
            for block in read_blocks(file.path, list(file.columns), file.form):
                rows = file.shape(block)
                self.left_out += max(0, len(block) - len(rows))
                for features in self.features.values():
                    features.add(rows)
                yield rows

    def finish(self, raw: RawLog) -> RawLog:
        """The log with its features."""
        tables = {"user": raw.users, "item": raw.items}
        tables |= {owner: features.table() for owner, features in self.features.items()}
        return replace(raw, users=tables["user"], items=tables["item"], left_out=self.left_out)


def renamed(columns: dict[str, str], **more: object) -> Callable[[pd.DataFrame], pd.DataFrame]:
    """A shape that gives columns of the file the names of the log, and each row the same value in further columns."""

    def shape(block: pd.DataFrame) -> pd.DataFrame:
        return block.rename(columns=columns).assign(**more)

    return shape


def sources_of(paths: Sequence[Path]) -> tuple[SourceFile, ...]:
    """The identities of files that lie below the data root."""
    return tuple(source_file(path, "data root") for path in paths)
