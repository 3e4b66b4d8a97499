"""Sweeps made up for tests of their records and figures."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from rankbench.bench import registry
from rankbench.bench.contract import Choice, Real, SearchSpace
from rankbench.bench.records.sweeps import VERSION, Axis, SweepRecord, Trial


def record(model: str, trials: int, seed: int = 0) -> SweepRecord:
    """A sweep over the model's own space, in which only the learning rate matters (if it has one)."""
    info, rng = registry.info(model), np.random.default_rng(seed)
    made = []
    for number in range(trials):
        params = {name: _draw(info.space, name, rng) for name in info.space}
        merit = -abs(math.log10(params["train.lr"]) + 3) if "train.lr" in params else 0.0
        state = "complete" if number % 7 != 6 else "pruned"
        value = 0.75 + 0.05 * merit + 0.002 * rng.normal() if state == "complete" else None
        seconds, curve = 10 + 5 * rng.random(), (0.6, 0.7, 0.65)
        made.append(Trial(number, state, value, seconds, 3, 2, None, None, params, curve, number % 5 == 4))  # type: ignore[arg-type]
    return SweepRecord(
        version=VERSION,
        study=f"toy@global-time/{model}",
        dataset="toy",
        split="global-time",
        model=model,
        family=info.family,
        metric="auc",
        seed=0,
        budget_trials=trials,
        budget_seconds=None,
        settings={"split_hash": "f" * 64},
        space={name: _axis(info.space, name) for name in info.space},
        defaults=made[0].params,
        trials=tuple(made),
    )


def _draw(space: SearchSpace, name: str, rng: np.random.Generator) -> Any:
    searched = space[name]
    if isinstance(searched, Choice):
        value = searched.values[rng.integers(len(searched.values))]
        return list(value) if isinstance(value, tuple) else value
    if isinstance(searched, Real) and searched.log:
        return float(np.exp(rng.uniform(np.log(searched.low), np.log(searched.high))))
    return float(rng.uniform(searched.low, searched.high)) if isinstance(searched, Real) else int(searched.high)


def _axis(space: SearchSpace, name: str) -> Axis:
    searched = space[name]
    if isinstance(searched, Choice):
        return Axis("choice", tuple(list(value) if isinstance(value, tuple) else value for value in searched.values))
    kind = "whole" if not isinstance(searched, Real) else "log" if searched.log else "real"
    return Axis(kind, (searched.low, searched.high))
