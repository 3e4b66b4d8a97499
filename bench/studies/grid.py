"""A study: experiments that differ in one thing, run to the end and read side by side on the same test rows."""

from __future__ import annotations

import dataclasses
import fnmatch
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from .. import registry, rows
from ..analysis.comparison import HeadlineMetric, Measured, Row, measure
from ..analysis.statements import Statement
from ..config import DataConfig, Settings, TrainConfig
from ..data.dataset import RankingData, open_dataset
from ..data.sources import DATASETS
from ..errors import UserError
from ..evaluation.cards import merit
from ..evaluation.stats import Estimate, Verdict
from ..records.schema import RunRecord
from ..records.view import View
from ..runs import schedule
from ..runs.cell import Cell, plan
from ..typed import from_dict
from .assembled import assembled
from .offers import FromData, Offers, domains_of, offers_of

Size = Literal["small", "full"]
"""small: minutes on two cores with ml-100k. full: what a finding should rest on."""


STEP = 3.0
"""Between neighbouring learning rates among which a point chooses."""
EXTENSIONS = 4
"""How often a point's learning rates are extended by a step, at the most, because the best lies at their edge."""


class RunsFailed(Exception):
    """A study is not complete; one line for each run that failed."""


@dataclass(frozen=True)
class Scope:
    """What a study is asked about."""

    models: tuple[str, ...]
    size: Size = "small"
    positive_only: bool = False
    """The log has no exposed negatives, neither to train on nor to test on."""
    series: tuple[str, ...] = ()
    """Patterns such as `* data`: only series with such a name, and what they are compared with; all if empty."""
    offers: Offers = dataclasses.field(default_factory=Offers)
    """What the log has to be asked about."""


@dataclass(frozen=True)
class Point:
    """One experiment of a study, of as many seeds as are asked for."""

    series: str
    """The line that it belongs to: a model, a source of negatives, a size."""
    at: str | float
    """Its place along the axis."""
    model: str
    settings: tuple[str, ...] = ()
    """`section.key=value`, over those that the whole study is run with."""
    rates: tuple[float, ...] = ()
    """Learning rates, ascending, of which the best by validation is kept, because another setting may want another one; they are
    extended while the best lies at their edge. Empty: the model's own."""
    factor: str = ""
    """What its series varies, in a study whose series vary several things: a source of negatives, what grows."""
    parts: tuple[tuple[tuple[str, ...], str], ...] = ()
    """Of a point that is put together of others: domains, and the label of the point whose model scores their test rows."""

    @property
    def label(self) -> str:
        return f"{self.series} @ {self.at}"

    @property
    def candidates(self) -> tuple[tuple[str, ...], ...]:
        """What is tried of it: further settings."""
        return tuple((f"{self.model}.train.lr={rate:.3g}",) for rate in self.rates) or ((),)

    def extended(self, chosen: tuple[str, ...]) -> Point | None:
        """With one learning rate more beyond the edge that was chosen; None if that lies inside."""
        if len(self.rates) < 2 or chosen not in (self.candidates[0], self.candidates[-1]):
            return None
        if chosen == self.candidates[0]:
            return dataclasses.replace(self, rates=(_rounded(self.rates[0] / STEP), *self.rates))
        return dataclasses.replace(self, rates=(*self.rates, _rounded(self.rates[-1] * STEP)))


@dataclass(frozen=True)
class Measurement:
    """A point after its runs."""

    point: Point
    """With all learning rates that were tried."""
    chosen: tuple[str, ...]
    """The candidate that was kept."""
    row: Row
    records: tuple[RunRecord, ...]
    """One per seed."""

    @property
    def at_edge(self) -> bool:
        """The best learning rate is the smallest or the largest that was tried: a better one may lie beyond."""
        return self.point.extended(self.chosen) is not None

    @property
    def valid(self) -> Mapping[str, float | int | None]:
        """Validation metrics of the first seed."""
        assert self.records[0].metrics is not None, "runs of a study are finished"
        return self.records[0].metrics.valid["all"]


@dataclass(frozen=True)
class PointPair:
    """A metric of one point minus that of another, on the same users."""

    metric: HeadlineMetric
    one: Measurement
    other: Measurement
    difference: Estimate
    verdict: Verdict
    at_once: int
    """How many comparisons the interval holds for together."""


@dataclass(frozen=True)
class StudyResult:
    """A study's points with what compares them."""

    measurements: tuple[Measurement, ...]
    pairs: Mapping[HeadlineMetric, tuple[PointPair, ...]]
    """The study's pairs by each metric that verdicts are given by, the headline first; the intervals of one metric hold for all
    of its pairs together."""
    measured: Measured
    view: View
    domains: np.ndarray | None = None
    """str [test rows]: the domain of each, where the log declares one."""
    from_data: FromData = dataclasses.field(default_factory=FromData)

    @property
    def headline(self) -> HeadlineMetric:
        return self.measured.headline

    @property
    def comparisons(self) -> tuple[PointPair, ...]:
        """By the headline."""
        return self.pairs[self.headline]

    @property
    def series(self) -> dict[str, list[Measurement]]:
        """By series, in the order of the grid."""
        lines: dict[str, list[Measurement]] = {}
        for one in self.measurements:
            lines.setdefault(one.point.series, []).append(one)
        return lines

    def compare(self, metric: HeadlineMetric, pairs: Sequence[tuple[Measurement, Measurement]]) -> tuple[PointPair, ...]:
        """Other pairs than the study's own; their intervals hold for all of these together."""
        found = self.measured.comparisons[metric].differences([(one.row.label, other.row.label) for one, other in pairs])
        return tuple(
            PointPair(metric, one, other, apart, self.measured.verdict(metric, apart), len(pairs))
            for (one, other), apart in zip(pairs, found, strict=True)
        )


def retuned(model: str, size: Size) -> tuple[float, ...]:
    """Learning rates that a point begins with: at full size three."""
    return () if size == "small" else rates(model)


def rates(model: str) -> tuple[float, ...]:
    """A model's own learning rate and its neighbours; none for a model that has no rate."""
    info = registry.info(model)
    if info.fit != "gradient":
        return ()
    usual = info.train.get("lr", TrainConfig.lr)
    return tuple(_rounded(usual * factor) for factor in (1 / STEP, 1.0, STEP))


def _rounded(rate: float) -> float:
    return float(f"{rate:.3g}")


def against(points: Sequence[Point], reference: Callable[[Point], bool]) -> list[tuple[Point, Point]]:
    """Every point with the one of its series that `reference` names."""
    named = {point.series: point for point in points if reference(point)}
    return [(point, named[point.series]) for point in points if point is not named[point.series]]


def no_pairs(points: Sequence[Point]) -> Iterable[tuple[Point, Point]]:
    """For a study that compares no two points."""
    return ()


@dataclass(frozen=True)
class Study:
    """What one `rankbench study` asks and how it reads the answer."""

    name: str
    title: str
    question: str
    axis: str
    """What `at` of its points is."""
    models: Mapping[Size, tuple[str, ...]]
    """Unless others are asked for."""
    points: Callable[[Scope], Iterable[Point]]
    """The grid. Raises a UserError for models that it cannot ask about."""
    statements: Callable[[StudyResult], Iterable[Statement]]
    """The answer in words, beside what every study says of its runs."""
    figures: Callable[[StudyResult], Mapping[str, Figure]]
    """File names without suffix -> figures."""
    pairs: Callable[[Sequence[Point]], Iterable[tuple[Point, Point]]] = no_pairs
    """Points that are compared, first minus second: chosen before anything ran."""
    columns: Mapping[str, Callable[[Measurement, StudyResult], float | str]] = dataclasses.field(default_factory=dict)
    """More columns of its table, beyond quality and cost."""
    data: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """Data settings of all points, unless those that it is run with are others."""
    from_data: Callable[[Sequence[RunRecord], Callable[[RunRecord], RankingData]], FromData] | None = None
    """Given a run of each point and what prepares its data."""

    def grid(self, scope: Scope) -> list[Point]:
        """Its points, each with a name of its own.

        Raises:
            UserError: it cannot ask about these models, or a pattern fits none of its series.
        """
        points = list(self.points(scope))
        if len({point.label for point in points}) < len(points):
            raise ValueError(f"two points of the study {self.name} have one name")
        return self._part(points, scope.series) if scope.series else points

    def _part(self, points: list[Point], patterns: tuple[str, ...]) -> list[Point]:
        names = list(dict.fromkeys(point.series for point in points))
        fitting = {pattern: fnmatch.filter(names, pattern) for pattern in patterns}
        for pattern, found in fitting.items():
            if not found:
                raise UserError(f"no series of the study {self.name} is called {pattern!r}; it has: {'; '.join(names)}")
        asked = {name for found in fitting.values() for name in found}
        kept = {point.label for point in points if point.series in asked}
        needed: dict[str, list[str]] = {point.label: [label for _, label in point.parts] for point in points}
        for one, other in self.pairs(points):
            needed[one.label].append(other.label)
        # What a point is compared with may itself be compared with another.
        waiting = list(kept)
        while waiting:
            more = [label for label in needed[waiting.pop()] if label not in kept]
            kept.update(more)
            waiting += more
        return [point for point in points if point.label in kept]


def run(
    study: Study,
    scope: Scope,
    settings: Settings,
    seeds: int,
    options: schedule.Options,
) -> StudyResult:
    """Run what is not finished of a study, and measure all of it.

    Args:
        scope: what is asked about; whether the log has positives alone is looked up here.
        settings: of all points, where a point does not say otherwise.

    Raises:
        UserError: settings, data or device are wrong.
        RunsFailed: training failed somewhere; the other runs are finished and kept.
    """
    settings = dataclasses.replace(settings, data={**study.data, **settings.data})
    dataset = from_dict(DataConfig, settings.data, "data").dataset
    log = open_dataset(dataset, options.roots)
    points = study.grid(dataclasses.replace(scope, positive_only=log.positive_only, offers=offers_of(log)))

    def finished(asked: Sequence[Cell], failing: bool = False) -> dict[tuple[str, int], RunRecord]:
        distinct = {(cell.experiment.hash, cell.seed): cell for cell in asked}
        records = schedule.run_all(list(distinct.values()), options)
        failed = [
            f"{record.identity.model} {record.identity.config_hash} seed {record.identity.seed}: {record.error}"
            for record in records
            if record.status != "ok"
        ]
        if failed and not failing:
            raise RunsFailed("\n".join(failed))
        return dict(zip(distinct, records, strict=True))

    points, chosen = _choose(points, settings, finished)
    planned = {point.label: cells(point, chosen[point.label], settings, seeds) for point in points if not point.parts}
    records = finished([cell for group in planned.values() for cell in group])
    groups = {label: [records[cell.experiment.hash, cell.seed] for cell in group] for label, group in planned.items()}
    view = View(options.store, tuple(records.values()))
    source = dataset if dataset not in DATASETS else None
    rows.restore(view, options.roots, source)
    found = FromData()
    if study.from_data is not None:

        def prepared(record: RunRecord) -> RankingData:
            return rows.data_of(record.config["data"], options.roots, f"a run of the study {study.name}", source)

        found = study.from_data([group[0] for group in groups.values()], prepared)
    example = view.predictions(next(iter(groups.values()))[0].identity)["example"].to_numpy()
    return read(study, points, chosen, groups, view, domains_of(log, example), found)


def read(
    study: Study,
    points: Sequence[Point],
    chosen: Mapping[str, tuple[str, ...]],
    groups: Mapping[str, list[RunRecord]],
    view: View,
    domains: np.ndarray | None = None,
    from_data: FromData | None = None,
) -> StudyResult:
    """Measure and compare finished runs.

    Args:
        chosen: label of a point -> its candidate.
        groups: label of a point -> its records, one per seed, that are in `view`; none of points that are put together.
        domains: str [test rows], where the log declares a domain.

    Raises:
        UserError: scores or test rows are missing or differ, see measure.
    """
    whole: dict[str, list[tuple[RunRecord, pd.DataFrame]]] = {}
    for point in points:
        if point.parts:
            assert domains is not None, "a point of several domains is one of a log that declares some"
            whole[point.label] = assembled({values: groups[label] for values, label in point.parts}, domains, view)
    every = {**groups, **{label: [record for record, _ in made] for label, made in whole.items()}}
    groups = {point.label: every[point.label] for point in points}
    measured = measure(view, groups, frames={label: [frame for _, frame in made] for label, made in whole.items()})
    found = {row.label: row for row in measured.rows}
    made = {
        point.label: Measurement(point, chosen[point.label], found[point.label], tuple(groups[point.label])) for point in points
    }
    asked = [(made[one.label], made[other.label]) for one, other in study.pairs(points)]
    finding = StudyResult(tuple(made.values()), {}, measured, view, domains, from_data or FromData())
    return dataclasses.replace(finding, pairs={metric: finding.compare(metric, asked) for metric in measured.headlines})


Finished = Callable[[Sequence[Cell], bool], Mapping[tuple[str, int], RunRecord]]
"""Runs cells that are not finished; their records by experiment's hash and seed. With True, those that fail are among them."""


def _choose(points: Sequence[Point], settings: Settings, finished: Finished) -> tuple[list[Point], dict[str, tuple[str, ...]]]:
    """The points with all learning rates that were tried, and label -> the best of them: by validation, with the first seed.

    Whatever is tried at once runs at once. A rate at which training fails is worse than all others.
    """
    grown = {point.label: point for point in points}
    chosen = {point.label: point.candidates[0] for point in points}
    values: dict[tuple[str, tuple[str, ...]], float] = {}
    for extension in range(EXTENSIONS + 1):
        trials = {
            (point.label, candidate): cells(point, candidate, settings, 1)[0]
            for point in grown.values()
            if len(point.candidates) > 1
            for candidate in point.candidates
            if (point.label, candidate) not in values
        }
        if not trials:
            break
        records = finished(list(trials.values()), True)
        for key, cell in trials.items():
            values[key] = _validation(records[cell.experiment.hash, cell.seed])
        for label, point in grown.items():
            if len(point.candidates) > 1:
                chosen[label] = max(point.candidates, key=lambda candidate: values[label, candidate])
        if extension < EXTENSIONS:
            grown = {label: point.extended(chosen[label]) or point for label, point in grown.items()}
    return list(grown.values()), chosen


def _validation(record: RunRecord) -> float:
    """What training watches, the more the better; of a run that failed, less than anything."""
    monitor = record.config["train"]["monitor"]
    value = None if record.metrics is None else record.metrics.valid["all"][monitor]
    return -math.inf if value is None else merit(monitor, float(value))


def cells(point: Point, candidate: tuple[str, ...], settings: Settings, seeds: int) -> list[Cell]:
    """A point as experiments, one per seed."""
    changed = settings.changed([*point.settings, *candidate], tuple(registry.MODELS))
    return plan((point.model,), changed, seeds)
