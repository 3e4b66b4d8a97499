"""What the server takes at most, so that no client can make it wait, grow or fall over."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Each is an option of `rankbench serve`."""

    body_bytes: int = 1 << 20
    """Of a request's body."""
    candidates: int = 2_000
    """Of a request."""
    history: int = 5_000
    """Past events that a request may tell."""
    queue: int = 32
    """Requests that are computed or wait at a time; who comes then is told to come later."""
    timeout: float = 2.0
    """Seconds from a request's last byte to its answer, and from its first byte to its last."""
    remembered: int = 256
    """Pasts that are kept of generative rankers: memory is bounded by it."""
