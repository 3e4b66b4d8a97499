"""A study: experiments that differ in one thing, run to the end and read side by side on the same test rows."""

from __future__ import annotations

import dataclasses
import fnmatch
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from .. import rows
from ..analysis.comparison import HeadlineMetric, Measured, Row, measure
from ..analysis.statements import Statement
from ..config import Settings
from ..data.dataset import RankingData
from ..data.eventlog import EventLog
from ..data.logs import open_dataset
from ..data.sources import DATASETS
from ..data.sources.schema import DataRoots
from ..errors import UserError
from ..evaluation.cards import merit
from ..evaluation.stats import Estimate, Verdict
from ..records.schema import RunRecord
from ..records.view import View
from ..runs import schedule
from ..runs.cell import Cell
from .frames import common, joined, judged_by_all
from .offers import DomainOf, FromData, domain_of, offers_of
from .points import Point, Scope, Size, cells, no_pairs

EXTENSIONS = 4
"""How often a point's learning rates are extended by a step, at the most, because the best lies at their edge."""


class RunsFailed(Exception):
    """A study is not complete; one line for each run that failed or was stopped."""


@dataclass(frozen=True)
class Measurement:
    """A point after its runs."""

    point: Point
    """With all learning rates that were tried."""
    chosen: tuple[str, ...]
    """The candidate that was kept."""
    row: Row
    records: tuple[RunRecord, ...]
    """One per seed, or of each seed one for each part of its point."""

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
    scope: Scope = dataclasses.field(default_factory=lambda: Scope(()))
    """What was asked about."""

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
    prepare: Callable[[Scope, DataRoots], Scope] = lambda scope, roots: scope
    """Makes what its points need before anything runs, such as the files of data sets; the scope with what it found then."""
    several_datasets: bool = False
    """Points differ in their data sets: they are compared on the test rows that all of them have."""
    parts_of_test: bool = False
    """Points may judge parts of one test: they are compared on the rows that all of them judge."""
    data: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """Data settings of all points, unless those that it is run with are others."""
    train: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """The same of training."""
    from_data: Callable[[Sequence[RunRecord], Callable[[RunRecord], RankingData]], FromData] | None = None
    """Given a run of each point and what prepares its data. The columns are those of the first point's test rows."""

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
        needed = {point.label: list(point.rates_of) for point in points}
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
    settings = dataclasses.replace(settings, data={**study.data, **settings.data}, train={**study.train, **settings.train})
    scope = _about(dataclasses.replace(scope, settings=settings), options)
    scope = study.prepare(scope, options.roots)
    points = study.grid(scope)

    def finished(asked: Sequence[Cell], failing: bool = False) -> dict[tuple[str, int], RunRecord]:
        distinct = {(cell.experiment.hash, cell.seed): cell for cell in asked}
        records = schedule.run_all(list(distinct.values()), options)
        failed = [
            f"{record.status}: {record.identity.model} {record.identity.config_hash} seed {record.identity.seed}: {record.error}"
            for record in records
            if record.status == "stopped" or (record.status == "failed" and not failing)
        ]
        if failed:
            raise RunsFailed("\n".join(failed))
        return dict(zip(distinct, records, strict=True))

    points, chosen = _choose(points, settings, finished)
    planned = {point.label: cells(point, chosen[point.label], settings, seeds, chosen) for point in points}
    records = finished([cell for group in planned.values() for cell in group])
    groups = {label: [records[cell.experiment.hash, cell.seed] for cell in group] for label, group in planned.items()}
    view = View(options.store, tuple(records.values()))
    sources = {label: cells[0].source for label, cells in planned.items()}
    for source in dict.fromkeys(sources.values()):
        own = [records[cell.experiment.hash, cell.seed] for cells in planned.values() for cell in cells if cell.source == source]
        rows.restore(dataclasses.replace(view, records=tuple(own)), options.roots, source if source not in DATASETS else None)
    logs = {label: open_dataset(source, options.roots) for label, source in sources.items()}
    domains = domain_of(next(iter(logs.values())))
    found = FromData() if study.from_data is None else _from_data(study.from_data, study.name, groups, sources, options)
    finding = read(study, points, chosen, groups, view, logs if study.several_datasets else None, domains, found)
    return dataclasses.replace(finding, scope=scope)


def _from_data(
    reads: Callable[[Sequence[RunRecord], Callable[[RunRecord], RankingData]], FromData],
    name: str,
    groups: Mapping[str, Sequence[RunRecord]],
    sources: Mapping[str, str],
    options: schedule.Options,
) -> FromData:
    """What the study of this name reads of the data, given a run of each point.

    Args:
        sources: label of a point -> its data set, as one names it.
    """
    first = {label: group[0] for label, group in groups.items()}
    files = {record.identity: sources[label] for label, record in first.items() if sources[label] not in DATASETS}

    def prepared(record: RunRecord) -> RankingData:
        return rows.data_of(record.config["data"], options.roots, f"a run of the study {name}", files.get(record.identity))

    return reads(list(first.values()), prepared)


def _about(scope: Scope, options: schedule.Options) -> Scope:
    """With what the log says."""
    dataset = scope.data.dataset
    log = open_dataset(dataset, options.roots)
    return dataclasses.replace(
        scope,
        positive_only=log.positive_only,
        dataset=dataset,
        steps=tuple(effect.step for effect in log.meta.steps),
        offers=offers_of(log),
        folder=options.store.root,
    )


def read(
    study: Study,
    points: Sequence[Point],
    chosen: Mapping[str, tuple[str, ...]],
    groups: Mapping[str, list[RunRecord]],
    view: View,
    logs: Mapping[str, EventLog] | None = None,
    domains: DomainOf | None = None,
    from_data: FromData | None = None,
) -> StudyResult:
    """Measure and compare finished runs.

    Args:
        chosen: label of a point -> its candidate.
        groups: label of a point -> its records, one per seed and part, that are in `view`.
        logs: label of a point -> its log, where points differ in their data sets.
        domains: of the first point's log, where it declares domains.

    Raises:
        UserError: scores or test rows are missing or differ, see measure.
    """
    frames = None
    if logs is not None or study.parts_of_test or any(len(point.parts) > 1 for point in points):
        frames = joined(view, {point.label: point.parts for point in points}, groups, domains)
    if logs is not None and frames is not None:
        frames = common(frames, logs)
    if study.parts_of_test and frames is not None:
        frames = judged_by_all(frames)
    measured = measure(view, groups, frames=frames, side_by_side=[point.label for point in points if point.side_by_side])
    first = view.predictions(groups[points[0].label][0].identity) if frames is None else frames[points[0].label][0]
    found = {row.label: row for row in measured.rows}
    made = {
        point.label: Measurement(point, chosen[point.label], found[point.label], tuple(groups[point.label])) for point in points
    }
    asked = [(made[one.label], made[other.label]) for one, other in study.pairs(points)]
    of_rows = None if domains is None else domains(first["example"].to_numpy())
    finding = StudyResult(tuple(made.values()), {}, measured, view, of_rows, from_data or FromData())
    return dataclasses.replace(finding, pairs={metric: finding.compare(metric, asked) for metric in measured.headlines})


Finished = Callable[[Sequence[Cell], bool], Mapping[tuple[str, int], RunRecord]]
"""Runs cells that are not finished; their records by experiment's hash and seed. With True, those that fail are among them: what
was stopped has no answer, not a bad one."""


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
