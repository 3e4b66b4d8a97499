"""Which implementation of each operation of `kernels` runs here: the user's choice, checked before anything is trained."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch

from ..kernels import (  # noqa: F401
    decayed_attention,
    dropout,
    elementwise,
    gating,
    hstu_attention,
    hstu_layer,
    linear,
    lookup,
    padded_attention,
    recurrence,
    row_adam,
    segments,
    target_attention,
)
from ..kernels.dispatch import OPERATIONS, choose, find, names
from .errors import UserError, unknown_name


@dataclass(frozen=True)
class Listed:
    """An implementation of an operation, and what becomes of it on one device."""

    operation: str
    implementation: str
    device: str
    """On which it runs: cpu, cuda, npu or any."""
    available: str
    """`available`, or the reason why it is not."""
    chosen: bool


def parse(texts: Sequence[str]) -> dict[str, str]:
    """OPERATION=IMPLEMENTATION texts as a mapping; of two for the same operation the later one counts.

    Raises:
        UserError: not of that form, or a name does not exist.
    """
    choices = {}
    for text in texts:
        operation, equals, name = text.partition("=")
        if not equals:
            raise UserError(f"--kernel {text!r} is not OPERATION=IMPLEMENTATION, for example hstu_attention=torch")
        if operation not in OPERATIONS:
            raise unknown_name("operation", operation, OPERATIONS)
        if name not in names(operation):
            raise unknown_name(f"implementation of {operation}", name, names(operation))
        choices[operation] = name
    return choices


def check(choices: Mapping[str, str], device: torch.device) -> None:
    """Whether the choices can run on a device.

    Raises:
        UserError: one cannot, with the reason.
    """
    for operation, name in choices.items():
        if reason := find(operation, name).refusal(device):
            raise UserError(f"--kernel {operation}={name} is not available: {reason}")


def make_ready(device: torch.device) -> None:
    """Compile what a first use would compile, so that no run's clock counts it and no two workers do it at once."""
    for operation in OPERATIONS:
        choose(operation, device)


def table(device: torch.device) -> Iterator[Listed]:
    """All implementations, in order of preference."""
    for operation, implementations in OPERATIONS.items():
        chosen = choose(operation, device)
        for one in implementations:
            reason = one.why_unavailable()
            yield Listed(operation, one.name, one.device or "any", reason or "available", one is chosen)
