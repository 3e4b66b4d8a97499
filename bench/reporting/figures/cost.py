"""The headline metric against what it costs."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise, zip_longest

import matplotlib
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import EngFormatter, LogLocator, NullFormatter

from ...analysis.comparison import Row
from ...analysis.leaderboard import Board
from ...evaluation.cards import shown
from ..study_words import short
from ..words import listed
from . import style
from .labels import name_points
from .style import COLOURS, MARKERS, STYLE

SECONDS_FLOOR = 1e-3
"""Where a log axis begins for a row that took no measurable time."""


@dataclass(frozen=True)
class CostAxis:
    """Something to pay, less is better."""

    name: str
    axis: Callable[[Board], str]
    of: Callable[[Row], float]
    floors: bool
    """Whether floors are drawn too."""
    said: Callable[[float], str]
    """An amount with its unit."""
    timed: bool = False
    """It is a time: only rows whose times may be compared are drawn."""

    def drawn(self, board: Board) -> list[Row]:
        """The rows that have a place on a log axis, best first."""
        rows = [row for row in board.rows if row.comparable or not self.timed]
        return [row for row in rows if self.of(row) > 0 and (self.floors or row.family != "floor")]


def _clock(board: Board) -> str:
    clock = " of CPU time" if all(row.on_cpu for row in board.rows) else ""
    return f"training time in seconds{clock}, mean over seeds"


TIME = CostAxis(
    "training time",
    _clock,
    lambda row: max(row.train_seconds, SECONDS_FLOOR),
    True,
    lambda amount: f"{short(amount)} s",
    True,
)
FLOPS = CostAxis(
    "arithmetic",
    lambda _: "FLOPs of a forward pass, per training example",
    lambda row: row.flops_per_example,
    False,
    lambda amount: f"{short(amount)} FLOPs",
)
PARAMETERS = CostAxis(
    "memory for weights",
    lambda _: "trained numbers, embedding tables included",
    lambda row: row.parameters_embedding + row.parameters_dense,
    False,
    lambda amount: f"{short(amount)} numbers",
)


def against(board: Board, cost: CostAxis) -> Figure:
    """The headline metric against a cost; the line joins the rows that no other row beats in both."""
    with matplotlib.rc_context(STYLE):
        metric = shown(board.headline)
        rows = cost.drawn(board)
        figure = style.headed(title(board, cost), f"{style.name(board)}: {metric} against {cost.name}", 5.0)
        axes = figure.add_subplot()
        others = [row for row in board.rows if row not in rows]
        edge, end = style.headline_limits(board, [*rows, *others[:1]])
        axes.set_ylim(edge, end)
        axes.set_xscale("log")
        points: list[tuple[Row, float, float]] = []
        for row in rows:
            colour, found, paid = COLOURS[row.family], style.interval(board, row), cost.of(row)
            points.append((row, paid, max(found.point, edge)))
            if found.point < edge:
                axes.plot([paid], [edge], "v", color=colour, markersize=5, clip_on=False)
                continue
            if style.known(found):
                axes.plot([paid, paid], [found.low, found.high], color=colour, linewidth=1, alpha=0.6)
            face = colour if style.tied(board, row) else "white"
            axes.plot([paid], [found.point], MARKERS[row.family], color=colour, markerfacecolor=face, markersize=6, zorder=3)
        corners = _corners([(cost.of(row), style.interval(board, row).point) for row in front(board, rows, cost)])
        axes.plot(*zip(*corners, strict=True), color="black", linewidth=0.9, alpha=0.45, zorder=1)
        axes.set_xlabel(f"{cost.axis(board)}, log scale (lower is better)")
        axes.set_ylabel(f"test {metric} (higher is better)")
        paid = [cost.of(row) for row in rows]
        widen = max((max(paid) / min(paid)) ** 0.15, math.sqrt(20 * min(paid) / max(paid)))
        axes.set_xlim(min(paid) / widen, max(paid) * widen)
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter(EngFormatter(sep="") if min(paid) >= 1 else lambda value, _: f"{value:g}")
        axes.xaxis.set_minor_formatter(NullFormatter())
        handles = [
            Line2D([], [], color="black", linewidth=1, alpha=0.6, label="95% interval over users and seeds"),
            Line2D([], [], color="black", linewidth=0.9, alpha=0.45, label="rows that no other row beats in both"),
            Line2D([], [], color="black", marker="o", linestyle="", label="filled: may be the best"),
        ]
        if others:
            axes.axhline(style.interval(board, others[0]).point, color=COLOURS["floor"], linestyle=":", linewidth=1, zorder=0.9)
            handles.append(Line2D([], [], color=COLOURS["floor"], linestyle=":", label=f"best of the others: {others[0].label}"))
        if searched := from_defaults(rows):
            arrow = {"marker": r"$\rightarrow$", "markersize": 12, "linestyle": ""}
            handles.append(Line2D([], [], color="black", label="default to tuned", **arrow))
        ends = [[(cost.of(row), max(style.interval(board, row).point, edge)) for row in pair] for pair in searched]
        for default, tuned in ends:
            arrow = {"arrowstyle": "->", "color": "black", "linewidth": 1.2, "shrinkA": 4, "shrinkB": 4}
            axes.annotate("", tuned, default, arrowprops=arrow, zorder=2)
        style.legend(figure, rows, handles, columns=3)
        name_points(figure, axes, board, points, corners, ends)
        return figure


def title(board: Board, cost: CostAxis) -> str:
    """The cheapest of the rows that may be the best."""
    may_be = [row for row in cost.drawn(board) if style.tied(board, row)]
    if not may_be:
        return f"By {shown(board.headline)}, no row of this figure may be the best"
    if len(may_be) == 1:  # nothing is said by being the first of one
        only, paid = may_be[0].label, cost.said(cost.of(may_be[0]))
        return f"By {shown(board.headline)}, {only} is the only row here that may be the best; {cost.name}: {paid}"
    least = min(map(cost.of, may_be))
    cheapest = sorted(row.label for row in may_be if cost.of(row) == least)
    takes = f"{listed(cheapest)} {'takes' if len(cheapest) == 1 else 'take'} the least {cost.name}"
    return f"By {shown(board.headline)}, of the rows here that may be the best, {takes}: {cost.said(least)}"


def from_defaults(rows: Sequence[Row]) -> list[tuple[Row, Row]]:
    """Pairs of a row and the same one tuned."""
    pairs = ((default, tuned) for default in rows for tuned in rows if tuned.tuned and not default.tuned)
    return [(one, other) for one, other in pairs if (one.model, one.changes) == (other.model, other.changes)]


def front(board: Board, rows: list[Row], cost: CostAxis) -> list[Row]:
    """Rows that no other row beats in quality and cost at once, cheapest first (Pareto)."""
    kept: list[Row] = []
    for row in sorted(rows, key=lambda row: (cost.of(row), -style.interval(board, row).point)):
        if not kept or style.interval(board, row).point > style.interval(board, kept[-1]).point:
            kept.append(row)
    return kept


def _corners(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """The stairs that join points: to the right, then up."""
    turns = [(after[0], before[1]) for before, after in pairwise(points)]
    return [corner for pair in zip_longest(points, turns) for corner in pair if corner is not None]
