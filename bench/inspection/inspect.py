"""Everything that can be looked at in a log under its split."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from ..data.dataset import RankingData
from . import features, rows
from .counts import counts
from .drift import drift
from .finding import LOOKED_FOR, Fault

CHECKS: tuple[Callable[[RankingData], Iterator[Fault]], ...] = (
    rows.wrong_times,
    rows.ties,
    rows.repeats,
    features.leaks,
    counts,
    features.filled_in,
    rows.both_sides,
    drift,
    rows.one_label,
)


def inspect(data: RankingData) -> tuple[Fault, ...]:
    """All faults, the serious ones first, then in the order of LOOKED_FOR."""
    found = [fault for check in CHECKS for fault in check(data)]
    kinds = list(LOOKED_FOR)
    return tuple(sorted(found, key=lambda fault: (fault.severity != "serious", kinds.index(fault.kind))))
