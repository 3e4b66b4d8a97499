"""Signals that are handled in another way for a while."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterator
from types import FrameType


@contextlib.contextmanager
def handled(by: signal.Handlers | Callable[[int, FrameType | None], object], *numbers: signal.Signals) -> Iterator[None]:
    """What handled them before does so again afterwards. In the main thread alone, which is the one that Python lets do this."""
    before = {number: signal.signal(number, by) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
