"""All figures of a board, as files."""

from __future__ import annotations

from pathlib import Path

from ...analysis.details import Details
from ...analysis.leaderboard import Board
from .calibration import calibration
from .cost import FLOPS, PARAMETERS, TIME, against
from .intervals import intervals
from .learning import learning
from .slices import slices
from .style import save

CAPTIONS = {
    "request_gauc": "Ranking within a request: intervals over users and seeds, and paired differences to the best",
    "auc": "AUC: intervals over users and seeds, and paired differences to the best",
    "slices-request_gauc": "Ranking within a request, by what training knew of user and item",
    "slices-auc": "AUC, by what training knew of user and item",
    "against-time": "Quality against training time, of runs whose times may be compared",
    "against-flops": "Quality against the arithmetic of a forward pass",
    "against-parameters": "Quality against size",
    "calibration": "Whether probabilities are what they say",
    "learning-epochs": "Validation by epoch",
    "learning-seconds": "Validation by training time",
}
"""Figure of a board -> what it shows, in the order of a report."""

COSTS = {"against-time": TIME, "against-flops": FLOPS, "against-parameters": PARAMETERS}


def write(board: Board, details: Details, folder: Path) -> list[Path]:
    """All figures of a board in `folder`: quality and slices by each metric of the verdicts, the others by the headline.

    What there is nothing to draw for is left out, and goes if it is there from an earlier board.
    """
    paths = []
    for metric in board.headlines:
        paths += save(intervals(board.by(metric)), folder / metric)
        drawn = slices(board, metric)
        if drawn is not None:
            paths += save(drawn, folder / f"slices-{metric}")
    for name, cost in COSTS.items():
        if len(cost.drawn(board)) > 1:
            paths += save(against(board, cost), folder / name)
    if details.reliability:
        paths += save(calibration(board, details.reliability), folder / "calibration")
    if any(row.label in details.curves and row.family != "floor" for row in board.rows):
        paths += save(learning(board, details.curves, "epoch"), folder / "learning-epochs")
        paths += save(learning(board, details.curves, "seconds"), folder / "learning-seconds")
    for path in [*folder.glob("*.svg"), *folder.glob("*.png")]:
        if path not in paths:
            path.unlink()
    return paths
