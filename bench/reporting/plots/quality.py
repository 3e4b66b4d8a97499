"""The headline metric of every row, with both uncertainties."""

from __future__ import annotations

import textwrap

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ...evaluation.cards import shown
from ..leaderboard import Board
from ..measured import Row
from . import style
from .style import COLOURS, MARKERS, STYLE

LABEL_WIDTH = 34
"""Letters in a line of a row's label."""


def intervals(board: Board) -> Figure:
    """The headline metric of every row with its interval over users and seeds, one tick a seed; filled markers may be best."""
    with matplotlib.rc_context(STYLE):
        rows = board.rows[::-1]
        names = [textwrap.fill(row.label, LABEL_WIDTH) for row in rows]
        lines = sum(1.45 + name.count("\n") for name in names)
        metric = shown(board.headline)
        figure = style.titled(board, f"{metric} on the test examples", 1.45 + 0.19 * lines)
        axes = figure.add_subplot()
        edge, end = style.headline_limits(board, board.rows)
        axes.set_xlim(edge, end)
        y, places = 0.0, []
        for row, name in zip(rows, names, strict=True):
            half = (1.45 + name.count("\n")) / 2
            y += half
            _interval_row(axes, board, row, y, edge)
            places.append(y)
            y += half
        floors = [row for row in board.rows if row.family == "floor"]
        if floors:
            axes.axvline(style.interval(board, floors[0]).point, color=COLOURS["floor"], linestyle=":", linewidth=1, zorder=0.9)
        axes.set_yticks(places, names)
        axes.set_ylim(0, y)
        axes.grid(axis="y", visible=False)
        axes.set_xlabel(f"test {metric} (higher is better)")
        others = [
            Line2D([], [], color="black", linewidth=2, alpha=0.45, label="95% interval over users and seeds"),
            Line2D([], [], color="black", marker="|", linestyle="", markersize=6, label="one seed"),
            Line2D([], [], color="black", marker="o", linestyle="", label="filled: tied with the best"),
            Line2D([], [], color="black", marker="o", markerfacecolor="white", linestyle="", label="hollow: below it"),
            Line2D([], [], color=COLOURS["floor"], linestyle=":", linewidth=1, label="best floor"),
        ]
        style.legend(figure, board.rows, others if floors else others[:-1])
        return figure


def _interval_row(axes: Axes, board: Board, row: Row, y: float, edge: float) -> None:
    colour, found = COLOURS[row.family], style.interval(board, row)
    if found.point < edge:
        axes.plot([edge], [y], "<", color=colour, markersize=5, clip_on=False)
        text = axes.annotate(f"{found.point:.3f}, left of the axis", (edge, y), (7, 0), textcoords="offset points", va="center")
        text.set(color=colour, fontsize=8, bbox={"facecolor": "white", "edgecolor": "none", "pad": 1})
        return
    axes.plot([found.low, found.high], [y, y], color=colour, linewidth=2.5, alpha=0.45, solid_capstyle="butt")
    seeds = style.seeds(board, row)
    if len(seeds) > 1:
        axes.plot(seeds, [y + 0.42] * len(seeds), "|", color=colour, markersize=5)
    face = colour if row.tied else "white"
    axes.plot([found.point], [y], MARKERS[row.family], color=colour, markerfacecolor=face, markersize=6, zorder=3)
