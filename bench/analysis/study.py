"""A study's finding as a file: study.json, typed and read back strictly."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..errors import UserError
from ..evaluation.stats import Estimate, Metric, Verdict
from ..records.rounded import rounded
from ..typed import as_json, read, text_of
from .comparison import HeadlineMetric, Row
from .statements import Statement
from .study_statements import Place


@dataclass(frozen=True)
class PointOf:
    """One experiment of a study, measured."""

    series: str
    at: Place
    """Its place along the axis."""
    factor: str
    """What its series varies, in a study whose series vary several things."""
    settings: tuple[str, ...]
    chosen: tuple[str, ...]
    """The candidate that validation chose."""
    rates: tuple[float, ...]
    """Learning rates that were tried, ascending; none where the model's own was taken."""
    at_edge: bool
    """The best of them is the smallest or the largest."""
    row: Row
    columns: dict[str, str | int | float | None]
    """The study's own; null where a number does not exist."""


@dataclass(frozen=True)
class Compared:
    """One point minus another, by label of their rows."""

    one: str
    other: str
    metric: Metric
    difference: Estimate
    verdict: Verdict
    at_once: int


@dataclass(frozen=True)
class StudyRecord:
    """Everything that a study found."""

    study: str
    title: str
    question: str
    axis: str
    dataset: str
    split: str
    size: str
    models: tuple[str, ...]
    seeds: int
    command: str
    """Makes it again, files by their name alone."""
    headline: HeadlineMetric
    margin: float
    statements: tuple[Statement, ...]
    """The answer, then what must be known to read it."""
    figures: tuple[str, ...]
    """Names of their files."""
    points: tuple[PointOf, ...]
    comparisons: tuple[Compared, ...]
    """Of every metric that verdicts are given by."""


def to_json(record: StudyRecord) -> str:
    """study.json."""
    return as_json(rounded(record))


def load(path: Path) -> StudyRecord:
    """Raises UserError: the file cannot be read, or is no whole study of this program."""

    def broken(what: str) -> UserError:
        return UserError(f"study {path} {what}; run the study again")

    return read(StudyRecord, text_of(path, broken), broken)
