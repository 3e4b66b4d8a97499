"""What a family has reached on a data set so far, beyond which a row is looked at for leaks. It accuses nobody: a better model is
beyond it, too."""

from __future__ import annotations

import datetime
from dataclasses import dataclass

from ..analysis.comparison import HEADLINES, HeadlineMetric
from ..evaluation.new_seed import new_best
from .board import PublicBoard
from .row import PublicRow

LEVEL = 0.99
"""One-sided: one honest model of a hundred is beyond it by chance, if models of a family lie as a normal sample does."""
LEAST_ROWS = 3
"""By which an envelope is known."""


@dataclass(frozen=True)
class Envelope:
    """Of a family on a track, by one metric."""

    family: str
    metric: HeadlineMetric
    rows: int
    best: float
    """The best seed of all of them."""
    bound: float
    """That the best seed of one more model exceeds with probability 1 - LEVEL; inf with fewer than LEAST_ROWS rows."""

    @property
    def known(self) -> bool:
        return self.rows >= LEAST_ROWS


def envelopes(
    board: PublicBoard, place: tuple[str, str], today: datetime.date, without: PublicRow | None = None
) -> list[Envelope]:
    """Of each family of a track but floors, which have little in common, from the best seeds of the rows of the closed division
    that somebody verified.

    Args:
        without: a row that is held against them, with all in whose place it stands.
    """
    left_out = {without.id, *(old.id for old in board.before(without))} if without is not None else set()
    rows = [row for row in board.standing("closed", place, today) if row.tier != "self-reported" and row.id not in left_out]
    found = []
    for family in dict.fromkeys(row.entrant.family for row in rows if row.entrant.family != "floor"):
        for metric in HEADLINES:
            best = [
                max(row.entrant.quality[metric].by_seed)
                for row in rows
                if row.entrant.family == family and metric in row.entrant.quality
            ]
            if best:
                found.append(Envelope(family, metric, len(best), max(best), new_best(best, LEVEL)))
    return found


def beyond(board: PublicBoard, row: PublicRow, today: datetime.date) -> list[Envelope]:
    """The envelopes of its family, made without it, that a row's best seed lies beyond."""
    return [
        one
        for one in envelopes(board, row.place, today, row)
        if one.family == row.entrant.family
        and one.metric in row.entrant.quality
        and max(row.entrant.quality[one.metric].by_seed) > one.bound
    ]
