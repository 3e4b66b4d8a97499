"""What stands behind the rows of a board: learning curves and reliability."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..evaluation.reliability import Reliability, reliability
from ..records.schema import CurvePoint, RunRecord
from ..records.view import View
from .leaderboard import Board

Curve = tuple[CurvePoint, ...]


@dataclass(frozen=True)
class Details:
    """By label of a row; a row that has none is left out."""

    curves: dict[str, tuple[Curve, ...]]
    """One per seed, over epochs."""
    reliability: dict[str, Reliability]


def details(view: View, board: Board) -> Details:
    """Of the records behind a board and, where they are here, their scores."""
    records: dict[tuple[str, str], list[RunRecord]] = {}
    for record in view.records:
        if record.status == "ok" and not record.simulated:
            records.setdefault((record.identity.model, record.identity.config_hash), []).append(record)
    groups = {
        row.label: [record for record in records.get((row.model, row.config_hash), []) if record.identity.seed in row.seeds]
        for row in board.rows
    }
    # What was learned window by window has a figure of its own: no window is one in which training might have ended.
    curves = {
        label: tuple(record.curve for record in group if record.curve and not record.once_through_time)
        for label, group in groups.items()
    }
    return Details(
        curves={label: found for label, found in curves.items() if found},
        reliability={
            label: _reliability(view, group)
            for label, group in groups.items()
            if group and all(view.has_scores(record.identity) for record in group)
        },
    )


def _reliability(view: View, group: list[RunRecord]) -> Reliability:
    tables = [view.predictions(record.identity) for record in group]
    scores = [table["score"].to_numpy(np.float64) for table in tables]
    return reliability(tables[0]["label"].to_numpy(), tables[0]["user"].to_numpy(), scores)
