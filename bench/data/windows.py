"""Splits by windows of time at the end of a log, of about as many events each.

`windows-4`: the end of the log is the test, all four windows, and training ends before the first. `window-3-of-4`: the third
alone is the test, and training goes on until before it. A request belongs to the window in which it begins.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from ..errors import UserError
from .eventlog import EventLog
from .split_rows import TEST, TRAIN, UNUSED, VALID, AllRows, Roles, UserRows, border_of
from .visibility import Requests

WINDOWED, VALIDATED = 0.4, 0.1
"""Shares of the events: the end of the log that is cut into windows, and what comes before a window and chooses epochs."""
NAME = re.compile(r"windows-(?P<all>[1-9]\d?)|window-(?P<one>[1-9]\d?)-of-(?P<of>[1-9]\d?)")


@dataclass(frozen=True)
class Borders:
    """Milliseconds: where each window begins, and where the validation before it does."""

    windows: tuple[int, ...]
    validations: tuple[int, ...]

    @staticmethod
    def of(rows: AllRows, pieces: int) -> Borders:
        shares = [1 - WINDOWED + WINDOWED * at / pieces for at in range(pieces)]
        begin, before = (tuple(border_of(share - back, rows) for share in shares) for back in (0.0, VALIDATED))
        return Borders(begin, before)

    def roles(self, part: UserRows, at: int, last: bool) -> np.ndarray:
        """uint8 [rows]: window `at`, from 0, is the test, with all behind it if `last`; training and validation end before."""
        begin, end = part.start, part.time[part.last]
        role = np.full(part.events, UNUSED, dtype=np.uint8)
        role[end < self.validations[at]] = TRAIN
        role[(begin >= self.validations[at]) & (end < self.windows[at])] = VALID
        role[(begin >= self.windows[at]) & (True if last else begin < self.windows[at + 1])] = TEST
        return role


def roles_of(rows: AllRows, name: str) -> Roles:
    """Of a split with one of these names.

    Raises:
        UserError: there is no such window.
    """
    found = NAME.fullmatch(name)
    assert found is not None
    pieces, at = int(found["all"] or found["of"]), int(found["one"] or 1)
    if at > pieces:
        raise UserError(f"split {name}: there are {pieces} windows, from 1 to {pieces}")
    borders, last = Borders.of(rows, pieces), at == pieces or found["all"] is not None
    return lambda part: borders.roles(part, at - 1, last)


def most_windows(log: EventLog, requests: Requests, most: int = 8) -> int:
    """Into how many windows the end of a log can be cut, `most` at most, so that each has test rows of its own behind a
    validation, and more training than the one before: borders move to whole requests, and may leave nothing between them."""
    rows = AllRows(log, requests)
    return next((pieces for pieces in range(most, 1, -1) if _can_be_cut(rows, pieces)), 1)


def _can_be_cut(rows: AllRows, pieces: int) -> bool:
    borders = Borders.of(rows, pieces)
    # Events by window, role and label.
    held = np.zeros((pieces, TEST + 1, 2), dtype=np.int64)
    for events, part in rows.blocks():
        label = rows.log.label[events]
        label = label if rows.log.asked is None else label[rows.log.asked[events]]
        for at in range(pieces):
            role = borders.roles(part, at, last=at == pieces - 1)
            held[at] += np.bincount(role * 2 + label, minlength=held[at].size).reshape(held[at].shape)
    wanted = held[:, [TRAIN, VALID, TEST], int(rows.log.positive_only) :]
    return bool((wanted > 0).all() and (np.diff(held[:, TRAIN].sum(axis=1)) > 0).all())
