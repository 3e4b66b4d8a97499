"""Files of published data sets below a data root: where they are looked for, and events that are read from them in blocks.

A source says which columns of which files it reads and how a block of rows becomes rows of the log; nothing here holds a whole
event table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pandas as pd

from ...errors import UserError
from .files import TextFormat, read_blocks, source_file
from .schema import DataRoots, RawLog, SourceFile


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


@dataclass
class FileEvents:
    """The rows of files in blocks; read once, as EventBlocks."""

    files: Sequence[EventFile]
    left_out: int = 0
    """Rows that `shape` dropped."""

    def __iter__(self) -> Iterator[pd.DataFrame]:
        self.left_out = 0
        for file in self.files:
            for block in read_blocks(file.path, list(file.columns), file.form):
                rows = file.shape(block)
                self.left_out += max(0, len(block) - len(rows))
                yield rows

    def finish(self, raw: RawLog) -> RawLog:
        """The log with the number of rows that were dropped."""
        return replace(raw, left_out=self.left_out)


def renamed(columns: dict[str, str], **more: object) -> Callable[[pd.DataFrame], pd.DataFrame]:
    """A shape that gives columns of the file the names of the log, and each row the same value in further columns."""

    def shape(block: pd.DataFrame) -> pd.DataFrame:
        return block.rename(columns=columns).assign(**more)

    return shape


def sources_of(paths: Sequence[Path]) -> tuple[SourceFile, ...]:
    """The identities of files that lie below the data root."""
    return tuple(source_file(path, "data root") for path in paths)
