"""Which loss ranks best within a request, and what it costs in calibration."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from matplotlib.figure import Figure

from ... import registry
from ...analysis.statements import Statement
from ...analysis.study_statements import Probabilities, ProbabilitiesAt, Remark
from ...config import RANKING_LOSSES, resolve
from ...errors import UserError
from ...evaluation.cards import shown
from ...reporting.figures.gain import Gain, gains
from ..figure_data import place
from ..grid import Measurement, Study, StudyResult
from ..points import Point, Scope, against, retuned
from ..verdicts import by_series

REFERENCE = "bce"
"""From batches of whole requests, as every loss within them has."""
BY_EXAMPLES = "bce, batches of examples"
LOSSES = ("pairwise", "listwise", "joint", "jrc")


def points(scope: Scope) -> Iterable[Point]:
    """Raises UserError: a model has no gradients."""
    for model in scope.models:
        info = registry.info(model)
        if info.fit != "gradient":
            raise UserError(f"study losses is about what gradients descend, and {model} learns by counting")
        bce = f"{model}.train.loss=bce"
        if info.ignores("batches", resolve(info, scope.settings).data.supervision):
            yield _point(model, REFERENCE, (bce,), scope)
        else:
            yield _point(model, BY_EXAMPLES, (bce,), scope)
            yield _point(model, REFERENCE, (bce, f"{model}.train.batches=requests"), scope)
        for loss in LOSSES:
            yield _point(model, loss, (f"{model}.train.loss={loss}",), scope)


def _point(model: str, at: str, settings: tuple[str, ...], scope: Scope) -> Point:
    return Point(model, at, model, settings, retuned(model, scope.size))


def pairs(points: Sequence[Point]) -> Iterable[tuple[Point, Point]]:
    """Every loss, and other batches, against bce from whole requests."""
    return against(points, lambda point: point.at == REFERENCE)


def asks_for_probabilities(one: Measurement) -> bool:
    return one.point.at not in RANKING_LOSSES


def statements(finding: StudyResult) -> Iterable[Statement]:
    yield from by_series(finding)
    for series, group in finding.series.items():
        said = tuple(
            ProbabilitiesAt(one.point.at, one.row.quality["logloss"].point, _mean(one, "ece"), asks_for_probabilities(one))
            for one in group
        )
        yield Probabilities(series, said)
    yield Remark("losses")


def figures(finding: StudyResult) -> Mapping[str, Figure]:
    drawn: dict[str, Figure] = {}
    for metric, comparisons in finding.pairs.items():
        found = {pair.one.point.label: pair for pair in comparisons}
        groups = {
            model: [
                Gain(
                    str(one.point.at),
                    one.row.family,
                    found[one.point.label].difference,
                    found[one.point.label].verdict,
                    _costs(one, next(other for other in group if other.point.at == REFERENCE)),
                )
                for one in group
                if one.point.label in found
            ]
            for model, group in finding.series.items()
        }
        levels = ", and AUC compares levels of users that they do not set" if metric == "auc" else ""
        about = (
            f"{place(finding)}: losses of training by {shown(metric)}. Scores of pairwise and listwise are not asked to be "
            f"probabilities: logloss and ECE say how far they are from it{levels}. Costs describe these runs"
        )
        compared = "another loss (or batches of examples)", "bce from batches of whole requests"
        drawn[metric] = gains(about, metric, compared, groups, "of bce")
    return drawn


def _mean(one: Measurement, name: str) -> float:
    """Over seeds; every test has both labels, so that these metrics exist."""
    found = one.row.means[name]
    assert found is not None
    return found


def _costs(one: Measurement, reference: Measurement) -> Mapping[str, float]:
    """As multiples of the reference's; times where they may be compared."""
    costs = {
        "logloss": (one.row.quality["logloss"].point, reference.row.quality["logloss"].point),
        "ECE": (_mean(one, "ece"), _mean(reference, "ece")),
    }
    if one.row.comparable and reference.row.comparable:
        costs["training time"] = one.row.train_seconds, reference.row.train_seconds
    return {name: own / other for name, (own, other) in costs.items() if other}


STUDY = Study(
    name="losses",
    title="Losses",
    question="Which loss ranks best within a request, and what does it cost in calibration?",
    axis="loss",
    models={"small": ("din", "hstu"), "full": ("lr", "dcnv2", "din", "sasrec", "llama", "hstu")},
    points=points,
    pairs=pairs,
    statements=statements,
    figures=figures,
    columns={
        "NE": lambda one, finding: _mean(one, "ne"),
        "ECE floor": lambda one, finding: _mean(one, "ece_floor"),
        "asks for probabilities": lambda one, finding: "yes" if asks_for_probabilities(one) else "no",
    },
)
