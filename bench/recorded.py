"""Work on batches that is recorded once a shape and replayed: the host then starts one thing instead of hundreds.

What is recorded reads and writes the same memory whenever it is replayed: a batch is copied into that of its shape. Whatever is
recorded must take no decision on the host. A shape is recorded when it comes again; before that its work is done as it comes,
because recording costs as much as several replays.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from . import device as devices
from .contract import PointwiseBatch, SequenceBatch, mapped
from .errors import UserError, in_one_line

MOST = 32
"""Shapes that are recorded; batches of further ones are worked on as they come."""

Batch = PointwiseBatch | SequenceBatch


class Recorder(Protocol):
    """How work is recorded."""

    def __call__(self, work: Callable[[], None], tried: bool = False) -> Callable[[], None]:
        """What does `work` again on the same memory. Recording may do it, any number of times, if it was not `tried` before: work
        that moves something on must have been done once, and is then recorded without being done."""
        ...


def again(work: Callable[[], None], tried: bool = False) -> Callable[[], None]:
    """Records nothing: the work is done anew each time, on the same memory. What tests have in place of graphs."""
    return work


class Graphs:
    """Work as graphs of an accelerator (torch.cuda, torch.npu), which share one pool of memory."""

    WARM_UPS = 2
    """Runs before the recording, in which libraries choose and compile."""

    def __init__(self, device: torch.device) -> None:
        self.device, self.pool = device, None
        self.module, self.new_graph = devices.graphs(device)
        # One for all graphs of a pool, and of this very card, whichever is the process's usual one.
        self.stream = self.module.Stream(device)

    def __call__(self, work: Callable[[], None], tried: bool = False) -> Callable[[], None]:
        """
        Raises:
            UserError: some operation cannot be recorded.
        """
        with self.module.device(self.device):
            return self._recorded(work, 0 if tried else self.WARM_UPS)

    def _recorded(self, work: Callable[[], None], warm_ups: int) -> Callable[[], None]:
        self.stream.wait_stream(self.module.current_stream(self.device))
        with self.module.stream(self.stream):
            for _ in range(warm_ups):
                work()
        self.module.current_stream(self.device).wait_stream(self.stream)
        graph = self.new_graph()
        try:
            # Of this thread alone: another one assembles the next batches and may ask for memory meanwhile.
            with self.module.graph(graph, pool=self.pool, stream=self.stream, capture_error_mode="thread_local"):
                work()
        except RuntimeError as error:
            raise UserError(f"a step cannot be recorded ({in_one_line(error)}); use train.whole_step=padded") from error
        self.pool = graph.pool()
        return graph.replay  # type: ignore[no-any-return]


@dataclass
class _Recorded:
    """Work on batches of one shape."""

    memory: list[Tensor]
    """Of the batch that it reads."""
    result: Tensor
    replay: Callable[[], None]


class Recordings:
    """Work on batches, by their shapes."""

    def __init__(
        self, work: Callable[[Batch], Tensor], record: Recorder, device: torch.device, moved: Sequence[Tensor] = ()
    ) -> None:
        """
        Args:
            work: of a batch whose shape alone decides what is done.
            moved: what the work moves on from where it finds it, as moving averages: recording leaves it where it was.
        """
        self.work, self.record, self.device, self.moved = work, record, device, moved
        self.shapes: dict[tuple[object, ...], _Recorded] = {}
        self.met: set[tuple[object, ...]] = set()
        """Shapes that came once."""

    def __call__(self, batch: Batch) -> Tensor:
        """What `work` makes of the batch, detached; the next batch of this shape overwrites it."""
        tensors = tensors_of(batch)
        shape = tuple((value.dtype, *value.shape) for value in tensors)
        if shape not in self.shapes:
            if shape not in self.met or len(self.shapes) == MOST:
                self.met.add(shape)
                return self.work(batch).detach()
            self.shapes[shape] = self._recorded(batch)
        recorded = self.shapes[shape]
        for kind in dict.fromkeys(value.dtype for value in tensors):  # one launch each; of several kinds it would be one a tensor
            own, new = ([one for one in some if one.dtype == kind] for some in (recorded.memory, tensors))
            torch._foreach_copy_(own, new)  # pyright: ignore[reportPrivateImportUsage]
        recorded.replay()
        return recorded.result

    def forget(self) -> None:
        """Give back the memory of what is recorded, which else lives until Python collects its cycles."""
        self.shapes.clear()

    def _recorded(self, batch: Batch) -> _Recorded:
        """The work of a new shape. Numbers that it draws while it is tried are drawn again by the work itself."""
        random, before = devices.random_state(self.device), [value.clone() for value in self.moved]
        own = mapped(batch, Tensor.clone)
        result = self.work(own).detach().clone()

        def work() -> None:
            result.copy_(self.work(own).detach())

        replay = self.record(work)
        devices.set_random_state(self.device, random)
        for value, old in zip(self.moved, before, strict=True):
            value.copy_(old)
        return _Recorded(tensors_of(own), result, replay)


def tensors_of(batch: Batch) -> list[Tensor]:
    """What a batch consists of, in the order of its fields."""
    found: list[Tensor] = []

    def noted(tensor: Tensor) -> Tensor:
        found.append(tensor)
        return tensor

    mapped(batch, noted)
    return found
