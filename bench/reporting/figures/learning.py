"""How validation goes up, and after how much work it ends."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Literal

import matplotlib
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, MaxNLocator, NullLocator

from ...analysis.details import Curve
from ...analysis.leaderboard import Board
from ...evaluation.cards import shown
from ...records.schema import CurvePoint
from ..study_words import short
from . import style
from .style import COLOURS, STYLE

By = Literal["epoch", "seconds"]


def learning(board: Board, curves: Mapping[str, tuple[Curve, ...]], by: By) -> Figure:
    """The headline metric on validation: a panel a row, every seed a line, the median seed bold, other rows' medians grey.

    Args:
        curves: label -> the learning curve of each seed; rows without one are left out, and so are floors, which lie far below.
        by: what stands on the lower axis; seconds are wall time of training.
    """
    rows = [row for row in board.rows if row.label in curves and row.family != "floor"]
    metric = board.headline

    def value(point: CurvePoint) -> float:
        return point.valid_request_gauc if metric == "request_gauc" else point.valid_auc

    def line(curve: Curve) -> tuple[list[float], list[float]]:
        return [getattr(point, by) for point in curve], [value(point) for point in curve]

    medians = {row.label: _median(curves[row.label], value) for row in rows}
    with matplotlib.rc_context(STYLE):
        epochs = "epoch" if by == "epoch" else "seconds of training, log scale"
        about = f"{style.name(board)}: validation {shown(metric)} (higher is better) by {epochs}; a description of these runs"
        figure = style.headed(title(medians, value, by, shown(metric)), about, 0.75 + style.panels_height(rows, 1.15))
        panels = style.panels(figure, rows, by)
        for panel, row in zip(panels, rows, strict=True):
            colour = COLOURS[row.family]
            # One line with gaps: a file with a line for each is three times as large.
            others = [line(curve) for label, curve in medians.items() if label != row.label]
            grey = ([number for part in axis for number in (*part, math.nan)] for axis in zip(*others, strict=True))
            panel.plot(*grey, color="#BBBBBB", linewidth=0.5, zorder=1)
            for curve in curves[row.label]:
                panel.plot(*line(curve), color=colour, linewidth=0.7, alpha=0.7, zorder=2)
            curve = medians[row.label]
            x, y = line(curve)
            best = _best(y)
            panel.plot(x, y, color=colour, linewidth=1.8, zorder=3)
            panel.plot([x[best]], [y[best]], "o", color=colour, markerfacecolor="white", markersize=4, zorder=4)
        if by == "epoch":
            panels[0].xaxis.set_major_locator(MaxNLocator(4, integer=True))
        else:
            panels[0].set_xscale("log")
            panels[0].xaxis.set_major_locator(LogLocator(numticks=4))
            panels[0].xaxis.set_major_formatter(lambda second, _: f"{second:g}")
            panels[0].xaxis.set_minor_locator(NullLocator())
        figure.supylabel(shown(metric), fontsize=8)
        others = [
            Line2D([], [], color="black", linewidth=1.8, label="median seed"),
            Line2D([], [], color="black", linewidth=0.7, alpha=0.7, label="one seed"),
            Line2D([], [], color="#BBBBBB", linewidth=0.7, label="other rows"),
            Line2D(
                [],
                [],
                color="black",
                marker="o",
                markerfacecolor="white",
                markersize=4,
                linestyle="",
                label="highest of its curve",
            ),
        ]
        style.legend(figure, rows, others)
        return figure


def title(medians: Mapping[str, Curve], value: Callable[[CurvePoint], float], by: By, metric: str) -> str:
    """When the median seeds of the rows are at their best by this metric; another one may have chosen their epochs."""
    ends = sorted(getattr(curve[_best([value(point) for point in curve])], by) for curve in medians.values())
    first, last = map(short, (ends[0], ends[-1]))
    span = first if first == last else f"{first} to {last}"
    what = "epochs" if by == "epoch" else "seconds"
    return f"On validation {metric} is highest after {span} {what}, by the median seed of each row"


def _best(values: list[float]) -> int:
    """Where the highest value stands; one that does not exist is none."""
    return max(range(len(values)), key=lambda at: (not math.isnan(values[at]), values[at]))


def _median(seeds: tuple[Curve, ...], value: Callable[[CurvePoint], float]) -> Curve:
    """The curve whose best value is the median; of an even number the lower of the two in the middle."""
    ordered = sorted(seeds, key=lambda curve: max(map(value, curve)))
    return ordered[(len(ordered) - 1) // 2]
