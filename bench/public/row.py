"""A row of the public leaderboard: one JSON file that is written once. Every key is documented here and nowhere else.

A row is called by the hash of its content, which stands in its file's name: whoever edits a row makes another one. A correction,
and a verification, is a new row that names the old one.
"""

from __future__ import annotations

import dataclasses
import datetime
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ..analysis.comparison import HeadlineMetric
from ..config import Tuning
from ..errors import UserError
from ..evaluation.stats import Estimate, Verdict
from ..identity import short_hash
from ..records.store import place_name, safe_name
from ..typed import OrNaN, as_json, finite, read, text_of

SCHEMA_VERSION = 1
DIGITS = 16
"""Of a row's name: hexadecimal digits of the sha256 of its content."""

Division = Literal["closed", "open"]
"""closed: our split, fields and budget, any model. open: any fields, one's own budget. Never in one ranking."""
DIVISIONS: tuple[Division, ...] = ("closed", "open")

Tier = Literal["self-reported", "recomputed", "retrained"]
"""self-reported: as its submitter computed it. recomputed: a verifier found the same numbers in the stored scores. retrained: a
verifier trained one of its seeds again besides."""
TIERS: tuple[Tier, ...] = ("self-reported", "recomputed", "retrained")


@dataclass(frozen=True)
class StandsOn:
    """A run behind a row."""

    seed: int
    record: str
    """sha256 of the file of its record, 64 hex digits; so is `scores`."""
    scores: str


@dataclass(frozen=True)
class Quality:
    """By one metric, on all test examples."""

    value: Estimate
    """Mean over seeds; the interval carries test users and seeds."""
    by_seed: tuple[OrNaN, ...]


@dataclass(frozen=True)
class Claim:
    """The row minus the reference of its track, by one metric: a single comparison, whose other side was fixed beforehand."""

    difference: Estimate
    verdict: Verdict


@dataclass(frozen=True)
class Hardware:
    """What a run was made on."""

    device: str
    processor: str
    """The accelerator or, on a CPU, the processor."""
    cores: int
    threads: int
    processes: int


@dataclass(frozen=True)
class CodeVersion:
    """What computed."""

    package: str | None
    """Version of this program."""
    commit: str | None
    code_hash: str


@dataclass(frozen=True)
class Entrant:
    """Everything of a row that follows from its runs, the data and the reference: made again, it is the same."""

    dataset: str
    split: str
    model: str
    family: str
    content_hash: str
    """Of all that a model can see of the data: the version of labels, actions, features and cleaning."""
    split_hash: str
    rows_hash: str
    """Of the test rows."""
    config_hash: str
    config: dict[str, Any]
    """The whole resolved experiment, as in a run record."""
    changed: dict[str, Any]
    """Settings that differ from the model's defaults."""
    tuning: Tuning | None
    """The search that found the settings."""
    runs: tuple[StandsOn, ...]
    """By seed, ascending."""
    code: tuple[CodeVersion, ...]
    """All that the runs were made with."""
    hardware: tuple[Hardware, ...]
    first_started: str
    last_finished: str
    parameters: int
    train_seconds: float
    """Mean over seeds: CPU time of all threads if all runs were on a CPU, else wall time."""
    comparable: bool
    """Whether every run began on a machine with room, so that times may be compared."""
    margin: float
    """Differences up to it matter to nobody."""
    quality: dict[HeadlineMetric, Quality]
    """The headline first."""
    claims: dict[HeadlineMetric, Claim]
    """Empty for the reference itself."""

    @property
    def seeds(self) -> tuple[int, ...]:
        return tuple(run.seed for run in self.runs)

    @property
    def headline(self) -> HeadlineMetric:
        return next(iter(self.quality))


@dataclass(frozen=True)
class Retraining:
    """A seed that was trained again."""

    seed: int
    same_scores: bool
    """Whether it has the submitted scores, which leaves nothing to ask."""
    values: dict[HeadlineMetric, OrNaN]
    allowed: dict[HeadlineMetric, Estimate]
    """Mean of the submitted seeds with the interval in which a new one lies, see evaluation/new_seed.py."""
    device: str


@dataclass(frozen=True)
class Verification:
    """What somebody did again."""

    by: str
    code: CodeVersion
    retraining: Retraining | None


@dataclass(frozen=True)
class PublicRow:
    """One model under one configuration, as somebody submitted it or verified it."""

    schema_version: int
    version: int
    """Of the board, see versions.py."""
    version_hash: str
    division: Division
    tier: Tier
    date: str
    """Of this row: year-month-day, UTC."""
    by: str
    """Who submitted it."""
    submitted: str
    """When: the date of the first row of the submission."""
    replaces: str | None
    """The row in whose place this one stands."""
    reason: str
    """Why it does; empty where it replaces none."""
    verification: Verification | None
    """Null for what is self-reported."""
    entrant: Entrant

    def __post_init__(self) -> None:
        for name in ("date", "submitted"):
            day(getattr(self, name))
        if not self.by.strip():
            raise ValueError("by is empty; it names who submits")
        if (self.replaces is None) != (not self.reason):
            raise ValueError("a row that replaces another says why, and no other does")

    @property
    def id(self) -> str:
        return short_hash(finite(dataclasses.asdict(self)), DIGITS)

    @property
    def place(self) -> tuple[str, str]:
        """Data set and split."""
        return self.entrant.dataset, self.entrant.split

    def path(self, root: Path) -> Path:
        """Where it lies below the folder of the board."""
        name = f"{self.date}-{safe_name(self.entrant.model)}-{self.id}.json"
        return root / self.division / place_name(*self.place) / name


def day(text: str) -> datetime.date:
    """A date as rows write it.

    Raises:
        ValueError: it is none.
    """
    try:
        found = datetime.date.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.isoformat() != text:
        raise ValueError(f"{text!r} is no date such as 2026-11-30")
    return found


def to_json(row: PublicRow) -> str:
    return as_json(row)


def load(path: Path) -> PublicRow:
    """The row in a file.

    Raises:
        UserError: it cannot be read, is no whole row, or does not lie where its content says: it was edited, copied or renamed.
    """
    text = text_of(path, lambda what: UserError(f"row {path} {what}; take the file from the repository again"))
    row = read(PublicRow, text, lambda said: UserError(f"row {path} {said}; rows are made by rankbench submit and never edited"))
    if row.schema_version != SCHEMA_VERSION:
        raise UserError(f"row {path} has schema version {row.schema_version}, this program reads {SCHEMA_VERSION}")
    home = row.path(path.parents[2])
    if home != path:
        raise UserError(
            f"row {path} was edited, copied or renamed: by its content it is {home.relative_to(path.parents[2]).as_posix()}; "
            "take the file from the repository again, and correct it by a row that replaces it"
        )
    return row
