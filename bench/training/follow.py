"""Who else is told how training goes: a file of JSON lines, TensorBoard, MLflow."""

from __future__ import annotations

import dataclasses
import datetime
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from ..errors import UserError
from ..typed import finite
from .progress import CellEnded, CellStarted, EpochFinished, EpochStarted, Event, Stepped
from .steps import StepCount

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

NAMES = {
    CellStarted: "cell started",
    EpochStarted: "epoch started",
    Stepped: "stepped",
    EpochFinished: "epoch finished",
    CellEnded: "cell ended",
}


class Follower(Protocol):
    """Is told the events of all cells, in the process that started them."""

    def hear(self, name: str, event: Event) -> None:
        """Raises UserError: it cannot; it is then asked no more, and training goes on."""
        ...

    def close(self) -> None: ...


@dataclass(frozen=True)
class Followed:
    """Where events shall go besides the terminal."""

    json: Path | None = None
    tensorboard: Path | None = None
    mlflow: str | None = None
    """A database or a server, as MLflow names it."""

    def start(self) -> list[Follower]:
        """Raises UserError: a place cannot be written, or a package is missing; before anything is trained."""
        found: list[Follower] = []
        if self.json is not None:
            found.append(JsonLines(self.json))
        if self.tensorboard is not None:
            found.append(TensorBoard(self.tensorboard))
        if self.mlflow is not None:
            from .mlflow_runs import MlflowRuns

            found.append(MlflowRuns(self.mlflow))
        return found


class JsonLines:
    """Appends a line for each event to a file: `time` (UTC), `cell`, `event` and its values; null for what is not known.

    Whole lines alone are written, so that a killed run leaves a file that every line of can be read.
    """

    def __init__(self, path: Path) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._path, self._file = path, path.open("ab", buffering=0)
        except OSError as error:
            raise UserError(f"--log-json: {path} cannot be written ({error.strerror}); name another file") from None

    def hear(self, name: str, event: Event) -> None:
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")
        line = {"time": now, "cell": name, "event": NAMES[type(event)], **_flat(event)}
        try:
            self._file.write((json.dumps(finite(line), allow_nan=False) + "\n").encode())
        except OSError as error:
            raise UserError(f"--log-json: {self._path} cannot be written ({error.strerror})") from None

    def close(self) -> None:
        self._file.close()


def _flat(event: Event) -> dict[str, Any]:
    values = dataclasses.asdict(event)
    return {**values.pop("point", {}), **values}


class TensorBoard:
    """A folder of its own for each cell: the loss by step, validation by epoch, the test at the end."""

    def __init__(self, folder: Path) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            raise UserError("--tensorboard needs a package: pip install 'rankbench[tensorboard]'") from None
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"--tensorboard: {folder} cannot be written ({error.strerror}); name another folder") from None
        self._folder, self._make = folder, SummaryWriter
        self._writers: dict[str, SummaryWriter] = {}
        self._steps: dict[str, StepCount] = {}

    def hear(self, name: str, event: Event) -> None:
        writer = self._writers.get(name)
        if writer is None:
            writer = self._writers[name] = self._make(str(self._folder / re.sub(r"[^\w.=+-]+", "-", name)))
            self._steps[name] = StepCount()
        match event:
            case EpochStarted():
                self._steps[name].epoch_started(event)
            case Stepped():
                step = self._steps[name].at(event)
                writer.add_scalar("train/loss", event.loss, step)
                writer.add_scalar("train/examples per second", event.examples_per_second, step)
            case EpochFinished(point=point):
                writer.add_scalar("epoch/train loss", point.train_loss, point.epoch)
                if point.judged:
                    for key in ("request_gauc", "auc", "logloss"):
                        writer.add_scalar(f"epoch/valid {key}", getattr(point, f"valid_{key}"), point.epoch)
            case CellEnded():
                for key, value in (event.metrics or {}).items():
                    if value is not None:
                        writer.add_scalar(f"{event.role}/{key}", value, event.best_epoch or 0)
                self._writers.pop(name).close()

    def close(self) -> None:
        for writer in self._writers.values():
            writer.close()
