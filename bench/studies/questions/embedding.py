"""What larger embedding tables bring, by model."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ... import registry
from ..figure_data import quality
from ..grid import Study
from ..points import Point, Scope, against, retuned
from ..verdicts import by_series

REFERENCE = "the model's default size"
SIZES = {"small": (4, 8, 16, 32, 64), "full": (4, 8, 16, 32, 64, 128)}


def points(scope: Scope) -> Iterable[Point]:
    for model in scope.models:
        for dim in SIZES[scope.size]:
            yield Point(model, dim, model, (f"{model}.embedding_dim={dim}",), retuned(model, scope.size))


def pairs(points: Sequence[Point]) -> Iterable[tuple[Point, Point]]:
    """Every size against the model's own default."""
    return against(points, lambda point: point.at == registry.info(point.model).config().embedding_dim)


STUDY = Study(
    name="embedding",
    title="Size of embedding tables",
    question="Does a ranker get better with larger embedding tables, and which one?",
    axis="embedding_dim",
    models={"small": ("din", "sasrec", "hstu"), "full": ("dnn", "dcnv2", "din", "sasrec", "llama", "hstu")},
    points=points,
    pairs=pairs,
    statements=by_series,
    figures=lambda finding: {"quality": quality(finding, "by embedding size", "embedding_dim (log scale)", REFERENCE)},
)
