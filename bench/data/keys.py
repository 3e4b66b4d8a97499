"""What an example is, as a number: a hash of its content, which nothing else in the log changes."""

from __future__ import annotations

import functools

import numpy as np
from pandas.core.util.hashing import hash_array

from .eventlog import EventLog


def example_keys(log: EventLog, user: np.ndarray, item: np.ndarray, time: np.ndarray, draw: np.ndarray) -> np.ndarray:
    """int64 [n]: by the texts of user and item as the source has them, the request's time, and which sampled negative it is.

    Other events, added or deleted anywhere, leave it as it is, unlike the position of an event in the log. Events that agree in
    all of these share a key.

    Args:
        user: int64 [n], codes of the log; -1 for a user that it does not know.
        item: int64 [n], codes of the log.
        time: int64 [n], milliseconds since 1970, from which the example's request looks back.
        draw: int64 [n], 0 for a logged event.
    """
    key = _mixed(draw.astype(np.uint64))
    for part in (time.astype(np.uint64), name_hashes(log, "item")[item], np.append(name_hashes(log, "user"), np.uint64(0))[user]):
        key = _mixed(key ^ part)
    return key.view(np.int64)


@functools.lru_cache(maxsize=4)
def name_hashes(log: EventLog, name: str) -> np.ndarray:
    """uint64: of every text of a dictionary; what else is in it changes none."""
    return hash_array(np.asarray(log.dictionary(name), dtype=object), categorize=False)  # pyright: ignore[reportCallIssue]


def _mixed(x: np.ndarray) -> np.ndarray:
    """The finaliser of splitmix64 (Steele et al. 2014): one to one, wraps around."""
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
