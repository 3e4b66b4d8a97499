"""Where models differ: by what training knew of the user and of the item."""

from __future__ import annotations

import math
from itertools import groupby
from textwrap import fill

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from ...analysis.comparison import HeadlineMetric, Row
from ...analysis.leaderboard import Board
from ...analysis.parts import SliceOfTest
from ...evaluation.cards import shown
from ...evaluation.slices import PARTS
from ...evaluation.stats import LEAST_USERS, Verdict
from . import style, titles
from .style import COLOURS, MARKERS, STYLE

KINDS = {
    "user_events": "events of the user in training",
    "user_gap_days": "days since the user's last event in training",
    "item_events": "events of the item in training",
}
"""Column that a slice is made by -> what it is about."""

APART = 0.22
"""Between the marks of one slice."""


def slices(board: Board, metric: HeadlineMetric) -> Figure | None:
    """The best row of each family on each slice with its interval, and beside it the paired difference of the best generative and
    the best classical row. None where no slice has enough users."""
    found = [part for part in board.parts if part.metric == metric and part.n]
    rows = board.best_of_families(metric)
    if not any(part.trusted for part in found):
        return None
    with matplotlib.rc_context(STYLE):
        groups = [(kind, list(group)) for kind, group in groupby(found, key=lambda part: PARTS[part.name].column)]
        lines = sum(len(group) + 1 for _, group in groups)
        figure = style.headed(_title(found, rows, metric), _about(board, metric), 1.4 + 0.36 * lines)
        left, right = figure.subplots(1, 2, sharey=True, width_ratios=(3, 2))
        y, ticks = 0.0, []
        for kind, group in groups:
            left.annotate(KINDS[kind], (0, y + 0.5), (4, 0), left.get_yaxis_transform(), "offset points", va="center").set(
                fontsize=8, fontweight="bold", bbox={"facecolor": "white", "edgecolor": "none", "pad": 1}
            )
            y += 1
            for part in group:
                ticks.append((y + 0.5, f"{part.name}\nn = {part.n:,}"))
                _part(left, right, part, rows, y + 0.5)
                y += 1
        left.set_yticks([place for place, _ in ticks], [name for _, name in ticks], fontsize=7)
        left.set_ylim(y + 0.1, -0.1)
        right.axvspan(-board.margin, board.margin, color="#DDDDDD", zorder=0.5, linewidth=0)
        right.axvline(0, color="black", linewidth=0.8, zorder=0.9)
        style.beside(left, right, shown(metric), "best generative minus classical")
        for axes in (left, right):
            axes.xaxis.set_major_locator(MaxNLocator(5))
        handles = [
            Line2D([], [], color=COLOURS[row.family], marker=MARKERS[row.family], linestyle="", label=fill(row.label, 44))
            for row in rows
        ]
        handles += [
            Line2D([], [], color="black", linewidth=2, alpha=0.45, label=f"95% over {_over(metric)}"),
            Line2D([], [], color="black", marker="D", markerfacecolor="white", linestyle="", label="hollow: not settled"),
            style.equivalent(board.margin),
        ]
        figure.legend(handles=handles, loc="outside lower left", ncols=2, columnspacing=1.2, handletextpad=0.4)
        return figure


def _title(found: list[SliceOfTest], rows: list[Row], metric: HeadlineMetric) -> str:
    """The best generative against the best classical row, slice by slice; what is compared with the floor alone has no title."""
    pairs = [(part, pair) for part in found if part.trusted for pair in part.pairs[:1]]
    if not pairs:
        return f"{shown(metric)} of {' and '.join(row.label for row in rows)} by slice of the test examples"
    judged: list[tuple[str, Verdict]] = [(part.name, pair.verdict) for part, pair in pairs]
    return titles.by_verdict(shown(metric), pairs[0][1].one, pairs[0][1].other, judged, "on", "slices")


def _over(metric: HeadlineMetric) -> str:
    return "users and seeds, of slices by item over items too" if metric == "auc" else "users and seeds"


def _about(board: Board, metric: HeadlineMetric) -> str:
    return f"{style.name(board)}: {shown(metric)} by slice of the test examples, each interval a single comparison, post hoc"


def _part(left: Axes, right: Axes, part: SliceOfTest, rows: list[Row], y: float) -> None:
    """Of too few users, nothing is drawn: a value without an interval says nothing."""
    if not part.trusted:
        text = left.annotate(
            f"fewer than {LEAST_USERS} {part.lacks}", (0.02, y), xycoords=left.get_yaxis_transform(), va="center"
        )
        text.set(fontsize=7, color=COLOURS["floor"])
        return
    for at, row in enumerate(rows):
        place, found, colour = y + APART * (at - (len(rows) - 1) / 2), part.values[row.label], COLOURS[row.family]
        if not math.isnan(found.value):
            left.plot([found.low, found.high], [place, place], color=colour, linewidth=2, alpha=0.45, solid_capstyle="butt")
            left.plot([found.value], [place], MARKERS[row.family], color=colour, markersize=4, zorder=3)
    for pair in part.pairs[:1]:
        apart = pair.difference
        if not math.isnan(apart.value):
            right.plot([apart.low, apart.high], [y, y], color="black", linewidth=1.2)
            face = "white" if pair.verdict == "not settled" else "black"
            right.plot([apart.value], [y], "D", color="black", markerfacecolor=face, markersize=4.5, zorder=3)
