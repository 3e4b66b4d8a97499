"""The one training loop, for classical and generative rankers alike."""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor

from .. import device as devices
from ..config import TrainConfig
from ..contract import ModelInfo, Ranker, to_device
from ..data.ahead import AHEAD
from ..data.dataset import RankingData
from ..energy import Meter
from ..errors import UserError
from ..evaluation import evaluator, metrics
from ..evaluation.cards import merit
from .checkpoint import Checkpoint
from .course import Course, course_of, epochs_of
from .ending import Average, rate_share
from .gradients import Gradients, recorder_of
from .lessons import Lesson
from .lessons import assembled as _assembled
from .limits import TOGETHER, Limits, Stopped
from .optimizer import Optimizer
from .step_losses import StepLosses, Total
from .team import ALONE, Team


@dataclass(frozen=True)
class EpochPoint:
    """One point of the learning curve. Validation is NaN where nothing is validated, in a refit."""

    epoch: int
    train_loss: float
    """Mean loss of the main label (`train.loss`) over the epoch's training examples, while the weights moved."""
    valid_auc: float
    valid_request_gauc: float
    valid_logloss: float
    seconds: float
    """Training time so far, validation left out."""

    @property
    def judged(self) -> bool:
        return not math.isnan(self.valid_logloss)


class Progress(Protocol):
    """Who is told how training goes."""

    limits: Limits
    """Of the command, held after each step."""

    def epoch_started(self, epoch: int, epochs: int, steps: int, done: int) -> None: ...
    def step(self, loss: float, examples: int) -> None: ...
    def epoch_finished(self, point: EpochPoint, epochs: int, examples_per_second: float) -> None: ...

    def enough(self, seconds: float) -> bool:
        """Asked after each step, with TrainState.budget_seconds: whether training shall end here, as at train.max_seconds."""
        ...


@dataclass
class TrainState:
    """Everything that changes while training, besides weights and optimiser."""

    epoch: int = 0
    """Epochs completed."""
    step: int = 0
    """Batches of the current epoch that are done."""
    steps: int = 0
    loss_sum: float = 0.0
    """Sum of example losses in the current epoch."""
    seen: int = 0
    """Examples in the current epoch."""
    trained: int = 0
    """Examples in all epochs."""
    seconds: float = 0.0
    """Wall time of training, batch assembly and shuffling included, validation left out."""
    cpu_seconds: float = 0.0
    """The same in CPU time of all threads; while training, of this process."""
    budget_seconds: float = 0.0
    """What limits of time count. On a CPU: CPU time by thread, which other work on the machine does not lengthen, so that two
    models get the same even where they do not run at the same time. Elsewhere: wall time."""
    cut: bool = False
    """A limit of time ended training: train.max_seconds, or whoever is told of progress."""
    best_epoch: int = 0
    best_length: float = 0.0
    """Epochs of training behind the best weights: best_epoch, or less where a limit of time ended that epoch before its last
    batch."""
    best_value: float = -float("inf")
    curve: list[dict[str, float]] = field(default_factory=list)
    valid: metrics.Slices | None = None
    """Once through time: of validation, when it was the next window."""
    cpu_joules: float = 0.0
    """Validation included; NaN where it is unknown, and so it stays. Of a team it always is: its processes share processors."""
    accelerator_joules: float = 0.0
    """The same of all accelerators of the team."""


def train(
    model: Ranker,
    info: ModelInfo,
    data: RankingData,
    config: TrainConfig,
    seed: int,
    device: torch.device,
    resume_file: Checkpoint,
    progress: Progress,
    team: Team = ALONE,
    length: float | None = None,
) -> TrainState:
    """Train `model` in place until validation stops improving, and leave it with its best weights; or once through time.

    A run that finds `resume_file` continues from it and ends with the numbers of an uninterrupted run. A team trains as one
    process would whose steps are the batches of all.

    Raises:
        Stopped: a limit of the command is reached; the checkpoint is that of the last step.

    Args:
        length: epochs to train, of those that are planned; nothing is then validated, no limit of time holds, and the last
            weights are kept. The learning rate goes as it would in the first `length` epochs of any training.
    """
    course = course_of(data, info, config, seed, length, device)
    if info.fit == "counts":  # what the leader counts, nobody else needs to
        return _count(model, info, course, config, device) if team.leads else TrainState()
    with team.in_step():
        loop = _Loop(model, config, evaluator.monitor(config, data), seed, device, resume_file, team, course)
        state, epochs = loop.state, epochs_of(course)
        while not loop.finished(progress):
            with loop.clock():
                batches = course.lessons(state.epoch)
                plans = batches.plans(state.epoch)
            steps = len(plans[:: team.size])
            last = loop.last_step(steps)
            progress.epoch_started(state.epoch + 1, epochs, steps, state.step)
            ahead = 0 if device.type == "cpu" else AHEAD
            asked = None if config.loss == "bce" else data
            fill_up = config.whole_step != "off"
            with contextlib.closing(_assembled(batches, plans, state, seed, device, ahead, team, asked, fill_up)) as source:
                for _ in range(state.step, last):
                    loop.step(source, progress, steps)
                    loop.keep_within(progress.limits)
                    if state.step < last and loop.out_of_time(progress):
                        state.cut = True
                        break
            with loop.clock():
                loop.optimizer.settle()
                loop.read_losses()
            with loop.judged():
                point = team.from_leader(lambda: _point(loop.forward, info, course, state))
            loop.end_epoch(point, state.step / steps)
            progress.epoch_finished(point, epochs, state.trained / max(state.seconds, 1e-9))
        state.cpu_seconds = sum(team.everyones(state.cpu_seconds))
        state.accelerator_joules = sum(team.everyones(state.accelerator_joules))
    loop.optimizer.release()
    loop.gradients.release()
    loop.forward.release()
    model.load_state_dict(loop.best)
    return state


def _count(model: Ranker, info: ModelInfo, course: Course, config: TrainConfig, device: torch.device) -> TrainState:
    """Once through the data: all at once, or once through its windows."""
    state, meter = TrainState(), Meter(device)
    for epoch in range(epochs_of(course) if config.order == "time" else 1):
        begin, begin_cpu = time.perf_counter(), time.process_time()
        batches = course.lessons(epoch)
        for plan in batches.plans(None):
            model.observe(to_device(batches.assemble(plan, None), device))
        model.finish()
        cpu = time.process_time() - begin_cpu
        state.seconds, state.cpu_seconds = state.seconds + time.perf_counter() - begin, state.cpu_seconds + cpu
        state.budget_seconds, state.trained = state.cpu_seconds, state.trained + len(batches.examples)
        if config.order == "time":
            point = _point(evaluator.Forward.of(model, config, device), info, course, state)
            if point.judged:
                state.curve.append(dataclasses.asdict(point))
        state.epoch = state.best_epoch = epoch + 1
    state.best_length = float(state.epoch)
    spent = meter.lap()
    state.cpu_joules, state.accelerator_joules = spent.cpu, spent.accelerator
    return state


def _point(forward: evaluator.Forward, info: ModelInfo, course: Course, state: TrainState) -> EpochPoint:
    """Where training has come to, and what validation says of it."""
    judged = course.judge(state.epoch)
    found = dict.fromkeys(("auc", "request_gauc", "logloss"), math.nan)
    if judged is not None:
        found = evaluator.quality(forward, judged.batches, judged.data)
        if judged.data.validates:  # other weights than these will be scored on the test
            scored = evaluator.predictions(forward, info, judged.data, "valid")
            state.valid = metrics.evaluate(scored)
    return EpochPoint(
        epoch=state.epoch + 1,
        train_loss=state.loss_sum / max(state.seen, 1),
        valid_auc=found["auc"],
        valid_request_gauc=found["request_gauc"],
        valid_logloss=found["logloss"],
        seconds=state.seconds,
    )


class _Loop:
    """Optimiser, scaler, average, best weights and checkpoints around one model."""

    def __init__(
        self,
        model: Ranker,
        config: TrainConfig,
        monitor: str,
        seed: int,
        device: torch.device,
        resume_file: Checkpoint,
        team: Team,
        course: Course,
    ) -> None:
        self.model, self.config, self.monitor, self.seed, self.device = model, config, monitor, seed, device
        self.resume_file, self.team, self.length, self.planned = resume_file, team, course.length, course.planned
        record = recorder_of(model, config, device, team)
        self.scaler = devices.grad_scaler(device, config.precision)
        # Beside a scaler, which leaves out steps, the gradients alone are recorded.
        self.optimizer = Optimizer(model, config, device, team, record=record if self.scaler is None else None)
        self.average = Average(model, config.ema, self.optimizer) if config.ema else None
        self.gradients = Gradients(model, config, device, self.scaler, self.optimizer.zero_grad, record)
        self.forward = evaluator.Forward.of(model, config, device)
        self.state, self.losses = TrainState(), StepLosses(device, team.size)
        if team.size > 1:
            model.load_state_dict(team.from_leader(lambda: {name: value.cpu() for name, value in model.state_dict().items()}))
        self.best: dict[str, Tensor] = copy.deepcopy(model.state_dict())
        self._resume()
        self.saved_at = time.perf_counter()
        self.meter = Meter(device)

    def finished(self, progress: Progress) -> bool:
        state, config = self.state, self.config
        if self.length is not None:
            return state.epoch >= self.length
        if state.epoch >= config.epochs or (state.epoch > 0 and state.epoch - state.best_epoch >= config.patience):
            return True
        if state.epoch > 0 and self.out_of_time(progress):
            state.cut = True
        return state.cut

    def last_step(self, steps: int) -> int:
        """The step after which the current epoch, which has so many, ends."""
        if self.length is None or self.length >= self.state.epoch + 1:
            return steps
        return max(1, round((self.length - self.state.epoch) * steps))

    def judged(self) -> contextlib.AbstractContextManager[None]:
        """The model has the weights that validation judges."""
        return contextlib.nullcontext() if self.average is None else self.average.in_place()

    def out_of_time(self, progress: Progress) -> bool:
        if self.length is not None:
            return False
        limit, seconds = self.config.max_seconds, self.state.budget_seconds
        if self.team.size > 1 and limit == 0:  # nobody asks before the time of a team
            return False
        return self.team.from_leader(lambda: 0 < limit <= seconds or progress.enough(seconds))

    def keep_within(self, limits: Limits) -> None:
        """Raises Stopped in all processes of the team if one of them is at a limit, once a checkpoint is written."""
        if not limits or (self.team.size > 1 and self.state.steps % TOGETHER):
            return
        for stop in self.team.everyones(limits.reached()):
            if stop is not None:
                self.save()
                raise Stopped(stop)

    @contextlib.contextmanager
    def clock(self) -> Iterator[None]:
        """What is done within counts as training time."""
        begin, begin_cpu = time.perf_counter(), time.process_time()
        yield
        wall, cpu = time.perf_counter() - begin, time.process_time() - begin_cpu
        self.state.seconds += wall
        self.state.cpu_seconds += cpu
        self.state.budget_seconds += cpu / torch.get_num_threads() if self.device.type == "cpu" else wall

    def step(self, source: Iterator[Lesson], progress: Progress, steps: int) -> None:
        """The next step of the current epoch, which has `steps`."""
        state = self.state
        with self.clock():
            done = (state.epoch + state.step / steps) / self.planned
            loss, examples = self._step(source, rate_share(self.config.lr_decay, done))
            if self.average is not None:
                self.average.update()
            state.step, state.steps, state.trained = state.step + 1, state.steps + 1, state.trained + examples
            self.losses.add(loss, examples, state.step)
            if self.losses.due or state.seen == 0:
                self.read_losses()
        progress.step(state.loss_sum / max(state.seen, 1), examples)
        if time.perf_counter() - self.saved_at > self.config.checkpoint_seconds:
            self.save()

    def read_losses(self) -> None:
        """Add what waits to the epoch's sum."""
        state = self.state
        state.loss_sum, state.seen = self.losses.read(state.epoch + 1, Total(state.loss_sum, state.seen))

    def _step(self, source: Iterator[Lesson], share: float) -> tuple[Tensor, int]:
        """Move the weights, by a share of the rate; mean loss, in memory of its own, and number of examples."""
        state = self.state
        self.team.seed(self.seed, state.epoch, state.step)
        if self.team.size == 1:
            loss, examples = self._gradients(source)
            loss = loss.detach().clone()  # the next step may overwrite it
        else:
            mean, examples = self.team.average(self.model, lambda: self._gradients(source))
            loss = torch.tensor(mean, dtype=torch.float64)
        self.optimizer.step(self.scaler, share)
        return loss, examples

    def _gradients(self, source: Iterator[Lesson]) -> tuple[Tensor, int]:
        """Gradients of the next batch; the mean loss of its main label and how many examples it has."""
        batch, lists = next(source, (None, None))
        if batch is None:  # the last step of an epoch may have fewer batches than there are processes
            self.optimizer.zero_grad()
            return torch.zeros(()), 0
        return self.gradients(batch, lists), len(batch)

    def end_epoch(self, point: EpochPoint, share: float) -> None:
        """`share` of the epoch's steps were taken."""
        state = self.state
        value = merit(self.monitor, getattr(point, f"valid_{self.monitor}"))
        if point.judged:
            state.curve.append(dataclasses.asdict(point))
        state.epoch, state.step, state.loss_sum, state.seen = state.epoch + 1, 0, 0.0, 0
        if value > state.best_value or self.length is not None:
            state.best_value = value if point.judged else state.best_value
            state.best_epoch, state.best_length = state.epoch, state.epoch - 1 + share
            self.best = copy.deepcopy(self.model.state_dict() if self.average is None else self.average.weights())
        self.save()

    def save(self) -> None:
        if self.losses.waiting:
            with self.clock():  # for steps that are under way
                self.read_losses()
        spent = self.meter.lap()
        self.state.cpu_joules += spent.cpu if self.team.size == 1 else math.nan
        self.state.accelerator_joules += spent.accelerator
        if self.team.leads:
            self.resume_file.save(
                {
                    "model": self.model.state_dict(),
                    "best": self.best,
                    "optimizer": self.optimizer.state_dict(),
                    "average": self.average.state_dict() if self.average is not None else None,
                    "scaler": self.scaler.state_dict() if self.scaler is not None else None,
                    "random": devices.random_state(self.device),
                    "state": dataclasses.asdict(self.state),
                    "processes": self.team.size,
                }
            )
        self.saved_at = time.perf_counter()

    def _resume(self) -> None:
        saved = self.team.from_leader(lambda: self.resume_file.load())
        if saved is None:
            return
        if saved["processes"] != self.team.size:
            raise UserError(
                f"checkpoint {self.resume_file} was made by {saved['processes']} process(es), this run has {self.team.size}; "
                f"run with {saved['processes']}, or start over with --no-resume"
            )
        self.model.load_state_dict(saved["model"])
        self.optimizer.load_state_dict(saved["optimizer"])
        if self.average is not None:
            self.average.load_state_dict(saved["average"])
        if self.scaler is not None and saved["scaler"] is not None:
            self.scaler.load_state_dict(saved["scaler"])
        self.best = saved["best"]
        self.state = TrainState(**saved["state"])
        devices.set_random_state(self.device, saved["random"])
