"""A study: experiments that differ in one thing, run to the end and read side by side on the same test rows."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from matplotlib.figure import Figure

from .. import experiment, registry
from ..config import Experiment, Settings
from ..data.sources.schema import DataRoots
from ..errors import UserError
from ..evaluation.stats import Metric
from ..experiment import Cell
from ..records.schema import RunRecord
from ..records.store import Store
from ..reporting.measured import Measured, Row, difference, measure

Size = Literal["small", "full"]
"""small: minutes on two cores with ml-100k. full: what a finding should rest on."""

DRAWS = 1000


@dataclass(frozen=True)
class Point:
    """One experiment of a study, of as many seeds as are asked for."""

    series: str
    """The line that it belongs to: a model, a source of negatives, a size."""
    at: str | float
    """Its place along the axis."""
    model: str
    settings: tuple[str, ...] = ()
    """`section.key=value`, beyond what the whole study is run with."""
    candidates: tuple[tuple[str, ...], ...] = ((),)
    """Further settings of which the best by validation is kept: equal effort for points that need settings of their own."""

    @property
    def label(self) -> str:
        return f"{self.series} @ {self.at}"


@dataclass(frozen=True)
class Measurement:
    """A point after its runs."""

    point: Point
    chosen: tuple[str, ...]
    """The candidate that was kept."""
    row: Row
    records: tuple[RunRecord, ...]
    """One per seed."""

    @property
    def valid(self) -> Mapping[str, float | int | None]:
        """Validation metrics of the first seed."""
        assert self.records[0].metrics is not None, "runs of a study are finished"
        return self.records[0].metrics.valid["all"]


@dataclass(frozen=True)
class Finding:
    """A study's points with what compares them."""

    measurements: tuple[Measurement, ...]
    measured: Measured

    @property
    def headline(self) -> Literal["gauc", "auc"]:
        return self.measured.headline

    @property
    def series(self) -> dict[str, list[Measurement]]:
        """By series, in the order of the grid."""
        lines: dict[str, list[Measurement]] = {}
        for one in self.measurements:
            lines.setdefault(one.point.series, []).append(one)
        return lines

    def difference(self, one: Measurement, other: Measurement, metric: Metric | None = None) -> tuple[float, float, float]:
        """Metric (by default the headline) of `one` minus that of `other`, with its paired 95% interval over users."""
        return difference(one.row, other.row, metric or self.headline, self.measured.bootstrap)

    def compared(self, one: Measurement, other: Measurement, metric: Metric | None = None) -> str:
        """That difference in words."""
        value, low, high = self.difference(one, other, metric)
        verdict = "which holds zero: no difference is shown" if low <= 0 <= high else "which leaves out zero"
        shown = (metric or self.headline).upper()
        names = f"{one.point.label} minus {other.point.label}"
        return f"{shown} of {names}: {value:+.4f}, 95% interval [{low:+.4f}, {high:+.4f}] over test users, {verdict}."


@dataclass(frozen=True)
class Study:
    """What one `rankbench study` asks and how it reads the answer."""

    name: str
    title: str
    question: str
    axis: str
    """What `at` of its points is."""
    models: tuple[str, ...]
    """Unless others are asked for."""
    points: Callable[[tuple[str, ...], Size], Iterable[Point]]
    """Models and size -> the grid."""
    statements: Callable[[Finding], Iterable[str]]
    figures: Callable[[Finding], Mapping[str, Figure]]
    """File names without suffix -> figures."""
    columns: Mapping[str, Callable[[Measurement], float | str]] = dataclasses.field(default_factory=dict)
    """More columns of its table, beyond quality and cost."""


def run(
    study: Study,
    models: tuple[str, ...],
    size: Size,
    settings: Settings,
    seeds: int,
    roots: DataRoots,
    store: Store,
    device: str = "auto",
    **options: Any,
) -> Finding:
    """Run what is not finished of a study, and measure all of it.

    Args:
        options: of experiment.run_all.

    Raises:
        UserError: settings, data or device are wrong, or a run failed.
    """
    points = list(study.points(models, size))
    if len({point.label for point in points}) < len(points):
        raise ValueError(f"two points of the study {study.name} have one name")

    def finished(cells: Sequence[Cell]) -> dict[tuple[Experiment, int], RunRecord]:
        distinct = list({(cell.experiment, cell.seed): cell for cell in cells}.values())
        records = experiment.run_all(distinct, device, roots, store, **options)
        for record in records:
            if record.status != "ok":
                where = f"{record.identity.model}/{record.identity.config_hash}/seed-{record.identity.seed}"
                raise UserError(f"study {study.name} is not complete, {where} failed: {record.error}")
        return {(cell.experiment, cell.seed): record for cell, record in zip(distinct, records, strict=True)}

    chosen = _choose(points, settings, finished)
    cells = {point.label: _cells(point, chosen[point.label], settings, seeds) for point in points}
    records = finished([cell for group in cells.values() for cell in group])
    groups = {label: [records[cell.experiment, cell.seed] for cell in group] for label, group in cells.items()}
    measured = measure(store, groups, DRAWS)
    rows = {row.label: row for row in measured.rows}
    made = (Measurement(point, chosen[point.label], rows[point.label], tuple(groups[point.label])) for point in points)
    return Finding(tuple(made), measured)


Finished = Callable[[Sequence[Cell]], Mapping[tuple[Experiment, int], RunRecord]]
"""Runs cells that are not finished; their records by experiment and seed."""


def _choose(points: Sequence[Point], settings: Settings, finished: Finished) -> dict[str, tuple[str, ...]]:
    """Label -> the best candidate of each point: by validation, with the first seed, all run at once."""
    trials = {
        (point.label, candidate): _cells(point, candidate, settings, 1)[0]
        for point in points
        if len(point.candidates) > 1
        for candidate in point.candidates
    }
    records = finished(list(trials.values())) if trials else {}
    chosen = {point.label: point.candidates[0] for point in points}
    best: dict[str, float] = {}
    for (label, candidate), cell in trials.items():
        value = _validation(records[cell.experiment, cell.seed], cell.experiment.train.monitor)
        if value > best.get(label, -math.inf):
            best[label], chosen[label] = value, candidate
    return chosen


def _validation(record: RunRecord, monitor: str) -> float:
    """What training watches, the more the better."""
    assert record.metrics is not None, "a finished run has metrics"
    value = record.metrics.valid["all"][monitor]
    return -math.inf if value is None else -float(value) if monitor == "logloss" else float(value)


def _cells(point: Point, candidate: tuple[str, ...], settings: Settings, seeds: int) -> list[Cell]:
    changed = settings.changed([*point.settings, *candidate], tuple(registry.MODELS))
    return experiment.plan((point.model,), changed, seeds)
