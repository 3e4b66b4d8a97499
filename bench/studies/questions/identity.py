"""What the user's id brings, and to whom: an input that can decide a comparison of families by itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from matplotlib.figure import Figure

from ...analysis.comparison import HeadlineMetric
from ...analysis.parts import parts
from ...analysis.statements import Pair, Statement
from ...analysis.study_statements import DifferenceAt, Differences, Remark
from ...evaluation.cards import shown
from ...evaluation.slices import PARTS
from ...evaluation.stats import LEAST_USERS, Estimate
from ...reporting.figures.curves import Mark
from ...reporting.figures.ladder import Rung, ladder
from ..figure_data import place, rung
from ..grid import Measurement, PointPair, Study, StudyResult
from ..points import Point, Scope, retuned

SETTINGS = ("none", "embedding")
COMPARED = ("a model with the user's id", "the same model without it")
CLASSICAL = "din"
"""What generative rankers are held against, with and without the id."""

COLUMN = "user_events"
"""What the slices are made by: an id can be learnt only where training has events of the user."""


def points(scope: Scope) -> Iterable[Point]:
    for model in dict.fromkeys((*scope.models, CLASSICAL)):
        for setting in SETTINGS:
            yield Point(model, setting, model, (f"{model}.user_id={setting}",), retuned(model, scope.size), setting)


def pairs(points: Sequence[Point]) -> Iterable[tuple[Point, Point]]:
    """The id against none for each model; every other model against the classical one with the same setting."""
    found = {(point.model, point.factor): point for point in points}
    for point in points:
        if point.factor == "embedding":
            yield point, found[point.model, "none"]
    for point in points:
        if point.model != CLASSICAL:
            yield point, found[CLASSICAL, point.factor]


def _own(comparisons: Sequence[PointPair]) -> list[PointPair]:
    """With the id against without it."""
    return [one for one in comparisons if one.one.point.model == one.other.point.model]


def _families(comparisons: Sequence[PointPair], setting: str) -> list[PointPair]:
    """Against the classical ranker, by one setting."""
    return [one for one in comparisons if one.one.point.model != one.other.point.model and one.one.point.factor == setting]


def statements(finding: StudyResult) -> Iterable[Statement]:
    for metric, comparisons in finding.pairs.items():
        own = _own(comparisons)
        yield _by_model("user_id embedding", own, "the same model without it")
        for setting in SETTINGS:
            rivals = _families(comparisons, setting)
            if rivals:
                yield _by_model(f"user_id {setting}", rivals, CLASSICAL)
            if (best := best_generative(rivals)) is not None:
                labels = best.one.point.label, best.other.point.label
                yield Pair(*labels, metric, best.difference, best.verdict, "post hoc", best.at_once)
    for metric, comparisons in finding.pairs.items():
        yield from _by_slice(finding, metric, "user_id embedding", _own(comparisons), "the same model without it")
        for setting in SETTINGS:
            best = best_generative(_families(comparisons, setting))
            if best is not None:
                yield from _by_slice(finding, metric, f"user_id {setting}", [best], CLASSICAL)
    yield Remark("ids")


def best_generative(rivals: Sequence[PointPair]) -> PointPair | None:
    """The comparison of the generative ranker that is ahead by most."""
    generative = [one for one in rivals if one.one.row.family == "generative"]
    return max(generative, key=lambda one: one.difference.value, default=None)


def _by_model(series: str, comparisons: Sequence[PointPair], reference: str) -> Differences:
    made = tuple(DifferenceAt(one.one.point.model, one.difference, one.verdict) for one in comparisons)
    return Differences(series, comparisons[0].metric, reference, made, False, comparisons[0].at_once)


def _by_slice(
    finding: StudyResult, metric: HeadlineMetric, series: str, comparisons: Sequence[PointPair], reference: str
) -> Iterable[Statement]:
    """The same pairs on each slice, every interval of this slice alone; slices of too few users say nothing."""
    asked = [(one.one.row.label, one.other.row.label) for one in comparisons]
    for part in parts(finding.measured, metric, asked):
        if PARTS[part.name].column == COLUMN and part.users >= LEAST_USERS:
            made = tuple(
                DifferenceAt(one.one.point.model, pair.difference, pair.verdict)
                for one, pair in zip(comparisons, part.pairs, strict=True)
            )
            yield Differences(series, metric, reference, made, False, 1, part.name, part.users)


def figures(finding: StudyResult) -> Mapping[str, Figure]:
    drawn: dict[str, Figure] = {}
    for metric, comparisons in finding.pairs.items():
        groups = {model: [rung(finding, one, metric=metric) for one in group] for model, group in finding.series.items()}
        for model, rungs in groups.items():
            # The first is what the second is compared with; its own difference is to another model.
            groups[model] = [Rung(rungs[0].name, rungs[0].family, rungs[0].level), *rungs[1:]]
        about = f"{place(finding)}: what the user's id brings, by {shown(metric)}"
        drawn[f"models-{metric}"] = ladder(about, metric, COMPARED, groups)
        sliced = _slices(finding, metric, _own(comparisons))
        if sliced:
            about = (
                f"{place(finding)}: what the user's id brings by events of the user in training, each slice by itself, post hoc"
            )
            drawn[f"slices-{metric}"] = ladder(about, metric, COMPARED, sliced)
    return drawn


def _slices(finding: StudyResult, metric: HeadlineMetric, comparisons: Sequence[PointPair]) -> dict[str, list[Rung]]:
    """Caption of a slice -> the models with the id, each with its difference there."""
    asked = [(one.one.row.label, one.other.row.label) for one in comparisons]
    groups = {}
    for part in parts(finding.measured, metric, asked):
        if PARTS[part.name].column == COLUMN and part.users >= LEAST_USERS:
            groups[f"{part.name} (n = {part.n:,})"] = [
                Rung(
                    one.one.point.model, one.one.row.family, _level(one.one, part.values[pair.one]), pair.difference, pair.verdict
                )
                for one, pair in zip(comparisons, part.pairs, strict=True)
            ]
    return groups


def _level(one: Measurement, found: Estimate) -> Mark:
    return Mark(one.point.at, found.value, found.low, found.high)


STUDY = Study(
    name="identity",
    title="The user's id",
    question="What does the user's id bring, and to whom?",
    axis="user_id",
    models={"small": ("din", "hstu"), "full": ("dcnv2", "din", "sasrec", "llama", "hstu")},
    points=points,
    pairs=pairs,
    statements=statements,
    figures=figures,
)
