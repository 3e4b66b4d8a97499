"""From a finding to what figures draw."""

from __future__ import annotations

from collections.abc import Callable

from matplotlib.figure import Figure

from ..analysis.comparison import HeadlineMetric
from ..evaluation.cards import shown
from ..reporting.figures.curves import Line, Mark, curves
from ..reporting.figures.ladder import Rung
from .grid import Measurement, StudyResult


def mark(finding: StudyResult, one: Measurement, x: float | str | None = None, metric: HeadlineMetric | None = None) -> Mark:
    """A metric of a point, the headline unless another is given; at its own place unless another is given."""
    of = metric or finding.headline
    found = one.row.quality[of]
    return Mark(one.point.at if x is None else x, found.point, found.low, found.high, one.row.by_seed[of])


def lines(finding: StudyResult, x: Callable[[Measurement], float | str] | None = None) -> list[Line]:
    """A line a series."""
    return [
        Line(name, group[0].row.family, tuple(mark(finding, one, x(one) if x else None) for one in group))
        for name, group in finding.series.items()
    ]


def place(finding: StudyResult) -> str:
    """Data set and split, as titles begin."""
    identity = finding.measurements[0].records[0].identity
    return f"{identity.dataset}@{identity.split}"


def quality(finding: StudyResult, by: str, axis: str, log: bool = True) -> Figure:
    """The headline metric along the axis, a line a series."""
    metric = shown(finding.headline)
    return curves(f"{place(finding)}: {metric} {by}", axis, f"test {metric} (higher is better)", {"": lines(finding)}, log_x=log)


def rung(finding: StudyResult, one: Measurement, name: str | None = None, metric: HeadlineMetric | None = None) -> Rung:
    """A point as a row, with its difference if it has one to another point; its place is its name unless another is given."""
    pairs = finding.pairs[metric or finding.headline]
    found = next((pair for pair in pairs if pair.one is one), None)
    level = mark(finding, one, metric=metric)
    text = str(one.point.at) if name is None else name
    return Rung(text, one.row.family, level, found and found.difference, found and found.verdict)
