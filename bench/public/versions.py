"""Versions of the public leaderboard: what changed when, what is asked on which data, and which versions may be compared.

results/public/versions.yaml is a list of them, oldest first. A version adds tracks, or asks something else on one that there was;
what it does not name stays as it was. Every row names its version by a hash over that version and all before it, so that none can
be changed once rows stand on it.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from annotated_types import Ge

from ..errors import UserError
from ..identity import short_hash
from ..typed import finite, from_dict
from ..yaml_text import read_yaml
from .row import DIGITS, day

NAME = "versions.yaml"


@dataclass(frozen=True)
class Allowance:
    """The effort of the closed division."""

    seeds: Annotated[int, Ge(3)]
    """0 to seeds - 1, no more and no fewer."""
    trials: Annotated[int, Ge(0)]
    """Of a search, at most. Settings are a model's defaults or those of such a search."""
    epochs: Annotated[int, Ge(1)]
    """train.epochs, at most."""


@dataclass(frozen=True)
class ReferenceRuns:
    """The row against which all others are held, by its runs."""

    store: str
    """From the results folder to the store, `.` for itself."""
    model: str
    config_hash: str


@dataclass(frozen=True)
class Track:
    """One data set under one split, and what the closed division shows of it."""

    dataset: str
    split: str
    content_hash: str
    split_hash: str
    data: dict[str, Any] = field(hash=False)
    """Data settings of all rows of the closed division."""
    reference: ReferenceRuns

    @property
    def place(self) -> tuple[str, str]:
        return self.dataset, self.split


@dataclass(frozen=True)
class BoardVersion:
    """An entry of the file."""

    version: Annotated[int, Ge(1)]
    date: str
    changes: str
    """What is new in it."""
    comparable: tuple[int, ...]
    """Earlier versions whose rows may stand in one ranking with its own, on tracks that it leaves as they were."""
    allowance: Allowance
    tracks: tuple[Track, ...]
    """New ones, and those on which something else is asked."""

    def __post_init__(self) -> None:
        day(self.date)
        if not self.changes.strip():
            raise ValueError("changes is empty; it says what is new")
        places = [track.place for track in self.tracks]
        if len(set(places)) < len(places):
            raise ValueError("a track stands there twice")


@dataclass(frozen=True)
class Versions:
    """All of a board, oldest first."""

    entries: tuple[BoardVersion, ...]

    @property
    def newest(self) -> BoardVersion:
        return self.entries[-1]

    def find(self, number: int) -> BoardVersion | None:
        return self.entries[number - 1] if 1 <= number <= len(self.entries) else None

    def hash_of(self, number: int) -> str:
        """Over a version and all before it."""
        found = ""
        for entry in self.entries[:number]:
            found = short_hash([found, finite(dataclasses.asdict(entry))], DIGITS)
        return found

    def track(self, number: int, place: tuple[str, str]) -> Track | None:
        """What a version asks on a data set under a split."""
        return next((track for track in self._tracks(number) if track.place == place), None)

    def places(self) -> list[tuple[str, str]]:
        """Of all tracks, in the order in which they came."""
        return list(dict.fromkeys(track.place for entry in self.entries for track in entry.tracks))

    def together(self, place: tuple[str, str]) -> frozenset[int]:
        """The versions whose rows on a track may stand in one ranking with those of the newest."""
        newest = self.newest
        return frozenset(
            entry.version
            for entry in self.entries
            if entry is newest or (entry.version in newest.comparable and self._same(entry.version, newest.version, place))
        )

    def _same(self, one: int, other: int, place: tuple[str, str]) -> bool:
        """Whether two versions ask the same on a track."""
        track = self.track(one, place)
        return track is not None and track == self.track(other, place)

    def _tracks(self, number: int) -> list[Track]:
        """The latest first."""
        return [track for entry in reversed(self.entries[:number]) for track in entry.tracks]


def load(root: Path) -> Versions:
    """Of the board in a folder.

    Raises:
        UserError: the file is not there or not such a list, its versions are not counted from 1 by date, or one is called
            comparable with itself or a later one.
    """
    path = root / NAME
    content = read_yaml(path, "versions of the board")
    if not isinstance(content, list) or not content or not all(isinstance(entry, dict) for entry in content):
        raise UserError(f"{path} must be a list of versions, each with version, date, changes, comparable, allowance and tracks")
    entries = [from_dict(BoardVersion, entry, f"{path}: version {at}") for at, entry in enumerate(content, 1)]
    for at, entry in enumerate(entries, 1):
        if entry.version != at:
            raise UserError(f"{path}: entry {at} is called version {entry.version}; versions are counted from 1")
        if at > 1 and day(entry.date) < day(entries[at - 2].date):
            raise UserError(f"{path}: version {at} is of {entry.date}, before version {at - 1}")
        if wrong := [number for number in entry.comparable if not 1 <= number < at]:
            raise UserError(f"{path}: version {at} cannot be comparable with version {wrong[0]}, which is none before it")
    return Versions(tuple(entries))
