"""The one training loop, for classical and generative rankers alike."""

from __future__ import annotations

import contextlib
import copy
import dataclasses
import time
from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from .. import device as devices
from ..config import TrainConfig
from ..contract import ModelInfo, PointwiseBatch, Ranker, SequenceBatch, to_device
from ..data.batches import Batches, make_batches
from ..data.dataset import RankingData
from ..evaluation import evaluator, metrics
from . import checkpoint
from .optimizer import Optimizer

AHEAD = 2
"""Batches that another thread assembles while an accelerator computes. On a CPU it would take the model's own time."""


@dataclass(frozen=True)
class EpochPoint:
    """One point of the learning curve."""

    epoch: int
    train_loss: float
    """Mean logloss of the main label over the epoch's training examples, while the weights moved."""
    valid_auc: float
    valid_gauc: float
    valid_logloss: float
    seconds: float
    """Training time so far, validation left out."""


class Progress(Protocol):
    """Who is told how training goes."""

    def epoch_started(self, epoch: int, epochs: int, steps: int, done: int) -> None: ...
    def step(self, loss: float, examples: int) -> None: ...
    def epoch_finished(self, point: EpochPoint, epochs: int, examples_per_second: float) -> None: ...

    def enough(self, seconds: float) -> bool:
        """Asked after each step: whether training shall end here, as it does at train.max_seconds."""
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
    """Wall time of training steps, batch assembly included, validation left out."""
    cpu_seconds: float = 0.0
    """The same in CPU time of all threads."""
    best_epoch: int = 0
    best_value: float = -float("inf")
    curve: list[dict[str, float]] = field(default_factory=list)


def train(
    model: Ranker,
    info: ModelInfo,
    data: RankingData,
    config: TrainConfig,
    seed: int,
    device: torch.device,
    resume_file: Path,
    progress: Progress,
) -> TrainState:
    """Train `model` in place until validation stops improving, and leave it with its best weights.

    A run that finds `resume_file` continues from it and ends with the numbers of an uninterrupted run.
    """
    batches = make_batches(data, info.view, "train", config.batch_size, config.batch_events, seed)
    valid = make_batches(data, info.view, "valid", config.batch_size * 4, config.batch_events * 2)
    if info.fit == "counts":
        return _count(model, batches, device)
    loop = _Loop(model, config, device, resume_file)
    state = loop.state
    while not loop.finished(progress):
        plans = batches.plans(state.epoch)
        progress.epoch_started(state.epoch + 1, config.epochs, len(plans), state.step)
        with contextlib.closing(_assembled(batches, plans, state, seed, 0 if device.type == "cpu" else AHEAD)) as source:
            for _ in plans[state.step :]:
                loop.step(source, progress)
                if loop.out_of_time(progress):
                    break
        loop.optimizer.settle()
        point = _validate(model, valid, data, config, device, state)
        loop.end_epoch(point)
        progress.epoch_finished(point, config.epochs, state.trained / max(state.seconds, 1e-9))
    loop.optimizer.release()
    model.load_state_dict(loop.best)
    return state


def _assembled(
    batches: Batches, plans: list[np.ndarray], state: TrainState, seed: int, ahead: int
) -> Generator[PointwiseBatch | SequenceBatch, None, None]:
    """The rest of an epoch's batches in their order, up to `ahead` of them assembled by another thread beforehand."""
    epoch, steps = state.epoch, range(state.step, len(plans))

    def assemble(step: int) -> PointwiseBatch | SequenceBatch:
        # Hidden ids depend on the position alone, so that a resumed run hides the same ones.
        return batches.assemble(plans[step], np.random.default_rng([seed, epoch, step]))

    if ahead == 0:
        yield from map(assemble, steps)
        return
    pool = ThreadPoolExecutor(1)
    try:
        waiting = deque(pool.submit(assemble, step) for step in steps[:ahead])
        for step in steps:
            if step + ahead < len(plans):
                waiting.append(pool.submit(assemble, step + ahead))
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def _count(model: Ranker, batches: Batches, device: torch.device) -> TrainState:
    begin, begin_cpu = time.perf_counter(), time.process_time()
    for plan in batches.plans(None):
        model.observe(to_device(batches.assemble(plan, None), device))
    model.finish()
    return TrainState(
        epoch=1,
        best_epoch=1,
        trained=len(batches.examples),
        seconds=time.perf_counter() - begin,
        cpu_seconds=time.process_time() - begin_cpu,
    )


def _validate(
    model: Ranker, valid: Batches, data: RankingData, config: TrainConfig, device: torch.device, state: TrainState
) -> EpochPoint:
    probability = evaluator.predict(model, valid, data, device, config.precision)
    label, user = valid.examples.label, data.log.user_of(valid.examples.event)
    return EpochPoint(
        epoch=state.epoch + 1,
        train_loss=state.loss_sum / max(state.seen, 1),
        valid_auc=metrics.auc(label, probability),
        valid_gauc=metrics.gauc(label, probability, user).weighted,
        valid_logloss=metrics.logloss(label, probability),
        seconds=state.seconds,
    )


class _Loop:
    """Optimiser, scaler, best weights and checkpoints around one model."""

    def __init__(self, model: Ranker, config: TrainConfig, device: torch.device, resume_file: Path) -> None:
        self.model, self.config, self.device, self.resume_file = model, config, device, resume_file
        self.optimizer = Optimizer(model, config, device)
        self.scaler = devices.grad_scaler(device, config.precision)
        self.state = TrainState()
        self.best: dict[str, Tensor] = copy.deepcopy(model.state_dict())
        self._resume()
        self.saved_at = time.perf_counter()

    def finished(self, progress: Progress) -> bool:
        state, config = self.state, self.config
        stale = state.epoch - state.best_epoch
        return state.epoch >= config.epochs or (state.epoch > 0 and (stale >= config.patience or self.out_of_time(progress)))

    def out_of_time(self, progress: Progress) -> bool:
        return 0 < self.config.max_seconds <= self.state.seconds or progress.enough(self.state.seconds)

    def step(self, source: Iterator[PointwiseBatch | SequenceBatch], progress: Progress) -> None:
        begin, begin_cpu = time.perf_counter(), time.process_time()
        state, config = self.state, self.config
        self.model.train()
        batch = to_device(next(source), self.device)
        with devices.autocast(self.device, config.precision):
            logits = self.model(batch)
            auxiliary = self.model.auxiliary_loss()
        main, further = (logits[:, 0], logits[:, 1:]) if logits.dim() == 2 else (logits, None)
        loss = F.binary_cross_entropy_with_logits(main.float(), batch.label)
        total = loss if auxiliary is None else loss + auxiliary.float()
        if further is not None and batch.further is not None:  # the losses of all labels weigh the same
            total = total + F.binary_cross_entropy_with_logits(further.float(), batch.further) * further.shape[1]
        self.optimizer.zero_grad()
        (total if self.scaler is None else self.scaler.scale(total)).backward()
        self.optimizer.step(self.scaler)
        value = loss.item()
        if not np.isfinite(value):
            raise FloatingPointError(f"loss became {value} at epoch {state.epoch + 1}, step {state.step + 1}; lower train.lr")
        state.step, state.steps = state.step + 1, state.steps + 1
        state.loss_sum += value * len(batch)
        state.seen, state.trained = state.seen + len(batch), state.trained + len(batch)
        state.seconds += time.perf_counter() - begin
        state.cpu_seconds += time.process_time() - begin_cpu
        progress.step(state.loss_sum / state.seen, len(batch))
        if time.perf_counter() - self.saved_at > config.checkpoint_seconds:
            self.save()

    def end_epoch(self, point: EpochPoint) -> None:
        state = self.state
        value = {"auc": point.valid_auc, "gauc": point.valid_gauc, "logloss": -point.valid_logloss}[self.config.monitor]
        state.curve.append(dataclasses.asdict(point))
        state.epoch, state.step, state.loss_sum, state.seen = state.epoch + 1, 0, 0.0, 0
        if value > state.best_value:
            state.best_value, state.best_epoch = value, state.epoch
            self.best = copy.deepcopy(self.model.state_dict())
        self.save()

    def save(self) -> None:
        checkpoint.save(
            {
                "model": self.model.state_dict(),
                "best": self.best,
                "optimizer": self.optimizer.state_dict(),
                "scaler": self.scaler.state_dict() if self.scaler is not None else None,
                "random": devices.random_state(self.device),
                "state": dataclasses.asdict(self.state),
            },
            self.resume_file,
        )
        self.saved_at = time.perf_counter()

    def _resume(self) -> None:
        saved = checkpoint.load(self.resume_file, self.device)
        if saved is None:
            return
        self.model.load_state_dict(saved["model"])
        self.optimizer.load_state_dict(saved["optimizer"])
        if self.scaler is not None and saved["scaler"] is not None:
            self.scaler.load_state_dict(saved["scaler"])
        self.best = saved["best"]
        self.state = TrainState(**saved["state"])
        devices.set_random_state(self.device, saved["random"])
