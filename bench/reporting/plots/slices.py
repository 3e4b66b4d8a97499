"""Where a model is good: for users and items that training knew, and for those that it did not."""

from __future__ import annotations

import math

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from ...evaluation.cards import shown
from ...evaluation.stats import Estimate
from ..leaderboard import Board
from ..measured import Row
from . import style
from .style import COLOURS, MARKERS, STYLE


def slices(board: Board) -> Figure:
    """The headline metric of every row with its interval on parts of the test examples, a panel each, without empty parts."""
    with matplotlib.rc_context(STYLE):
        rows = board.rows[::-1]
        names = [name for name, part in board.rows[0].slices.items() if part.n]
        lines = max(1, -(-len(names) // style.PANELS))
        title = f"{shown(board.headline)} on parts of the test, mean over seeds"
        figure = style.titled(board, title, 0.9 + lines * (0.7 + 0.17 * len(rows)))
        grid = figure.subplots(lines, style.PANELS, sharey=True, squeeze=False)
        for panel, name in zip(grid.flat, names, strict=False):
            _panel(panel, board, rows, name)
        for panel in list(grid.flat)[len(names) :]:
            panel.remove()
        grid[0, 0].set_yticks(range(len(rows)), [_short(row.label) for row in rows])
        grid[0, 0].set_ylim(-0.7, len(rows) - 0.3)
        others = [
            Line2D([], [], color="black", marker="<", linestyle="", label="left of the axis"),
            Line2D([], [], color="black", linewidth=1.5, alpha=0.45, label="95% interval over users and seeds"),
            Line2D([], [], color="black", linestyle=":", linewidth=1, label="best row of the whole test (right is better)"),
        ]
        style.legend(figure, rows, others)
        return figure


def _panel(panel: Axes, board: Board, rows: tuple[Row, ...], name: str) -> None:
    found: dict[str, Estimate] = {row.label: getattr(row.slices[name], board.headline) for row in rows}
    panel.set_title(f"{name}\nn = {rows[0].slices[name].n:,}", fontsize=8)
    panel.tick_params(labelsize=7)
    known = [
        (row, found[row.label].value, found[row.label].value) for row in board.rows if not math.isnan(found[row.label].value)
    ]
    if not known:
        panel.text(0.5, 0.5, "not defined", transform=panel.transAxes, ha="center", va="center", fontsize=8)
        panel.set_xticks([])
        return
    edge, end = style.quality_limits(known)
    panel.set_xlim(edge, end)
    panel.xaxis.set_major_locator(MaxNLocator(3))
    best = found[board.rows[0].label].value
    if not math.isnan(best):
        panel.axvline(best, color="black", linestyle=":", linewidth=1, zorder=0.9)
    for y, row in enumerate(rows):
        one, colour = found[row.label], COLOURS[row.family]
        if one.value < edge:
            panel.plot([edge], [y], "<", color=colour, markersize=4, clip_on=False)
        elif not math.isnan(one.value):
            panel.plot([one.low, one.high], [y, y], color=colour, linewidth=1.5, alpha=0.45, solid_capstyle="butt")
            panel.plot([one.value], [y], MARKERS[row.family], color=colour, markersize=5)


def _short(label: str) -> str:
    return label if len(label) <= 30 else f"{label[:27]}..."
