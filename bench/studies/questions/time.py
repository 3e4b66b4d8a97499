"""What time information is worth to each model: a lead that comes from the clock is no lead of an architecture."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from matplotlib.figure import Figure

from ... import registry
from ...reporting.figures.ladder import ladder
from ..figure_data import place, rung
from ..grid import Study, StudyResult
from ..points import Point, Scope, against, retuned
from ..verdicts import by_series

KINDS = ("none", "history", "request")


def points(scope: Scope) -> Iterable[Point]:
    for model in scope.models:
        for kind in KINDS:
            yield Point(model, kind, model, (f"data.time={kind}",), retuned(model, scope.size))


def pairs(points: Sequence[Point]) -> Iterable[tuple[Point, Point]]:
    """With time information against without."""
    return against(points, lambda point: point.at == "none")


def figures(finding: StudyResult) -> Mapping[str, Figure]:
    groups = {series: [rung(finding, one) for one in group] for series, group in finding.series.items()}
    compared = "a model with time information", "the same model without it"
    return {"differences": ladder(f"{place(finding)}: what time information is worth", finding.headline, compared, groups)}


STUDY = Study(
    name="time",
    title="Time information",
    question="What is it worth to each model to know the gaps between past events, and the time of the request?",
    axis="time",
    models={"small": ("lr", "dcnv2", "din", "sasrec", "llama", "hstu"), "full": tuple(registry.MODELS)},
    points=points,
    pairs=pairs,
    statements=by_series,
    figures=figures,
)
