"""How much of a user's past a ranker can use. Test examples are the same at every length; what they see of the past is not."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ...analysis.statements import Statement
from ...analysis.study_statements import Remark
from ...config import DataConfig
from ..figure_data import quality
from ..grid import Point, Scope, Study, StudyResult, against, retuned
from ..verdicts import by_series

REFERENCE = "the default length"
LENGTHS = {"small": (5, 10, 20, 50, 100, 200), "full": (5, 10, 20, 50, 100, 200)}


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


STUDY = Study(
    name="history",
    title="Length of the history",
    question="How much does a longer history bring, and to which ranker?",
    axis="history_length",
    models={"small": ("din", "sasrec", "hstu"), "full": ("dnn", "din", "bst", "sasrec", "llama", "hstu")},
    points=points,
    pairs=pairs,
    statements=statements,
    figures=lambda finding: {
        "quality": quality(finding, "by length of the history", "history_length (events, log scale)", REFERENCE)
    },
)
