"""Many cells: those that are not finished run, several at a time."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
import torch

from .. import device as devices
from .. import implementations, resources
from ..config import DataConfig, TrainingLoss
from ..data.dataset import RankingData, prepare
from ..data.sources.schema import DataRoots
from ..data.whole_requests import has_mixed_request
from ..errors import UserError
from ..evaluation import metrics
from ..identity import ignored
from ..records.changes import about_change
from ..records.schema import RunRecord
from ..records.store import Store
from ..training.display import Display
from ..training.follow import Followed
from ..training.limits import Limits
from ..training.progress import CellEnded
from ..training.team import ALONE, Team
from . import processes
from .cell import Cell
from .run import Done, Job, lost, run_job

CarryOut: TypeAlias = Callable[[Sequence[Job], int, int, Display], Iterator[tuple[Job, Done | None]]]
"""carry_out(jobs, jobs at a time, threads of each, display) -> every job that it ends with, and what became of it."""

LEAST_ROOM = 50 * 2**20
"""Bytes that a checkpoint, weights and the test rows of the smallest board take."""


@dataclass(frozen=True)
class Options:
    """How cells are run; nothing of it decides what a cell is."""

    store: Store
    roots: DataRoots
    device: str = "cpu"
    """A name as `--device` takes it; in a team, the process's own."""
    resume: bool = True
    """Go on from checkpoints instead of starting cells again."""
    quiet: bool = False
    followed: Followed = field(default_factory=Followed)
    """Where the events of training go besides the terminal."""
    jobs: int | None = None
    """Cells at a time; by default one per core on the CPU and one on an accelerator."""
    threads: int = 1
    """Of each cell on the CPU. One by default, so that a cell's numbers do not depend on how many run beside it."""
    kernels: Mapping[str, str] = field(default_factory=dict)
    """Operation -> the implementation to use, instead of the best one here."""
    team: Team = ALONE
    """The processes that train each cell together, all of which run the same cells."""
    limits: Limits = field(default_factory=Limits)
    """Of all cells together."""
    train: bool = True
    """Else a cell that is not finished is an error."""
    carry_out: CarryOut | None = None
    """Who trains the cells that are missing; None: processes of this one."""


def run_all(cells: Sequence[Cell], options: Options) -> list[RunRecord]:
    """Run every cell that is not finished; one that fails, or whose process dies, becomes a failed record and the others go on.
    One that a limit ends or leaves no time for becomes a stopped record.

    Args:
        cells: of one data set or several, in any order.

    Returns:
        One record per cell, finished earlier or now, in the order of `cells`. A process that does not lead its team has none to
        give.

    Raises:
        UserError: settings, data set, device or kernels are wrong, or a cell is missing and may not be trained; raised before
            any training.
    """
    store, team, threads = options.store, options.team, options.threads
    chosen = make_ready(cells, options.device, options.kernels)
    at_a_time = _at_a_time(options.jobs, threads, chosen, team)
    team.from_leader(store.check_writable)
    records: list[RunRecord | None] = [None] * len(cells)
    missing: list[Job] = []
    notes: list[str] = []
    room = LEAST_ROOM
    for places in _by_data(cells).values():
        same, data = with_data([cells[at] for at in places], options.roots)
        if data.vocabulary.codes is not None:
            notes.append(data.vocabulary.codes.facts.line())
        done = team.from_leader(functools.partial(_finished, same, store))
        room += done.count(None) * len(data.examples("test").event)  # two bytes a score, before they are compressed
        for at, cell, record in zip(places, same, done, strict=True):
            records[at] = record
            if record is None:
                missing.append(
                    Job(
                        at=at,
                        cell=cell,
                        device=str(chosen),
                        roots=options.roots,
                        store=store,
                        resume=options.resume,
                        kernels=dict(options.kernels),
                        team=team,
                        limits=options.limits,
                        alone=at_a_time == 1,
                    )
                )
        if team.leads and None in done:
            notes += about_change(store, [cell.identity for cell in same], data.log.meta.content)
    if missing and not options.train:
        first = missing[0].cell
        raise UserError(f"{first.name} of {first.identity.dataset} is not finished, and nothing is trained here")
    with Display(options.quiet or not team.leads, options.followed.start() if team.leads else ()) as display:
        if missing and team.leads and (warning := resources.lacks_room(store.root, room)):
            display.warn(warning)
        for note in dict.fromkeys(notes):
            display.line(note)
        if len(missing) < len(cells):
            display.line(f"{len(cells) - len(missing)} of {len(cells)} cells were finished before")
        for job, done in (options.carry_out or _here)(missing, at_a_time, threads, display):
            if done is not None:
                records[job.at] = done.record
                display.handle(job.cell_id, ended(done))
    return [record for record in records if record is not None] if team.leads else []


def _here(jobs: Sequence[Job], at_a_time: int, threads: int, display: Display) -> Iterator[tuple[Job, Done | None]]:
    """In processes of this one."""
    return processes.run(run_job, jobs, at_a_time, threads, display, lost)


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
    _check_losses({cell.experiment.train.loss for cell in cells}, data)
    if any(cell.experiment.train.order == "time" for cell in cells):
        _check_stream(data)
    return cells, data


def _check_monitor(monitors: set[str], data: RankingData) -> None:
    valid = data.examples("valid")
    label, request = valid.label, data.request[valid.event]
    if "request_gauc" in monitors and not metrics.grouped_auc(label, label.astype(np.float64), request).groups:
        raise UserError(
            f"train.monitor=request_gauc cannot choose an epoch: no request has both labels among the validation examples of "
            f"{data.log.meta.name}@{data.split.name}; use --set train.monitor=auc or another --split"
        )


def _check_losses(losses: set[TrainingLoss], data: RankingData) -> None:
    comparing = sorted(losses - {"bce"})
    if comparing and not has_mixed_request(data):
        raise UserError(
            f"train.loss={comparing[0]} has nothing to compare: no request has both labels among the training examples of "
            f"{data.log.meta.name}@{data.split.name}; use --set train.loss=bce or a larger --set data.request_window"
        )


def _check_stream(data: RankingData) -> None:
    """Raises UserError: the data cannot be gone through once so that nothing is learned from what comes later."""
    config = data.config
    place = f"{data.log.meta.name}@{data.split.name}"
    if not data.windows:
        raise UserError(f"train.order=time goes through the windows of a stream, and {place} has none; use --split stream-20")
    for key, wrong, why in (
        ("test_history", config.test_history != "live", "each window is a test, and then a past: their histories are live"),
        ("feedback_delay", config.feedback_delay != 0, "training would know a window's outcomes before their delay is over"),
        ("item_id", data.growing is None, "semantic ids are made of all training events, later windows included"),
        ("exclude_future_positives", config.exclude_future_positives, "it tells what later windows hold"),
    ):
        if wrong:
            raise UserError(f"data.{key}={getattr(config, key)} does not go with train.order=time: {why}; leave it out")


def ended(done: Done) -> CellEnded:
    """A run as it is shown."""
    record = done.record
    if record.status != "ok" or record.metrics is None or record.cost is None:
        return CellEnded("stopped" if record.status == "stopped" else "failed", reason=record.error or "")
    status = "elsewhere" if done.elsewhere else "ok"
    return CellEnded(status, record.cost.train_seconds, "test", record.metrics.test["all"], record.cost.best_epoch)
