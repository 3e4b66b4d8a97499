"""Whether probabilities are what they say."""

from __future__ import annotations

from collections.abc import Mapping

import matplotlib
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from ...analysis.leaderboard import Board
from ...evaluation.reliability import Reliability
from . import style
from .style import COLOURS, STYLE


def calibration(board: Board, found: Mapping[str, Reliability]) -> Figure:
    """The share of positives against the mean prediction, in bins of equally many test examples; a panel a row.

    Args:
        found: label -> its bins; rows without any are left out.
    """
    rows = [row for row in board.rows if row.label in found]
    with matplotlib.rc_context(STYLE):
        largest = max(max(*one.predicted, *one.high) for one in found.values())
        each = max(max(one.count) for one in found.values())
        figure, panels = style.panels(board, "share of positives against prediction", rows, 1.3, "mean prediction")
        for panel, row in zip(panels, rows, strict=True):
            one, colour = found[row.label], COLOURS[row.family]
            panel.plot([0, largest], [0, largest], color="black", linestyle=":", linewidth=0.8)
            panel.vlines(one.predicted, one.low, one.high, color=colour, linewidth=1, alpha=0.6)
            panel.plot(one.predicted, one.observed, color=colour, linewidth=0.8, alpha=0.6)
            panel.scatter(one.predicted, one.observed, [2 + 14 * count / each for count in one.count], color=colour, zorder=3)
            ece = row.means["ece"]
            if ece is not None:
                panel.text(
                    0.05,
                    0.93,
                    f"ECE {ece:.3f} (floor {row.means['ece_floor']:.3f})",
                    transform=panel.transAxes,
                    fontsize=7,
                    va="top",
                )
        panels[0].set_xlim(0, 1.03 * largest)
        panels[0].set_ylim(0, 1.03 * largest)
        for axis in (panels[0].xaxis, panels[0].yaxis):
            axis.set_major_locator(MaxNLocator(3))
        figure.supylabel("share of positives", fontsize=8)
        others = [
            Line2D([], [], color="black", linestyle=":", linewidth=0.8, label="as predicted"),
            Line2D([], [], color="black", linewidth=1, alpha=0.6, label="95% interval over users and seeds"),
            Line2D([], [], color="black", marker="o", markersize=4, linestyle="", label=f"area: examples (largest {each:,.0f})"),
        ]
        style.legend(figure, rows, others)
        return figure
