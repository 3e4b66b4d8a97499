"""Which tables lie in files and folders: files of equal columns are one, and of several tables one is that of the events."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ...errors import UserError
from ..sources.files import bare_name, files_of, is_json_lines
from .columns import entry_sign, named, time_of
from .sample import Sample, look_at

_LOOKED_AT = 200
"""Rows of each file of a folder from which is told to which table it belongs."""


@dataclass(frozen=True)
class Table:
    """Files of equal columns."""

    sample: Sample
    """Of the largest of them."""
    paths: tuple[Path, ...]
    folder: Path | None = None
    """In which they were found; None: they were named themselves."""

    @property
    def columns(self) -> list[str]:
        return list(self.sample.frame.columns)

    def pattern(self, target: Path) -> list[str]:
        """What stands for the files in a YAML file `target`: a pattern or their folder if that stands for no other file, else
        their names."""
        return patterns_of(self.paths, self.folder, target)


@dataclass(frozen=True)
class LeftOut:
    """A table of a folder that is of no use here."""

    paths: tuple[Path, ...]
    why: str


def tables_of(files: Sequence[Path]) -> tuple[list[Table], list[LeftOut]]:
    """The tables of files, and of all files below folders, each in the order in which they are named; those of a folder by size.

    Raises:
        UserError: a file that is named cannot be read, a folder has no table.
    """
    tables, left_out = list[Table](), list[LeftOut]()
    for path in files:
        if not path.is_dir():
            tables.append(Table(look_at(path), (path,)))
            continue
        named_too = {one.resolve() for one in files if not one.is_dir()}
        found, unread = _in_folder(path, named_too)
        if not found and not unread:
            continue
        if not found:
            raise UserError(f"{path}: no file of it can be read as a table; {unread[0].why}")
        tables += found
        left_out += unread
    return tables, left_out


def _in_folder(folder: Path, without: set[Path]) -> tuple[list[Table], list[LeftOut]]:
    """
    Args:
        without: resolved paths of files that were named themselves.
    """
    groups: dict[tuple, list[Path]] = {}
    unread = []
    for path in files_of(folder, [""], "data init"):
        if path.resolve() in without:
            continue
        try:
            sample = look_at(path, _LOOKED_AT)
        except UserError as error:
            unread.append(LeftOut((path,), str(error)))
            continue
        columns = frozenset(sample.frame.columns) if is_json_lines(path) else tuple(sample.frame.columns)
        groups.setdefault((columns, sample.header, sample.delimiter), []).append(path)
    tables = [Table(look_at(max(paths, key=lambda path: path.stat().st_size)), tuple(paths), folder) for paths in _joined(groups)]
    return sorted(tables, key=lambda table: -sum(path.stat().st_size for path in table.paths)), unread


def _joined(groups: dict[tuple, list[Path]]) -> list[list[Path]]:
    """JSON lines may lack keys: those whose keys are among the keys of others are one table with them."""
    order = sorted(groups, key=lambda key: -len(key[0]))
    joined: dict[tuple, list[Path]] = {}
    for key in order:
        home = next(
            (
                one
                for one in joined
                if isinstance(key[0], frozenset)
                and isinstance(one[0], frozenset)
                and key[0] <= one[0]
                # A table of items may hold a part of what events say of them.
                and all(named(sorted(key[0]), what) == named(sorted(one[0]), what) for what in ("user", "item", "time"))
            ),
            key,
        )
        joined.setdefault(home, []).extend(groups[key])
    return [sorted(paths) for paths in joined.values()]


def events_among(tables: Sequence[Table]) -> Table:
    """The table of events: the first that was named and has times, else the one of a folder that has the columns of events.

    Raises:
        UserError: several tables of a folder might be it, or none.
    """
    timed = [table for table in tables if time_column(table.sample) is not None]
    by_name = [table for table in timed if table.folder is None] or [table for table in tables if table.folder is None]
    if by_name:
        return by_name[0]
    if len(tables) == 1:
        return tables[0]
    if not timed:
        raise _unclear("no table here has a column of times", tables)
    best = max(map(_likeness, timed))
    likely = [table for table in timed if _likeness(table) == best]
    if len(likely) > 1:
        raise _unclear("several tables here may hold the events", likely)
    return likely[0]


def _unclear(why: str, tables: Sequence[Table]) -> UserError:
    folder = tables[0].folder
    shown = "; ".join(
        f"{_few(table)} ({', '.join(table.columns[:6])}{', ...' if len(table.columns) > 6 else ''})" for table in tables[:4]
    )
    more = f"; {len(tables) - 4} more" if len(tables) > 4 else ""
    first = " ".join(str(path) for path in tables[0].paths[:1])
    return UserError(
        f"{folder}: {why}: {shown}{more}. Pass the file of events alone, or with those of its users and items behind it, such as "
        f"rankbench data init {first}"
    )


def _few(table: Table) -> str:
    names = [path.relative_to(table.folder).as_posix() if table.folder else path.name for path in table.paths]
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more files of its columns"


def _likeness(table: Table) -> tuple[int, bool]:
    """How many of user and item the table names, and whether it names an outcome."""
    sample = table.sample
    columns = [column for column in table.columns if column not in sample.lists]
    listed = shown_and_clicked(sample) is not None or any(entry_sign(sample.values(column)) is not None for column in columns)
    known = (named(columns, "user") is not None) + (named(columns, "item") is not None or listed)
    return known, listed or named(columns, "label") is not None or named(columns, "behaviour") is not None


def shown_and_clicked(sample: Sample) -> tuple[str, str] | None:
    """The columns of lists of what was shown and of what was clicked, by their names."""
    shown = [column for column in sample.lists if re.search(r"inview|shown|impress|candidates|slate", column.lower())]
    clicked = [column for column in sample.lists if re.search(r"click|chosen|selected", column.lower())]
    return (shown[0], clicked[0]) if len(shown) == 1 and len(clicked) == 1 else None


def time_column(sample: Sample) -> str | None:
    """The column of times: by its name, else the only one whose values are times."""
    columns = list(sample.frame.columns)
    by_name = named(columns, "time")
    if by_name is not None:
        return by_name
    fitting = [column for column in columns if column not in sample.lists and time_of(sample.values(column)) is not None]
    return fitting[0] if len(fitting) == 1 else None


def patterns_of(paths: Sequence[Path], folder: Path | None, target: Path) -> list[str]:
    """Names of files as they stand in a YAML file `target`, or what stands for them and for no other file."""
    plain = [os.path.relpath(path, target.parent) for path in paths]
    if folder is None or len(paths) < 2:
        return plain
    base = Path(os.path.commonpath([path.parent for path in paths]))
    endings = {path.name[len(bare_name(path)) - len(Path(bare_name(path)).suffix) :] for path in paths}
    deep = any(path.parent != base for path in paths)
    first, last = min(path.name for path in paths), max(path.name for path in paths)
    stem = first[: next((at for at, (one, other) in enumerate(zip(first, last, strict=False)) if one != other), len(first))]
    tried: list[Callable[[str], str]] = [lambda ending: f"*{ending}", lambda ending: f"{stem}*{ending}"]
    if deep:
        tried = [lambda ending: f"**/*{ending}"]
    for shape in tried:
        names = [os.path.relpath(base / shape(ending), target.parent) for ending in sorted(endings)]
        if _stand_for(names, paths, target):
            return names
    whole = [os.path.relpath(folder, target.parent)]
    return whole if _stand_for(whole, paths, target) else plain


def _stand_for(names: list[str], paths: Sequence[Path], target: Path) -> bool:
    try:
        found = files_of(target.parent, names, "")
    except UserError:
        return False
    return {path.resolve() for path in found} == {path.resolve() for path in paths}
