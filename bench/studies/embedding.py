"""What larger embedding tables bring, by model."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from .. import registry
from .figures import quality
from .grid import Point, Scope, Study, retuned
from .words import by_series

SIZES = {"small": (4, 8, 16, 32, 64), "full": (4, 8, 16, 32, 64, 128)}


def points(scope: Scope) -> Iterable[Point]:
    for model in scope.models:
        for dim in SIZES[scope.size]:
            yield Point(model, dim, model, (f"{model}.embedding_dim={dim}",), retuned(model, scope.size))


def pairs(points: Sequence[Point]) -> Iterable[tuple[Point, Point]]:
    """Every size against the model's own default."""
    usual = {point.series: registry.info(point.model).config().embedding_dim for point in points}
    reference = {point.series: point for point in points if point.at == usual[point.series]}
    return [(point, reference[point.series]) for point in points if point is not reference[point.series]]


STUDY = Study(
    name="embedding",
    title="Size of embedding tables",
    question="Does a ranker get better with larger embedding tables, and which one?",
    axis="embedding_dim",
    models={"small": ("din", "sasrec", "hstu"), "full": ("dnn", "dcnv2", "din", "sasrec", "llama", "hstu")},
    points=points,
    pairs=pairs,
    statements=by_series,
    figures=lambda finding: {"quality": quality(finding, "by embedding size", "embedding_dim (log scale)")},
)
