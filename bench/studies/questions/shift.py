"""How fast what was learned gets old: the end of the log window by window, by models that were trained once or again before each.

Retraining brings two things, newer events and more of them. A third way of training tells them apart: again before each window,
on a random part of the events, as many as were there when the model was trained once.

The first window is behind one training alone, whatever comes later: ways of training are compared on the later ones.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from ...analysis.comparison import HeadlineMetric
from ...analysis.statements import Statement
from ...analysis.study_statements import DifferenceAt, Differences, Remark
from ...data.logs import open_dataset
from ...data.negatives import of_domains
from ...data.sources.schema import DataRoots
from ...data.splits import make_split, without_items
from ...data.visibility import requests_of
from ...data.windows import most_windows
from ...errors import UserError
from ...evaluation.cards import shown
from ...evaluation.stats import LEAST_USERS, Estimate, Verdict, compare
from ...reporting.figures import titles
from ...reporting.figures.curves import Line, Mark, curves
from ..figure_data import place
from ..grid import Measurement, PointPair, Study, StudyResult
from ..points import PartOfPoint, Point, Scope, retuned

ONCE, AGAIN, AS_MANY = "trained once", "retrained", "retrained on as many"
MOST = {"small": 3, "full": 8}
"""Windows, at most; where requests are long, fewer."""
CLASSICAL = "din"
"""What other rankers are held against, where it is asked about, however they were trained."""
_DAY_MS = 86_400_000


def points(scope: Scope) -> Iterable[Point]:
    windows = len(scope.train_shares) + 1
    again = [PartOfPoint((f"data.split=window-{at}-of-{windows}",)) for at in range(2, windows + 1)]
    as_many = [
        PartOfPoint((*part.settings, f"data.train_share={share:.6g}"))
        for part, share in zip(again, scope.train_shares, strict=True)
    ]
    for model in scope.models:
        once = Point(model, ONCE, model, (f"data.split=windows-{windows}",), retuned(model, scope.size), ONCE)
        yield once
        for way, parts in ((AGAIN, again), (AS_MANY, as_many)):
            # With the same learning rate, so that a difference is what the events bring.
            own = tuple(dataclasses.replace(part, rate_of=once.label) for part in parts)
            yield Point(model, way, model, factor=way, parts=own)


def prepare(scope: Scope, roots: DataRoots) -> Scope:
    """Raises UserError: the log cannot be asked."""
    if scope.sampled_test:
        raise UserError(
            "study shift needs a test of logged impressions of both labels: negatives that are sampled, because a log has "
            "positives alone or data.test_negatives says so, would be others in each window"
        )
    log, data = open_dataset(scope.dataset, roots), scope.data
    requests = requests_of(log, log.defaults.request_window if data.request_window is None else data.request_window)
    windows = most_windows(log, requests, MOST[scope.size])
    if windows < 2:
        raise UserError("study shift needs a log whose end can be cut into two windows of whole requests or more")

    def learned_from(name: str) -> int:
        split = make_split(log, name, requests)
        if data.held_out_items:
            split = without_items(split, log, requests, data.held_out_items)
        return len(of_domains(log, split.examples("train"), data))

    first = learned_from(f"windows-{windows}") * data.train_share
    # Borders move to whole requests, so that only the splits themselves say how many there are.
    shares = tuple(first / learned_from(f"window-{at}-of-{windows}") for at in range(2, windows + 1))
    return dataclasses.replace(scope, train_shares=shares)


def pairs(points: Sequence[Point]) -> Iterable[tuple[Point, Point]]:
    """Each way of retraining against training once; every other model against the classical one, trained the same way."""
    found = {(point.model, point.factor): point for point in points}
    for point in points:
        if point.factor != ONCE:
            yield point, found[point.model, ONCE]
    for point in points:
        if point.model != CLASSICAL and (CLASSICAL, point.factor) in found:
            yield point, found[CLASSICAL, point.factor]


@dataclass(frozen=True)
class Window:
    """A part of the test rows."""

    at: int
    begin: float
    end: float
    """Days from the beginning of the first window to its first and last rows."""
    mask: np.ndarray
    """bool [test rows]"""

    @property
    def name(self) -> str:
        return f"window {self.at} (day {self.begin:.1f} to {self.end:.1f})"


def windows(finding: StudyResult) -> list[Window]:
    """From the second on, by the runs that judge them alone; those without rows are left out."""
    once, again = (next(one for one in finding.measurements if one.point.factor == way) for way in (ONCE, AGAIN))
    beginning = finding.view.predictions(once.records[0].identity)["time"].min()
    judged = [finding.view.predictions(run.identity) for run in again.records[: len(again.point.parts)]]
    every = pd.concat([rows[["example", "time"]].assign(window=at) for at, rows in enumerate(judged, 2)])
    rows = every.drop_duplicates("example", keep="last").sort_values("example")
    part, day = rows["window"].to_numpy(), (rows["time"].to_numpy() - beginning) / _DAY_MS
    return [Window(int(at), float(day[part == at].min()), float(day[part == at].max()), part == at) for at in np.unique(part)]


@dataclass(frozen=True)
class AtWindow:
    """A comparison on one window alone."""

    window: Window
    users: int
    difference: Estimate
    verdict: Verdict


def by_window(finding: StudyResult, metric: HeadlineMetric, pair: PointPair) -> list[AtWindow]:
    """A comparison window by window, each interval of that window alone; windows of too few users say nothing."""
    found = []
    for window in windows(finding):
        compared = compare(finding.measured.predictions.part(window.mask), metric)
        apart = compared.difference(pair.one.row.label, pair.other.row.label)
        if compared.users >= LEAST_USERS:
            found.append(AtWindow(window, compared.users, apart, finding.measured.verdict(metric, apart)))
    return found


def _own(comparisons: Sequence[PointPair], factor: str) -> list[PointPair]:
    """One way of retraining, against the same model trained once."""
    return [one for one in comparisons if one.one.point.model == one.other.point.model and one.one.point.factor == factor]


def _over_windows(metric: HeadlineMetric, factor: str) -> bool:
    """Whether all windows together say something: pairs of examples from two windows compare scores of models that were trained
    apart, whose levels differ by chance, so that such a metric falls although no ranking that anybody sees got worse."""
    return metric == "request_gauc" or factor == ONCE


def statements(finding: StudyResult) -> Iterable[Statement]:
    for metric, comparisons in finding.pairs.items():
        for factor in (AGAIN, AS_MANY):
            if (own := _own(comparisons, factor)) and _over_windows(metric, factor):
                yield _by_model(factor, own, f"the same model {ONCE}")
        for factor in (ONCE, AGAIN, AS_MANY):
            rivals = [
                one for one in comparisons if one.one.point.model != one.other.point.model and one.one.point.factor == factor
            ]
            if rivals and _over_windows(metric, factor):
                yield _by_model(factor, rivals, CLASSICAL)
        for factor in (AGAIN, AS_MANY):
            for pair in _own(comparisons, factor):
                told = tuple(
                    DifferenceAt(one.window.name, one.difference, one.verdict) for one in by_window(finding, metric, pair)
                )
                if told:
                    yield Differences(f"{pair.one.point.model} {factor}", metric, ONCE, told, False, 1, "window by window")
    yield Remark("windows")


def _by_model(series: str, comparisons: Sequence[PointPair], reference: str) -> Differences:
    made = tuple(DifferenceAt(one.one.point.model, one.difference, one.verdict) for one in comparisons)
    return Differences(series, comparisons[0].metric, reference, made, False, comparisons[0].at_once)


def figures(finding: StudyResult) -> Mapping[str, Figure]:
    return {f"windows-{metric}": _figure(finding, metric) for metric in finding.pairs}


def _figure(finding: StudyResult, metric: HeadlineMetric) -> Figure:
    """Panels by model: what retraining brings to it, window by window."""
    panels: dict[str, list[Line]] = {}
    judged: list[tuple[str, Verdict]] = []
    for factor in (AGAIN, AS_MANY):
        for pair in _own(finding.pairs[metric], factor):
            found = by_window(finding, metric, pair)
            marks = tuple(
                Mark(round(one.window.begin, 1), one.difference.value, one.difference.low, one.difference.high) for one in found
            )
            if marks:
                panels.setdefault(pair.one.point.model, []).append(Line(factor, None, marks))
            if factor == AS_MANY:
                last = found[-1].verdict if found else "not settled"
                judged.append((pair.one.point.model, pair.verdict if _over_windows(metric, factor) else last))
    by = shown(metric) if _over_windows(metric, AS_MANY) else f"{shown(metric)} (last window, single comparisons)"
    about = f"{place(finding)}: difference to the same model {ONCE}, each window by itself"
    if not panels:
        group = finding.series
        panels = {"": [Line(name, of[0].row.family, tuple(_level(metric, one) for one in of)) for name, of in group.items()]}
    title = titles.by_verdict(by, "a model trained on fresher events", "one on older ones", judged, "for", "models")
    axis = "days from the beginning of the first window"
    return curves(title, about, axis, f"difference in {shown(metric)}", panels, log_x=False)


def _level(metric: HeadlineMetric, one: Measurement) -> Mark:
    found = one.row.quality[metric]
    return Mark(one.point.at, found.point, found.low, found.high, one.row.by_seed[metric])


STUDY = Study(
    name="shift",
    title="Shift over time",
    question="How fast does what was learned get old, and what does training again before each window bring, to which ranker?",
    axis="training",
    models={"small": ("din", "hstu"), "full": ("dcnv2", "din", "sasrec", "llama", "hstu")},
    points=points,
    pairs=pairs,
    statements=statements,
    figures=figures,
    prepare=prepare,
    parts_of_test=True,
)
