"""Splits by user: `last-N` asks about the last N events of each user; whole users are training, validation or test.

HSTU's released ranking code splits so, with N = 10. Nothing is learned of the users who are asked about, not even who they are;
what they did before is seen in histories alone. What a user of training did before is no example either, but vocabularies and
statistics know it. As training asks about the end of a user too, what is frozen for the test is frozen there.
"""

from __future__ import annotations

import re

import numpy as np

from .split_rows import UserRows

NAME = re.compile(r"last-(?P<events>[1-9]\d{0,2})")


def names(split: str) -> bool:
    """Whether a split is one of these."""
    return NAME.fullmatch(split) is not None


SHARES = (0.8, 0.9)
"""Of the users: those below the first train, those from the second on are the test."""


def part_of(hashes: np.ndarray) -> np.ndarray:
    """int64: 0 for users of training, 1 of validation, 2 of the test, by uint64 hashes of their names alone."""
    share = (hashes >> np.uint64(11)) / 2**53
    return np.searchsorted(SHARES, share, side="right")


def asked(rows: UserRows, wanted: int) -> np.ndarray:
    """bool [rows]: whole requests from the end of each user until they hold `wanted` events; a first one is history."""
    user = rows.user - rows.first_user
    after = rows.user_offsets[user + 1] - 1 - rows.last
    return (after < wanted) & (rows.first > rows.user_offsets[user])
