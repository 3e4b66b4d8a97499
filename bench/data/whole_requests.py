"""Batches that tear no request apart: for losses that compare the rows of one, and for what these are held against."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from .columns import blocks, collected, ranges, scratch, user_blocks
from .dataset import RankingData


def request_offsets(data: RankingData, event: np.ndarray) -> np.ndarray:
    """Where the examples of each request begin, and where the last ones end: int64 [R + 1].

    Args:
        event: of the examples, int64 [n], ascending, so that those of a request are neighbours, as its events are in a log.
    """

    def begins() -> Iterator[np.ndarray]:
        latest = -1
        for block in blocks(len(event)):
            request = data.request[event[block]]
            yield block.start + np.flatnonzero(np.diff(request, prepend=latest))
            latest = request[-1]
        yield np.array([len(event)])

    return collected(begins(), np.int64, data.log.near)


def packed(size: np.ndarray, limit: int, near: Path | None = None) -> list[int]:
    """Offsets of batches, one at least, of consecutive things that are not divided: as many as `limit` holds, a larger one alone.

    Args:
        size: of each thing, int64 [n].
        near: where large scratch files go.
    """
    end, offsets = scratch(len(size), np.int64, near), [0]
    np.cumsum(size, out=end)
    while offsets[-1] < len(size) or len(offsets) == 1:
        begin = offsets[-1]
        filled = end[begin - 1] if begin else 0
        offsets.append(max(int(np.searchsorted(end, filled + limit, side="right")), min(begin + 1, len(size))))
    return offsets


def batches_of(offsets: np.ndarray, size: np.ndarray, order: np.ndarray, limit: int, near: Path | None) -> list[np.ndarray]:
    """The members of groups, batch by batch, int64 [n] each; no batch has a part of a group.

    Args:
        offsets: group g has the members offsets[g]:offsets[g + 1], [G + 1].
        size: what a group takes of a batch, int64 [G].
        order: of the groups, [G].
        limit: what a batch holds; a larger group is a batch of its own.
        near: where large scratch files go.
    """
    bounds = packed(collected((size[order[part]] for part in blocks(len(order))), np.int64, near), limit, near)
    ends: list[int] = []

    def members() -> Iterator[np.ndarray]:
        for begin, end in itertools.pairwise(bounds):
            groups = order[begin:end]
            found = ranges(offsets[groups], offsets[groups + 1] - offsets[groups])[0]
            ends.append(len(found) + (ends[-1] if ends else 0))
            yield found

    return np.split(collected(members(), np.int64, near), ends[:-1])


def has_mixed_request(data: RankingData) -> bool:
    """Whether some request holds both labels among the training examples."""
    examples = data.examples("train")
    offsets = request_offsets(data, examples.event)
    for requests, rows in user_blocks(offsets):
        label, bounds = examples.take(rows).label.astype(np.int64), offsets[requests.start : requests.stop + 1] - rows.start
        positives = np.add.reduceat(label, bounds[:-1])
        if ((positives > 0) & (positives < np.diff(bounds))).any():
            return True
    return False
