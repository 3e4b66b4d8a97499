"""How training ends: the learning rate's way down, and a moving average of the weights. Both are for every gradient model."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from ..config import Decay
from .optimizer import Optimizer


def rate_share(decay: Decay, done: float) -> float:
    """Share of train.lr that a step takes which begins when `done`, 0 to 1, of the planned training lies behind it.

    What is planned is train.epochs, whole. Training that early stopping or a limit of time ends sooner ends at whatever rate it
    has come to, so that a decay is of use where the epochs are few enough to be trained, as with a patience of as many.
    """
    if decay == "linear":
        return 1 - done
    return (1 + math.cos(math.pi * done)) / 2 if decay == "cosine" else 1.0


class Average:
    """Exponential moving average of all that a model has learnt: parameters and statistics such as those of a batch norm.

    After t steps it is the sum of (1 - decay) decay**(t - j) w_j over the steps j = 1 .. t, divided by 1 - decay**t (as Adam
    corrects its moments, Kingma & Ba 2015), so that the start, which is random, has no part in it. Tables that are stepped row by
    row keep theirs in the optimiser.
    """

    def __init__(self, model: nn.Module, decay: float, optimizer: Optimizer) -> None:
        self.model, self.decay, self.optimizer = model, decay, optimizer
        self.steps = 0
        self.values = {name: torch.zeros_like(value) for name, value in self._current().items()}

    def update(self) -> None:
        """After each step."""
        self.steps += 1
        weight = (1 - self.decay) / (1 - self.decay**self.steps)
        current = self._current()
        torch._foreach_lerp_(list(self.values.values()), [current[name] for name in self.values], weight)  # pyright: ignore[reportPrivateImportUsage]

    def weights(self) -> dict[str, Tensor]:
        """The average as a state of the model, once the optimiser has settled; what is not a floating number is as it is now."""
        apart = {name: average for name, average in self._by_rows()} if self.steps else {}
        return {**self.model.state_dict(), **(self.values if self.steps else {}), **apart}

    @contextlib.contextmanager
    def in_place(self) -> Iterator[None]:
        """The model has the average's weights within the block, and its own afterwards."""
        own = {name: value.clone() for name, value in self.model.state_dict().items()}
        self.model.load_state_dict(self.weights())
        try:
            yield
        finally:
            self.model.load_state_dict(own)

    def state_dict(self) -> dict[str, Any]:
        return {"steps": self.steps, "values": self.values}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.steps = state["steps"]
        for name, value in self.values.items():
            value.copy_(state["values"][name])

    def _current(self) -> dict[str, Tensor]:
        apart = {parameter.data_ptr() for parameter in self.optimizer.row_parameters}
        return {
            name: value
            for name, value in self.model.state_dict().items()
            if value.is_floating_point() and value.data_ptr() not in apart
        }

    def _by_rows(self) -> Iterator[tuple[str, Tensor]]:
        averages = {
            parameter.data_ptr(): average
            for parameter, average in zip(self.optimizer.row_parameters, self.optimizer.row_averages(), strict=True)
        }
        for name, value in self.model.state_dict().items():
            if value.data_ptr() in averages:
                yield name, averages[value.data_ptr()]
