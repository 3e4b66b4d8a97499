"""Rows of a pass through time, made of curves."""

from __future__ import annotations

from collections.abc import Sequence

from rankbench.bench.analysis.stream import SeedCurve, StreamRow, over_seeds
from rankbench.bench.analysis.stream_statements import Work

WINDOWS = 4


def row(label: str, curves: Sequence[Sequence[float]], target: float = 0.7, family: str = "classical") -> StreamRow:
    work = tuple(Work(100.0 * (at + 1), at + 1.0, 1e6 * (at + 1)) for at in range(WINDOWS))
    seeds = tuple(SeedCurve(seed, tuple(auc), (0.5,) * WINDOWS, work) for seed, auc in enumerate(curves))
    return StreamRow(
        label=label,
        model=label,
        family=family,
        config_hash="0" * 12,
        comparable=True,
        seeds=seeds,
        auc=tuple(over_seeds([one[at] for one in curves]) for at in range(WINDOWS)),
        request_gauc=tuple(over_seeds([0.5] * len(curves)) for _ in range(WINDOWS)),
        work=work,
        reached=tuple(next((at for at, auc in enumerate(one) if auc >= target), None) for one in curves),
    )
