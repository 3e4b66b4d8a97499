"""Cells as runs of MLflow, in a database or on a server."""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..errors import UserError
from ..urls import lacks_driver, shown
from .progress import CellEnded, CellId, CellStarted, EpochFinished, EpochStarted, Event, Stepped
from .steps import StepCount

if TYPE_CHECKING:
    from mlflow import MlflowClient

USUAL = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
}
"""What this program asks of MLflow unless the environment says otherwise: to tell nobody of its use, and not to keep training
waiting for a server that does not answer (for minutes, by its own defaults)."""
PARAMS_AT_ONCE, METRICS_AT_ONCE, LONGEST_VALUE = 100, 500, 500
"""What every version of its servers takes."""
PATIENCE = 5.0
"""Seconds for which values are collected before they are sent: a request takes longer than a step."""
STATUS = {"ok": "FINISHED", "elsewhere": "FINISHED", "pruned": "FINISHED", "failed": "FAILED", "stopped": "KILLED"}


@dataclass
class _Run:
    id: str
    steps: StepCount = field(default_factory=StepCount)
    values: list[tuple[str, float, int, int]] = field(default_factory=list)
    """Not sent yet: name, value, milliseconds of Unix time, step."""
    sent: float = field(default_factory=time.monotonic)

    def add(self, name: str, value: float, step: int) -> None:
        self.values.append((name.replace("@", "_at_"), value, int(time.time() * 1000), step))


class MlflowRuns:
    """A run for each cell, in an experiment for each data set and split: its settings, the loss by step, validation by epoch, and
    the test at the end. What a killed command left open stays open there."""

    def __init__(self, uri: str) -> None:
        for name, value in USUAL.items():
            os.environ.setdefault(name, value)
        try:
            from mlflow import MlflowClient
        except ImportError:
            raise UserError("--mlflow needs a package: pip install 'rankbench[mlflow]'") from None
        logging.getLogger("mlflow").setLevel(logging.WARNING)
        self._uri = uri
        self._experiments: dict[str, str] = {}
        self._runs: dict[CellId, _Run] = {}
        with self._answered():
            if not uri.startswith(("http://", "https://")):
                _connect(uri)
            self._client: MlflowClient = MlflowClient(tracking_uri=uri)
            self._client.search_experiments(max_results=1)

    def hear(self, cell: CellId, event: Event) -> None:
        """Raises UserError: it does not answer."""
        with self._answered():
            if isinstance(event, CellStarted):
                self._begin(cell, event)
            elif (run := self._runs.get(cell)) is not None:  # else one that ends without having begun
                self._tell(run, event)
                if isinstance(event, CellEnded):
                    self._end(self._runs.pop(cell), STATUS[event.status])
                elif isinstance(event, EpochFinished) or time.monotonic() - run.sent > PATIENCE:
                    self._send(run)

    def close(self) -> None:
        """What runs still was interrupted."""
        with contextlib.suppress(UserError), self._answered():
            while self._runs:
                self._end(self._runs.popitem()[1], "KILLED")

    def _begin(self, cell: CellId, event: CellStarted) -> None:
        from mlflow.entities import Param

        if cell in self._runs:  # the process that trained it is dead
            self._end(self._runs.pop(cell), "KILLED")
        facts = {"model": cell.model, "config_hash": cell.config_hash, "data_hash": cell.data_hash, "seed": cell.seed}
        tags = {key: str(value) for key, value in facts.items()}
        run = self._client.create_run(self._experiment(f"{cell.dataset}@{cell.split}"), tags=tags, run_name=cell.name)
        self._runs[cell] = _Run(run.info.run_id)
        params = [Param(key, str(value)[:LONGEST_VALUE]) for key, value in event.settings.items()]
        for at in range(0, len(params), PARAMS_AT_ONCE):
            self._client.log_batch(run.info.run_id, params=params[at : at + PARAMS_AT_ONCE])

    def _experiment(self, name: str) -> str:
        """The id of the experiment of this name, which somebody else may make at the same time."""
        from mlflow.exceptions import MlflowException

        if name not in self._experiments:
            found = self._client.get_experiment_by_name(name)
            if found is None:
                with contextlib.suppress(MlflowException):
                    self._client.create_experiment(name)
                found = self._client.get_experiment_by_name(name)
            if found is None or found.lifecycle_stage != "active":
                raise UserError(f"--mlflow: the experiment {name} was deleted in {shown(self._uri)}; restore it there")
            self._experiments[name] = found.experiment_id
        return self._experiments[name]

    def _tell(self, run: _Run, event: Event) -> None:
        match event:
            case EpochStarted():
                run.steps.epoch_started(event)
            case Stepped():
                run.add("train/loss", event.loss, run.steps.at(event))
                run.add("train/examples per second", event.examples_per_second, run.steps.at(event))
            case EpochFinished(point=point):
                run.add("epoch/train loss", point.train_loss, point.epoch)
                for key in ("request_gauc", "auc", "logloss") if point.judged else ():
                    run.add(f"epoch/valid {key}", getattr(point, f"valid_{key}"), point.epoch)
            case CellEnded():
                for key, value in (event.metrics or {}).items():
                    if value is not None:
                        run.add(f"{event.role}/{key}", float(value), event.best_epoch or 0)
                if event.status == "ok":
                    run.add("train/seconds", event.seconds, 0)
                for key, text in (("status", event.status), ("reason", event.reason)):
                    if text:
                        self._client.set_tag(run.id, key, text)

    def _send(self, run: _Run) -> None:
        from mlflow.entities import Metric

        metrics = [Metric(*value) for value in run.values]
        for at in range(0, len(metrics), METRICS_AT_ONCE):
            self._client.log_batch(run.id, metrics=metrics[at : at + METRICS_AT_ONCE])
        run.values, run.sent = [], time.monotonic()

    def _end(self, run: _Run, status: str) -> None:
        self._send(run)
        self._client.set_terminated(run.id, status)

    @contextlib.contextmanager
    def _answered(self) -> Iterator[None]:
        from mlflow.exceptions import MlflowException
        from sqlalchemy.exc import SQLAlchemyError

        try:
            yield
        except ImportError as error:
            raise lacks_driver("--mlflow", self._uri, error) from None
        except (MlflowException, SQLAlchemyError, OSError, ValueError) as error:
            reason = shown(_reason(error))[:160]
            instead = "a database such as sqlite:///mlflow.db, or the address of a server"
            raise UserError(f"--mlflow: {shown(self._uri)} cannot be used ({reason}); name {instead}") from None


def _reason(error: BaseException) -> str:
    """What the system says, where a lost connection lies below the layers that tell of it; else the error's own words."""
    below: BaseException | None = error
    while below is not None:
        if isinstance(below, OSError) and below.strerror:
            return below.strerror
        below = below.__cause__ or below.__context__
    return " ".join(str(error).split())


def _connect(uri: str) -> None:
    """Ask a database before MLflow does, which tries again for more than a minute.

    Raises:
        SQLAlchemyError, ImportError, ValueError: it is not there, its driver is not, or its address is none.
    """
    from sqlalchemy import create_engine

    engine = create_engine(uri)
    try:
        engine.connect().close()
    finally:
        engine.dispose()
