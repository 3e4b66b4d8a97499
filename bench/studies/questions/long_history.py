"""How much of a user's past a ranker can use, and at what cost. Test examples are the same at every length; what they see of the
past is not."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence

from matplotlib.figure import Figure

from ...analysis.costs import train_seconds
from ...analysis.statements import Statement
from ...analysis.study_statements import Remark
from ...config import DataConfig
from ...records.schema import RunRecord
from ...reporting.figures.curves import Line, Mark, curves
from ..figure_data import place, quality
from ..grid import Measurement, Study, StudyResult
from ..points import Point, Scope, against, retuned
from ..verdicts import by_series

REFERENCE = "the default length"
LENGTHS = {"small": (10, 50, 200, 1000), "full": (10, 20, 50, 100, 200, 500, 1000)}


def points(scope: Scope) -> Iterable[Point]:
    for model in scope.models:
        for length in LENGTHS[scope.size]:
            yield Point(model, length, model, (f"data.history_length={length}",), retuned(model, scope.size))


def pairs(points: Sequence[Point]) -> Iterable[tuple[Point, Point]]:
    """Every length against the default."""
    return against(points, lambda point: point.at == DataConfig.history_length)


def statements(finding: StudyResult) -> Iterable[Statement]:
    yield from by_series(finding)
    if finding.measurements[0].records[0].config["data"]["supervision"] == "dense":
        yield Remark("dense reach")


def per_epoch(record: RunRecord) -> float:
    """Training seconds of one epoch: epochs differ, because training stops by validation."""
    assert record.cost is not None, "runs of a study are finished"
    return train_seconds([record]) / max(1, record.cost.epochs)


def memory(record: RunRecord) -> float:
    """MiB at the peak; on a CPU of the whole process, with the data set and the libraries."""
    assert record.cost is not None, "runs of a study are finished"
    return record.cost.peak_memory_mb


def latency(record: RunRecord) -> float:
    """Milliseconds to score 100 candidates."""
    assert record.cost is not None, "runs of a study are finished"
    cost = record.cost
    return cost.latency_cpu_ms_100_candidates if record.device == "cpu" else cost.latency_ms_100_candidates


def figures(finding: StudyResult) -> Mapping[str, Figure]:
    on_cpu = all(one.row.on_cpu for one in finding.measurements)
    clock = "CPU seconds" if on_cpu else "seconds"
    axis = "history_length (events, log scale)"
    panels = {f"training, {clock} an epoch": per_epoch, "memory at the peak, MiB": memory, "100 candidates, ms": latency}
    return {
        "quality": quality(finding, "by length of the history", axis, REFERENCE),
        "cost": curves(
            "What a longer history costs: training, memory, scoring (lower is better)",
            f"{place(finding)}: cost by length of the history; a description of these runs",
            axis,
            "",
            {caption: _lines(finding, amount) for caption, amount in panels.items()},
            one_scale=False,
        ),
    }


def _lines(finding: StudyResult, amount: Callable[[RunRecord], float]) -> list[Line]:
    """A line a model: the mean over seeds with each of them."""
    lines = []
    for name, group in finding.series.items():
        marks = []
        for one in group:
            values = tuple(map(amount, one.records))
            marks.append(Mark(one.point.at, statistics.fmean(values), math.nan, math.nan, values))
        lines.append(Line(name, group[0].row.family, tuple(marks)))
    return lines


def mean(amount: Callable[[RunRecord], float]) -> Callable[[Measurement, StudyResult], str]:
    """A column of the table: the mean over seeds."""
    return lambda one, finding: f"{statistics.fmean(map(amount, one.records)):.2f}"


STUDY = Study(
    name="long-history",
    title="Length of the history",
    question="How much does a longer history bring, to which ranker, and what does it cost in time and memory?",
    axis="history_length",
    models={"small": ("din", "sasrec", "hstu"), "full": ("dnn", "din", "bst", "sasrec", "llama", "hstu")},
    points=points,
    pairs=pairs,
    statements=statements,
    figures=figures,
    columns={"s / epoch": mean(per_epoch), "peak MiB": mean(memory), "ms / 100": mean(latency)},
)
