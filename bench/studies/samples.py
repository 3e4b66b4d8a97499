"""Who is ahead on items of which training has many examples, and who on items of which it has few.

A ranker that compares the candidate with raw items of the past (DIN) is said to win where items have many samples, and others
where they have few (LENS, 2026). Two intervals, one of which excludes zero, would not show that: the difference between the two
kinds of items has an interval of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

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

Compared = Mapping[float, Sequence[tuple[Measurement, Measurement]]]
"""Share of the training examples -> pairs of models that were trained on it: first minus second."""


def crossovers(finding: StudyResult, compared: Compared) -> Iterable[Crossover]:
    """Of each pair, where both kinds of items have enough users and items."""
    for share, pairs in compared.items():
        samples = _samples(finding, share)
        many, few = samples >= MANY, (samples >= 1) & (samples < MANY)
        of_many, of_few = (_slice(finding, pairs, name, mask) for name, mask in (("many", many), ("few", few)))
        if not (of_many.trusted and of_few.trusted):
            continue
        both = contrast(finding.measured.predictions, finding.measured.items, many, few, METRIC)
        for (one, other), where_many, where_few in zip(pairs, of_many.pairs, of_few.pairs, strict=True):
            yield Crossover(
                one=one.point.model,
                other=other.point.model,
                share=share,
                metric=METRIC,
                least=MANY,
                many=where_many.difference,
                few=where_few.difference,
                apart=both.difference(one.row.label, other.row.label),
                items_many=of_many.items or 0,
                items_few=of_few.items or 0,
            )


def lines(finding: StudyResult, compared: Compared) -> dict[str, list[Line]]:
    """`one minus other` -> a line a share, along the samples that items of a slice have at least."""
    panels: dict[str, list[Line]] = {}
    for share, pairs in compared.items():
        samples = _samples(finding, share)
        marks: list[list[Mark]] = [[] for _ in pairs]
        for low, high in BOUNDS:
            name = f"{low}+" if high is None else f"{low}-{high}"
            found = _slice(finding, pairs, name, (samples >= low) & (samples < (np.inf if high is None else high + 1)))
            for along, pair in zip(marks, found.pairs if found.trusted else (), strict=False):
                along.append(Mark(low, pair.difference.value, pair.difference.low, pair.difference.high))
        for (one, other), along in zip(pairs, marks, strict=True):
            if along:
                title = f"{one.point.model} minus {other.point.model}"
                panels.setdefault(title, []).append(Line(f"{share:.3g} of training", None, tuple(along)))
    return panels


def _samples(finding: StudyResult, share: float) -> np.ndarray:
    """float64 [test rows]: training examples of the item. Of a share of them, as many as one expects: it is drawn at random."""
    events = finding.view.predictions(finding.measurements[0].records[0].identity)["item_events"].to_numpy()
    return events * share


def _slice(finding: StudyResult, pairs: Sequence[tuple[Measurement, Measurement]], name: str, mask: np.ndarray) -> SliceOfTest:
    labels = [(one.row.label, other.row.label) for one, other in pairs]
    return part(finding.measured, METRIC, name, mask, labels, finding.measured.items)
