"""The headline metric of every row, and beside it what decides: the paired difference to the best."""

from __future__ import annotations

import math
import textwrap

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from ...analysis.comparison import Row
from ...analysis.leaderboard import Board
from ...evaluation.cards import shown
from . import style, titles
from .style import COLOURS, MARKERS, STYLE

WHOLE = 2.0
"""Width of the interval of a difference of which nothing is known."""

LABEL_WIDTH = 30
"""Letters in a line of a row's label."""


def intervals(board: Board) -> Figure:
    """Two columns: the headline metric of every row, one tick per seed, and its paired difference to the best row. Intervals are
    over users and seeds; filled markers are not distinguishable from the best. The grey band is where rows are equivalent."""
    with matplotlib.rc_context(STYLE):
        rows = board.rows[::-1]
        names = [textwrap.fill(row.label, LABEL_WIDTH) for row in rows]
        metric = shown(board.headline)
        about = f"{style.name(board)}: {metric} on the test examples; {titles.of_best(board, board.headline)}"
        height = 1.5 + 0.19 * sum(1.45 + name.count("\n") for name in names)
        figure = style.headed(titles.of_families(board, board.headline), about, height)
        left, right = figure.subplots(1, 2, sharey=True)
        edge, end = style.headline_limits(board, board.rows)
        left.set_xlim(edge, end)
        y, places = 0.0, []
        for name in names:
            half = (1.45 + name.count("\n")) / 2
            places.append(y + half)
            y += 2 * half
        for row, place in zip(rows, places, strict=True):
            _level(left, board, row, place, edge)
        _differences(right, board, list(zip(rows, places, strict=True)))
        floor = next((row for row in board.rows if row.family == "floor"), None)
        if floor is not None:
            left.axvline(style.interval(board, floor).point, color=COLOURS["floor"], linestyle=":", linewidth=1, zorder=0.9)
        left.set_yticks(places, names)
        left.set_ylim(0, y)
        style.beside(left, right, metric, "paired difference to the best row")
        for axes in (left, right):
            axes.xaxis.set_major_locator(MaxNLocator(4))
        others = [
            Line2D([], [], color="black", linewidth=2, alpha=0.45, label="95% interval over users and seeds"),
            Line2D([], [], color="black", linewidth=1.2, label="95% of differences, all pairs together"),
            Line2D([], [], color="black", marker="|", linestyle="", markersize=6, label="one seed"),
            Line2D([], [], color="black", marker="o", linestyle="", label="filled: may be the best"),
            Line2D([], [], color="black", marker="o", markerfacecolor="white", linestyle="", label="hollow: below the best"),
            style.equivalent(board.margin),
            Line2D([], [], color=COLOURS["floor"], linestyle=":", linewidth=1, label="best floor"),
        ]
        style.legend(figure, board.rows, others if floor is not None else others[:-1], columns=3)
        return figure


def _level(axes: Axes, board: Board, row: Row, y: float, edge: float) -> None:
    colour, found = COLOURS[row.family], style.interval(board, row)
    if found.point < edge:
        _beyond(axes, row, y, edge, f"{found.point:.3f}, left of the axis")
        return
    if style.known(found):
        axes.plot([found.low, found.high], [y, y], color=colour, linewidth=2.5, alpha=0.45, solid_capstyle="butt")
    seeds = style.seeds(board, row)
    if len(seeds) > 1:
        axes.plot(seeds, [y + 0.42] * len(seeds), "|", color=colour, markersize=5)
    axes.plot([found.point], [y], MARKERS[row.family], color=colour, markerfacecolor=_face(board, row), markersize=6, zorder=3)


def _differences(axes: Axes, board: Board, rows: list[tuple[Row, float]]) -> None:
    spans = []
    for row in board.rows:
        found = style.interval(board, row)
        if math.isfinite(found.difference):
            whole = found.difference_high - found.difference_low >= WHOLE
            ends = (found.difference, found.difference) if whole else (found.difference_low, found.difference_high)
            spans.append((row, *ends))
    edge, end = style.quality_limits(spans) if spans else (-1.0, 1.0)
    edge, end = min(edge, -1.5 * board.margin), max(end, 1.5 * board.margin)
    axes.set_xlim(edge, end)
    axes.axvspan(-board.margin, board.margin, color="#DDDDDD", zorder=0.5, linewidth=0)
    axes.axvline(0, color="black", linewidth=0.8, zorder=0.9)
    for row, y in rows:
        colour, found = COLOURS[row.family], style.interval(board, row)
        if found.difference < edge:
            _beyond(axes, row, y, edge, f"{found.difference:+.3f}")
            continue
        if row is not board.rows[0]:
            axes.plot([max(found.difference_low, edge), min(found.difference_high, end)], [y, y], color=colour, linewidth=1.2)
        axes.plot(
            [found.difference], [y], MARKERS[row.family], color=colour, markerfacecolor=_face(board, row), markersize=6, zorder=3
        )


def _beyond(axes: Axes, row: Row, y: float, edge: float, text: str) -> None:
    """A mark left of the axis, with its value."""
    axes.plot([edge], [y], "<", color=COLOURS[row.family], markersize=5, clip_on=False)
    said = axes.annotate(text, (edge, y), (7, 0), textcoords="offset points", va="center")
    said.set(color=COLOURS[row.family], fontsize=8, bbox={"facecolor": "white", "edgecolor": "none", "pad": 1})


def _face(board: Board, row: Row) -> str:
    return COLOURS[row.family] if style.tied(board, row) else "white"
