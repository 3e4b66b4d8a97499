"""Whether probabilities are what they say: how far what happens is from what was predicted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from ...analysis.comparison import Row
from ...analysis.leaderboard import FAMILIES, Board
from ...evaluation.reliability import Reliability
from ..words import listed
from . import style
from .style import COLOURS, MARKERS, STYLE

MOST = 4
"""Rows in the figure."""


def chosen(board: Board, found: Mapping[str, Reliability]) -> list[Row]:
    """The best row of each family and, while there is room, the best of the others."""
    rows = [row for row in board.rows if row.label in found]
    best = [next((row for row in rows if row.family == family), None) for family in FAMILIES]
    kept = [row for row in best if row is not None]
    return [*kept, *(row for row in rows if row not in kept)][:MOST]


def calibration(board: Board, found: Mapping[str, Reliability]) -> Figure:
    """The share of positives minus the mean prediction, in bins of equally many test examples; a panel a row.

    Args:
        found: label -> its bins; rows without any are left out. A bin of too few users has no interval and is not drawn.
    """
    rows = chosen(board, found)
    with matplotlib.rc_context(STYLE):
        about = f"{style.name(board)}: observed share of positives minus mean prediction, in bins of equally many test examples"
        figure = style.headed(title(rows, found), about, 0.85 + style.panels_height(rows, 1.9))
        panels = style.panels(figure, rows, "mean prediction")
        for panel, row in zip(panels, rows, strict=True):
            _residuals(panel, row, found[row.label])
        for axis in (panels[0].xaxis, panels[0].yaxis):
            axis.set_major_locator(MaxNLocator(4))
        figure.supylabel("observed minus predicted", fontsize=8)
        others = [
            Line2D([], [], color="black", linewidth=0.8, label="as predicted"),
            Line2D([], [], color="black", linewidth=2, alpha=0.45, label="95% interval over users and seeds"),
            Line2D([], [], color="black", marker="o", markerfacecolor="white", linestyle="", label="hollow: it includes zero"),
        ]
        style.legend(figure, rows, others, columns=3)
        return figure


def title(rows: Sequence[Row], found: Mapping[str, Reliability]) -> str:
    """In how many bins the interval excludes the prediction, a row."""
    counts = []
    for row in rows:
        bins = _bins(found[row.label])
        counts.append(f"in {sum(_differs(one) for one in bins)} of {len(bins)} bins of {row.label}")
    return f"What was observed is shown to differ from the prediction {listed(counts)}"


Bin = tuple[float, float, float, float]
"""Mean prediction; observed share minus it, and the ends of the interval of that."""


def _bins(one: Reliability) -> list[Bin]:
    """Of enough users for an interval."""
    every = zip(one.predicted, one.observed, one.low, one.high, strict=True)
    return [(at, up - at, low - at, high - at) for at, up, low, high in every if (low, high) != (0.0, 1.0)]


def _differs(one: Bin) -> bool:
    _, _, low, high = one
    return not low <= 0 <= high


def _residuals(panel: Axes, row: Row, one: Reliability) -> None:
    colour = COLOURS[row.family]
    panel.axhline(0, color="black", linewidth=0.8, zorder=1)
    for at, residual, low, high in (bins := _bins(one)):
        panel.plot([at, at], [low, high], color=colour, linewidth=2, alpha=0.45, solid_capstyle="butt")
        face = colour if _differs((at, residual, low, high)) else "white"
        panel.plot([at], [residual], MARKERS[row.family], color=colour, markerfacecolor=face, markersize=4, zorder=3)
    panel.plot([at for at, *_ in bins], [residual for _, residual, *_ in bins], color=colour, linewidth=0.8, alpha=0.6)
    ece, floor = row.means["ece"], row.means["ece_floor"]
    if ece is not None and floor is not None:
        text = panel.annotate(f"ECE {ece:.3f}\n(floor {floor:.3f})", (0.96, 0.97), xycoords="axes fraction", fontsize=7)
        text.set(ha="right", va="top", bbox={"facecolor": "white", "edgecolor": "none", "pad": 1, "alpha": 0.8})
