"""A small case on the device at hand, before an implementation is first chosen there: what does not suit a compiler, a driver or
a card is a reason to take torch's operations, and `rankbench ls kernels` shows it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor


def why_not(check: Callable[[], str | None]) -> str | None:
    """What a check of a small case says, or how it failed.

    Raises:
        torch.OutOfMemoryError: the device is full, which says nothing of the implementation.
    """
    try:
        return check()
    except torch.OutOfMemoryError:
        raise
    except Exception as error:  # whatever a compiler or a driver raises
        return f"a small case fails ({type(error).__name__}: {' '.join(str(error).split())[:160]})"


@contextlib.contextmanager
def apart(device: torch.device) -> Iterator[None]:
    """With gradients and without mixed precision, wherever it was asked: who scores asks first in inference mode."""
    with torch.inference_mode(False), torch.enable_grad(), torch.autocast(device.type, enabled=False):
        yield


def first_difference(names: Sequence[str], own: Sequence[Tensor], wanted: Sequence[Tensor], tolerance: float) -> str | None:
    """The first of several results that is further from what it should be, relative to its norm; None if none is."""
    for name, one, two in zip(names, own, wanted, strict=True):
        error = float(((one.float() - two.float()).norm() / two.float().norm()).cpu())
        if not error < tolerance:
            return f"it computes something else: relative error {error:.1e} of {name}"
    return None
