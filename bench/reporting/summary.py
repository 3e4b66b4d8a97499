"""The summary of several boards: by each metric of the verdicts, a line a board with its answer."""

from __future__ import annotations

from collections.abc import Iterable

from ..analysis.comparison import HEADLINES, HeadlineMetric
from ..analysis.leaderboard import Board
from ..analysis.summary import answer
from ..evaluation.cards import shown
from .results_folder import BoardFiles
from .words import difference

HEADER = ["data set", "tuned", "best generative", "best classical", "difference", "verdict", "train s"]

LEGEND = (
    "Boards stand in the order of the weight of their evidence: two tuned rows before defaults, then the narrower interval. The "
    "difference is that of the best generative minus the best classical row, with a 95% interval over test users and seeds that "
    "holds for all pairs of rows together, because both were chosen by the same numbers. Seconds are those of training, the "
    "generative and the classical row, where they may be compared. A board of one family answers nothing and has dashes."
)


def tables(boards: Iterable[BoardFiles]) -> dict[HeadlineMetric, list[list[str]]]:
    """Metric -> header and a line for each board, in their order."""
    kept = list(boards)
    return {metric: [HEADER, *([files.name, *line(files.board, metric)] for files in kept)] for metric in HEADLINES}


def line(board: Board, metric: HeadlineMetric) -> list[str]:
    """Cells behind the name of a board: the best row of each family, and where both are there the answer."""
    found = answer(board, metric)
    if metric not in board.headlines:
        return ["-"] * (len(HEADER) - 1)
    if found is None:
        best = (board.best(family, metric) for family in ("generative", "classical"))
        return ["-", *("-" if row is None else row.label for row in best), "-", "-", "-"]
    pair, costs = found.pair, found.costs
    seconds = "-" if costs is None else f"{costs.generative.train_seconds:.0f} / {costs.classical.train_seconds:.0f}"
    return [found.tuned, pair.one, pair.other, difference(pair.difference), pair.verdict, seconds]


def caption(metric: HeadlineMetric) -> str:
    """Of the table of a metric."""
    return f"By {shown(metric)}"
