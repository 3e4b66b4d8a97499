"""What features of items and users bring beside ids: left out, added to the id's vector, or side by side; with what they cost."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence

from matplotlib.figure import Figure

from ... import registry
from ...analysis.statements import Statement
from ...analysis.study_statements import Remark
from ...errors import UserError
from ...reporting.figures.gain import Gain, gains
from ..figure_data import place
from ..grid import Measurement, Study, StudyResult
from ..points import Point, Scope, against, retuned
from ..verdicts import by_series

NONE = "none"
FLOOR = "lr"
"""Reads features of the example, and no history."""

SIDES = {"item": "items", "user": "users"}
"""Whose features -> what data.side_information calls them."""


def points(scope: Scope) -> Iterable[Point]:
    """Raises UserError: the log has no features."""
    owners = scope.offers.features
    if not owners:
        raise UserError("study side-information needs a data set with features of items or users (`rankbench data describe`)")
    asked = {SIDES[owner]: (owner,) for owner in owners} | ({"items and users": owners} if len(owners) > 1 else {})
    for model in dict.fromkeys((FLOOR, *scope.models)):
        joined = {field.name for field in dataclasses.fields(registry.info(model).config)}
        yield _point(model, NONE, ("data.side_information=none",), scope)
        for name, sides in asked.items():
            chosen = () if sides == owners else (f"data.side_information={SIDES[sides[0]]}",)
            summed = tuple(f"{model}.{side}_fields=sum" for side in sides if f"{side}_fields" in joined)
            if len(summed) == len(sides):
                yield _point(model, f"{name}, summed", (*chosen, *summed), scope)
            yield _point(model, f"{name}, side by side" if summed else name, chosen, scope)


def _point(model: str, at: str, settings: tuple[str, ...], scope: Scope) -> Point:
    return Point(model, at, model, settings, retuned(model, scope.size))


def pairs(points: Sequence[Point]) -> Iterable[tuple[Point, Point]]:
    """All against none."""
    return against(points, lambda point: point.at == NONE)


def statements(finding: StudyResult) -> Iterable[Statement]:
    yield from by_series(finding)
    yield Remark("side information")


def ratio(one: Measurement, finding: StudyResult, amount: str) -> float:
    """An amount of a row over that of the same model without features."""
    bare = next(other for other in finding.series[one.point.series] if other.point.at == NONE)
    return _amount(one, amount) / max(_amount(bare, amount), 1e-12)


def _amount(one: Measurement, name: str) -> float:
    row = one.row
    if name == "parameters":
        return row.parameters_embedding + row.parameters_dense
    return row.train_seconds if name == "training time" else row.flops_per_example


COSTS = ("parameters", "FLOPs", "training time")


def figures(finding: StudyResult) -> Mapping[str, Figure]:
    found = {pair.one.point.label: pair for pair in finding.comparisons}
    groups = {
        model: [
            Gain(
                str(one.point.at),
                one.row.family,
                found[one.point.label].difference,
                found[one.point.label].verdict,
                {name: ratio(one, finding, name) for name in COSTS if _amount(one, name)},
            )
            for one in group
            if one.point.label in found
        ]
        for model, group in finding.series.items()
    }
    about = (
        f"{place(finding)}: what features of items and users bring and cost; costs are those of one training by the same model "
        "without features, and describe these runs"
    )
    return {
        "gain": gains(about, finding.headline, ("a model with side information", "the same without"), groups, "without features")
    }


STUDY = Study(
    name="side-information",
    title="Side information",
    question="What do features of items and users bring beside ids, how should they be joined, and what do they cost?",
    axis="features",
    models={"small": ("din", "hstu"), "full": ("dcnv2", "din", "sasrec", "llama", "hstu")},
    points=points,
    pairs=pairs,
    statements=statements,
    figures=figures,
    columns={f"{name} / none": lambda one, finding, name=name: ratio(one, finding, name) for name in COSTS},
)
