"""What is learned from, epoch by epoch, and what judges it: epochs over all training examples, or a stream window by window.

An epoch of a stream is a window. Behind it the next window is scored, of which nothing has been learned yet, and only then
learned from. What the harness calls validation is the last window before the test: it is scored and learned from as all others
are, so that the test, which is not scored here, has all of the past behind it.
"""

from __future__ import annotations

import math
from typing import NamedTuple, Protocol

import torch

from ..config import TrainConfig
from ..contract import ModelInfo
from ..data.batches import Batches
from ..data.dataset import RankingData
from ..data.resident import batches_at

CPU = torch.device("cpu")


class Judged(NamedTuple):
    """Examples that say how good the weights are."""

    data: RankingData
    batches: Batches


class Course(Protocol):
    """What the epochs of a training are."""

    @property
    def planned(self) -> float:
        """Epochs by which the learning rate goes its way."""
        ...

    @property
    def length(self) -> float | None:
        """Epochs that are trained whatever validation says, the last weights being kept; None: validation decides."""
        ...

    def lessons(self, epoch: int) -> Batches:
        """The batches of an epoch, from 0."""
        ...

    def judge(self, epoch: int) -> Judged | None:
        """What judges the weights after an epoch; None: nothing does."""
        ...


class Epochs:
    """All training examples in each of them, judged by validation, or of a given number and judged by nothing."""

    def __init__(
        self, data: RankingData, info: ModelInfo, config: TrainConfig, seed: int, length: float | None, device: torch.device
    ) -> None:
        self.data, self.info, self.config, self.planned, self.length = data, info, config, config.epochs, length
        self.batches = _lessons(data, info, config, seed, device)
        self.valid = Judged(data, _judges(data, info, config, device))

    def lessons(self, epoch: int) -> Batches:
        return self.batches

    def judge(self, epoch: int) -> Judged | None:
        return None if self.length is not None else self.valid


class Windows:
    """The windows of a stream but the test, each once."""

    def __init__(self, data: RankingData, info: ModelInfo, config: TrainConfig, seed: int, device: torch.device) -> None:
        self.data, self.info, self.config, self.seed, self.device = data, info, config, seed, device
        self.planned = self.length = data.windows - 1
        self._at: tuple[int, RankingData] | None = None
        """The latest window and its data, which are judged where they were learned from."""

    def lessons(self, epoch: int) -> Batches:
        return _lessons(self._data(epoch), self.info, self.config, self.seed, self.device)

    def judge(self, epoch: int) -> Judged | None:
        if epoch + 1 >= self.planned:  # what comes next is the test
            return None
        data = self._data(epoch)
        return Judged(data, _judges(data, self.info, self.config, self.device))

    def _data(self, epoch: int) -> RankingData:
        if self._at is None or self._at[0] != epoch:
            self._at = epoch, self.data.at(epoch)
        return self._at[1]


def course_of(
    data: RankingData,
    info: ModelInfo,
    config: TrainConfig,
    seed: int,
    length: float | None = None,
    device: torch.device = CPU,
) -> Course:
    """
    Args:
        length: of epochs that no validation ends.
        device: where batches are put together, if `train.assembly` leaves that to it.
    """
    if config.order == "time":
        return Windows(data, info, config, seed, device)
    return Epochs(data, info, config, seed, length, device)


def epochs_of(course: Course) -> int:
    """How many there are, at most."""
    return math.ceil(course.planned if course.length is None else course.length)


def _lessons(data: RankingData, info: ModelInfo, config: TrainConfig, seed: int, device: torch.device) -> Batches:
    sizes = (config.batch_size, config.batch_events)
    return batches_at(_place(config, device), data, info.view, "train", *sizes, seed, config.whole_requests)


def _judges(data: RankingData, info: ModelInfo, config: TrainConfig, device: torch.device) -> Batches:
    return batches_at(_place(config, device), data, info.view, "valid", config.batch_size * 4, config.batch_events * 2)


def _place(config: TrainConfig, device: torch.device) -> torch.device | None:
    """Where batches are put together; None: on the host."""
    return device if config.assembly == "device" else None
