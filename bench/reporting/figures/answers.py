"""The answers of many boards at a glance: the best generative minus the best classical row, by each metric of the verdicts."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from ...analysis.comparison import HEADLINES
from ...analysis.leaderboard import Board
from ...analysis.summary import Answer, answer
from ...evaluation.cards import shown
from ...evaluation.stats import Verdict
from . import style, titles
from .style import COLOURS, MARKERS, STYLE

AHEAD: dict[Verdict, str] = {"better": "generative", "worse": "classical"}
"""Whose colour and mark a verdict has; where none is shown to be ahead it is black."""

NAME_WIDTH = 30
"""Letters in a line of a board's name."""


def answers(boards: Sequence[tuple[str, Board]]) -> Figure | None:
    """A row a board, a column a metric; the grey band is where differences matter to nobody. None where no board answers.

    Args:
        boards: each with its name, the first on top.
    """
    kept = [(name, board) for name, board in boards if any(answer(board, metric) for metric in HEADLINES)]
    if not kept:
        return None
    with matplotlib.rc_context(STYLE):
        about = "The best generative minus the best classical row of each board, paired, with 95% intervals over users and seeds"
        names = [textwrap.fill(name, NAME_WIDTH) for name, _ in kept]
        heights = [max(2, 1 + name.count("\n")) * 0.2 + 0.15 for name in names]
        figure = style.headed(title(kept), about, 1.15 + sum(heights))
        columns = figure.subplots(1, len(HEADLINES), sharex=True, sharey=True, squeeze=False)[0]
        places, y = [], 0.0
        for high in heights:
            places.append(y + high / 2)
            y += high
        for axes, metric in zip(columns, HEADLINES, strict=True):
            axes.axvline(0, color="black", linewidth=0.8, zorder=0.9)
            axes.set_xlabel(f"difference in {shown(metric)}")
            axes.grid(axis="y", visible=False)
            axes.xaxis.set_major_locator(MaxNLocator(5))
            for (_, board), place, high in zip(kept, places, heights, strict=True):
                band = [place - high / 2, place + high / 2]
                axes.fill_betweenx(band, -board.margin, board.margin, color="#DDDDDD", zorder=0.5, linewidth=0)
                if (found := answer(board, metric)) is not None:
                    _answer(axes, found, place)
        columns[0].set_yticks(places, names)
        columns[0].set_ylim(y, 0)
        figure.legend(handles=_key(kept), loc="outside lower left", ncols=3, columnspacing=1.2, handletextpad=0.4)
        return figure


def title(boards: Sequence[tuple[str, Board]]) -> str:
    """The verdicts of all boards by the metric that orders each."""
    found = [(name, answer(board, board.headline)) for name, board in boards]
    judged: list[tuple[str, Verdict]] = [(name, one.pair.verdict) for name, one in found if one is not None]
    metrics = {board.headline for _, board in boards}
    by = shown(metrics.pop()) if len(metrics) == 1 else "the first metric of each board"
    return titles.by_verdict(by, "the best generative row", "the best classical one", judged, "on", "boards")


def _answer(axes: Axes, found: Answer, y: float) -> None:
    pair = found.pair
    if math.isnan(pair.difference.value):
        return
    family = AHEAD.get(pair.verdict)
    colour = COLOURS[family] if family else "black"
    axes.plot([pair.difference.low, pair.difference.high], [y, y], color=colour, linewidth=1.4)
    face = "white" if pair.verdict == "not settled" else colour
    mark = MARKERS[family] if family else "D"
    axes.plot([pair.difference.value], [y], mark, color=colour, markerfacecolor=face, markersize=6, zorder=3)
    text = axes.annotate(f"{pair.one} minus {pair.other}", (pair.difference.value, y), (0, 6), textcoords="offset points")
    text.set(fontsize=7, ha="center", va="bottom", color=colour)
    text.set_bbox({"facecolor": "white", "edgecolor": "none", "pad": 0.5, "alpha": 0.8})


def _key(boards: Sequence[tuple[str, Board]]) -> list[Line2D]:
    margins = {board.margin for _, board in boards}
    margin = f"equivalent: within ±{max(margins):g}" if len(margins) == 1 else "equivalent: within the board's margin"
    return [
        Line2D([], [], color=COLOURS["generative"], marker=MARKERS["generative"], label="the generative row is better"),
        Line2D([], [], color=COLOURS["classical"], marker=MARKERS["classical"], label="the classical row is better"),
        Line2D([], [], color="black", marker="D", label="equivalent"),
        Line2D([], [], color="black", marker="D", markerfacecolor="white", label="hollow: not settled"),
        style.band(margin),
    ]
