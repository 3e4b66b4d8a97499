"""Which scoring network reads a backbone's states best, where the state knows the candidate and where it does not (late)."""

from __future__ import annotations

import typing
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from matplotlib.figure import Figure

from ... import registry
from ...analysis.statements import Statement
from ...errors import UserError
from ...reporting.figures.ladder import Rung, ladder
from ..figure_data import place, rung
from ..grid import Measurement, Study, StudyResult
from ..points import Point, Scope, retuned
from ..verdicts import against

LAYOUTS = ("interleaved", "late")
REFERENCE = "mlp"
CLASSICAL = "din"
"""What the whole is held against."""


def points(scope: Scope) -> Iterable[Point]:
    yield Point(CLASSICAL, CLASSICAL, CLASSICAL, (), retuned(CLASSICAL, scope.size))
    for model in scope.models:
        config = registry.info(model).config
        if registry.MODELS[model].family != "generative":
            raise UserError(
                f"study heads is about generative rankers, and {model} is none; {CLASSICAL} runs beside them by itself"
            )
        for layout in LAYOUTS:
            for head in typing.get_args(typing.get_type_hints(config)["head"]):
                try:
                    config(layout=layout, head=head)
                except ValueError:  # a late state does not know the candidate: its head must
                    continue
                settings = (f"{model}.layout={layout}", f"{model}.head={head}")
                yield Point(f"{model}, {layout}", head, model, settings, retuned(model, scope.size))


def pairs(points: Sequence[Point]) -> Iterable[tuple[Point, Point]]:
    """Every head against the interleaved MLP of its backbone, and that against the classical ranker."""
    reference = {point.model: point for point in points if point.at == REFERENCE}
    classical = next(point for point in points if point.model == CLASSICAL)
    for point in points:
        if point is not classical:
            yield point, classical if point is reference[point.model] else reference[point.model]


def statements(finding: StudyResult) -> Iterable[Statement]:
    for comparisons in finding.pairs.values():
        for series in finding.series:
            own = [one for one in comparisons if one.one.point.series == series and one.other.point.model != CLASSICAL]
            if own:
                yield against(series, own, f"an {REFERENCE} head over interleaved tokens")
        for one in comparisons:
            if one.other.point.model == CLASSICAL:
                yield against(f"{one.one.point.model} with head {REFERENCE}", [one], CLASSICAL)


def figures(finding: StudyResult) -> Mapping[str, Figure]:
    classical = finding.measurements[0]
    level = classical.row.quality[finding.headline].point
    result = {}
    for model in dict.fromkeys(one.point.model for one in finding.measurements[1:]):
        groups = {
            series: [_rung(finding, one) for one in group]
            for series, group in finding.series.items()
            if group[0].point.model == model
        }
        about = f"{place(finding)}: scoring networks of {model}"
        compared = f"another head of {model}", f"head {REFERENCE}, interleaved"
        result[model] = ladder(about, finding.headline, compared, groups, {CLASSICAL: level})
    return result


def _rung(finding: StudyResult, one: Measurement) -> Rung:
    """Without the reference's own difference, which is to the classical ranker."""
    row = rung(finding, one)
    return replace(row, difference=None, verdict=None) if one.point.at == REFERENCE else row


STUDY = Study(
    name="heads",
    title="Scoring networks",
    question="Which scoring network reads a generative ranker's states best, and must the state know the candidate?",
    axis="head",
    models={"small": ("hstu",), "full": ("sasrec", "llama", "hstu")},
    points=points,
    pairs=pairs,
    statements=statements,
    figures=figures,
)
