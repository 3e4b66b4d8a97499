"""What passes through time say, and the words of it."""

from __future__ import annotations

import typing

from rankbench.bench.analysis.stream_statements import (
    AboveFloors,
    BeyondEnvelope,
    Envelopes,
    FirstWindow,
    FloorsToTarget,
    ToTarget,
    Work,
)
from rankbench.bench.evaluation.stats import Estimate

OF_STREAMS: list[tuple[typing.Any, str]] = [
    (
        ToTarget("din", 0.73, 3, 3, Work(71_400, 5.2, 1.17e11), Estimate(71_400, 60_000, 82_800), 0.741),
        "din: AUC 0.73 on the next window, reached after 71.4k [60k, 82.8k] samples, 5.2 s, 117G FLOPs.",
    ),
    (
        ToTarget("ctr", 0.73, 3, 2, Work(92_000, 0.5, 0.0), None, 0.733),
        "ctr: AUC 0.73 on the next window, reached by 2 of 3 seeds, by these after 92k samples, 0.5 s.",
    ),
    (
        ToTarget("lr", 0.73, 3, 0, None, None, 0.7187),
        "lr: AUC 0.73 on the next window is not reached; the best window has 0.7187.",
    ),
    (FloorsToTarget(0.73, ()), "No floor reaches AUC 0.73."),
    (
        FloorsToTarget(0.73, ("ctr", "lr")),
        "ctr and lr, which are floors, reach AUC 0.73 too: the target alone does not tell a model from a floor.",
    ),
    (
        AboveFloors("hstu", "auc", 7, 11, 0.0053),
        "hstu: AUC is above that of every floor in 7 of 11 windows; +0.0053 in the last one, a description of these runs.",
    ),
    (
        BeyondEnvelope("din", 4, 3, 0.76, 0.7421, 9),
        "LOOK FOR A LEAK: din seed 4 has AUC 0.7600 in window 3, above 0.7421, the bound that 9 other seeds of it make. It "
        "accuses nobody: a better program is above it, too.",
    ),
    (
        Envelopes(("din",), ("ctr", "lr"), 3, 0.99),
        "Curves of din are held against the envelope of other seeds, which an honest seed leaves upwards once in 100; ctr and "
        "lr: fewer than 3 other seeds make no envelope.",
    ),
    (
        FirstWindow(141, 11),
        "11 windows are scored, each before anything was learned from it or from a later one. The first window, 141 samples, is "
        "learned from without being scored.",
    ),
]
