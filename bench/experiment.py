"""One experiment from data to record, and a benchmark as a list of experiments of which each finished one runs once."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd
import torch

from ..kernels import dispatch
from . import device as devices
from . import implementations, registry, workers
from .config import DataConfig, Experiment, Settings, resolve
from .contract import ModelInfo
from .data.dataset import RankingData, open_dataset, prepare, prepare_log, resolved
from .data.sources.schema import DataRoots
from .errors import UserError, in_one_line
from .evaluation import evaluator, metrics
from .evaluation.flops import flops_per_example
from .identity import difference, ignored
from .records import provenance, weights
from .records.changes import about_change
from .records.facts import facts_of
from .records.schema import SCHEMA_VERSION, Cost, Identity, Metrics, Point, RunRecord, Tuning
from .records.store import Store
from .training.checkpoint import Checkpoint
from .training.fitting import Fitted, fit, forget
from .training.progress import Display, Quiet, Reporter, Send
from .training.team import ALONE, ProcessFailed, Team
from .training.trainer import TrainState


@dataclass(frozen=True)
class Cell:
    """One experiment with one seed."""

    experiment: Experiment
    default: Experiment
    """The same model on the same data set, nothing else asked for."""
    info: ModelInfo
    seed: int
    source: str
    """Where its data set is found: a registered name or the path of a YAML file."""
    tuning: Tuning | None = None
    """The sweep that found its settings."""
    content_hash: str = ""
    """Of the log and of the split, once they are known, see `resolved`."""
    split_hash: str = ""

    @property
    def name(self) -> str:
        return f"{self.info.name} seed {self.seed}"

    @property
    def changed(self) -> dict[str, Any]:
        """Settings that differ from the model's defaults."""
        return difference(self.default.as_dict(), self.experiment.as_dict())

    def resolved(self, data: RankingData) -> Cell:
        """With the settings of the data that were prepared for it: as it is hashed and recorded."""
        return dataclasses.replace(
            self,
            experiment=resolved_for(self.experiment, data.config, data),
            default=resolved_for(self.default, resolved(self.default.data, data.log), data),
            content_hash=data.log.meta.content_hash,
            split_hash=data.split.hash,
        )

    @property
    def identity(self) -> Identity:
        """Of a resolved cell."""
        return Identity(
            dataset=self.experiment.data.dataset,
            split=self.experiment.data.split,
            model=self.info.name,
            family=self.info.family,
            config_hash=self.experiment.hash,
            content_hash=self.content_hash,
            split_hash=self.split_hash,
            seed=self.seed,
        )


def resolved_for(experiment: Experiment, config: DataConfig, data: RankingData) -> Experiment:
    """With resolved data settings, and the monitor that its default means for these data."""
    train = dataclasses.replace(experiment.train, monitor=evaluator.monitor(experiment.train, data))
    return dataclasses.replace(experiment, data=config, train=train)


def plan(models: tuple[str, ...], settings: Settings, seeds: int) -> list[Cell]:
    """All cells of a benchmark; every setting is checked before anything runs.

    Raises:
        UserError: a setting that does not exist, has a wrong value, or does nothing.
    """
    cells = []
    infos = {name: registry.info(name) for name in models}
    for name, info in infos.items():
        experiment = resolve(info, settings)
        default = resolve(info, Settings(data={"dataset": experiment.data.dataset}))
        source, tuning = experiment.data.dataset, settings.tuning.get(name)
        cells += [Cell(experiment, default, info, seed, source, tuning) for seed in range(seeds)]
    for key in settings.train:
        if all(reasons := [info.ignores(key) for info in infos.values()]):
            raise UserError(f"train.{key} does nothing: {reasons[0]}")
    return cells


def run_all(
    cells: Sequence[Cell],
    device: str,
    roots: DataRoots,
    store: Store,
    resume: bool = True,
    quiet: bool = False,
    jobs: int | None = None,
    threads: int = 1,
    kernels: Mapping[str, str] | None = None,
    team: Team = ALONE,
) -> list[RunRecord]:
    """Run every cell that is not finished; a cell that fails becomes a failed record and the others go on.

    Args:
        cells: of one data set or several, in any order.
        device: in a team, the process's own.
        jobs: cells at a time; by default one per core on the CPU and one on an accelerator.
        threads: of each cell on the CPU. One by default, so that a cell's numbers do not depend on how many run beside it.
        kernels: operation -> the implementation to use, instead of the best one here.
        team: the processes that train each cell together, all of which call this.

    Returns:
        One record per cell, finished earlier or now, in the order of `cells`. A process that does not lead its team has none to
        give.

    Raises:
        UserError: settings, data set, device or kernels are wrong; raised before any training.
    """
    kernels = dict(kernels or {})
    chosen = make_ready(cells, device, kernels)
    team.from_leader(store.check_writable)
    records: list[RunRecord | None] = [None] * len(cells)
    missing: list[_Job] = []
    changes: list[str] = []
    for places in _by_data(cells).values():
        same, data = with_data([cells[at] for at in places], roots)
        done = team.from_leader(functools.partial(_finished, same, store))
        for at, cell, record in zip(places, same, done, strict=True):
            records[at] = record
            if record is None:
                missing.append(_Job(at, cell, str(chosen), roots, store, resume, kernels, team))
        if team.leads and None in done:
            changes += about_change(store, [cell.identity for cell in same], data.log.meta.content)
    with Display(quiet or not team.leads) as display:
        for change in dict.fromkeys(changes):
            display.line(change)
        if len(missing) < len(cells):
            display.line(f"{len(cells) - len(missing)} of {len(cells)} cells were finished before")
        for job, record in workers.run(_run_job, missing, _at_a_time(jobs, threads, chosen, team), threads, display):
            if record is not None:
                records[job.at] = record
                display.line(_summary(job.cell.name, record))
    return [record for record in records if record is not None] if team.leads else []


def _by_data(cells: Sequence[Cell]) -> dict[DataConfig, list[int]]:
    """Positions of the cells that share their data settings, so that these are prepared once."""
    found: dict[DataConfig, list[int]] = {}
    for at, cell in enumerate(cells):
        found.setdefault(cell.experiment.data, []).append(at)
    return found


def _finished(cells: Sequence[Cell], store: Store) -> list[RunRecord | None]:
    """Records of those of the cells that need not run again."""
    return [store.finished(cell.identity) for cell in cells]


def _at_a_time(jobs: int | None, threads: int, device: torch.device, team: Team) -> int:
    if team.size > 1 and jobs not in (None, 1):
        raise UserError(f"--jobs {jobs} does not go with {team.size} processes, which train one cell after the other together")
    if jobs is None and device.type == "cpu" and team.size == 1:
        return max(1, (os.cpu_count() or 1) // threads)
    return jobs or 1


def make_ready(cells: Sequence[Cell], device: str, kernels: Mapping[str, str]) -> torch.device:
    """The device, once it is sure that all cells can run there.

    Raises:
        UserError: device, precision or kernels are wrong.
    """
    chosen = devices.resolve(device)
    for precision in {cell.experiment.train.precision for cell in cells}:
        if reason := devices.supports(chosen, precision):
            raise UserError(f"train.precision={precision} does not work on {chosen}: {reason}")
    implementations.check(kernels, chosen)
    implementations.make_ready(chosen)
    return chosen


def with_data(cells: Sequence[Cell], roots: DataRoots) -> tuple[list[Cell], RankingData]:
    """Cells with the same data settings, resolved, and the data.

    Raises:
        UserError: the data set is wrong, or cannot say which epoch is the best; a setting does nothing on it.
    """
    data = prepare(cells[0].experiment.data, roots)
    cells = [cell.resolved(data) for cell in cells]
    for cell in cells:
        if useless := ignored(cell.default.as_dict(), cell.experiment.as_dict()):
            key, value = next(iter(useless.items()))
            raise UserError(f"{key.removeprefix('params.')}={value} does nothing beside the other settings of {cell.info.name}")
    _check_monitor({cell.experiment.train.monitor for cell in cells}, data)
    return cells, data


def _check_monitor(monitors: set[str], data: RankingData) -> None:
    valid = data.examples("valid")
    label, request = valid.label, data.request[valid.event]
    if "request_gauc" in monitors and not metrics.grouped_auc(label, label.astype(np.float64), request).groups:
        raise UserError(
            f"train.monitor=request_gauc cannot choose an epoch: no request has both labels among the validation examples of "
            f"{data.log.meta.name}@{data.split.name}; use --set train.monitor=auc or another --split"
        )


@dataclass(frozen=True)
class _Job:
    """A cell with all that a fresh process needs to run it."""

    at: int
    """Among all cells."""
    cell: Cell
    device: str
    roots: DataRoots
    store: Store
    resume: bool
    kernels: dict[str, str]
    team: Team

    @property
    def checkpoint(self) -> Checkpoint:
        identity = self.cell.identity
        return Checkpoint(self.store.checkpoint_path(identity), f"{identity.cell}-{identity.seed}")


@functools.lru_cache(maxsize=1)
def _prepared(source: str, config: DataConfig, content_hash: str, roots: DataRoots) -> RankingData:
    log = open_dataset(source, roots)
    if log.meta.content_hash != content_hash:
        raise UserError(f"the data set {source} changed while its cells ran; the same command starts them on what it is now")
    return prepare_log(log, config)


def _run_job(job: _Job, send: Send) -> RunRecord | None:
    devices.keep_freed_memory()
    data = _prepared(job.cell.source, job.cell.experiment.data, job.cell.content_hash, job.roots)
    device = devices.resolve(job.device)
    with dispatch.forced(job.kernels):
        if job.team.leads:
            return _run_cell(job, data, device, Reporter(job.cell.name, send))
        # What fails in all processes is recorded by the leader.
        with contextlib.suppress(ProcessFailed, FloatingPointError):
            fit(job.cell.info, job.cell.experiment, job.cell.seed, data, device, job.checkpoint, Quiet(), job.team)
        return None


def _summary(name: str, record: RunRecord) -> str:
    if record.status != "ok" or record.metrics is None or record.cost is None:
        return f"{name}: FAILED: {record.error}"
    test = record.metrics.test["all"]
    shown = "  ".join(f"{key} {value:.4f}" for key in ("request_gauc", "auc", "logloss") if (value := test[key]) is not None)
    return f"{name}: test {shown}  trained in {record.cost.train_seconds:.1f} s, best epoch {record.cost.best_epoch}"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _run_cell(job: _Job, data: RankingData, device: torch.device, progress: Reporter) -> RunRecord:
    """Train, evaluate and store one cell. Whatever goes wrong inside becomes a failed record."""
    cell, store = job.cell, job.store
    identity = cell.identity
    checkpoint = job.checkpoint
    if not job.resume:
        forget(checkpoint)
    record = RunRecord(
        schema_version=SCHEMA_VERSION,
        identity=identity,
        status="failed",
        error=None,
        config=cell.experiment.as_dict(),
        changed=cell.changed,
        logit_correction=data.logit_correction,
        tuning=cell.tuning,
        data=facts_of(data),
        metrics=None,
        cost=None,
        curve=None,
        environment=provenance.environment(device),
        device=str(device),
        precision=cell.experiment.train.precision,
        kernels={},
        matmul=devices.matmul_settings(device),
        simulated=devices.is_simulated(device),
        started=_now(),
        finished="",
    )
    predictions, trained, ran = None, None, {}
    try:
        with dispatch.watching() as ran:
            measured, predictions, fitted = _measure(cell, data, device, checkpoint, progress, job.team)
        trained = weights.to_bytes(fitted.model, weights.Header.of(cell.experiment, cell.seed, fitted.data))
        record = dataclasses.replace(record, status="ok", **measured)
    except UserError:
        raise
    except ProcessFailed as error:
        record = dataclasses.replace(record, error=str(error))
    except Exception as error:  # a model may fail in any way; the other cells must go on
        record = dataclasses.replace(record, error=in_one_line(error))
    record = dataclasses.replace(record, kernels=ran, finished=_now())
    store.write(record, predictions, trained)
    forget(checkpoint)
    return record


def _measure(
    cell: Cell, data: RankingData, device: torch.device, checkpoint: Checkpoint, progress: Reporter, team: Team
) -> tuple[dict[str, Any], pd.DataFrame, Fitted]:
    """Metrics, cost and curve of a cell, its test predictions, and the trained model."""
    experiment, info = cell.experiment, cell.info
    memory, load = devices.PeakMemory(device), provenance.load_average()
    fitted = fit(info, experiment, cell.seed, data, device, checkpoint, progress, team)
    model, state, data = fitted.model, fitted.state, fitted.data
    memory.sample()
    precision = experiment.train.precision
    devices.synchronize(device)
    begin = time.perf_counter()
    test = evaluator.predictions(model, info, data, "test", device, precision)
    eval_seconds = time.perf_counter() - begin
    latency = evaluator.candidate_latency_ms(model, info, data, device, precision)
    measured = {
        "logit_correction": data.logit_correction,
        "metrics": Metrics(test=metrics.evaluate(test), valid=fitted.valid, labels=metrics.evaluate_labels(test)),
        "cost": _cost(model, state, eval_seconds, latency, memory.megabytes(), load, flops_per_example(experiment, info, data)),
        "curve": tuple(Point(**point) for point in state.curve),  # type: ignore[arg-type]
    }
    return measured, test, fitted


def _cost(
    model: torch.nn.Module,
    state: TrainState,
    eval_seconds: float,
    latency: tuple[float, float],
    memory: float,
    load: float,
    flops: float,
) -> Cost:
    embedding, dense = evaluator.parameter_counts(model)
    return Cost(
        parameters_embedding=embedding,
        parameters_dense=dense,
        train_seconds=state.seconds,
        train_cpu_seconds=state.cpu_seconds,
        examples_per_second=state.trained / max(state.seconds, 1e-9),
        eval_seconds=eval_seconds,
        latency_ms_100_candidates=latency[0],
        latency_cpu_ms_100_candidates=latency[1],
        peak_memory_mb=memory,
        epochs=state.epoch,
        best_epoch=state.best_epoch,
        steps=state.steps,
        load_average=load,
        flops_per_example=flops,
    )
