"""`rankbench sweep`: equal searches of several models' settings, by workers that come, die and go as they like."""

from __future__ import annotations

import contextlib
import json
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import optuna
import torch
from optuna.exceptions import DuplicatedStudyError
from optuna.storages import BaseStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from ...kernels import dispatch
from .. import device as devices
from ..config import Experiment, Settings
from ..data.dataset import RankingData, prepare_log
from ..data.logs import open_dataset
from ..data.sources.schema import DataRoots
from ..errors import UserError, in_one_line
from ..evaluation.cards import METRICS
from ..identity import active, dotted
from ..records import sweeps
from ..records.store import Store
from ..records.sweeps import Axis, Trial
from ..runs.cell import plan
from ..runs.schedule import make_ready, with_data
from ..training.checkpoint import Checkpoint
from ..training.limits import UNLIMITED, Limits, Stopped
from ..training.progress import CellEnded, CellId, CellStarted, Send
from ..urls import shown
from . import budget
from .budget import Budget, Ledger
from .claims import PAUSE, Claims
from .extra_space import further_spaces, outside
from .lease import Lost, Watch
from .order import ORDER, SearchOrder, own_models, plain, settings_from_anywhere
from .sampler import Proposals, decoded, distributions
from .storage import open_storage
from .trial import SEED, Target, Watched, train_trial
from .trial_records import axes, lost, recorded, restored

ATTRIBUTES = "rankbench"
"""Of a study: what decides it. Trials of studies that differ in it are never mixed."""
BEGINNING = 5.0
"""Seconds without a new trial after which whoever began a study is taken for dead."""
WARM_UP_TRIALS, WARM_UP_EPOCHS = 5, 2
"""Before which nothing is pruned: a median of few says little, and learning curves cross early."""


@dataclass(frozen=True)
class Sweep:
    """All that a worker, in whatever process, needs to know."""

    targets: tuple[Target, ...]
    budget: Budget
    """Of each model."""
    seed: int
    prune: bool
    storage: str
    """A URL or the path of a journal."""
    device: str
    roots: DataRoots
    root: Path
    """Of results."""
    kernels: Mapping[str, str]
    limits: Limits = UNLIMITED
    """Of the command that searches, which another command goes on with."""


def prepare_sweep(
    models: tuple[str, ...],
    settings: Settings,
    budget: Budget,
    seed: int,
    prune: bool,
    storage: str,
    device: str,
    roots: DataRoots,
    root: Path,
    kernels: Mapping[str, str],
    search: Sequence[str] = (),
    limits: Limits = UNLIMITED,
) -> Sweep:
    """Check everything and create the studies that are not there, before any worker starts.

    Args:
        search: SECTION.KEY=RANGE texts, see further.py.

    Raises:
        UserError: settings, data set, device, storage or kernels are wrong; a study was made with other settings.
    """
    targets, data, chosen = _targets(models, settings, search, device, roots, root, kernels)
    sweep = Sweep(tuple(targets), budget, seed, prune, storage, str(chosen), roots, root, dict(kernels), limits)
    opened = open_storage(storage)
    for target in targets:
        study = _create(target, sweep, data, opened)
        order = SearchOrder(
            model=target.info.name,
            models=models,
            settings=settings_from_anywhere(settings),
            search=tuple(search),
            trials=budget.trials,
            seconds=budget.seconds if math.isfinite(budget.seconds) else None,
            seed=seed,
            prune=prune,
            kernels=dict(kernels),
            results=str(root.absolute()),
            files=own_models(),
        )
        if study.user_attrs.get(ORDER) != plain(order):
            study.set_user_attr(ORDER, plain(order))
    return sweep


def rejoin(order: SearchOrder, study: str, storage: str, device: str, roots: DataRoots) -> tuple[Sweep, RankingData]:
    """The search of one model on this machine, for a worker that knows nothing of it but its order.

    Args:
        study: its name in the storage.

    Raises:
        UserError: settings, data set, device or kernels do not work here, or the data are others than those of the study.
    """
    root = Path(order.results)
    targets, data, chosen = _targets(order.models, order.settings, order.search, device, roots, root, order.kernels, order.model)
    sweep = Sweep(tuple(targets), order.budget, order.seed, order.prune, storage, str(chosen), roots, root, order.kernels)
    (target,) = targets
    if target.study != study:
        raise UserError(f"this machine has other data: the study would be {target.study}; bring the data that the others have")
    _check_same(optuna.load_study(study_name=study, storage=open_storage(storage)), target, sweep, data)
    return sweep, data


def _targets(
    models: tuple[str, ...],
    settings: Settings,
    search: Sequence[str],
    device: str,
    roots: DataRoots,
    root: Path,
    kernels: Mapping[str, str],
    only: str | None = None,
) -> tuple[list[Target], RankingData, torch.device]:
    """The models that are searched, or `only` one of them, the data, and the device.

    Raises:
        UserError: settings, data set, device, results folder or kernels are wrong.
    """
    cells = [cell for cell in plan(models, settings, 1) if only in (None, cell.info.name)]
    if any(cell.experiment.train.order == "time" for cell in cells):
        raise UserError(
            "train.order=time has no validation to search by: every window is scored once, and is then a past; search with "
            "epochs (leave train.order and --protocol out) and hand what was found to run with --config"
        )
    chosen = make_ready(cells, device, kernels)
    Store(root).check_writable()
    cells, data = with_data(cells, roots)
    targets, spaces = [], further_spaces(search, models)
    for cell in cells:
        target = Target(cell, settings, spaces[cell.info.name])
        if not target.space:
            raise UserError(f"{cell.info.name} has nothing to search: all settings of its space are set by --set or --config")
        if name := outside(target.space, target.defaults):
            raise UserError(
                f"--search leaves out the default of {name}, {target.defaults[name]}, which the first trial has; include it"
            )
        targets.append(target)
    return targets, data, chosen


def _create(target: Target, sweep: Sweep, data: RankingData, storage: BaseStorage) -> optuna.Study:
    """Begin a model's study, with the trials of its record if there is one, or make sure that it is the one that is asked for."""
    wanted = _attributes(target, sweep, data)
    path = target.place.sweep_path(sweep.root, target.info.name)
    record = sweeps.load(path) if path.exists() else None
    if record is not None:
        _same({**record.settings, **_texts(record.space)}, wanted, f"the search in {path}", "delete that file")
    while (study := _begun(target, storage)) is None:
        with contextlib.suppress(DuplicatedStudyError):  # somebody else begins it right now
            _begin(target, storage, wanted, () if record is None else record.trials)
    _check_same(study, target, sweep, data)
    if record is not None and (missing := lost(record.trials, recorded(study.get_trials(deepcopy=False), target.space))):
        raise UserError(
            f"{path} holds {missing} trials that study {target.study} in {shown(sweep.storage)} lacks; choose another --storage, "
            "which will begin with them, or another --results"
        )
    return study


def _check_same(study: optuna.Study, target: Target, sweep: Sweep, data: RankingData) -> None:
    """Raises UserError: the study was made with other settings or other data."""
    where = f"study {target.study} in {shown(sweep.storage)}"
    _same(study.user_attrs[ATTRIBUTES], _attributes(target, sweep, data), where, "choose another --storage")


def _begin(target: Target, storage: BaseStorage, attributes: dict[str, Any], trials: Sequence[Trial]) -> None:
    direction = StudyDirection.MINIMIZE if METRICS[target.metric].better == "lower" else StudyDirection.MAXIMIZE
    study = optuna.create_study(study_name=target.study, storage=storage, direction=direction)
    for trial in restored(trials, target.space):
        study.add_trial(trial)
    study.set_user_attr(ATTRIBUTES, attributes)  # last: without it the study is not begun


def _begun(target: Target, storage: BaseStorage) -> optuna.Study | None:
    """The study if it is there and whole; what somebody left who died while beginning it is taken away."""
    watch = Watch(BEGINNING)
    while True:
        try:
            study = optuna.load_study(study_name=target.study, storage=storage)
            if ATTRIBUTES in study.user_attrs:
                return study
            if watch.unchanged(target.study, len(study.get_trials(deepcopy=False))):
                optuna.delete_study(study_name=target.study, storage=storage)
        except KeyError:  # never there, or taken away by now
            return None
        time.sleep(PAUSE)


def _same(found: Mapping[str, Any], wanted: Mapping[str, Any], what: str, instead: str) -> None:
    for key in sorted(found.keys() | wanted.keys()):
        if found.get(key) != wanted.get(key):
            raise UserError(
                f"{what} was made with {key}={found.get(key)}, not {wanted.get(key)}; ask for the same again, {instead}, "
                "or choose another --results"
            )


def _texts(space: Mapping[str, Axis]) -> dict[str, str]:
    return {f"space.{name}": f"{one.kind} {list(one.values)}" for name, one in space.items()}


def _attributes(target: Target, sweep: Sweep, data: RankingData) -> dict[str, Any]:
    """What decides the study, by dotted key; what changes no trial's numbers is left out, and so is the budget."""
    settings = active(target.cell.experiment.as_dict())
    sections = {"data": settings["data"], "train": settings["train"], target.info.name: settings["params"]}
    fixed = {f"{section}.{key}": value for section, values in sections.items() for key, value in values.items()}
    searched = {name if name.startswith(("train.", "data.")) else f"{target.info.name}.{name}" for name in target.space}
    found = {
        "content_hash": data.log.meta.content_hash,
        "split_hash": data.split.hash,
        "metric": target.metric,
        "seed": sweep.seed,
        "prune": sweep.prune,
        **{key: value for key, value in fixed.items() if key not in searched},
        **_texts(axes(target.space)),
    }
    return json.loads(json.dumps(found))  # as it is read back: lists for tuples


def work(sweep: Sweep, send: Send) -> None:
    """Train trials until the budgets of all models are used up and nobody's trial can come back any more, or time is over."""
    devices.keep_freed_memory()
    device = devices.resolve(sweep.device)
    storage = open_storage(sweep.storage)
    cell = sweep.targets[0].cell
    data = prepare_log(open_dataset(cell.source, sweep.roots), cell.experiment.data)
    workers = [Worker(target, sweep, data, device, storage, send) for target in sweep.targets]
    with dispatch.forced(dict(sweep.kernels)):
        while not sweep.limits.over:
            states = [worker.step() for worker in workers]
            if all(state == "done" for state in states):
                return
            if "trained" not in states:
                time.sleep(PAUSE)


def unfinished(sweep: Sweep) -> dict[str, int]:
    """Model -> trials that count, of those whose search goes on another time."""
    storage, found = open_storage(sweep.storage), {}
    for target in sweep.targets:
        study = optuna.load_study(study_name=target.study, storage=storage)
        now = Ledger(study.get_trials(deepcopy=False))
        if not now.finished(sweep.budget):
            found[target.info.name] = len(now.counted)
    return found


class Worker:
    """One process at work on one study."""

    def __init__(
        self, target: Target, sweep: Sweep, data: RankingData, device: torch.device, storage: BaseStorage, send: Send
    ) -> None:
        self.target, self.budget, self.root, self.limits = target, sweep.budget, sweep.root, sweep.limits
        self.data, self.device, self.send = data, device, send
        self.study = optuna.load_study(
            study_name=target.study,
            storage=storage,
            sampler=Proposals(sweep.seed, target.info.name, target.space, target.defaults),
            pruner=optuna.pruners.MedianPruner(WARM_UP_TRIALS, WARM_UP_EPOCHS + 1) if sweep.prune else optuna.pruners.NopPruner(),
        )
        self.claims = Claims(self.study, storage)

    def step(self) -> Literal["trained", "waiting", "done"]:
        """Train one trial, if there is one to train.

        Returns:
            done: the budget is used up and nothing is under way. waiting: others' trials are, which may yet come back.
        """
        self.claims.bury(lambda trial, now: not now.within(trial, self.budget))
        now = self.claims.ledger()
        if now.finished(self.budget):
            return "done"
        if not (now.waiting or now.open(self.budget)):
            return "waiting"
        trial = self.study.ask(distributions(self.target.space))
        frozen = self.claims.frozen(trial.number)
        if not self.claims.ledger().within(frozen, self.budget):
            self.claims.end(trial.number, TrialState.FAIL, reason=budget.SURPLUS)
            return "waiting"
        self._train(trial, frozen)
        return "trained"

    def _train(self, trial: optuna.Trial, frozen: FrozenTrial) -> None:
        state, value, reason, cut = TrialState.FAIL, None, None, False
        try:
            drawn = decoded(self.target.space, trial.params)
            experiment = self.target.experiment(drawn)
        except UserError as error:  # settings that the model refuses together are a result of the search, like any other
            self.claims.end(trial.number, state, reason=str(error))
            return
        path = self.target.place.checkpoint_path(self.root, self.target.info.name, experiment.hash, budget.root(frozen))
        cell = self._cell(experiment, budget.root(frozen))
        file = Checkpoint(path, f"{experiment.hash}-{self.target.place.data_hash}-{budget.root(frozen)}")
        with self.claims.lease(trial.number, lambda own: self._limit(trial.number, own)) as lease:
            progress = Watched(cell, self.send, self.limits, trial, self.target.metric, lease)
            self.send(cell, CellStarted(dotted(experiment.as_dict())))
            try:
                outcome = train_trial(self.target, experiment, self.data, self.device, file, progress)
                state, value, cut = TrialState.COMPLETE, outcome.value, outcome.cut
                progress.epochs, progress.best_epoch = outcome.epochs, outcome.best_epoch
            except optuna.TrialPruned:
                state = TrialState.PRUNED
            except Lost:
                return
            except Stopped as error:
                if error.stop.limit == "time":  # no fault of the trial's: whoever searches on goes on from the checkpoint
                    self.claims.hand_on(frozen, budget.STOPPED)
                    self.send(cell, CellEnded("stopped", lease.seconds, "valid", reason=str(error)))
                    return
                reason = str(error)  # too large for the memory that there is: a result of the search
            except (KeyboardInterrupt, UserError):
                # Not the trial's fault: somebody else, or this command the next time, goes on from the checkpoint.
                self.claims.interrupted(frozen)
                raise
            except Exception as error:  # a model may fail in any way; the search goes on
                reason = in_one_line(error)
        facts = {budget.SECONDS: round(lease.seconds, 3), budget.EPOCHS: progress.epochs, budget.BEST_EPOCH: progress.best_epoch}
        facts[budget.CUT] = cut
        if self.claims.end(trial.number, state, value, **facts, **({} if reason is None else {budget.REASON: reason})):
            file.remove()
            status = "failed" if reason is not None else "pruned" if value is None else "ok"
            metrics = {self.target.metric: value}
            self.send(cell, CellEnded(status, lease.seconds, "valid", metrics, progress.best_epoch or None, reason or ""))

    def _cell(self, experiment: Experiment, number: int) -> CellId:
        """Of the first trial in a chain of retries, all of which are one training."""
        return CellId(
            model=experiment.model,
            dataset=experiment.data.dataset,
            split=experiment.data.split,
            config_hash=experiment.hash,
            data_hash=self.target.place.data_hash,
            seed=SEED,
            results=str(self.root.absolute()),
            trial=number,
        )

    def _limit(self, number: int, own: float) -> float:
        return self.claims.ledger().limit(number, own, self.budget)
