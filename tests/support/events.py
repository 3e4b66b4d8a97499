"""Cells, and what is told of them."""

from __future__ import annotations

import math

from rankbench.bench.training.progress import CellEnded, CellId, EpochFinished, EpochStarted, Event, Stepped
from rankbench.bench.training.trainer import EpochPoint


def cell(
    model: str = "din",
    seed: int = 0,
    *,
    dataset: str = "clicks",
    config_hash: str = "ab12",
    results: str = "/out",
    trial: int | None = None,
) -> CellId:
    return CellId(model, dataset, "global-time", config_hash, "cd34", seed, results, trial)


ALIKE = (cell(), cell(config_hash="ef56"), cell(dataset="plays"), cell(trial=0), cell(trial=0, config_hash="ef56"))
"""Some have the same name."""

EVENTS: list[Event] = [
    EpochStarted(1, 2, 3, 0),
    Stepped(3, 0.7, 1e4),
    EpochFinished(EpochPoint(1, 0.69, 0.6, 0.55, 0.68, 1.5), 2, 1e4),
    EpochStarted(2, 2, 3, 0),
    Stepped(3, 0.6, 1e4),
    EpochFinished(EpochPoint(2, 0.61, math.nan, math.nan, math.nan, 3.0), 2, 1e4),
    CellEnded("ok", 3.0, "test", {"auc": 0.7, "request_gauc": 0.6, "user_gauc": None}, 1),
]
