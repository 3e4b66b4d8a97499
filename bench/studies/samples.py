"""Who is ahead on items of which training has many examples, and who on items of which it has few.

A ranker that compares the candidate with raw items of the past (DIN) is said to win where items have many samples, and others
where they have few (LENS, 2026). Two intervals, one of which excludes zero, would not show that: the difference between the two
kinds of items has an interval of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from ..analysis.comparison import HeadlineMetric
from ..analysis.parts import SliceOfTest, part
from ..analysis.study_statements import Crossover
from ..evaluation.contrast import contrast
from ..reporting.figures.curves import Line, Mark
from .grid import Measurement, StudyResult

MANY = 50
"""Training examples of an item from which on it has many (LENS)."""
BOUNDS = ((1, 9), (10, 49), (50, 199), (200, None))
METRIC: HeadlineMetric = "auc"
"""Hardly a request has two examples of items of one kind."""

Compared = Sequence[tuple[float, Measurement, Measurement]]
"""Share of the training examples, and two models that were trained on it: first minus second."""


def crossovers(finding: StudyResult, compared: Compared) -> Iterable[Crossover]:
    """Of each pair, where both kinds of items have enough users and items."""
    for share, one, other in compared:
        samples = _samples(finding, share)
        many, few = samples >= MANY, (samples >= 1) & (samples < MANY)
        slices = [_slice(finding, one, other, name, mask) for name, mask in (("many", many), ("few", few))]
        if not all(found.trusted for found in slices):
            continue
        labels = (one.row.label, other.row.label)
        apart = contrast(finding.measured.predictions, finding.measured.items, many, few, METRIC).difference(*labels)
        of_many, of_few = (found.pairs[0].difference for found in slices)
        items = [found.items or 0 for found in slices]
        models = (one.point.model, other.point.model)
        yield Crossover(*models, share, METRIC, MANY, of_many, of_few, apart, items[0], items[1])


def lines(finding: StudyResult, compared: Compared) -> dict[str, list[Line]]:
    """`one minus other` -> a line a share, along the samples of items."""
    panels: dict[str, list[Line]] = {}
    for share, one, other in compared:
        samples, marks = _samples(finding, share), []
        for low, high in BOUNDS:
            name = f"{low}+" if high is None else f"{low}-{high}"
            mask = (samples >= low) & (samples < (np.inf if high is None else high + 1))
            found = _slice(finding, one, other, name, mask)
            if found.trusted:
                apart = found.pairs[0].difference
                marks.append(Mark(name, apart.value, apart.low, apart.high))
        if marks:
            title = f"{one.point.model} minus {other.point.model}"
            panels.setdefault(title, []).append(Line(f"{share:.3g} of training", None, tuple(marks)))
    return panels


def _samples(finding: StudyResult, share: float) -> np.ndarray:
    """float64 [test rows]: training examples of the item. Of a share of them, as many as one expects: it is drawn at random."""
    events = finding.view.predictions(finding.measurements[0].records[0].identity)["item_events"].to_numpy()
    return events * share


def _slice(finding: StudyResult, one: Measurement, other: Measurement, name: str, mask: np.ndarray) -> SliceOfTest:
    pair = (one.row.label, other.row.label)
    return part(finding.measured, METRIC, name, mask, [pair], finding.measured.items)
