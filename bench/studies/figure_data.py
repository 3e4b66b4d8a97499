"""From a finding to what figures draw."""

from __future__ import annotations

from collections.abc import Callable

from matplotlib.figure import Figure

from ..analysis.comparison import HeadlineMetric
from ..evaluation.cards import shown
from ..evaluation.stats import Verdict
from ..reporting.figures import titles
from ..reporting.figures.curves import Line, Mark, curves
from ..reporting.figures.ladder import Rung
from ..reporting.study_words import place as place_name
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


def verdicts(finding: StudyResult, one: str, other: str) -> str:
    """The title of a figure that shows the comparisons of the headline metric.

    Args:
        one, other: what is compared, as a sentence names them.
    """
    judged: list[tuple[str, Verdict]] = [
        (f"{pair.one.point.series} at {place_name(pair.one.point.at)}", pair.verdict) for pair in finding.comparisons
    ]
    if not judged:
        return f"{shown(finding.headline)} of {one}"
    return titles.by_verdict(shown(finding.headline), one, other, judged, "for", "points")


def quality(finding: StudyResult, by: str, axis: str, other: str) -> Figure:
    """The headline metric along the axis, a line a series, and beside it the paired differences to one of its points.

    Args:
        other: what all are compared with, as a sentence names it.
    """
    metric = shown(finding.headline)
    found = {pair.one.point.label: pair.difference for pair in finding.comparisons}
    apart = []
    for name, group in finding.series.items():
        marks = [(one.point.at, found[one.point.label]) for one in group if one.point.label in found]
        if marks:
            ends = tuple(Mark(at, one.value, one.low, one.high) for at, one in marks)
            apart.append(Line(name, group[0].row.family, ends))
    panels = {f"test {metric} (higher is better)": lines(finding)}
    if apart:
        panels[f"paired difference to {other}"] = apart
    title = verdicts(finding, "another one", other)
    return curves(title, f"{place(finding)}: {metric} {by}", axis, "", panels, one_scale=False)


def rung(finding: StudyResult, one: Measurement, name: str | None = None, metric: HeadlineMetric | None = None) -> Rung:
    """A point as a row, with its difference if it has one to another point; its place is its name unless another is given."""
    pairs = finding.pairs[metric or finding.headline]
    found = next((pair for pair in pairs if pair.one is one), None)
    level = mark(finding, one, metric=metric)
    text = str(one.point.at) if name is None else name
    return Rung(text, one.row.family, level, found and found.difference, found and found.verdict)


def levels(finding: StudyResult, series: str) -> dict[str, float]:
    """The headline metric of a series that stands as a line beside others, by the place of its points."""
    return {str(one.point.at): one.row.quality[finding.headline].point for one in finding.series.get(series, [])}
