"""What behaviours besides the one that is predicted bring: seen in histories, told apart there or not, and as further labels."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence

from matplotlib.figure import Figure

from ... import registry
from ...analysis.statements import Statement
from ...analysis.study_statements import Remark
from ...contract import ModelInfo
from ...data.pools import MAIN_LABEL
from ...errors import UserError
from ...evaluation.cards import shown
from ...reporting.figures.ladder import ladder
from ..figure_data import levels, place, rung
from ..grid import Study, StudyResult
from ..points import Point, Scope, retuned
from ..verdicts import by_series

MULTI_TASK = "mmoe"
"""The classical ranker that is made for several labels, and the head of generative ones."""
FLOOR = "lr"

ALL, UNTOLD, BY_LABEL, TARGET = "all, told apart", "all, not told apart", "all, told by the label alone", "the target alone"
ONE, SEVERAL = "one label", "several labels"
ONE_MIXED, SEVERAL_MIXED = "one label, mixture of experts", "several labels, mixture of experts"

SHOWN = {"small": 3, "full": 20}
"""Further behaviours that are added to the target's history one at a time, the most frequent first."""
RARE = 0.002
"""Share of positives below which a further label is left out of histories, or of what is taught."""

COMPARED = {"history": ("another history", "all behaviours, told apart"), "labels": ("a model of several labels", "one label")}


def points(scope: Scope) -> Iterable[Point]:
    """Raises UserError: none of the models reads histories."""
    models = [model for model in scope.models if registry.MODELS[model].family != "floor"]
    if not models:
        raise UserError(f"study behaviours is about histories, and {', '.join(scope.models)} reads none: name others")
    seen = [label.name for label in scope.offers.labels if label.of_events >= RARE]
    taught = [label.name for label in scope.offers.labels if label.of_examples >= RARE]
    yield Point(FLOOR, FLOOR, FLOOR)
    for model in models:
        yield from _histories(model, seen, scope)
    if taught and not scope.positive_only:
        for model in dict.fromkeys((*models, MULTI_TASK)):
            if registry.info(model).fit == "gradient":
                yield from _labels(model, taught, scope)


def _histories(model: str, labels: list[str], scope: Scope) -> Iterable[Point]:
    variants: dict[str, tuple[str, ...]] = {ALL: ()}
    if scope.offers.label_tells_apart:
        variants[BY_LABEL] = ("data.outcomes=label",)
    variants[UNTOLD] = ("data.outcomes=none",)
    if scope.offers.label_tells_apart:
        variants[TARGET] = (f"data.behaviours=[{MAIN_LABEL}]",)
        for name in labels[: SHOWN[scope.size]]:
            variants[f"the target and {name}"] = (f"data.behaviours=[{MAIN_LABEL}, {name}]",)
    for at, settings in variants.items():
        yield Point(f"{model}, history", at, model, settings, retuned(model, scope.size), "history")


def _labels(model: str, labels: list[str], scope: Scope) -> Iterable[Point]:
    several = f"data.labels=[{', '.join(labels)}]"
    variants: dict[str, tuple[str, ...]] = {ONE: (), SEVERAL: (several,)}
    if has_mixture_head(registry.info(model)):
        variants |= {ONE_MIXED: (f"{model}.head={MULTI_TASK}",), SEVERAL_MIXED: (several, f"{model}.head={MULTI_TASK}")}
    for at, settings in variants.items():
        yield Point(f"{model}, labels", at, model, settings, retuned(model, scope.size), "labels")


def has_mixture_head(info: ModelInfo) -> bool:
    """Whether a setting of the model gives it a mixture of experts with a gate for each label."""
    return info.family == "generative" and any(field.name == "head" for field in dataclasses.fields(info.config))


REFERENCE = {TARGET: ALL, UNTOLD: ALL, BY_LABEL: ALL, SEVERAL: ONE, SEVERAL_MIXED: ONE_MIXED, ONE_MIXED: ONE}


def pairs(points: Sequence[Point]) -> Iterable[tuple[Point, Point]]:
    """Histories against all behaviours, told apart; a behaviour that joins the target's against the target alone; several labels
    against one, by the same network."""
    found = {(point.series, point.at): point for point in points}
    for point in points:
        reference = REFERENCE.get(str(point.at), TARGET if point.factor == "history" and point.at != ALL else "")
        if reference:
            yield point, found[point.series, reference]


def statements(finding: StudyResult) -> Iterable[Statement]:
    yield from by_series_and_reference(finding)
    yield Remark("behaviours")


def by_series_and_reference(finding: StudyResult) -> Iterable[Statement]:
    """`by_series` for each reference that a series has."""
    references = dict.fromkeys(pair.other.point.label for pair in finding.comparisons)
    for label in references:
        kept = {
            metric: tuple(pair for pair in comparisons if pair.other.point.label == label)
            for metric, comparisons in finding.pairs.items()
        }
        yield from by_series(dataclasses.replace(finding, pairs=kept))


def figures(finding: StudyResult) -> Mapping[str, Figure]:
    drawn: dict[str, Figure] = {}
    floor = levels(finding, FLOOR)
    about = {
        "history": "what past behaviours bring; a behaviour that joins the target's is compared with the target alone",
        "labels": "one label or several; with a mixture of experts, several are compared with one label of the same network",
    }
    for factor, text in about.items():
        groups = {
            name: [rung(finding, one) for one in group]
            for name, group in finding.series.items()
            if group[0].point.factor == factor
        }
        if groups:
            drawn[factor] = ladder(
                f"{place(finding)}: {text}, by {shown(finding.headline)}", finding.headline, COMPARED[factor], groups, floor
            )
    return drawn


STUDY = Study(
    name="behaviours",
    title="Several behaviours",
    question="What do behaviours besides the predicted one bring, in histories and as labels, and must they be told apart?",
    axis="variant",
    models={"small": ("din", "hstu"), "full": ("dcnv2", "din", "sasrec", "llama", "hstu")},
    points=points,
    pairs=pairs,
    statements=statements,
    figures=figures,
)
