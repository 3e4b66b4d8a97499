"""What a board answers, in one line for each metric of its verdicts; read from its statements and rows, nothing is computed."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from .comparison import HeadlineMetric
from .leaderboard import Board
from .statements import Costs, Families, Pair, of_kind

Searched = Literal["both", "one", "no"]
"""Of the two rows of an answer, whether a sweep found their settings."""

BY_SEARCH: tuple[Searched, ...] = ("both", "one", "no")
"""What weighs most first."""


@dataclass(frozen=True)
class Answer:
    """The best generative row beside the best classical one by a metric."""

    pair: Pair
    """The first minus the second."""
    tuned: Searched
    costs: Costs | None
    """None where the times of the two cannot be compared."""


def answer(board: Board, metric: HeadlineMetric) -> Answer | None:
    """None where the question is not asked by this metric."""
    pair = next((one.pair for one in of_kind(board.statements, Families) if one.pair.metric == metric), None)
    if pair is None:
        return None
    labels = (pair.one, pair.other)
    tuned = sum(row.tuned for row in board.rows if row.label in labels)
    costs = (one for one in of_kind(board.statements, Costs) if (one.generative.label, one.classical.label) == labels)
    return Answer(pair, BY_SEARCH[len(labels) - tuned], next(costs, None))


def weight(board: Board) -> tuple[bool, int, float]:
    """Sorts boards by the weight of their evidence, most first.

    A board that answers the question comes before one that does not, an answer of two tuned rows before one of defaults, and the
    narrower interval of the headline, which more users and more seeds make, before the wider one.
    """
    found = answer(board, board.headline)
    if found is None:
        return True, len(BY_SEARCH), math.inf
    width = found.pair.difference.high - found.pair.difference.low
    return False, BY_SEARCH.index(found.tuned), math.inf if math.isnan(width) else width
