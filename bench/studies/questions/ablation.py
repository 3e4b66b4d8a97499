"""What HSTU's parts are worth: each switched alone, and SASRec turned into HSTU step by step."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from matplotlib.figure import Figure

from ...analysis.statements import Statement
from ...errors import UserError
from ...reporting.figures.ladder import ladder
from ..figure_data import place, rung
from ..grid import Study, StudyResult
from ..points import Point, Scope, retuned
from ..verdicts import against

SIZES = {"small": ((64, 2),), "full": ((64, 2), (128, 4))}
"""Width and layers."""

DEFAULT = "default"

SWITCHES: dict[str, tuple[str, ...]] = {
    DEFAULT: (),
    "no relative bias": ("relative_bias=none",),
    "position bias alone": ("relative_bias=position",),
    "time bias alone": ("relative_bias=time",),
    "rotary positions too": ("rope=true",),
    "ALiBi too": ("alibi=true",),
    "softmax instead of SiLU": ("attention=softmax",),
    "divided by the tokens seen": ("divisor=own",),
    "no gate": ("gate=false",),
    "normalised residual": ("residual=normalised",),
    "tokens times sqrt(D)": ("token_start=scaled",),
    "own gap to the latest event": ("own_time=recency",),
    "past actions unknown": ("actions=false",),
    "side information and context unknown": ("user_context=false",),
    "items by their id alone": ("item_fields=none",),
    "item fields summed": ("item_fields=sum",),
}
"""Of HSTU, one at a time."""

STEPS: dict[str, tuple[str, ...]] = {
    "SASRec's block as published": (),
    "clean residual stream": ("residual=clean",),
    "relative position bias instead of position vectors": ("absolute_position=false", "relative_bias=position"),
    "time bias": ("relative_bias=both",),
    "SiLU instead of softmax": ("attention=silu",),
    "gate": ("gate=true",),
    "two heads": ("heads=2",),
}
"""Of SASRec, each on top of those before; where they end, HSTU's layer differs by its lack of a feed-forward block and by
SiLU on what attention reads."""

LAST = "HSTU's layer: no feed-forward block"


def points(scope: Scope) -> Iterable[Point]:
    for model in scope.models:
        if model not in ("hstu", "sasrec"):
            raise UserError(f"study ablation switches hstu, and turns sasrec into it; it has no switches for {model}")
    for width, layers in SIZES[scope.size]:
        size = (f"width={width}", f"layers={layers}")
        if "hstu" in scope.models:
            for name, changes in SWITCHES.items():
                yield _point(f"hstu {width} x {layers}", name, "hstu", (*size, *changes), scope, "switch")
        if "sasrec" in scope.models:
            series, taken = f"sasrec to hstu {width} x {layers}", size
            for name, changes in STEPS.items():
                taken = (*taken, *changes)
                yield _point(series, name, "sasrec", taken, scope, "step")
            yield _point(series, LAST, "hstu", size, scope, "step")


def _point(series: str, name: str, model: str, changes: Iterable[str], scope: Scope, factor: str) -> Point:
    return Point(series, name, model, tuple(f"{model}.{change}" for change in changes), retuned(model, scope.size), factor)


def pairs(points: Sequence[Point]) -> Iterable[tuple[Point, Point]]:
    """A switch against HSTU's default; a step against the one before."""
    before: dict[str, Point] = {}
    for point in points:
        if point.series in before:
            yield point, before[point.series]
        if point.factor == "step" or point.at == DEFAULT:
            before[point.series] = point


def statements(finding: StudyResult) -> Iterable[Statement]:
    for comparisons in finding.pairs.values():
        for series, group in finding.series.items():
            own = [one for one in comparisons if one.one.point.series == series]
            yield against(series, own, steps=group[0].point.factor == "step")


def figures(finding: StudyResult) -> Mapping[str, Figure]:
    where, result = place(finding), {}
    groups = {name: [rung(finding, one) for one in group] for name, group in finding.series.items()}
    switched, steps = (
        {name: groups[name] for name, group in finding.series.items() if group[0].point.factor == factor}
        for factor in ("switch", "step")
    )
    if switched:
        about = f"{where}: HSTU, one switch at a time"
        result["switches"] = ladder(about, finding.headline, ("a switched HSTU", "HSTU's default"), switched)
    if steps:
        about = f"{where}: from SASRec to HSTU, each step on top of those before"
        result["ladder"] = ladder(about, finding.headline, ("a step", "the step before"), steps, joined=True)
    return result


STUDY = Study(
    name="ablation",
    title="Parts of HSTU",
    question="Which of HSTU's parts make the difference, alone and on the way from SASRec?",
    axis="variant",
    models={"small": ("sasrec", "hstu"), "full": ("sasrec", "hstu")},
    points=points,
    pairs=pairs,
    statements=statements,
    figures=figures,
)
