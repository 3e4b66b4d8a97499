"""Who else is told how training goes: a file of JSON lines, TensorBoard, MLflow."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import errno
import json
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from ..errors import UserError, why
from ..typed import finite
from .progress import CellEnded, CellId, CellStarted, EpochFinished, EpochStarted, Event, Stepped
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

    def hear(self, cell: CellId, event: Event) -> None:
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
    """Appends a line for each event to a file: `time` (UTC), `cell` (its name), what else CellId holds, `event` and its values;
    null for what is not known.

    A line is written in one piece, so that a killed run leaves a file that every line of can be read.
    """

    def __init__(self, path: Path) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            torn = _torn(path)
            self._path, self._file = path, path.open("ab", buffering=0)
            if torn:
                self._write(b"\n")
        except OSError as error:
            raise UserError(f"--log-json: {path} cannot be written ({why(error)}); name another file") from None

    def hear(self, cell: CellId, event: Event) -> None:
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")
        line = {"time": now, "cell": cell.name, **dataclasses.asdict(cell), "event": NAMES[type(event)], **_flat(event)}
        try:
            self._write((json.dumps(finite(line), allow_nan=False) + "\n").encode())
        except OSError as error:
            raise UserError(f"--log-json: {self._path} cannot be written ({why(error)})") from None

    def _write(self, line: bytes) -> None:
        """Raises OSError: it was not written whole."""
        while line:
            written = self._file.write(line)
            if not written:
                raise OSError(errno.EAGAIN, os.strerror(errno.EAGAIN))
            line = line[written:]  # a disk that is full takes a part, and says so when it is given the rest

    def close(self) -> None:
        self._file.close()


def _torn(path: Path) -> bool:
    """Whether the last line of a file has no end: whoever wrote it had no space left."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        if not file.seek(0, os.SEEK_END):
            return False
        file.seek(-1, os.SEEK_END)
        return file.read() != b"\n"


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
        self._curves: dict[CellId, _Curves] = {}

    def hear(self, cell: CellId, event: Event) -> None:
        try:
            self._tell(cell, event)
        except OSError as error:
            raise UserError(f"--tensorboard: {self._folder} cannot be written ({why(error)})") from None

    def _tell(self, cell: CellId, event: Event) -> None:
        if isinstance(event, CellStarted) and cell in self._curves:  # by a process that died
            self._curves.pop(cell).writer.close()
        if cell not in self._curves:
            self._curves[cell] = _Curves(self._make(str(self._folder / _folder_name(cell))))
        writer, steps = self._curves[cell].writer, self._curves[cell].steps
        match event:
            case EpochStarted():
                steps.epoch_started(event)
            case Stepped():
                step = steps.at(event)
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
                self._curves.pop(cell).writer.close()

    def close(self) -> None:
        for curves in self._curves.values():
            with contextlib.suppress(OSError):  # what could not be written was told
                curves.writer.close()


@dataclass
class _Curves:
    writer: SummaryWriter
    steps: StepCount = field(default_factory=StepCount)


def _folder_name(cell: CellId) -> str:
    """Readable, and another one for every cell."""
    parts = (cell.name, f"{cell.dataset}@{cell.split}", f"{cell.config_hash}-{cell.data_hash}")
    return "-".join(re.sub(r"[^\w.=+@-]+", "-", part) for part in parts)
