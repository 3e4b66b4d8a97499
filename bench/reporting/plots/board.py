"""All figures of a board, as files."""

from __future__ import annotations

import math
from pathlib import Path

from ..details import Details
from ..leaderboard import Board, by_metric
from ..measured import HEADLINES
from .calibration import calibration
from .cost import FLOPS, PARAMETERS, TIME, against
from .learning import learning
from .quality import intervals
from .slices import slices
from .style import save

CAPTIONS = {
    "request_gauc": "Request GAUC on the test examples: 95% intervals over users and seeds",
    "auc": "AUC on the test examples: 95% intervals over users and seeds",
    "request_gauc-against-time": "Request GAUC against training time",
    "auc-against-time": "AUC against training time",
    "against-flops": "Quality against the arithmetic of a forward pass",
    "against-parameters": "Quality against size",
    "slices": "Parts of the test examples by what training knew of the user and the item, with 95% intervals",
    "calibration": "Whether probabilities are what they say",
    "learning-epochs": "Validation by epoch",
    "learning-seconds": "Validation by training time",
}
"""Figure of a board -> what it shows, in the order of a report."""

COSTS = {"against-flops": FLOPS, "against-parameters": PARAMETERS}


def write(board: Board, details: Details, folder: Path) -> list[Path]:
    """All figures of a board in `folder`: of request GAUC, where it is defined, and of AUC; further ones of the headline alone.

    What there is nothing to draw for is left out.
    """
    paths = []
    for metric in HEADLINES:
        if not any(math.isnan(getattr(row, metric).point) for row in board.rows):
            seen = by_metric(board, metric)
            paths += save(intervals(seen), folder / metric) + save(against(seen, TIME), folder / f"{metric}-against-time")
    for name, cost in COSTS.items():
        if len(cost.drawn(board)) > 1:
            paths += save(against(board, cost), folder / name)
    paths += save(slices(board), folder / "slices")
    if details.reliability:
        paths += save(calibration(board, details.reliability), folder / "calibration")
    if any(row.label in details.curves and row.family != "floor" for row in board.rows):
        paths += save(learning(board, details.curves, "epoch"), folder / "learning-epochs")
        paths += save(learning(board, details.curves, "seconds"), folder / "learning-seconds")
    return paths
