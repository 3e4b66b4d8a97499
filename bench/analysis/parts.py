"""Parts of the test examples in which models differ, each with its intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ..evaluation.crossed import compare_crossed
from ..evaluation.slices import ALL, PARTS
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
    items: int | None = None
    """Items that the metric depends on there, where intervals are over these too."""

    @property
    def trusted(self) -> bool:
        """Whether enough users are in it for an interval, and enough items if it is over these too."""
        return self.lacks is None

    @property
    def lacks(self) -> Literal["users", "items"] | None:
        """Of what there are too few."""
        if self.users < LEAST_USERS:
            return "users"
        return "items" if self.items is not None and self.items < LEAST_USERS else None


def parts(measured: Measured, metric: HeadlineMetric, pairs: list[tuple[str, str]]) -> tuple[SliceOfTest, ...]:
    """Every slice but the whole, in the order of evaluation/slices.py. By AUC, intervals of those by item are over items too; a
    request has no item of its own, so that those by request are over users and seeds.

    Args:
        pairs: of labels, first minus second; chosen by the whole test, not by the slice.
    """
    return tuple(
        part(measured, metric, name, mask, pairs, measured.items if metric == "auc" and PARTS[name].of_items else None)
        for name, mask in measured.parts.items()
        if name != ALL
    )


def part(
    measured: Measured,
    metric: HeadlineMetric,
    name: str,
    mask: np.ndarray,
    pairs: Sequence[tuple[str, str]],
    item: np.ndarray | None = None,
    together: bool = False,
) -> SliceOfTest:
    """Any slice.

    Args:
        mask: bool [test rows].
        pairs: as of `parts`.
        item: [test rows], of a slice that is made by item: its intervals are over items too.
        together: the intervals hold for all of these pairs at once; else each is that of a single comparison.
    """
    count = int(mask.sum())
    if not count:
        return SliceOfTest(name, metric, 0, 0, {}, ())
    rows = measured.predictions.part(mask)
    crossed = None if item is None else compare_crossed(rows, item[mask], metric)
    found = compare(rows, metric) if crossed is None else crossed
    items = None if crossed is None else crossed.of_items.users
    made = []
    differences = found.differences(pairs) if together else [found.difference(*pair) for pair in pairs]
    for (one, other), apart in zip(pairs, differences, strict=True):
        word = verdict(apart.low, apart.high, measured.margin, metric in LOWER_IS_BETTER)
        made.append(Pair(one, other, metric, apart, word, "post hoc", len(pairs) if together else 1))
    values = {label: found.value(label) for label in found.names}
    return SliceOfTest(name, metric, count, found.users, values, tuple(made), items)
