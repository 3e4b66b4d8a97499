"""From a finding to what figures draw."""

from __future__ import annotations

from collections.abc import Callable

from matplotlib.figure import Figure

from ..evaluation.cards import shown
from ..reporting.ladder import Rung
from ..reporting.lines import Line, Mark, curves
from .grid import Finding, Measurement


def mark(finding: Finding, one: Measurement, x: float | str | None = None) -> Mark:
    """The headline metric of a point, at its own place unless another is given."""
    found = getattr(one.row, finding.headline)
    seeds = getattr(one.row, f"{finding.headline}_seeds")
    return Mark(one.point.at if x is None else x, found.point, found.low, found.high, seeds)


def lines(finding: Finding, x: Callable[[Measurement], float | str] | None = None) -> list[Line]:
    """A line a series."""
    return [
        Line(name, group[0].row.family, tuple(mark(finding, one, x(one) if x else None) for one in group))
        for name, group in finding.series.items()
    ]


def place(finding: Finding) -> str:
    """Data set and split, as titles begin."""
    identity = finding.measurements[0].records[0].identity
    return f"{identity.dataset}@{identity.split}"


def quality(finding: Finding, by: str, axis: str, log: bool = True) -> Figure:
    """The headline metric along the axis, a line a series."""
    metric = shown(finding.headline)
    return curves(f"{place(finding)}: {metric} {by}", axis, f"test {metric} (higher is better)", {"": lines(finding)}, log_x=log)


def rung(finding: Finding, one: Measurement, name: str | None = None) -> Rung:
    """A point as a row, with its difference if it has one to another point; its place is its name unless another is given."""
    found = next((pair.difference for pair in finding.comparisons if pair.one is one), None)
    return Rung(str(one.point.at) if name is None else name, one.row.family, mark(finding, one), found)
