"""Statements that several studies make. Their words are made in reporting/."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from ..analysis.statements import Statement
from ..analysis.study_statements import Candidates, DifferenceAt, Differences, Held, PartOfStudy
from ..evaluation.metrics import grouped_auc
from .grid import EXTENSIONS, PointPair, StudyResult
from .points import STEP


def against(
    series: str, comparisons: Sequence[PointPair], reference: str | float | None = None, steps: bool = False
) -> Differences:
    """Several differences by one metric to one reference, named by its place unless another name is given.

    Args:
        steps: each is to the point before it, and the first reference is where the way begins.
    """
    first = comparisons[0]
    return Differences(
        series=series,
        metric=first.metric,
        reference=first.other.point.at if reference is None else reference,
        differences=tuple(DifferenceAt(one.one.point.at, one.difference, one.verdict) for one in comparisons),
        steps=steps,
        at_once=first.at_once,
    )


def by_series(finding: StudyResult) -> Iterable[Statement]:
    """`against` for each metric and series: its comparisons have one reference."""
    for comparisons in finding.pairs.values():
        for series in finding.series:
            own = [one for one in comparisons if one.one.point.series == series]
            if own:
                yield against(series, own)


def about_part(series: Sequence[str]) -> Iterable[Statement]:
    """That a study was asked about some of its series alone.

    Args:
        series: the patterns of Scope.
    """
    if series:
        yield PartOfStudy(tuple(series))


def about_reading(finding: StudyResult) -> Iterable[Statement]:
    """How verdicts are to be read: metric, intervals, where settings come from."""
    asked = finding.measured.predictions
    found = grouped_auc(asked.label, asked.label.astype(np.float64), asked.request)
    whole = {"request_groups": found.groups, "request_rows": found.rows, "n": len(asked.label)}
    yield finding.measured.about_headline(whole)
    if finding.comparisons:
        yield Held(len(finding.comparisons), finding.measured.margin)
    # Points that are trained with the rates of others choose none.
    numbers = sorted(len(one.point.candidates) for one in finding.measurements if not one.point.rates_of)
    several = [number for number in numbers if number > 1] or [1]
    monitor = str(finding.measurements[0].records[0].config["train"]["monitor"])
    edge = tuple(one.point.label for one in finding.measurements if one.at_edge)
    yield Candidates(several[0], several[-1], numbers[0] < several[0], monitor, STEP, EXTENSIONS, edge, len(finding.measurements))
