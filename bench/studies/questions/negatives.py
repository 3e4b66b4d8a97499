"""How many negatives to train on, and where from: quality, calibration and cost on one frozen test.

The test is what the log shows, unless --set data.test_negatives asks for a sampled one, and the same for all points. Telling
liked items from impressions and telling them from sampled items are two tasks: they never stand in one table.
"""

from __future__ import annotations

import functools
import math
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from scipy import special

from ...analysis.comparison import test_slices
from ...analysis.costs import train_seconds
from ...analysis.statements import Statement
from ...analysis.study_statements import Calibrated, Calibration, Remark
from ...errors import UserError
from ...evaluation import metrics
from ...evaluation.cards import shown
from ...records.schema import Identity
from ...records.view import View
from ...reporting.figures.curves import Line, Mark, curves
from ..figure_data import mark, place, verdicts
from ..grid import Measurement, Study, StudyResult
from ..points import Point, Scope, retuned
from ..verdicts import against

SHARES = {"small": (0.1, 0.25, 0.5, 1.0), "full": (0.05, 0.1, 0.25, 0.5, 1.0)}
"""Of the exposed negatives, that training keeps."""
RATES = {"small": (1, 2, 4), "full": (1, 2, 4, 8, 16)}
"""Sampled negatives per positive."""
SAMPLED = ("uniform", "popularity", "in-batch")

AXIS = "negatives per positive in training (log scale)"


def points(scope: Scope) -> Iterable[Point]:
    for model in scope.models:
        grid: dict[str, tuple[float, ...]] = {} if scope.positive_only else {"exposed": SHARES[scope.size]}
        grid |= {name: RATES[scope.size] for name in SAMPLED}
        for source, rates in grid.items():
            for rate in rates:
                settings = (f"data.negatives={source}", f"data.negative_rate={rate}")
                yield Point(f"{model}, {source}", rate, model, settings, retuned(model, scope.size), source)


def pairs(points: Sequence[Point]) -> Iterable[tuple[Point, Point]]:
    """All against every exposed negative; where there are none, against the default, four uniform ones."""
    reference: dict[str, Point] = {}
    for point in points:
        if (point.factor, point.at) in (("exposed", 1.0), ("uniform", 4)):
            reference.setdefault(point.model, point)
    return [(point, reference[point.model]) for point in points if point is not reference[point.model]]


def per_positive(one: Measurement, finding: StudyResult) -> float:
    """Negatives per positive in training; where negatives are sampled, what was asked for."""
    if one.point.factor != "exposed":
        return float(one.point.at)
    return _exposed(finding) * float(one.point.at)


def _exposed(finding: StudyResult) -> float:
    """Exposed negatives per positive among the training events, by a run that trained on all of them."""
    whole = next((one for one in finding.measurements if (one.point.factor, one.point.at) == ("exposed", 1.0)), None)
    if whole is None:
        raise UserError("a test of exposed negatives needs a log that has some")
    data = whole.records[0].data
    return (data.examples["train"] - data.positives["train"]) / data.positives["train"]


def correction(one: Measurement) -> float:
    """ln w, which was added to every logit: from the odds of training to those of the test (data/negatives.py)."""
    return one.records[0].logit_correction


@functools.cache
def _uncorrected(view: View, identity: Identity, shift: float) -> tuple[float, float]:
    """Logloss and ECE of a run's scores as the model gave them."""
    frame = view.predictions(identity)
    label, score = frame["label"].to_numpy(), frame["score"].to_numpy(np.float64)
    with np.errstate(divide="ignore"):
        logit = np.log(score) - np.log1p(-score) - shift
    raw = special.expit(logit)
    return metrics.logloss(label, raw), metrics.expected_calibration_error(label, raw)


def before(at: int) -> Callable[[Measurement, StudyResult], float]:
    """Logloss (0) or ECE (1) before correction, mean over seeds."""

    return lambda one, finding: statistics.fmean(_before(at, one, finding))


def _before(at: int, one: Measurement, finding: StudyResult) -> list[float]:
    return [_uncorrected(finding.view, record.identity, correction(one))[at] for record in one.records]


def statements(finding: StudyResult) -> Iterable[Statement]:
    data = finding.measurements[0].records[0].config["data"]
    if data["test_negatives"] == "exposed":
        yield Remark("exposed test")
    for comparisons in finding.pairs.values():
        for series in finding.series:
            own = [one for one in comparisons if one.one.point.series == series]
            if own:  # the reference itself may be all there is of a series
                reference = own[0].other.point
                exposed = reference.factor == "exposed"
                yield against(series, own, "all exposed negatives" if exposed else f"{reference.at:g} {reference.factor}")
    for series, group in finding.series.items():
        yield Calibration(
            series, tuple(Calibrated(one.point.at, before(1)(one, finding), one.row.means["ece"] or 0.0) for one in group)
        )
    yield Remark("odds")


def figures(finding: StudyResult) -> Mapping[str, Figure]:
    metric, where = shown(finding.headline), place(finding)
    cost = {record.device == "cpu" for one in finding.measurements for record in one.records}
    clock = "CPU seconds" if cost == {True} else "seconds"
    return {
        "quality": curves(
            verdicts(finding, "a thinned or sampled training set", "its reference"),
            f"{where}: {metric} by source and rate of training negatives",
            AXIS,
            f"test {metric} (higher is better)",
            _panels(finding, lambda one: mark(finding, one, per_positive(one, finding))),
        ),
        "calibration": curves(
            _corrected(finding),
            f"{where}: calibration by source and rate of training negatives; a description of these runs",
            AXIS,
            "expected calibration error (lower is better)",
            _panels(
                finding,
                lambda one: _seeds(finding, one, [float(test_slices(run)["all"]["ece"] or 0.0) for run in one.records]),
                lambda one: _seeds(finding, one, _before(1, one, finding)),
            ),
            variant=("before correction of the odds", "after it"),
        ),
        "cost": curves(
            f"Training time in {clock}, by negatives per positive",
            f"{where}: training time by source and rate of training negatives; a description of these runs",
            AXIS,
            f"training time ({clock}, lower is better)",
            _panels(finding, lambda one: _seeds(finding, one, [train_seconds([run]) for run in one.records])),
            from_zero=True,
        ),
    }


def _seeds(finding: StudyResult, one: Measurement, values: Sequence[float]) -> Mark:
    """The mean over seeds with each of them: an amount that has no interval."""
    return Mark(per_positive(one, finding), statistics.fmean(values), math.nan, math.nan, tuple(values))


def _corrected(finding: StudyResult) -> str:
    """In how many points the correction of the odds brings every seed nearer to what is observed."""
    moved = [one for one in finding.measurements if correction(one)]
    if not moved:
        return "Calibration error by negatives per positive; no point changes the odds"
    nearer = sum(
        all((test_slices(run)["all"]["ece"] or 0.0) < raw for run, raw in zip(one.records, _before(1, one, finding), strict=True))
        for one in moved
    )
    return f"Correcting the odds lowers the calibration error of every seed at {nearer} of {len(moved)} thinned points"


def _panels(
    finding: StudyResult, after: Callable[[Measurement], Mark], first: Callable[[Measurement], Mark] | None = None
) -> dict[str, list[Line]]:
    """A panel a model, a line a source; and dashed ones of `first`."""
    panels: dict[str, list[Line]] = {}
    for group in finding.series.values():
        lines = panels.setdefault(group[0].point.model, [])
        lines.append(Line(group[0].point.factor, None, tuple(after(one) for one in group)))
        if first is not None:
            lines.append(Line(group[0].point.factor, None, tuple(first(one) for one in group), dashed=True))
    return panels


STUDY = Study(
    name="negatives",
    title="Training negatives",
    question="How many negatives should a ranker train on, where from, and what does that cost and do to its probabilities?",
    axis="rate",
    models={"small": ("din", "hstu"), "full": ("dcnv2", "din", "sasrec", "hstu")},
    points=points,
    pairs=pairs,
    statements=statements,
    figures=figures,
    columns={
        "negatives per positive": per_positive,
        "logloss before correction": before(0),
        "ECE before correction": before(1),
    },
)
