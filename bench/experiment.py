"""One experiment from data to record, and a benchmark as a grid of experiments of which each finished cell runs once."""

from __future__ import annotations

import dataclasses
import resource
import shutil
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from ..kernels import hstu_attention
from . import device as devices
from . import registry
from .config import Experiment, Settings, resolve
from .contract import ModelInfo, Ranker
from .data.dataset import RankingData, prepare
from .data.sources.schema import DataRoots
from .data.splits import ROLES
from .errors import UserError
from .evaluation import evaluator, metrics
from .records import provenance
from .records.schema import Cost, DataFacts, Identity, RunRecord
from .records.store import Store
from .training.progress import make_progress
from .training.trainer import TrainState, train


@dataclass(frozen=True)
class Cell:
    """One experiment with one seed."""

    experiment: Experiment
    changed: dict[str, Any]
    """Settings that differ from the model's defaults."""
    info: ModelInfo
    seed: int


def plan(models: tuple[str, ...], settings: Settings, seeds: int) -> list[Cell]:
    """All cells of a benchmark; every setting is checked before anything runs."""
    cells = []
    for name in models:
        info = registry.info(name)
        experiment = resolve(name, info.config, dict(info.train), settings)
        default = resolve(name, info.config, dict(info.train), Settings(data={"dataset": experiment.data.dataset}))
        changed = _difference(default.as_dict(), experiment.as_dict())
        cells += [Cell(experiment, changed, info, seed) for seed in range(seeds)]
    return cells


def _difference(default: dict[str, Any], actual: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key, value in actual.items():
        if isinstance(value, dict):
            result |= _difference(default[key], value, f"{prefix}{key}.")
        elif value != default[key]:
            result[f"{prefix}{key}"] = value
    return result


def run_all(
    models: tuple[str, ...],
    settings: Settings,
    seeds: int,
    device: str,
    roots: DataRoots,
    store: Store,
    resume: bool = True,
    quiet: bool = False,
) -> list[RunRecord]:
    """Run every cell that is not finished; a cell that fails becomes a failed record and the others go on.

    Returns:
        One record per cell, finished earlier or now.

    Raises:
        UserError: settings, data set or device are wrong; raised before any training.
    """
    cells = plan(models, settings, seeds)
    chosen = devices.resolve(device)
    precisions = {cell.experiment.train.precision for cell in cells}
    for precision in precisions:
        if reason := devices.supports(chosen, precision):
            raise UserError(f"train.precision={precision} does not work on {chosen}: {reason}")
    data = prepare(cells[0].experiment.data, roots)
    records = []
    for cell in cells:
        name = f"{cell.info.name} seed {cell.seed}"
        identity = _identity(cell, data)
        done = store.finished(identity, data.split.hash)
        if done is not None:
            _say(f"{name}: finished before", quiet)
            records.append(done)
            continue
        record = _run_cell(cell, data, chosen, store, resume, quiet)
        records.append(record)
        _say(_summary(name, record), quiet)
    return records


def _say(line: str, quiet: bool) -> None:
    if not quiet:
        print(line, file=sys.stderr, flush=True)


def _summary(name: str, record: RunRecord) -> str:
    if record.status != "ok" or record.metrics is None or record.cost is None:
        return f"{name}: FAILED: {record.error}"
    test = record.metrics.test["all"]
    shown = "  ".join(f"{key} {value:.4f}" for key in ("gauc", "auc", "logloss") if (value := test[key]) is not None)
    return f"{name}: test {shown}  trained in {record.cost.train_seconds:.1f} s, best epoch {record.cost.best_epoch}"
