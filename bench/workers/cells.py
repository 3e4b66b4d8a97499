"""Cells of runs in a storage: each is handed out to one worker, and to another one if that dies.

A results folder has one study, and a cell that is asked for is a trial of it without parameters: claims, signs of life and what
becomes of the dead are those of a search (search/claims.py). A cell is known by the path of its record, so that one that two
commands ask for is trained once. The value of a finished trial is its training time in seconds; its metrics are in the record.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import optuna
import torch
from optuna.exceptions import DuplicatedStudyError
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState

from .. import registry
from ..config import DataConfig, Experiment, TrainConfig, Tuning
from ..contract import ModelInfo
from ..data.sources.schema import DataRoots
from ..errors import UserError
from ..records.schema import RunRecord
from ..records.store import Store, safe_name
from ..runs.cell import Cell
from ..runs.run import Job, run_job
from ..runs.schedule import ended, make_ready
from ..search import budget
from ..search.claims import Claims
from ..search.lease import Lease, Lost
from ..search.order import ORDER, from_anywhere, order_of, own_models, plain
from ..training.progress import CellId, Reporter, Send
from ..training.team import ALONE
from ..typed import from_dict

CELL = "cell"
"""Attribute of a trial: the path of the cell's record below the results folder."""
RESULTS = "results"
"""Attribute of a study of cells: the results folder."""


@dataclass(frozen=True)
class CellOrder:
    """A cell as the command resolved it that asks for it."""

    model: str
    seed: int
    source: str
    experiment: dict[str, Any]
    default: dict[str, Any]
    tuning: Tuning | None
    content_hash: str
    split_hash: str
    kernels: dict[str, str]
    files: tuple[str, ...]
    """Of models of one's own."""

    @classmethod
    def of(cls, job: Job) -> CellOrder:
        cell = job.cell
        return cls(
            model=cell.info.name,
            seed=cell.seed,
            source=from_anywhere(cell.source),
            experiment=cell.experiment.as_dict(),
            default=cell.default.as_dict(),
            tuning=cell.tuning,
            content_hash=cell.content_hash,
            split_hash=cell.split_hash,
            kernels=job.kernels,
            files=own_models(),
        )

    def job(self, device: str, roots: DataRoots, store: Store) -> Job:
        """The same cell here.

        Raises:
            UserError: the model, one of its settings or a kernel is not there.
        """
        for path in self.files:
            registry.load(Path(path))
        info = registry.info(self.model)
        experiment, default = (_experiment(info, config) for config in (self.experiment, self.default))
        cell = Cell(experiment, default, info, self.seed, self.source, self.tuning, self.content_hash, self.split_hash)
        chosen = make_ready([cell], device, self.kernels)
        return Job(0, cell, str(chosen), roots, store, True, self.kernels, ALONE)


def _experiment(info: ModelInfo, config: dict[str, Any]) -> Experiment:
    sections = (from_dict(DataConfig, config["data"], "data"), from_dict(TrainConfig, config["train"], "train"))
    return Experiment(info.name, *sections, from_dict(info.config, config["params"], info.name))


def key_of(job: Job) -> str:
    """What a cell is known by."""
    return job.store.record_path(job.cell.identity).relative_to(job.store.root).as_posix()


def study_of(root: Path, storage: BaseStorage) -> optuna.Study:
    """The study of the cells of a results folder; created if it is not there."""
    name = f"cells/{safe_name(str(root.absolute()))}"
    while True:
        try:
            study = optuna.load_study(study_name=name, storage=storage)
            if RESULTS not in study.user_attrs:
                study.set_user_attr(RESULTS, str(root.absolute()))
            return study
        except KeyError:
            try:
                optuna.create_study(study_name=name, storage=storage, direction="minimize")
            except DuplicatedStudyError:  # somebody else creates it right now
                continue


def hand_out(jobs: Collection[Job], root: Path, storage: BaseStorage) -> int:
    """Ask for cells that nobody asked for yet.

    Returns:
        How many of them are new.
    """
    study = study_of(root, storage)
    under_way = Standing.of(Claims(study, storage)).under_way
    new = [job for job in jobs if key_of(job) not in under_way]
    for job in new:
        study.enqueue_trial({}, user_attrs={CELL: key_of(job), ORDER: plain(CellOrder.of(job))})
    return len(new)


def outcome(job: Job, root: Path, storage: BaseStorage) -> RunRecord | str:
    """What became of a cell that was handed out and is not under way any more: its record, or why there is none.

    Raises:
        UserError: it is done, and its record is nowhere in this results folder.
    """
    trial = Standing.of(Claims(study_of(root, storage), storage)).ended[key_of(job)]
    if trial.state == TrialState.COMPLETE:
        record = job.store.finished(job.cell.identity)
        if record is None:
            where = trial.user_attrs.get(budget.LEASE, {}).get("machine", "another machine")
            raise UserError(
                f"{key_of(job)} was trained on {where}, but its record is not in {root}; let all workers share that folder"
            )
        return record
    path, reason = job.store.record_path(job.cell.identity), trial.user_attrs.get(budget.REASON, budget.DIED)
    record = job.store.load(path) if path.exists() else None
    return record if record is not None and record.error == reason else reason


@dataclass(frozen=True)
class Standing:
    """How the cells of a study stand: by each cell's key, the trial that says so."""

    under_way: dict[str, FrozenTrial]
    """The first of those that wait, run or will have a retry: a cell that two commands asked for at once has two."""
    ended: dict[str, FrozenTrial]
    """The last one that ended for good; a cell that is asked for again is under way as well."""

    @classmethod
    def of(cls, claims: Claims) -> Standing:
        now = claims.ledger()
        orphans = {trial.number for trial in now.orphans}
        under_way: dict[str, FrozenTrial] = {}
        last: dict[str, FrozenTrial] = {}
        for trial in now.trials:
            key = trial.user_attrs[CELL]
            if not trial.state.is_finished() or trial.number in orphans:
                under_way.setdefault(key, trial)
            elif budget.counts(trial):
                last[key] = trial
        return cls(under_way, last)


class NotHere(UserError):
    """One cell cannot be done on this machine; others can."""


class CellWorker:
    """One process at work on the cells of a results folder."""

    def __init__(
        self,
        root: Path,
        storage: BaseStorage,
        device: torch.device,
        roots: DataRoots,
        send: Send,
        wanted: Collection[str] | None = None,
    ) -> None:
        """`wanted`: the cells that it takes; None: all that are asked for."""
        self.store, self.device, self.roots, self.send, self.wanted = Store(root), str(device), roots, send, wanted
        self.claims = Claims(study_of(root, storage), storage, (CELL, ORDER))
        self.refused: set[str] = set()
        """Cells that cannot be done here: left to others."""

    def step(self) -> Literal["trained", "waiting", "done"]:
        """Train one cell, if there is one to train.

        Returns:
            done: nothing is under way that can be done here. waiting: others are at work, whose cells may come back.

        Raises:
            NotHere: a cell cannot be done here; the next call goes on with the others.
        """
        self.claims.bury()
        standing = Standing.of(self.claims)
        wanted = standing.under_way.keys() if self.wanted is None else self.wanted
        under_way = [trial for key, trial in standing.under_way.items() if key in wanted and key not in self.refused]
        for trial in under_way:
            if trial.state == TrialState.WAITING and self.claims.take(trial):
                self._train(self.claims.frozen(trial.number))
                return "trained"
        return "waiting" if under_way else "done"

    def _train(self, trial: FrozenTrial) -> None:
        key = trial.user_attrs[CELL]
        try:
            with self.claims.lease(trial.number, lambda own: math.inf) as lease:
                job = order_of(CellOrder, trial.user_attrs[ORDER], key).job(self.device, self.roots, self.store)
                if key_of(job) != key:
                    raise UserError(f"{key} is {key_of(job)} here: this machine has another version of the program or the model")
                record, done = self.store.finished(job.cell.identity), None
                if record is None:
                    done = run_job(job, self.send, Held(job.cell_id, self.send, lease))
                    assert done is not None, "a process that is alone leads"
                    record = done.record
        except Lost:
            return
        # Neither is the cell's fault: somebody else goes on from the checkpoint.
        except KeyboardInterrupt:
            self.claims.interrupted(trial)
            raise
        except UserError as error:
            self.refused.add(key)
            self.claims.interrupted(trial)
            raise NotHere(str(error)) from None
        if record.status == "ok" and record.cost is not None:
            own = self.claims.end(trial.number, TrialState.COMPLETE, record.cost.train_seconds)
        else:
            own = self.claims.end(trial.number, TrialState.FAIL, reason=record.error or "")
        if done is not None and own:  # else whoever has the cell by now says how it ends
            self.send(job.cell_id, ended(done))


class Held(Reporter):
    """Shows the progress of a cell that this process has a lease of."""

    def __init__(self, cell: CellId, send: Send, lease: Lease) -> None:
        super().__init__(cell, send)
        self.lease = lease

    def enough(self, seconds: float) -> bool:
        """As of a lease without a limit of time: never, unless the cell is somebody else's by now."""
        return self.lease.enough(seconds)
