"""What makes a generative ranker rank within a request: how the candidate meets the past, and what is known of it; beside DIN."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from matplotlib.figure import Figure

from ... import registry
from ...analysis.statements import Statement
from ...analysis.study_statements import Remark
from ...errors import UserError
from ...reporting.figures.ladder import Rung, ladder
from ..figure_data import place, rung
from ..grid import Measurement, PointPair, Study, StudyResult
from ..points import Point, Scope, retuned
from ..verdicts import against

PLAIN = "default"
CLASSICAL = "din"

VARIANTS: Mapping[str, Mapping[str, object]] = {
    PLAIN: {},
    "candidate layout": {"layout": "candidate"},
    "target attention": {"head": "target-attention"},
    "candidate layout and target attention": {"layout": "candidate", "head": "target-attention"},
    "target attention over states that do not know the candidate": {"layout": "late", "head": "target-attention"},
    "head reads the candidate": {"head": "concat-mlp"},
    "product of state and candidate": {"head": "hadamard-mlp"},
    "one attention head": {"heads": 1},
    "four attention heads": {"heads": 4},
}
"""Of a generative ranker, one at a time but for the third, which says whether two of them add up."""

ITEM_FIELDS: Mapping[str, Mapping[str, object]] = {
    "items by their id alone": {"item_fields": "none"},
    "item fields summed": {"item_fields": "sum"},
}
"""The same, where items have features."""

CLASSICAL_ITEM_FIELDS = {
    "items by their id alone": "data.side_information=users",
    "item fields summed": f"{CLASSICAL}.item_fields=sum",
}
"""So that it shows whether the classical ranker lives on them."""


def points(scope: Scope) -> Iterable[Point]:
    """Raises UserError: a model is no generative ranker."""
    featured = "item" in scope.offers.features
    yield _point(CLASSICAL, PLAIN, (), scope)
    for name, setting in CLASSICAL_ITEM_FIELDS.items() if featured else ():
        yield _point(CLASSICAL, name, (setting,), scope)
    for model in scope.models:
        config = registry.info(model).config
        if registry.MODELS[model].family != "generative":
            raise UserError(
                f"study within-request is about generative rankers, and {model} is none; {CLASSICAL} runs beside them by itself"
            )
        for name, changes in {**VARIANTS, **(ITEM_FIELDS if featured else {})}.items():
            try:
                same = config(**changes) == config()
            except ValueError:  # a width that does not divide among so many heads
                continue
            if not changes or not same:
                yield _point(model, name, tuple(f"{model}.{key}={value}" for key, value in changes.items()), scope)


def _point(model: str, at: str, settings: tuple[str, ...], scope: Scope) -> Point:
    return Point(model, at, model, settings, retuned(model, scope.size))


def pairs(points: Sequence[Point]) -> Iterable[tuple[Point, Point]]:
    """Every variant against its model by default; every generative one against the classical ranker by default."""
    plain = {point.model: point for point in points if point.at == PLAIN}
    yield from ((point, plain[point.model]) for point in points if point.at != PLAIN)
    yield from ((point, plain[CLASSICAL]) for point in points if point.model != CLASSICAL)


def _own(comparisons: Sequence[PointPair], series: str) -> list[PointPair]:
    return [one for one in comparisons if one.one.point.series == one.other.point.series == series]


def _to_classical(comparisons: Sequence[PointPair], series: str) -> list[PointPair]:
    return [one for one in comparisons if one.one.point.series == series != one.other.point.series]


def statements(finding: StudyResult) -> Iterable[Statement]:
    for comparisons in finding.pairs.values():
        for series in finding.series:
            for own, reference in ((_own(comparisons, series), PLAIN), (_to_classical(comparisons, series), CLASSICAL)):
                if own:
                    yield against(series, own, reference)
    yield Remark("within request")


def figures(finding: StudyResult) -> Mapping[str, Figure]:
    classical = next(one for one in finding.measurements if (one.point.model, one.point.at) == (CLASSICAL, PLAIN))
    level = {CLASSICAL: classical.row.quality[finding.headline].point}
    own = {
        series: [_bare(finding, one) if one.point.at == PLAIN else rung(finding, one) for one in group]
        for series, group in finding.series.items()
        if len(group) > 1
    }
    rivals = {
        series: [_against_classical(finding, one) for one in group]
        for series, group in finding.series.items()
        if series != CLASSICAL
    }
    where = place(finding)
    drawn: dict[str, Figure] = {}
    if own:
        about = f"{where}: how the candidate meets the past, and what is known of it, one change at a time"
        drawn["variants"] = ladder(about, finding.headline, ("a variant", "its default"), own, level)
    if rivals:
        about = f"{where}: variants of generative rankers held against {CLASSICAL}"
        drawn[f"against-{CLASSICAL}"] = ladder(about, finding.headline, ("a variant", CLASSICAL), rivals, level)
    return drawn


def _bare(finding: StudyResult, one: Measurement) -> Rung:
    """What the others are compared with; its own difference is to another model."""
    row = rung(finding, one)
    return Rung(row.name, row.family, row.level)


def _against_classical(finding: StudyResult, one: Measurement) -> Rung:
    row = _bare(finding, one)
    pair = next(pair for pair in finding.comparisons if pair.one is one and pair.other.point.model == CLASSICAL)
    return Rung(row.name, row.family, row.level, pair.difference, pair.verdict)


STUDY = Study(
    name="within-request",
    title="Ranking within a request",
    question="What makes a generative ranker rank within a request as DIN does, or better?",
    axis="variant",
    models={"small": ("hstu",), "full": ("sasrec", "llama", "hstu")},
    points=points,
    pairs=pairs,
    statements=statements,
    figures=figures,
)
