"""What a protocol of others reports of each row of a board, as a table for a terminal."""

from __future__ import annotations

from collections.abc import Callable

from rich.console import Console
from rich.table import Table

from ..analysis.leaderboard import groups_of
from ..evaluation.predictions import Predictions, align
from ..evaluation.protocol_score import ProtocolScore, gauc_ndcg5
from ..evaluation.stats import Estimate
from ..protocols import Protocol, Score
from ..records.view import View
from .board_files import interval, number, spread
from .words import difference

_MEASURES: dict[Score, Callable[[Predictions], ProtocolScore]] = {"gauc-ndcg5": gauc_ndcg5}
"""Scores of a test; what a pass through time is asked for is in analysis/stream.py."""


def score_rows(protocol: Protocol, view: View) -> list[list[str]]:
    """A header, and a row for each model, the best first; nothing where the protocol has no score of its own.

    Raises:
        UserError: there is no finished run, or its scores or test rows are not there.
    """
    if protocol.score not in _MEASURES:
        return []
    groups = groups_of(view)
    frames = {label: [view.predictions(record.identity) for record in group] for label, group in groups.items()}
    found = _MEASURES[protocol.score](align(frames))
    standing = found.whole.standing()
    rows = [["model", "seeds", "score", "95% of score", "to the best", *found.parts]]
    for label, one in sorted(standing.models.items(), key=lambda entry: -entry[1].point):
        apart = difference(Estimate(one.difference, one.difference_low, one.difference_high))
        apart = "best" if label == standing.best else apart
        parts = [number(float(part.point[part.place(label)])) for part in found.parts.values()]
        rows.append([label, str(len(groups[label])), spread(one.point, one.seed_sd), interval(one), apart, *parts])
    return rows


def show(protocol: Protocol, view: View, console: Console) -> None:
    """Print the table, and what is not as the others have it; nothing where the protocol has no score of its own."""
    rows = score_rows(protocol, view)
    if not rows:
        return
    table = Table(title=f"protocol {protocol.name}", title_style="bold", header_style="bold", box=None, pad_edge=False)
    for at, column in enumerate(rows[0]):
        table.add_column(column, no_wrap=True, justify="left" if at == 0 else "right")
    for texts in rows[1:]:
        table.add_row(*texts)
    console.print(table)
    about(protocol, console)


def about(protocol: Protocol, console: Console) -> None:
    """Print what it is, and where it is not theirs."""
    for line in (protocol.summary, *(f"differs: {one}" for one in protocol.differs)):
        console.print(f"- {line}", highlight=False, markup=False)
