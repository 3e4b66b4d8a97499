"""Comparisons that somebody named before the numbers were there.

A results folder may hold declared.yaml, a list of such pairs:

    - dataset: ml-1m
      split: global-time
      variant: ""                       # of the board's folder, behind data set and split; left out: none
      settings: {}                      # that all rows share and that are not the defaults; left out: none
      pair: [hstu, din]                 # rows, as the board names them
      metric: request_gauc

An entry is about runs with these settings alone: who tries again with others, after seeing the numbers, has declared nothing. A
pair counts as declared before if the commit that first held its entry is an earlier one than the commit of every run of both
rows. What cannot be shown so, without a repository or by runs of an installed package, is post hoc.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from ..errors import UserError
from ..records.schema import RunRecord
from ..typed import from_dict, text_of
from ..yaml_text import load_yaml
from .comparison import HEADLINES, HeadlineMetric

NAME = "declared.yaml"
Place: TypeAlias = tuple[str, str, str, Mapping[str, Any]]
"""A board: data set, split, variant of its folder, and what all of its rows share beyond that, where it is not the default."""


@dataclass(frozen=True)
class Declared:
    """An entry of the file."""

    dataset: str
    split: str
    pair: tuple[str, str]
    metric: HeadlineMetric
    variant: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """By dotted key, such as train.patience: what all rows of the board share beyond its variant, where it is not the default."""

    def __hash__(self) -> int:
        return hash((self.dataset, self.split, self.pair, self.metric, self.variant, tuple(sorted(self.settings))))

    @property
    def place(self) -> Place:
        return self.dataset, self.split, self.variant, self.settings


def read(folder: Path) -> list[Declared]:
    """The entries of a results folder; none without the file.

    Raises:
        UserError: the file cannot be read, is no such list, or names a pair twice.
    """
    path = folder / NAME
    if not path.exists():
        return []
    entries = _entries(text_of(path, lambda what: UserError(f"{path} {what}")), str(path))
    for at, entry in enumerate(entries):
        if entry.pair[0] == entry.pair[1]:
            raise UserError(f"{path}: entry {at + 1} compares {entry.pair[0]} with itself; name two rows")
        if any(
            {*entry.pair} == {*other.pair} and (entry.place, entry.metric) == (other.place, other.metric)
            for other in entries[:at]
        ):
            raise UserError(f"{path}: entry {at + 1} ({' and '.join(entry.pair)}) stands there twice; delete one of them")
    return entries


def _entries(text: str, where: str) -> list[Declared]:
    content = load_yaml(text, where)
    if content is None:
        return []
    if not isinstance(content, list) or not all(isinstance(entry, dict) for entry in content):
        raise UserError(f"{where} must be a list of entries with dataset, split, pair and metric")
    entries = []
    for at, entry in enumerate(content):
        name = f"{where}: entry {at + 1}"
        missing = [key for key in ("dataset", "split", "pair", "metric") if key not in entry]
        if missing:
            raise UserError(f"{name} lacks {', '.join(missing)}; metric is one of {', '.join(HEADLINES)}")
        entries.append(from_dict(Declared, entry, name))
    return entries


class Declarations:
    """Of one results folder, with what its repository knows of them."""

    def __init__(self, folder: Path) -> None:
        """Raises UserError as `read`."""
        self.folder = folder
        self.entries = read(folder)
        self._first: dict[Declared, str | None] | None = None

    @classmethod
    def near(cls, store: Path) -> Declarations:
        """Of a store: its own file, else that of the folder which holds it."""
        return cls(next((folder for folder in (store, store.resolve().parent) if (folder / NAME).exists()), store))

    def of(self, place: Place) -> list[Declared]:
        """Entries about one board."""
        return [entry for entry in self.entries if entry.place == place]

    def before(self, entry: Declared, runs: Iterable[RunRecord]) -> bool:
        """Whether the entry was committed before the commit of every one of these runs."""
        first = self._commits().get(entry)
        if first is None:
            return False
        commits = {run.environment.git_commit for run in runs}
        return bool(commits) and all(commit is not None and self._is_before(first, commit) for commit in commits)

    def _is_before(self, first: str, commit: str) -> bool:
        return first != commit and _git(self.folder, "merge-base", "--is-ancestor", first, commit) is not None

    def _commits(self) -> dict[Declared, str | None]:
        """Entry -> the commit since which the file holds it without a break."""
        if self._first is None:
            self._first = {entry: None for entry in self.entries}
            kept = set(self.entries)
            for commit in (_git(self.folder, "log", "--format=%H", "--", NAME) or "").split() if kept else ():
                text = _git(self.folder, "show", f"{commit}:./{NAME}")
                try:
                    held = set(_entries(text, NAME)) if text is not None else set()
                except UserError:
                    held = set()
                kept &= held
                if not kept:
                    break
                self._first |= dict.fromkeys(kept, commit)
        return self._first


def _git(folder: Path, *words: str) -> str | None:
    """What git says in a folder; None where it fails, or is not there."""
    try:
        done = subprocess.run(["git", *words], cwd=folder, capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None
