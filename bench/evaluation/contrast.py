"""A metric on one slice of the test minus the same metric on another, so that one may ask where two models differ more.

Two intervals, one of which excludes zero, do not say that the slices differ: their difference has an interval of its own. Users,
items and seeds of both slices move together, so it is made of the influence of each user and item on both.
"""

from __future__ import annotations

import numpy as np

from .crossed import CrossedComparison
from .influence import Metric, influence, rows
from .predictions import Predictions
from .stats import Comparison, assemble, pairs_of


def contrast(
    predictions: Predictions, item: np.ndarray, one: np.ndarray, other: np.ndarray, metric: Metric = "auc"
) -> CrossedComparison:
    """A comparison whose value of a model is that on the slice `one` minus that on the slice `other`, over test users, test items
    and seeds. Its differences are of use; a value by itself is no value of the metric.

    Args:
        item: of each example, [n].
        one, other: bool [n], slices without a common example.
        metric: auc or logloss.

    Raises:
        ValueError: as `compare` does, or the slices have examples in common, or the metric is another one.
    """
    if (one & other).any():
        raise ValueError("slices that are held against each other must have no example in common")
    kept = one | other
    first, asked = one[kept], predictions.part(kept)
    return CrossedComparison.of(asked, item[kept], metric, lambda of: _by(asked, first, of, metric))


def _by(predictions: Predictions, first: np.ndarray, of: np.ndarray, metric: Metric) -> Comparison:
    """Over one kind of units, which are users, items or examples.

    Args:
        first: bool [n], whether an example is of the first slice; it is of the second else.
        of: the unit of each example, [n].
    """
    units = np.unique(of)
    measured: dict[str, list[tuple[float, np.ndarray]]] = {
        name: [(0.0, np.zeros(len(units))) for _ in seeds] for name, seeds in predictions.scores.items()
    }
    matter = []
    for mask, sign in ((first, 1.0), (~first, -1.0)):
        part, own = predictions.part(mask), np.unique(of[mask])
        asked = rows(part.label, of[mask], np.arange(len(part.label)))
        matter.append(asked.matter(metric))
        # Influences are in units of a comparison of so many: the squares of all are to say what those of the slice alone do.
        scale = sign * (pairs_of(len(units)) / pairs_of(len(own))) ** 0.5
        place = np.searchsorted(units, own)
        for name, seeds in part.scores.items():
            for at, score in enumerate(seeds):
                value, moved = influence(metric, asked, score)
                total, influences = measured[name][at]
                influences[place] += scale * moved
                measured[name][at] = (total + sign * value, influences)
    return assemble(metric, measured, min(matter))
