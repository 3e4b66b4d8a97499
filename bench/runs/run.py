"""One cell from data to record: train, test, measure, store."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import math
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pandas as pd
import torch

from ...kernels import dispatch
from .. import device as devices
from ..config import DataConfig
from ..data.dataset import RankingData, prepare_log
from ..data.logs import open_dataset
from ..data.sources.schema import DataRoots
from ..errors import UserError, in_one_line
from ..evaluation import evaluator, metrics
from ..evaluation.flops import flops_per_example
from ..identity import dotted
from ..records import provenance, weights
from ..records.facts import facts_of
from ..records.schema import SCHEMA_VERSION, Cost, CurvePoint, Energy, Metrics, RunRecord
from ..records.store import Store
from ..training.checkpoint import Checkpoint
from ..training.fitting import Fitted, fit, forget
from ..training.limits import UNLIMITED, Limits, Stopped
from ..training.progress import CellId, CellStarted, Quiet, Reporter, Send
from ..training.team import ProcessFailed, Team
from ..training.trainer import TrainState
from .cell import Cell


@dataclass(frozen=True)
class Job:
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
    limits: Limits = UNLIMITED
    alone: bool = False
    """No other cell is trained on this machine at the same time by this command."""

    @property
    def checkpoint(self) -> Checkpoint:
        identity = self.cell.identity
        return Checkpoint(self.store.checkpoint_path(identity), f"{identity.cell}-{identity.seed}")

    @property
    def cell_id(self) -> CellId:
        """Whom events are of."""
        identity = self.cell.identity
        return CellId(
            model=identity.model,
            dataset=identity.dataset,
            split=identity.split,
            config_hash=identity.config_hash,
            data_hash=identity.data_hash,
            seed=identity.seed,
            results=str(self.store.root.absolute()),
        )


@dataclass(frozen=True)
class Done:
    """What became of a job."""

    record: RunRecord
    elsewhere: bool = False
    """Another command finished the cell meanwhile: the record is its."""


@functools.lru_cache(maxsize=1)
def _prepared(source: str, config: DataConfig, content_hash: str, roots: DataRoots) -> RankingData:
    log = open_dataset(source, roots)
    if log.meta.content_hash != content_hash:
        raise UserError(f"the data set {source} changed while its cells ran; the same command starts them on what it is now")
    return prepare_log(log, config)


def run_job(job: Job, send: Send, progress: Reporter | None = None) -> Done | None:
    """Train, evaluate and store a cell, unless it is finished by now.

    Args:
        progress: who is told how training goes, where that is more than showing it.

    Returns:
        Its record, and whose it is; None of a process that does not lead its team.
    """
    devices.keep_freed_memory()
    data = _prepared(job.cell.source, job.cell.experiment.data, job.cell.content_hash, job.roots)
    device = devices.resolve(job.device)
    # Another command may have finished it since this one looked.
    if (record := job.team.from_leader(lambda: job.store.finished(job.cell.identity))) is not None:
        return Done(record, elsewhere=True) if job.team.leads else None
    if any(job.team.everyones(job.limits.over)):
        return _not_begun(job, data, device) if job.team.leads else None
    with dispatch.forced(job.kernels):
        if job.team.leads:
            send(job.cell_id, CellStarted(dotted(job.cell.experiment.as_dict())))
            return _run_cell(job, data, device, progress or Reporter(job.cell_id, send, job.limits))
        # What ends training in all processes is recorded by the leader.
        with contextlib.suppress(ProcessFailed, FloatingPointError, Stopped):
            quiet = Quiet(job.limits)
            fit(job.cell.info, job.cell.experiment, job.cell.seed, data, device, job.checkpoint, quiet, job.team)
        return None


def _not_begun(job: Job, data: RankingData, device: torch.device) -> Done:
    """The record of a cell for which no time is left; a checkpoint of an earlier start stays."""
    why = f"not begun: the time of --max-hours {job.limits.hours:g} was over"
    return _kept(job, dataclasses.replace(_started(job.cell, data, device), status="stopped", error=why, finished=_now()))


def _kept(job: Job, record: RunRecord, predictions: pd.DataFrame | None = None, weights: bytes | None = None) -> Done:
    """Store a record, unless it has no result and another command finished the cell meanwhile: then that one's."""
    if record.status != "ok" and (finished := job.store.finished(record.identity)) is not None:
        return Done(finished, elsewhere=True)
    job.store.write(record, predictions, weights)
    return Done(record)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def lost(job: Job, how: str) -> Done:
    """The failed record of a cell whose process died; its checkpoint stays, and the next start goes on from it."""
    data = _prepared(job.cell.source, job.cell.experiment.data, job.cell.content_hash, job.roots)
    return _kept(job, dataclasses.replace(_started(job.cell, data, devices.resolve(job.device)), error=how, finished=_now()))


def _started(cell: Cell, data: RankingData, device: torch.device) -> RunRecord:
    """The record of a cell that has no result yet."""
    return RunRecord(
        schema_version=SCHEMA_VERSION,
        identity=cell.identity,
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


def _run_cell(job: Job, data: RankingData, device: torch.device, progress: Reporter) -> Done:
    """Train, evaluate and store one cell. Whatever goes wrong inside becomes a failed record."""
    cell, checkpoint = job.cell, job.checkpoint
    if not job.resume:
        forget(checkpoint)
    record = _started(cell, data, device)
    predictions, trained, ran = None, None, {}
    try:
        with dispatch.watching() as ran:
            measured, predictions, fitted = _measure(job, data, device, progress)
        trained = weights.to_bytes(fitted.model, weights.Header.of(cell.experiment, cell.seed, fitted.data))
        record = dataclasses.replace(record, status="ok", **measured)
    except UserError:
        raise
    except ProcessFailed as error:
        record = dataclasses.replace(record, error=str(error))
    except Stopped as error:
        record = dataclasses.replace(record, status="stopped", error=str(error))
    except Exception as error:  # a model may fail in any way; the other cells must go on
        record = dataclasses.replace(record, error=in_one_line(error))
    done = _kept(job, dataclasses.replace(record, kernels=ran, finished=_now()), predictions, trained)
    if done.record.status != "stopped":  # the same command goes on from there
        forget(checkpoint)
    return done


def _measure(
    job: Job, data: RankingData, device: torch.device, progress: Reporter
) -> tuple[dict[str, Any], pd.DataFrame, Fitted]:
    """Metrics, cost and curve of a cell, its test predictions, and the trained model."""
    experiment, info = job.cell.experiment, job.cell.info
    memory, load = devices.PeakMemory(device), provenance.load_average()
    fitted = fit(info, experiment, job.cell.seed, data, device, job.checkpoint, progress, job.team)
    # Of a stream, the data that the last window was trained on hold that window alone.
    whole = data if experiment.train.order == "time" else fitted.data
    model, state, data = fitted.model, fitted.state, fitted.data
    memory.sample()
    precision = experiment.train.precision
    devices.synchronize(device)
    begin = time.perf_counter()
    test = evaluator.predictions(evaluator.Forward.of(model, experiment.train, device), info, data, "test")
    eval_seconds = time.perf_counter() - begin
    latency = evaluator.candidate_latency_ms(model, info, data, device, precision)
    flops = flops_per_example(experiment, info, whole)
    cost = _cost(model, state, eval_seconds, latency, memory.megabytes(), load, flops, _energy(state) if job.alone else None)
    measured = {
        "logit_correction": data.logit_correction,
        "metrics": Metrics(test=metrics.evaluate(test), valid=fitted.valid, labels=metrics.evaluate_labels(test)),
        "cost": cost,
        "curve": tuple(CurvePoint(**point) for point in state.curve),  # type: ignore[arg-type]
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
    energy: Energy | None,
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
        energy=energy,
    )


def _energy(state: TrainState) -> Energy | None:
    """Of all training, where any of it is known."""
    cpu, accelerator = (None if math.isnan(spent) else spent for spent in (state.cpu_joules, state.accelerator_joules))
    return None if cpu is None and accelerator is None else Energy(cpu, accelerator)
