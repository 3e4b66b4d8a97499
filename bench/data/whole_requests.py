"""Batches that tear no request apart: for losses that compare the rows of one, and for what these are held against."""

from __future__ import annotations

import numpy as np

from .dataset import RankingData

_BLOCK = 1_000_000
"""Examples whose requests are looked up at a time."""


def request_offsets(data: RankingData, event: np.ndarray) -> np.ndarray:
    """Where the examples of each request begin, and where the last ones end: int64 [R + 1].

    Args:
        event: of the examples, int64 [n], ascending, so that those of a request are neighbours, as its events are in a log.
    """
    begins, latest = [np.empty(0, dtype=np.int64)], -1
    for begin in range(0, len(event), _BLOCK):
        request = data.request[event[begin : begin + _BLOCK]]
        begins.append(begin + np.flatnonzero(np.diff(request, prepend=latest)))
        latest = request[-1]
    return np.append(np.concatenate(begins), len(event))


def packed(size: np.ndarray, limit: int) -> list[int]:
    """Offsets of batches, one at least, of consecutive things that are not divided: as many as `limit` holds, a larger one alone.

    Args:
        size: of each thing, [n].
    """
    end, offsets = np.cumsum(size), [0]
    while offsets[-1] < len(size) or len(offsets) == 1:
        begin = offsets[-1]
        filled = end[begin - 1] if begin else 0
        offsets.append(max(int(np.searchsorted(end, filled + limit, side="right")), min(begin + 1, len(size))))
    return offsets


def has_mixed_request(data: RankingData) -> bool:
    """Whether some request holds both labels among the training examples."""
    examples = data.examples("train")
    offsets = request_offsets(data, examples.event)
    positives = np.add.reduceat(examples.label.astype(np.int64), offsets[:-1])
    return bool(((positives > 0) & (positives < np.diff(offsets))).any())
