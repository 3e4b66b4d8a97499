"""What more depth, width, embedding size and training data bring, and by which law; the fits are in evaluation/scaling.py.

Every size has its own learning rate, chosen by validation in the same way: one rate for all sizes is right for one of them, and
the curve through the others would show how wrong it is for them.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from matplotlib.figure import Figure

from .. import registry
from ..errors import UserError
from ..evaluation.cards import shown
from ..evaluation.scaling import Means, Scaling, means, study
from ..evaluation.stats import LEAST_USERS, Metric
from ..reporting.fits import Band, Curve, Panel, fits
from .figures import place
from .grid import Comparison, Finding, Measurement, Point, Scope, Size, Study, rates
from .scaling_words import brief, sentence
from .words import against, by_series

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
                yield Point(f"{model} {grows}", at, model, (setting,), rates(model))


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
class Axis:
    """What a loss is drawn and fitted over."""

    name: str
    value: Callable[[Measurement], float]
    label: str


SIZE: Mapping[str, Axis] = {
    "depth": Axis("size", lambda one: one.row.parameters_dense, "parameters without embeddings"),
    "width": Axis("size", lambda one: one.row.parameters_dense, "parameters without embeddings"),
    "embedding": Axis("size", lambda one: one.row.parameters_embedding, "parameters of embeddings"),
    "data": Axis("size", lambda one: one.records[0].data.examples["train"], "training examples"),
}
"""What grows -> the axis that it grows along."""

COSTS = (
    Axis("flops", training_flops, "FLOPs of training"),
    Axis("seconds", lambda one: one.row.training_cost, "seconds of training"),
)


@dataclass(frozen=True)
class Loss:
    """Smaller is better."""

    name: str
    means: Means
    """By label of a point."""
    users: int
    """That it depends on."""


def losses(finding: Finding) -> list[Loss]:
    """Logloss, and what the headline metric leaves to 1."""
    return [_loss(finding, "logloss"), _loss(finding, finding.headline)]


def _loss(finding: Finding, metric: Metric) -> Loss:
    comparison = finding.measured.comparisons[metric]
    name = metric if metric == "logloss" else f"1 - {shown(metric)}"
    return Loss(name, means(comparison), comparison.users)


def grows(one: Measurement) -> str:
    """depth, width, embedding or data."""
    return one.point.series.removeprefix(f"{one.point.model} ")


def scaling(group: Sequence[Measurement], loss: Loss, axis: Axis) -> Scaling | None:
    """Of a series along an axis; None if it hardly moves along it."""
    x = [float(axis.value(one)) for one in group]
    if min(x) <= 0 or max(x) / min(x) < LEAST_SPAN:
        return None
    return study(x, loss.means.part([one.row.label for one in group]))


def statements(finding: Finding) -> Iterable[str]:
    every = losses(finding)
    if every[0].users < LEAST_USERS:
        yield f"Fewer than {LEAST_USERS} test users: no interval can be trusted, and nothing is said of scaling."
        return
    for series, group in finding.series.items():
        axis = SIZE[grows(group[0])]
        found = scaling(group, every[0], axis)
        yield sentence(series, every[0].name, axis.label, found)
        others: dict[str, list[str]] = {}
        for loss, other in itertools.product(every, (axis, *COSTS)):
            if (loss, other) != (every[0], axis):
                others.setdefault(brief(scaling(group, loss, other)), []).append(f"{loss.name} over {other.label}")
        said = "; ".join(f"{outcome} ({', '.join(where)})" for outcome, where in others.items())
        yield f"{series}, otherwise: {said}."
    yield from by_series(finding)
    yield from _at_equal_data(finding)
    yield from _at_equal_flops(finding)
    yield (
        "Intervals of scaling are over seeds and test users together; slopes are for a tenfold size. FLOPs of training are three "
        "times those of a forward pass, for every example of every epoch; epochs differ, because training stops by validation."
    )


def _at_equal_data(finding: Finding) -> Iterable[str]:
    """Every generative ranker against the first classical one, on each share of the training examples that both have."""
    by_model: dict[str, dict[str | float, Measurement]] = {}
    for one in finding.measurements:
        if grows(one) == "data":
            by_model.setdefault(one.point.model, {})[one.point.at] = one
    families = {model: next(iter(group.values())).row.family for model, group in by_model.items()}
    classical = next((model for model, family in families.items() if family == "classical"), None)
    for model, family in families.items():
        if classical is None or family != "generative":
            continue
        pairs = [(one, by_model[classical][at]) for at, one in by_model[model].items() if at in by_model[classical]]
        found = finding.measured.differences(finding.headline, [(one.row.label, other.row.label) for one, other in pairs])
        compared = [Comparison(finding.headline, one, other, value) for (one, other), value in zip(pairs, found, strict=True)]
        if compared:
            line = against(model, finding, compared, f"{classical} with the same share of the training examples")
            yield f"{line} These intervals hold for all of this line at once."


def _at_equal_flops(finding: Finding) -> Iterable[str]:
    """Who is ahead where two models cost the same: of points on all data, the most expensive pair."""
    by_model: dict[str, list[Measurement]] = {}
    for one in finding.measurements:
        if grows(one) != "data":
            by_model.setdefault(one.point.model, []).append(one)
    flops = functools.cache(lambda label: training_flops(next(m for m in finding.measurements if m.row.label == label)))
    matched: list[tuple[Measurement, Measurement]] = []
    for (first, ours), (second, theirs) in itertools.combinations(by_model.items(), 2):
        costs = [[flops(one.row.label) for one in group] for group in (ours, theirs)]
        if max(map(min, costs)) > min(map(max, costs)):
            continue
        near = [
            (one, other)
            for one, other in itertools.product(ours, theirs)
            if 1 / NEAR <= flops(one.row.label) / flops(other.row.label) <= NEAR
        ]
        if not near:
            yield f"{first} and {second} overlap in FLOPs of training, but no two points are within 10%: nothing is claimed."
            continue
        matched.append(max(near, key=lambda pair: flops(pair[0].row.label)))
    found = finding.measured.differences(finding.headline, [(one.row.label, other.row.label) for one, other in matched])
    for (one, other), apart in zip(matched, found, strict=True):
        verdict = f"{(one if apart.low > 0 else other).point.model} is ahead" if apart.shown else "no difference is shown"
        yield (
            f"At equal FLOPs of training ({flops(one.row.label):.2g} and {flops(other.row.label):.2g}), "
            f"{shown(finding.headline)} of {one.point.label} minus {other.point.label}: {apart.value:+.4f} [{apart.low:+.4f}, "
            f"{apart.high:+.4f}], "
            f"paired{' and for all such pairs at once' if len(matched) > 1 else ''}; {verdict}."
        )


def figures(finding: Finding) -> Mapping[str, Figure]:
    drawn: dict[str, Figure] = {}
    for loss in losses(finding):
        for axis in (None, *COSTS):
            panels = [
                _panel(what, group, loss, axis or SIZE[what])
                for what, group in itertools.groupby(
                    sorted(finding.series.values(), key=lambda group: list(SIZE).index(grows(group[0]))),
                    key=lambda group: grows(group[0]),
                )
            ]
            name = f"{loss.name.removeprefix('1 - ').lower()}-by-{axis.name if axis else 'size'}"
            title = f"{place(finding)}: {loss.name} by {axis.label if axis else 'what grows'}"
            intervals = "95%, seeds and users; what moves a panel alike is taken out"
            drawn[name] = fits(title, f"test {loss.name} (lower is better)", panels, intervals)
    return drawn


def _panel(what: str, series: Iterable[Sequence[Measurement]], loss: Loss, axis: Axis) -> Panel:
    groups = [sorted(group, key=axis.value) for group in series]
    every = loss.means.part([one.row.label for group in groups for one in group])
    # Other users would move all points of a panel together, far more than they would change its shape.
    shift = (every.drawn - every.y).mean(axis=1)
    return Panel(what, axis.label, tuple(_curve(group, loss, axis, shift) for group in groups))


def _curve(group: Sequence[Measurement], loss: Loss, axis: Axis, shift: np.ndarray) -> Curve:
    found = scaling(group, loss, axis)
    x = np.array([float(axis.value(one)) for one in group])
    own = loss.means.part([one.row.label for one in group])
    low, high = np.quantile(own.drawn - shift[:, None], [0.025, 0.975], axis=0)
    band = None
    if found is not None and found.slope is not None:
        at, shown = np.geomspace(found.x[0], found.x[-1], 60), found.outcome != "no scaling shown"
        band = Band(at, *found.band(found.shape if shown else "constant", at, shift), shown)
    return Curve(group[0].point.model, group[0].row.family, x, own.y, low, high, brief(found), band)


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
