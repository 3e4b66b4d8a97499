"""Pairs of a request and an item to score: events as they were logged, or with items that were sampled beside them."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from .columns import blocks, collected
from .eventlog import EventLog


class Examples:
    """n pairs of a request and an item to score, ordered by event, then draw.

    What is as long as all of them is made in blocks and lies, once it is large, in scratch files.
    """

    def __init__(self, log: EventLog, event: np.ndarray, sampled: tuple[np.ndarray, np.ndarray] | None = None) -> None:
        """
        Args:
            event: int64 [n]: position of the event whose request it is.
            sampled: integers [n], of any size: item codes, and draws: 0 for the event itself, d for its d-th sampled negative;
                None: the events as they were logged.
        """
        self.log, self.event, self._sampled = log, event, sampled

    def __len__(self) -> int:
        return len(self.event)

    @property
    def sampled(self) -> bool:
        """Whether there may be others than events as they were logged."""
        return self._sampled is not None

    @functools.cached_property
    def item(self) -> np.ndarray:
        """Integers [n], int64 in what `take` gives: item code; the event's own or a sampled one."""
        if self._sampled is not None:
            return self._sampled[0]
        return self._made(lambda block: self.log.item[self.event[block]], np.int64)

    @functools.cached_property
    def draw(self) -> np.ndarray:
        """Integers [n], int64 in what `take` gives: 0 for the event itself, d for its d-th sampled negative."""
        return np.zeros_like(self.event) if self._sampled is None else self._sampled[1]

    @functools.cached_property
    def label(self) -> np.ndarray:
        """uint8 [n]"""
        if self._sampled is not None:
            return self._made(lambda block: self.draw[block] == 0, np.uint8)
        return self._made(lambda block: self.log.label[self.event[block]], np.uint8)

    @property
    def positives(self) -> int:
        """How many have the label 1."""
        return sum(int(self.take(block).label.sum()) for block in blocks(len(self)))

    def take(self, rows: np.ndarray | slice) -> Examples:
        """Some of them."""
        if self._sampled is None:
            return Examples(self.log, self.event[rows])
        item, draw = (column[rows].astype(np.int64, copy=False) for column in self._sampled)
        return Examples(self.log, self.event[rows], (item, draw))

    def ids(self) -> np.ndarray:
        """int64 [n]: event + draw * events of the log; the same pair of one split has the same id in every run."""
        if self._sampled is None:
            return self._made(lambda block: self.event[block], np.int64)
        return self._made(lambda block: self.event[block] + self.draw[block].astype(np.int64) * self.log.meta.events, np.int64)

    def _made(self, values: Callable[[slice], np.ndarray], kind: Any) -> np.ndarray:
        return collected((values(block) for block in blocks(len(self))), kind, self.log.near)
