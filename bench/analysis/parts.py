"""Parts of the test examples in which models differ, each with its intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..evaluation.slices import ALL
from ..evaluation.stats import LEAST_USERS, LOWER_IS_BETTER, Estimate, Metric, compare, verdict
from .comparison import HeadlineMetric, Measured
from .statements import Pair


@dataclass(frozen=True)
class SliceOfTest:
    """A slice of the test examples by one metric."""

    name: str
    """Of evaluation/slices.py, or of a domain."""
    metric: Metric
    n: int
    """Test examples."""
    users: int
    """Users that the metric depends on there."""
    values: dict[str, Estimate]
    """Label of a row -> its value; empty where the slice is."""
    pairs: tuple[Pair, ...]
    """Of the rows that stand for their families, and others that were asked for. Each interval is of this slice alone."""

    @property
    def trusted(self) -> bool:
        """Whether enough users are in it for an interval."""
        return self.users >= LEAST_USERS


def parts(measured: Measured, metric: HeadlineMetric, pairs: list[tuple[str, str]]) -> tuple[SliceOfTest, ...]:
    """Every slice but the whole, in the order of evaluation/slices.py.

    Args:
        pairs: of labels, first minus second; chosen by the whole test, not by the slice.
    """
    return tuple(part(measured, metric, name, mask, pairs) for name, mask in measured.parts.items() if name != ALL)


def part(
    measured: Measured, metric: HeadlineMetric, name: str, mask: np.ndarray, pairs: Sequence[tuple[str, str]]
) -> SliceOfTest:
    """Any slice.

    Args:
        mask: bool [test rows].
        pairs: as of `parts`.
    """
    count = int(mask.sum())
    if not count:
        return SliceOfTest(name, metric, 0, 0, {}, ())
    found = compare(measured.predictions.part(mask), metric)
    made = []
    for one, other in pairs:
        apart = found.difference(one, other)
        word = verdict(apart.low, apart.high, measured.margin, metric in LOWER_IS_BETTER)
        made.append(Pair(one, other, metric, apart, word, "post hoc", 1))
    return SliceOfTest(name, metric, count, found.users, {label: found.value(label) for label in found.names}, tuple(made))
