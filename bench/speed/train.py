"""Training speed of our models with the kernels of this machine and with torch's operations alone, in turn; where steps can be
recorded, as recorded steps too.

Each turn trains a fresh model for some seconds with the one training loop, batch assembly included, validation left out; its
second half counts, because steps are recorded in the first. Ratios are taken round by round, because the speed of a shared
machine drifts. A short turn of each comes first and is not counted: kernels are compiled then.
"""

from __future__ import annotations

import dataclasses
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import torch

from ...kernels import dispatch
from .. import device as devices
from .. import registry
from ..config import Experiment, Settings, resolve
from ..contract import ModelInfo
from ..data.dataset import RankingData
from ..data.resident_log import why_not_resident
from ..errors import UserError
from ..training.checkpoint import Checkpoint
from ..training.progress import Quiet
from ..training.trainer import EpochPoint, train

WARM_UP = 1.0
"""Seconds of the turns that are not counted."""


@dataclass(frozen=True)
class ModelSpeed:
    """A model with one choice of kernels; one value per round."""

    model: str
    kernels: str
    """`chosen`, `torch`, or `recorded`: those that are chosen, in recorded steps over batches that are put together on the
    device."""
    ran: dict[str, str]
    """Operation -> implementation."""
    wall: list[float]
    """Examples per second of the wall clock."""
    cpu: list[float]
    """The same of CPU time, all threads."""


def at_defaults(model: str, data: RankingData, verb: str) -> tuple[ModelInfo, Experiment]:
    """A model as it is trained if nothing else is asked for.

    Raises:
        UserError: it is not trained by gradients, of which alone the verb can say something.
    """
    info = registry.info(model)
    if info.fit != "gradient":
        raise UserError(f"speed {verb} measures models that are trained by gradients, not {model}")
    return info, resolve(info, Settings(data={"dataset": data.config.dataset}))


_SECONDS_BETWEEN = 0.2
"""Between two moments at which an accelerator is waited for."""


class SecondHalf(Quiet):
    """Speed once a turn has run for half of its time: by then programs are compiled and steps recorded."""

    def __init__(self, device: torch.device) -> None:
        super().__init__()
        self.device, self.seldom = device, device.type != "cpu"
        self.steps: list[tuple[float, float, int]] = []
        """Wall and CPU seconds when the first epoch began, and when some of its steps had ended on the device as well; and the
        examples since the one before."""
        self.judged = False
        self.left = self.waiting = 0
        """Steps of the epoch that are to come, and examples since the last of `steps`."""

    def epoch_started(self, epoch: int, epochs: int, steps: int, done: int) -> None:
        self.left = steps - done
        if not self.steps:
            self._note()

    def step(self, loss: float, examples: int) -> None:
        self.left, self.waiting = self.left - 1, self.waiting + examples
        # To wait for an accelerator after each step would be to measure its host.
        early = self.seldom and self.left > 0 and time.perf_counter() - self.steps[-1][0] < _SECONDS_BETWEEN
        if not self.judged and not early:
            self._note()

    def _note(self) -> None:
        devices.synchronize(self.device)
        self.steps.append((time.perf_counter(), time.process_time(), self.waiting))
        self.waiting = 0

    def epoch_finished(self, point: EpochPoint, epochs: int, examples_per_second: float) -> None:
        self.judged = True

    def speeds(self) -> tuple[float, float]:
        """Examples a second and a CPU second, from the end of the last step of the first half on."""
        half = (self.steps[0][0] + self.steps[-1][0]) / 2
        first = max((at for at, one in enumerate(self.steps[:-1]) if one[0] <= half), default=0)
        examples = sum(one[2] for one in self.steps[first + 1 :])
        wall, cpu = (self.steps[-1][clock] - self.steps[first][clock] for clock in (0, 1))
        return examples / max(wall, 1e-9), examples / max(cpu, 1e-9)


def measure(model: str, data: RankingData, device: torch.device, seconds: float, rounds: int) -> list[ModelSpeed]:
    """All ways to train one model.

    Raises:
        UserError: the model is not trained by gradients.
    """
    info, experiment = at_defaults(model, data, "train")
    choices = ways(info, experiment, data, device)
    wall: dict[str, list[float]] = {name: [] for name in choices}
    cpu: dict[str, list[float]] = {name: [] for name in choices}
    ran: dict[str, dict[str, str]] = {}
    for at in range(rounds + 1):
        usual = dataclasses.replace(experiment.train, epochs=1, max_seconds=seconds if at > 0 else min(seconds, WARM_UP))
        for name, (forced, settings) in list(choices.items()):
            config = dataclasses.replace(usual, **settings)
            torch.manual_seed(0)
            network = info.build(experiment.params, data.spec).to(device)
            with tempfile.TemporaryDirectory() as folder, dispatch.forced(forced), dispatch.watching() as ran[name]:
                progress, resume = SecondHalf(device), Checkpoint(Path(folder) / "resume.pt", "measured")
                try:
                    train(network, info, data, config, 0, device, resume, progress)
                except UserError as refusal:  # an operation that no recording holds is found by running it
                    if name != "recorded":
                        raise
                    print(f"{model}, recorded: {refusal}", file=sys.stderr)
                    del choices[name]
                    continue
            if at > 0:
                for speeds, speed in zip((wall[name], cpu[name]), progress.speeds(), strict=True):
                    speeds.append(speed)
    return [ModelSpeed(model, name, ran[name], wall[name], cpu[name]) for name in choices]


def ways(
    info: ModelInfo, experiment: Experiment, data: RankingData, device: torch.device
) -> dict[str, tuple[dict[str, str], dict[str, str]]]:
    """Ways to train a model: operations with their implementations, where these are not chosen, and settings of training."""
    found: dict[str, tuple[dict[str, str], dict[str, str]]] = {
        "chosen": ({}, {}),
        "torch": ({operation: "torch" for operation in dispatch.OPERATIONS}, {}),
    }
    recordable = devices.why_no_graphs(device) is None and info.takes_padding
    if recordable and not info.build(experiment.params, data.spec).moving_shape():
        assembly = "host" if why_not_resident(data) else "device"
        found["recorded"] = ({}, {"whole_step": "graph", "assembly": assembly})
    return found


def lines(speeds: list[ModelSpeed]) -> list[str]:
    """A table: medians, and the ratio to torch's operations alone with its smallest and largest value."""
    result = [
        "| model | kernels | examples/s | per CPU second | examples/s over torch's | per CPU second over torch's |",
        "|---|---|---|---|---|---|",
    ]
    for one in speeds:
        plain = next(other for other in speeds if (other.model, other.kernels) == (one.model, "torch"))
        ratios = [
            _ratio(mine, theirs) if one is not plain else "" for mine, theirs in ((one.wall, plain.wall), (one.cpu, plain.cpu))
        ]
        numbers = [f"{statistics.median(values):,.0f}" for values in (one.wall, one.cpu)]
        result.append("| " + " | ".join([one.model, one.kernels, *numbers, *ratios]) + " |")
    return result


def _ratio(mine: list[float], theirs: list[float]) -> str:
    values = [one / other for one, other in zip(mine, theirs, strict=True)]
    return f"{statistics.median(values):.2f} [{min(values):.2f}, {max(values):.2f}]"
