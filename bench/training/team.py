"""The processes that train one cell together, each on its share of every step's batches: data parallelism.

torchrun starts them and tells each its place; torch.distributed carries what they tell each other. They hold the same weights,
optimiser state and position at every step. The first of them leads: it alone validates, evaluates and writes. A process
without others is a team of one, which changes nothing and never calls torch.distributed.

Processes that wait for each other must fail together. What goes wrong where they can be told (building, a forward or backward
pass, what the leader does for all) is raised in all of them as the same error, and the next cell goes on; anything else ends the
run, because a process that is not in step with the others must not meet them in a sum.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor, distributed, nn
from torch.distributed import PrefixStore, Store, TCPStore  # pyright: ignore[reportPrivateImportUsage]

from .. import device as devices
from ..errors import UserError, in_one_line
from .limits import Stopped

PATIENCE = timedelta(hours=1)
"""How long a process waits for the others; evaluation by the leader is waited for too."""

NOT_SHARED = "TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1"
"""In torchrun's environment: its store is a new one for each restart."""

AGAIN = "start all processes again: finished cells and the last checkpoint are kept"

T = TypeVar("T")


class ProcessFailed(Exception):
    """What went wrong in one process, raised in all of them."""


@dataclass(frozen=True)
class Team:
    """A process's place among those that train together."""

    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        return self.rank == 0

    def from_leader(self, work: Callable[[], T]) -> T:
        """The result of `work`, which the leader alone does. It must be something that can be pickled.

        Raises:
            UserError, ProcessFailed: it failed; raised in every process.
        """
        if self.size == 1:
            return work()
        result, error = self._try(work) if self.leads else (None, None)
        sent = [(result, error)]
        with self._answering():
            distributed.broadcast_object_list(sent)
        result, error = sent[0]
        if error is not None:
            raise error
        return result  # type: ignore[return-value]

    def together(self, work: Callable[[], T]) -> T:
        """The result of `work`, which every process does for itself.

        Raises:
            UserError, ProcessFailed: it failed in some process; raised in every one.
        """
        if self.size == 1:
            return work()
        result, error = self._try(work)
        self._raise_first(error)
        return result  # type: ignore[return-value]

    def everyones(self, value: T) -> list[T]:
        """The values of all processes."""
        values = [value] * self.size
        if self.size > 1:
            with self._answering():
                distributed.all_gather_object(values, value)
        return values

    def average(self, model: nn.Module, gradients: Callable[[], tuple[Tensor, int]]) -> tuple[float, int]:
        """Gradients and moving averages of `model` over the examples of all processes; a single sum over the processes.

        Args:
            gradients: fills the gradients of a mean loss over the process's own examples; returns the loss, a scalar, and how
                many examples there were. A process may have none.

        Returns:
            Mean loss and number of examples over all processes.
        """
        parameters, averages = exchanged(model)
        done, error = self._try(gradients)
        loss, examples = done if done is not None else (torch.zeros(()), 0)
        # A parameter that nothing has reached in any process must stay without a gradient: a zero would move it by its momentum.
        reached = [parameter.grad is not None for parameter in parameters]
        grads = [parameter.grad if parameter.grad is not None else torch.zeros_like(parameter) for parameter in parameters]
        device = parameters[0].device
        counts = torch.tensor([float(examples), float(error is not None), *map(float, reached)], device=device)
        means = [loss.detach().reshape(1).to(device), *(part.detach().reshape(-1) for part in (*grads, *averages))]
        flat = torch.cat([counts, *means])
        flat[len(counts) :].mul_(examples)
        with self._answering():
            distributed.all_reduce(flat)
            total, failed, *given, loss_sum = flat[: len(counts) + 1].tolist()
        if failed:
            self._raise_first(error)
        means = flat[len(counts) :].div_(total).split([len(mean) for mean in means])[1:]
        for parameter, mean, present in zip(parameters, means, given, strict=False):
            parameter.grad = mean.view_as(parameter).to(parameter.dtype) if present else None
        for buffer, mean in zip(averages, means[len(parameters) :], strict=True):
            buffer.copy_(mean.view_as(buffer))
        return loss_sum / total, round(total)

    def seed(self, *place: int) -> None:
        """Let what is drawn next depend on the place in training and on the process alone, so that no checkpoint has to hold
        the generators of all processes."""
        if self.size > 1:
            torch.manual_seed(int(np.random.SeedSequence([*place, self.rank]).generate_state(1, np.uint64)[0]))

    @contextlib.contextmanager
    def in_step(self) -> Iterator[None]:
        """A stretch of work in which the processes meet: an error that the others do not share ends the run.

        Raises:
            UserError: instead of such an error.
        """
        try:
            yield
        except (UserError, ProcessFailed, Stopped, FloatingPointError):  # the last: of the common loss, seen by all
            raise
        except Exception as error:
            if self.size == 1:
                raise
            raise UserError(f"{self} failed where the others cannot know ({in_one_line(error)}); {AGAIN}") from error

    def __str__(self) -> str:
        return f"rank {self.rank} of {self.size}"

    def _try(self, work: Callable[[], T]) -> tuple[T | None, Exception | None]:
        """A result, or an error that can be sent to the others."""
        try:
            return work(), None
        except UserError as error:
            return None, error
        except Exception as error:  # whatever it is, nobody may be left waiting
            return None, ProcessFailed(f"{self}: {in_one_line(error)}")

    def _raise_first(self, error: Exception | None) -> None:
        """Raise the first error of any process, if there is one, in all of them."""
        for one in self.everyones(error):
            if one is not None:
                raise one

    @contextlib.contextmanager
    def _answering(self) -> Iterator[None]:
        try:
            yield
        except RuntimeError as error:
            raise UserError(f"{self} gets no answer from the others ({in_one_line(error)}); {AGAIN}") from None


def exchanged(model: nn.Module) -> tuple[list[nn.Parameter], list[Tensor]]:
    """What `Team.average` sums over the processes at every step: parameters by their gradients, and moving averages."""
    kept = model.state_dict()
    averages = [buffer for name, buffer in model.named_buffers() if name in kept and buffer.is_floating_point()]
    return [parameter for parameter in model.parameters() if parameter.requires_grad], averages


ALONE = Team()


@contextlib.contextmanager
def assembled(device: str, of_one: bool = False) -> Iterator[tuple[Team, torch.device]]:
    """The team that this process belongs to, and the process's own device.

    Args:
        device: as users name it. Processes on accelerators take one each, by their number on the machine.
        of_one: a single process of torchrun is a group too, so that what groups are told can be tried on one card.

    Raises:
        UserError: the device is not there, the environment is not torchrun's, or the others do not come.
    """
    rank, size, local = _place("RANK", 0), _place("WORLD_SIZE", 1), _place("LOCAL_RANK", 0)
    if size <= 1 and not (of_one and started_by_torchrun()):
        yield ALONE, devices.resolve(device)
        return
    own = devices.of_process(device, local)
    try:
        backend, store = devices.collectives(own), _store_of_restart()
        distributed.init_process_group(backend, timeout=PATIENCE, rank=rank, world_size=size, store=store)
    except (RuntimeError, ValueError) as error:
        raise UserError(
            f"{size} processes cannot find each other ({in_one_line(error)}); start them with torchrun, and to have them started "
            f"again on several machines, with {NOT_SHARED}"
        ) from None
    try:
        yield Team(rank, size), own
    finally:
        distributed.destroy_process_group()


def started_by_torchrun() -> bool:
    """Whether this process has a place among others, or is the only one that torchrun started."""
    return _place("WORLD_SIZE", 1) > 1 or "TORCHELASTIC_RUN_ID" in os.environ


def _store_of_restart() -> Store | None:
    """Where processes that torchrun started again find each other; None: where torch.distributed looks by itself.

    torchrun keeps one store over all restarts, in which addresses of the dead stand where those of the living are looked for
    (torch 2.13, see pytorch issue 135712). On one machine the number of the restart tells them apart. On several, each has a
    count of its own, and the store must not be shared: see NOT_SHARED.
    """
    restarts, machines = _place("TORCHELASTIC_RESTART_COUNT", 0), _place("GROUP_WORLD_SIZE", 1)
    if restarts == 0 or machines > 1 or os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True":
        return None
    host, port = os.environ.get("MASTER_ADDR", "127.0.0.1"), _place("MASTER_PORT", 0)
    return PrefixStore(f"restart-{restarts}", TCPStore(host, port, timeout=PATIENCE))


def _place(variable: str, alone: int) -> int:
    text = os.environ.get(variable, str(alone))
    if not text.isdecimal():
        raise UserError(f"{variable} must be a whole number, not {text!r}; start the processes with torchrun")
    return int(text)
