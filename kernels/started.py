"""How a program of Triton is started: one way for all of them."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor


def start(program: Any, grid: tuple[int, ...], given: Mapping[str, Any], **options: Any) -> None:
    """Start a program; it takes of what is given what it has a name for.

    It runs where its tensors lie. Triton itself takes the current GPU of the thread, which is the first one unless someone said
    otherwise in this very thread.

    Args:
        options: such as num_warps and what the program is compiled for.
    """
    names = set(program.arg_names)  # a list of dozens
    taken = {name: one for name, one in given.items() if name in names}
    device = next(one.device for one in taken.values() if isinstance(one, Tensor))
    with torch.cuda.device(device) if device.type == "cuda" else contextlib.nullcontext():
        program[grid](**taken, **options)
