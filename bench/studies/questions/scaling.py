"""What more depth, width, embedding size and training data bring, and by which law; the fits are in evaluation/scaling.py.

Every size has its own learning rate, chosen by validation in the same way: one rate for all sizes is right for one of them, and
the curve through the others would show how wrong it is for them.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from matplotlib.figure import Figure

from ... import registry
from ...analysis.comparison import HeadlineMetric
from ...analysis.statements import Statement
from ...analysis.study_statements import AtEqualFlops, FewUsers, HeldOutSize, Loss, NoMatch, Otherwise, Remark, Trend, Turn
from ...errors import UserError
from ...evaluation.cards import shown
from ...evaluation.scaling import CLOSE, Fit, Means, Scaling, means, study
from ...evaluation.stats import LEAST_USERS, Estimate, Metric
from ...reporting.figures.curves import curves
from ...reporting.figures.scaling import Band, Curve, Panel, fits
from .. import samples
from ..figure_data import place
from ..grid import Measurement, Study, StudyResult
from ..points import Point, Scope, Size, as_many_steps, rates
from ..verdicts import against, by_series

Grows = Literal["depth", "width", "embedding", "data"]

DEPTHS: dict[Size, tuple[int, ...]] = {"small": (1, 2, 4), "full": (1, 2, 4, 8, 16, 32)}
"""Layers of a sequence model."""
HIDDEN_LAYERS: dict[Size, tuple[int, ...]] = {"small": (1, 2, 4), "full": (1, 2, 3, 4, 6, 8)}
"""Of an MLP."""
FACTORS: dict[Size, tuple[float, ...]] = {"small": (0.5, 1, 2), "full": (0.125, 0.25, 0.5, 1, 2, 4)}
"""Of the default width; dense parameters grow with about its square."""
EMBEDDINGS: dict[Size, tuple[int, ...]] = {"small": (8, 16, 32), "full": (4, 8, 16, 32, 64, 128)}
SHARES: dict[Size, tuple[float, ...]] = {"small": (0.25, 0.5, 1.0), "full": (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)}
"""Of the training examples."""

NEAR = 1.1
"""Ratio of training FLOPs up to which two points count as equally expensive."""
LEAST_SPAN = 1.5
"""Largest over smallest size, below which a curve over an axis says nothing."""


def points(scope: Scope) -> Iterable[Point]:
    for model in scope.models:
        for grows, sizes in _sizes(model, registry.info(model).config(), scope.size).items():
            for at, setting in sizes.items():
                longer = as_many_steps(model, scope, at) if grows == "data" else ()
                yield Point(f"{model} {grows}", at, model, (setting, *longer), rates(model), grows)


def _sizes(model: str, usual: Any, size: Size) -> dict[Grows, dict[float, str]]:
    """What grows -> place along the axis -> setting."""
    fields = {field.name for field in dataclasses.fields(usual)}
    depth: dict[float, str]
    width: dict[float, str]
    if {"layers", "width"} <= fields:
        depth = {layers: f"{model}.layers={layers}" for layers in DEPTHS[size]}
        widths = [round(factor * usual.width) for factor in FACTORS[size]]
        width = {width: f"{model}.width={width}" for width in widths}
    elif "hidden" in fields:
        first, last = usual.hidden[0], usual.hidden[-1]
        depth = {layers: f"{model}.hidden={[first] * (layers - 1) + [last]}" for layers in HIDDEN_LAYERS[size]}
        mlps = [[round(factor * units) for units in usual.hidden] for factor in FACTORS[size]]
        width = {mlp[0]: f"{model}.hidden={mlp}" for mlp in mlps}
    else:
        raise UserError(f"{model} has neither layers of a width nor an MLP to grow: rankbench study scaling is about those")
    embedding: dict[float, str] = {dim: f"{model}.embedding_dim={dim}" for dim in EMBEDDINGS[size]}
    data: dict[float, str] = {share: f"data.train_share={share}" for share in SHARES[size]}
    return {"depth": depth, "width": width, "embedding": embedding if "embedding_dim" in fields else {}, "data": data}


def pairs(points: Sequence[Point]) -> Iterable[tuple[Point, Point]]:
    """The largest of each series against the smallest."""
    for _, group in itertools.groupby(points, key=lambda point: point.series):
        first, *_, last = group
        yield last, first


def training_examples(one: Measurement) -> float:
    """Seen in training, all epochs, mean over seeds."""
    costs = [record.cost for record in one.records if record.cost is not None]
    return statistics.fmean(cost.examples_per_second * cost.train_seconds for cost in costs)


def training_flops(one: Measurement) -> float:
    """Of all steps, mean over seeds: a backward pass costs about twice a forward pass."""
    return 3 * one.row.flops_per_example * training_examples(one)


@dataclass(frozen=True)
class Grown:
    """What a loss is drawn and fitted over."""

    name: str
    value: Callable[[Measurement], float]
    label: str


SIZE: Mapping[str, Grown] = {
    "depth": Grown("size", lambda one: one.row.parameters_dense, "parameters without embeddings"),
    "width": Grown("size", lambda one: one.row.parameters_dense, "parameters without embeddings"),
    "embedding": Grown("size", lambda one: one.row.parameters_embedding, "parameters of embeddings"),
    "data": Grown("size", lambda one: one.records[0].data.examples["train"], "training examples"),
}
"""What grows -> the axis that it grows along."""

COSTS = (
    Grown("flops", training_flops, "FLOPs of training"),
    Grown("seconds", lambda one: one.row.train_seconds, "seconds of training"),
)


@dataclass(frozen=True)
class MeasuredLaw:
    """A loss, smaller is better."""

    name: Loss
    metric: Metric
    means: Means
    """By label of a point."""
    users: int
    """That it depends on."""

    @property
    def shown(self) -> str:
        """As figures name it."""
        return self.metric if self.metric == "logloss" else f"1 - {shown(self.metric)}"


def losses(finding: StudyResult) -> list[MeasuredLaw]:
    """Logloss, and what the headline metric leaves to 1."""
    of_headline: Loss = "1 - auc" if finding.headline == "auc" else "1 - request_gauc"
    named: tuple[tuple[Loss, Metric], ...] = (("logloss", "logloss"), (of_headline, finding.headline))
    return [
        MeasuredLaw(name, metric, means(comparison), comparison.users)
        for name, metric in named
        for comparison in (finding.measured.comparisons[metric],)
    ]


def scaling(group: Sequence[Measurement], loss: MeasuredLaw, axis: Grown) -> Scaling | None:
    """Of a series along an axis; None if it hardly moves along it."""
    x = [float(axis.value(one)) for one in group]
    if min(x) <= 0 or max(x) / min(x) < LEAST_SPAN:
        return None
    return study(x, loss.means.part([one.row.label for one in group]))


def statements(finding: StudyResult) -> Iterable[Statement]:
    every = losses(finding)
    if every[0].users < LEAST_USERS:
        yield FewUsers(LEAST_USERS)
        return
    for series, group in finding.series.items():
        axis = SIZE[group[0].point.factor]
        yield trend(series, every[0].name, axis.label, scaling(group, every[0], axis))
        others = [pair for pair in itertools.product(every, (axis, *COSTS)) if pair != (every[0], axis)]
        yield Otherwise(
            series, tuple(trend(series, loss.name, other.label, scaling(group, loss, other)) for loss, other in others)
        )
    yield from by_series(finding)
    for metric in finding.pairs:
        yield from _at_equal_data(finding, metric)
        yield from _at_equal_flops(finding, metric)
    yield from samples.crossovers(finding, _by_share(finding))
    yield Remark("training flops")


def trend(series: str, loss: Loss, axis: str, found: Scaling | None) -> Trend:
    """What a fit shows of one series along an axis; None: it hardly moves along it."""
    if found is None:
        return Trend(series, loss, axis, "still", "", math.nan, math.nan, None, "constant", (), None, None, (), None)
    best = found.fits[found.shape] if found.outcome == "law" else None
    rivals = [fit.shape for fit in found.fits.values() if best and fit is not best and fit.aicc <= best.aicc + CLOSE]
    held = found.held_out
    return Trend(
        series=series,
        loss=loss,
        axis=axis,
        outcome=found.outcome,
        reason=found.reason,
        first=float(found.x[0]),
        last=float(found.x[-1]),
        slope=found.slope,
        shape=found.shape,
        parameters=best.parameters if best else (),
        exponent=found.exponent if best and found.shape == "power law" else None,
        turn=_turn(best, found.x) if best and found.shape == "parabola" else None,
        rivals=tuple(rivals),
        held_out=HeldOutSize(held.predicted, held.observed, held.error) if held is not None else None,
    )


def _turn(fit: Fit, x: np.ndarray) -> Turn:
    """Where a parabola over sizes x turns."""
    _, b, c = (one.value for one in fit.parameters)
    ends = np.quantile(-fit.drawn[:, 1] / (2 * fit.drawn[:, 2]), [0.025, 0.975])
    at, low, high = np.exp(np.clip([-b / (2 * c), *ends], -100, 100)).tolist()
    return Turn(c > 0, Estimate(at, low, high), bool(x[0] < at < x[-1]))


def _at_equal_data(finding: StudyResult, metric: HeadlineMetric) -> Iterable[Statement]:
    """Every ranker of another family against the first classical one, on each share of the training examples that both have."""
    for model, pairs in _on_equal_data(finding).items():
        compared = finding.compare(metric, [(other, classical) for _, classical, other in pairs])
        yield against(model, compared, f"{pairs[0][1].point.model} with the same share of the training examples")


def _on_equal_data(finding: StudyResult) -> dict[str, list[tuple[float, Measurement, Measurement]]]:
    """Model of another family -> shares of the training examples that it and the first classical ranker were trained on, with
    that ranker and the model."""
    by_model: dict[str, dict[float, Measurement]] = {}
    for one in finding.measurements:
        if one.point.factor == "data":
            by_model.setdefault(one.point.model, {})[float(one.point.at)] = one
    families = {model: next(iter(group.values())).row.family for model, group in by_model.items()}
    classical = next((model for model, family in families.items() if family == "classical"), None)
    if classical is None:
        return {}
    found = {
        model: [
            (share, by_model[classical][share], one) for share, one in by_model[model].items() if share in by_model[classical]
        ]
        for model, family in families.items()
        if family in ("generative", "unified")
    }
    return {model: pairs for model, pairs in found.items() if pairs}


def _by_share(finding: StudyResult) -> samples.Compared:
    """Share of the training examples -> the first classical ranker with each of another family."""
    found: dict[float, list[tuple[Measurement, Measurement]]] = {}
    for pairs in _on_equal_data(finding).values():
        for share, classical, other in pairs:
            found.setdefault(share, []).append((classical, other))
    return found


def _at_equal_flops(finding: StudyResult, metric: HeadlineMetric) -> Iterable[Statement]:
    """Who is ahead where two models cost the same: of points on all data, the most expensive pair."""
    by_model: dict[str, list[Measurement]] = {}
    for one in finding.measurements:
        if one.point.factor != "data":
            by_model.setdefault(one.point.model, []).append(one)
    flops = {one.row.label: training_flops(one) for one in finding.measurements}
    matched: list[tuple[Measurement, Measurement]] = []
    for (first, ours), (second, theirs) in itertools.combinations(by_model.items(), 2):
        costs = [[flops[one.row.label] for one in group] for group in (ours, theirs)]
        if max(map(min, costs)) > min(map(max, costs)):
            continue
        near = [
            (one, other)
            for one, other in itertools.product(ours, theirs)
            if 1 / NEAR <= flops[one.row.label] / flops[other.row.label] <= NEAR
        ]
        if near:
            matched.append(max(near, key=lambda pair: flops[pair[0].row.label]))
        elif metric == finding.headline:
            yield NoMatch(first, second)
    for found in finding.compare(metric, matched):
        one, other = found.one.row.label, found.other.row.label
        yield AtEqualFlops(one, other, metric, (flops[one], flops[other]), found.difference, found.verdict, found.at_once)


def figures(finding: StudyResult) -> Mapping[str, Figure]:
    drawn: dict[str, Figure] = {}
    for loss in losses(finding):
        for axis in (None, *COSTS):
            panels = [
                _panel(what, group, loss, axis or SIZE[what])
                for what, group in itertools.groupby(
                    sorted(finding.series.values(), key=lambda group: list(SIZE).index(group[0].point.factor)),
                    key=lambda group: group[0].point.factor,
                )
            ]
            name = f"{loss.metric}-by-{axis.name if axis else 'size'}"
            about = f"{place(finding)}: {loss.shown} by {axis.label if axis else 'size'}"
            intervals = "95%, seeds and users, without what moves all points of a panel together"
            drawn[name] = fits(about, f"test {loss.shown} (lower is better)", panels, intervals)
    return drawn | _by_samples(finding)


def _by_samples(finding: StudyResult) -> dict[str, Figure]:
    """Who is ahead along the training examples of items, where both families were trained on shares of the data."""
    panels = samples.lines(finding, _by_share(finding))
    if not panels:
        return {}
    metric = shown(samples.METRIC)
    return {
        "samples": curves(
            f"Who ranks better on items of many training examples: differences in {metric}",
            f"{place(finding)}: {metric} by training examples of the item, each slice and share by itself, post hoc",
            f"training examples of the item, from one of {', '.join(str(low) for low, _ in samples.BOUNDS)} on (log scale)",
            f"difference in {metric}",
            panels,
            over="users, items and seeds",
        )
    }


def _panel(what: str, series: Iterable[Sequence[Measurement]], loss: MeasuredLaw, axis: Grown) -> Panel:
    groups = [sorted(group, key=axis.value) for group in series]
    every = loss.means.part([one.row.label for group in groups for one in group])
    # Other users would move all points of a panel together, far more than they would change its shape.
    shift = (every.drawn - every.y).mean(axis=1)
    return Panel(what, axis.label, tuple(_curve(group, loss, axis, shift) for group in groups))


def _curve(group: Sequence[Measurement], loss: MeasuredLaw, axis: Grown, shift: np.ndarray) -> Curve:
    found = scaling(group, loss, axis)
    x = np.array([float(axis.value(one)) for one in group])
    own = loss.means.part([one.row.label for one in group])
    low, high = np.quantile(own.drawn - shift[:, None], [0.025, 0.975], axis=0)
    band = None
    if found is not None and found.slope is not None:
        at, shown = np.geomspace(found.x[0], found.x[-1], 60), found.outcome != "no scaling shown"
        band = Band(at, *found.band(found.shape if shown else "constant", at, shift), shown)
    return Curve(
        group[0].point.model,
        group[0].row.family,
        x,
        own.y,
        low,
        high,
        trend(group[0].point.series, loss.name, axis.label, found),
        band,
    )


STUDY = Study(
    name="scaling",
    title="Scaling",
    question="Does a larger model, or more data, rank better, and by which law?",
    axis="size",
    models={"small": ("din", "hstu"), "full": ("din", "sasrec", "sasrec-scalable", "gpt", "llama", "fuxi", "hstu")},
    points=points,
    pairs=pairs,
    statements=statements,
    figures=figures,
    columns={"FLOPs of training": lambda one, _: f"{training_flops(one):.2e}"},
)
