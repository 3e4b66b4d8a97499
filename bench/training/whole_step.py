"""Steps that are recorded once a shape of batch and replayed: the host then starts one thing instead of hundreds.

What is recorded reads and writes the same memory whenever it is replayed: a batch is copied into that of its shape, gradients are
added up where they always lie. Whatever is recorded once, forward, loss and backward, must take no decision on the host; the
optimiser's step is not part of it, so that clipping, rates and the scaler of the loss stay as they are.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from .. import device as devices
from ..contract import Jagged, SequenceBatch
from ..errors import UserError, in_one_line

MOST = 32
"""Shapes that are recorded; steps of further ones run unrecorded."""

Run = Callable[[SequenceBatch, None, Callable[[], None]], Tensor]
"""Batch, no lists, what makes gradients zero -> mean loss; gradients are left behind."""


class Recorder(Protocol):
    """How work is recorded."""

    def __call__(self, work: Callable[[], None]) -> Callable[[], None]:
        """What does `work` again on the same memory. Recording may do it, any number of times."""
        ...


def again(work: Callable[[], None]) -> Callable[[], None]:
    """Records nothing: the work is done anew each time, on the same memory. What tests have in place of graphs."""
    return work


class CudaGraphs:
    """Work as CUDA graphs, which share one pool of memory."""

    WARM_UPS = 2
    """Runs before the recording, in which libraries choose and compile."""

    def __init__(self, device: torch.device) -> None:
        self.device, self.pool = device, None

    def __call__(self, work: Callable[[], None]) -> Callable[[], None]:
        """
        Raises:
            UserError: some operation cannot be recorded.
        """
        aside = torch.cuda.Stream(self.device)
        aside.wait_stream(torch.cuda.current_stream(self.device))
        with torch.cuda.stream(aside):
            for _ in range(self.WARM_UPS):
                work()
        torch.cuda.current_stream(self.device).wait_stream(aside)
        graph: Any = torch.cuda.CUDAGraph()
        try:
            # Of this thread alone: another one assembles the next batches and may ask for memory meanwhile.
            with torch.cuda.graph(graph, pool=self.pool, capture_error_mode="thread_local"):
                work()
        except RuntimeError as error:
            raise UserError(f"a step cannot be recorded ({in_one_line(error)}); use train.whole_step=padded") from error
        self.pool = graph.pool()
        return graph.replay


@dataclasses.dataclass
class _Recorded:
    """A step of one shape."""

    batch: SequenceBatch
    """Whose memory it reads."""
    loss: Tensor
    replay: Callable[[], None]


class WholeSteps:
    """Runs steps by their shapes."""

    def __init__(self, run: Run, parameters: list[nn.Parameter], record: Recorder, device: torch.device) -> None:
        self.run, self.parameters, self.record, self.device = run, parameters, record, device
        self.shapes: dict[tuple[object, ...], _Recorded] = {}

    def __call__(self, batch: SequenceBatch) -> Tensor:
        """The mean loss over the batch's examples, a scalar that the next step of this shape overwrites; gradients are left
        behind."""
        shape = tuple((name, *value.shape) for name, value in _tensors(batch))
        if shape not in self.shapes:
            if len(self.shapes) == MOST:
                return self.run(batch, None, self._zero)
            self.shapes[shape] = self._recorded(batch)
        recorded = self.shapes[shape]
        for (_, into), (_, value) in zip(_tensors(recorded.batch), _tensors(batch), strict=True):
            into.copy_(value)
        recorded.replay()
        return recorded.loss

    def _recorded(self, batch: SequenceBatch) -> _Recorded:
        """The step of a new shape. Numbers that it draws while it is tried are drawn again by the step itself."""
        random = devices.random_state(self.device)
        own = _copied(batch)
        # Parameters that no batch reaches have no gradient and must not get one: a zero would move them by their momentum.
        loss = self.run(own, None, self._zero).detach().clone()

        def work() -> None:
            loss.copy_(self.run(own, None, self._zero).detach())

        replay = self.record(work)
        devices.set_random_state(self.device, random)
        return _Recorded(own, loss, replay)

    def _zero(self) -> None:
        """In place: what is recorded adds to the memory in which gradients lie."""
        gradients = [parameter.grad for parameter in self.parameters if parameter.grad is not None]
        if gradients:
            torch._foreach_zero_(gradients)  # pyright: ignore[reportPrivateImportUsage]


def _tensors(batch: SequenceBatch) -> Iterator[tuple[str, Tensor]]:
    """What a batch consists of, in a fixed order, with names."""
    for field in dataclasses.fields(batch):
        value = getattr(batch, field.name)
        if isinstance(value, Tensor):
            yield field.name, value
        elif isinstance(value, dict):
            for name, ids in value.items():
                parts = ids if isinstance(ids, Jagged) else (ids,)
                yield from ((f"{name} {at}", part) for at, part in enumerate(parts))


def _copied(batch: SequenceBatch) -> SequenceBatch:
    """The same batch in memory of its own."""
    copy = lambda ids: Jagged(*(one.clone() for one in ids)) if isinstance(ids, Jagged) else ids.clone()  # noqa: E731
    values = {field.name: getattr(batch, field.name) for field in dataclasses.fields(batch)}
    own = {name: value.clone() for name, value in values.items() if isinstance(value, Tensor)}
    return dataclasses.replace(batch, **own, fields={name: copy(ids) for name, ids in batch.fields.items()})
