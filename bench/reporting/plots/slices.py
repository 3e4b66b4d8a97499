"""Where a model is good: for users and items that training knew, and for those that it did not."""

from __future__ import annotations

import math

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from ..leaderboard import Board
from ..measured import Row, Slice
from . import style
from .style import COLOURS, MARKERS, STYLE

PARTS = ("warm_user", "cold_user", "warm_item", "cold_item")


def slices(board: Board) -> Figure:
    """The headline metric of every row on four parts of the test examples, a panel each; no intervals."""
    with matplotlib.rc_context(STYLE):
        rows = board.rows[::-1]
        metric = board.headline.upper()
        figure = style.titled(board, f"{metric} on parts of the test, mean over seeds", 1.4 + 0.2 * len(rows))
        axes = list(figure.subplots(1, len(PARTS), sharey=True))
        for panel, name in zip(axes, PARTS, strict=True):
            _panel(panel, board, rows, name)
        axes[0].set_yticks(range(len(rows)), [_short(row.label) for row in rows])
        axes[0].set_ylim(-0.7, len(rows) - 0.3)
        others = [
            Line2D([], [], color="black", marker="<", linestyle="", label="left of the axis"),
            Line2D([], [], color="black", linestyle=":", linewidth=1, label="best row of the whole test (right is better)"),
        ]
        style.legend(figure, rows, others)
        return figure


def _panel(panel: Axes, board: Board, rows: tuple[Row, ...], name: str) -> None:
    parts: dict[str, Slice] = {row.label: getattr(row, name) for row in rows}
    values = {label: math.nan if value is None else value for label, part in parts.items() for value in (_value(board, part),)}
    panel.set_title(f"{name.replace('_', ' ')}s\nn = {parts[rows[0].label].n:,}", fontsize=8)
    panel.tick_params(labelsize=7)
    known = [(row, values[row.label], values[row.label]) for row in board.rows if not math.isnan(values[row.label])]
    if not known:
        panel.text(0.5, 0.5, "not defined", transform=panel.transAxes, ha="center", va="center", fontsize=8)
        panel.set_xticks([])
        return
    edge, end = style.quality_limits(known)
    panel.set_xlim(edge, end)
    panel.xaxis.set_major_locator(MaxNLocator(3))
    best = values[board.rows[0].label]
    if not math.isnan(best):
        panel.axvline(best, color="black", linestyle=":", linewidth=1, zorder=0.9)
    for y, row in enumerate(rows):
        value, colour = values[row.label], COLOURS[row.family]
        if value < edge:
            panel.plot([edge], [y], "<", color=colour, markersize=4, clip_on=False)
        elif not math.isnan(value):
            panel.plot([value], [y], MARKERS[row.family], color=colour, markersize=5)


def _value(board: Board, part: Slice) -> float | None:
    return part.gauc if board.headline == "gauc" else part.auc


def _short(label: str) -> str:
    return label if len(label) <= 30 else f"{label[:27]}..."
