"""How long sequences are cut: the rule, and the sizes of tables that follow from it.

A segment is a chunk of a user's events, preceded by one history length of context. Where an event belongs depends on what it
sees alone, so that no score depends on the future.
"""

from __future__ import annotations

import numpy as np


def chunk_start(length: int, user_start: np.ndarray, hi: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Starts of segment and chunk under dense supervision, by where a user's events start and where what is seen ends.

    Args:
        length: L, the history length.
        user_start, hi: positions in the log, int64 [n].

    Returns:
        int64 [n] twice, positions in the log.
    """
    chunk = user_start + (hi - user_start) // _chunk(length) * _chunk(length)
    return np.maximum(chunk - length, user_start), chunk


def longest_segment(length: int) -> int:
    """Fewer events than this lie between the start of a segment and the end of what any of its events sees."""
    return length + _chunk(length)


def _chunk(length: int) -> int:
    """Events of a chunk: long beside the context, which is computed twice."""
    return 4 * max(length, 32)
