"""One trial: settings from the search space, trained on the training examples, judged by validation. Test is never read."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import optuna
import torch

from ..config import OWN_DATA, DataConfig, Experiment, Settings, resolve
from ..contract import ModelInfo, Ranker, SearchSpace
from ..data.batches import make_batches
from ..data.dataset import RankingData, prepare_log
from ..evaluation import evaluator
from ..evaluation.cards import merit
from ..identity import difference
from ..records.store import variant_name
from ..records.sweeps import Place
from ..runs.cell import Cell
from ..training.checkpoint import Checkpoint
from ..training.limits import Limits
from ..training.progress import CellId, Reporter, Send
from ..training.trainer import EpochPoint, TrainState, train
from .lease import Lease

SEED = 0
"""Of the training of every trial."""


@dataclass(frozen=True)
class Target:
    """A model whose settings are searched on a data set: what decides its study."""

    cell: Cell
    """The model with what the user fixed; data settings are resolved, the split's name too."""
    settings: Settings
    """What the user fixed. It is not searched."""
    further: SearchSpace = field(default_factory=dict)
    """What the user wants to be searched beside the model's own space."""

    @property
    def info(self) -> ModelInfo:
        return self.cell.info

    @property
    def metric(self) -> str:
        return self.cell.experiment.train.monitor

    @property
    def place(self) -> Place:
        return place_of(self.cell.experiment.data, self.cell.default.data, self.cell.identity.data_hash)

    @property
    def study(self) -> str:
        return f"{self.place}/{self.info.name}"

    @property
    def space(self) -> SearchSpace:
        """The model's search space without what the user fixed, and what else is searched."""
        fixed = {f"train.{key}" for key in self.settings.train} | self.settings.models.get(self.info.name, {}).keys()
        return {**{name: one for name, one in self.info.space.items() if name not in fixed}, **self.further}

    @property
    def defaults(self) -> dict[str, Any]:
        """The values of the space's settings if nothing is searched."""
        experiment, values = self.cell.experiment, {}
        for name in self.space:
            section, _, key = name.rpartition(".")
            values[name] = getattr(getattr(experiment, section or "params"), key)
        return values

    def experiment(self, drawn: Mapping[str, Any]) -> Experiment:
        """The experiment of a trial.

        Raises:
            UserError: settings that the model refuses together.
        """
        own = {**self.settings.models.get(self.info.name, {}), **drawn}
        settings = dataclasses.replace(self.settings, models={self.info.name: own})
        found = resolve(self.info, settings)
        searched = {key: getattr(found.data, key) for key in OWN_DATA if f"data.{key}" in drawn}
        return dataclasses.replace(found, data=dataclasses.replace(self.cell.experiment.data, **searched))

    def changed(self, drawn: Mapping[str, Any]) -> dict[str, Any]:
        """What sets the experiment of a trial apart from the model's defaults, as its section in a config file has it."""
        found = difference(self.cell.default.as_dict(), self.experiment(drawn).as_dict())
        return {key.removeprefix("params."): value for key, value in found.items() if not key.startswith("data.") or key in drawn}


def place_of(data: DataConfig, default: DataConfig, data_hash: str) -> Place:
    """Where data settings compete: both resolved, for data of this hash (Identity.data_hash)."""
    own, usual = (Experiment("", one, params={}).as_dict() for one in (data, default))
    changed = {key.removeprefix("data."): value for key, value in difference(usual, own).items()}
    variant = variant_name({key: value for key, value in changed.items() if key not in ("dataset", "split")})
    return Place(data.dataset, data.split, variant, data_hash)


@dataclass(frozen=True)
class Outcome:
    """Of a trial that was not pruned."""

    value: float
    epochs: int
    best_epoch: int
    cut: bool
    """A limit of time ended it."""


class Watched(Reporter):
    """Shows a trial's progress, reports its validation metric to Optuna after each epoch, and ends it when it is time."""

    def __init__(self, cell: CellId, send: Send, limits: Limits, trial: optuna.Trial, metric: str, lease: Lease) -> None:
        super().__init__(cell, send, limits)
        self.trial, self.metric, self.lease = trial, metric, lease
        self.epochs = self.best_epoch = 0
        self._values: list[float] = []

    def enough(self, seconds: float) -> bool:
        return self.lease.enough(seconds)

    def epoch_finished(self, point: EpochPoint, epochs: int, examples_per_second: float) -> None:
        super().epoch_finished(point, epochs, examples_per_second)
        self.report(point)
        self.prune()

    def report(self, point: EpochPoint) -> None:
        """Tell Optuna about an epoch."""
        value = getattr(point, f"valid_{self.metric}")
        self._values.append(merit(self.metric, value))
        self.epochs, self.best_epoch = point.epoch, 1 + int(np.argmax(self._values))
        self.trial.report(value, step=point.epoch)

    def prune(self) -> None:
        """End the trial if it is worse than most."""
        if self.trial.should_prune():
            raise optuna.TrialPruned


def train_trial(
    target: Target, experiment: Experiment, data: RankingData, device: torch.device, resume_file: Checkpoint, progress: Watched
) -> Outcome:
    """Train and judge one trial; `resume_file` may be the checkpoint of a worker that died with it.

    Raises:
        Stopped: a limit of the command is reached.
        optuna.TrialPruned: validation is worse than that of most other trials.
        FloatingPointError: a loss, score or metric that is not finite.
    """
    if experiment.data != data.config:
        data = prepare_log(data.log, experiment.data)
    saved = resume_file.load()
    if saved is not None:  # what the dead worker reported was reported of another trial
        for point in saved["state"]["curve"]:
            progress.report(EpochPoint(**point))
        progress.lease.seconds = saved["state"]["budget_seconds"]
        del saved
        progress.prune()
    torch.manual_seed(SEED)
    np.random.seed(SEED)
    model = target.info.build(experiment.params, data.spec).to(device)
    state = train(model, target.info, data, experiment.train, SEED, device, resume_file, progress)
    progress.lease.seconds = state.budget_seconds
    value = _best(state, target.metric) if state.curve else _judged(model, target, data, device, experiment.train.precision)
    if not np.isfinite(value):
        raise FloatingPointError(f"validation {target.metric} is {value}")
    return Outcome(value, state.epoch, state.best_epoch, state.cut)


def _best(state: TrainState, metric: str) -> float:
    return max((point[f"valid_{metric}"] for point in state.curve), key=lambda value: merit(metric, value))


def _judged(model: Ranker, target: Target, data: RankingData, device: torch.device, precision: str) -> float:
    """The metric of a model that was fitted at once, without epochs."""
    valid = make_batches(data, target.info.view, "valid", 4096, 8192)
    return evaluator.quality(evaluator.Forward(model, device, precision), valid, data)[target.metric]
