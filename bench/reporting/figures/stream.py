"""Quality on the next window by what was learned from, and what it takes to reach a quality."""

from __future__ import annotations

import math

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from ...analysis.stream import StreamBoard, StreamRow
from ...analysis.stream_statements import ToTarget
from ..board_files import LOADED
from ..study_words import short
from ..words import listed
from .curves import Line, Look, looks
from .style import STYLE, headed, legend_of

NAMED = 3
"""Rows that a title lists."""


def to_target(board: StreamBoard) -> Figure:
    """To the left the AUC of each window before it was learned from, by the samples so far: means over seeds, bands their
    intervals, floors dashed. To the right the samples and seconds until the target."""
    told = {one.row: one for one in board.statements if isinstance(one, ToTarget)}
    look = looks([Line(row.label, row.family, ()) for row in board.rows])
    with matplotlib.rc_context(STYLE):
        several = any(len(row.seeds) > 1 for row in board.rows)
        about = (
            f"{board.dataset}@{board.split}, {board.protocol}: a point is a window, scored before anything was learned from it; "
            f"a description of these runs, {'bands are 95% intervals over seeds' if several else 'one seed each'}"
        )
        figure = headed(title(board, told), about, max(3.4, 0.24 * len(board.rows) + 1.2), 9.6)
        left, right = figure.subplots(1, 2, width_ratios=(3, 2))
        for row in board.rows:
            _curve(left, row, look[row.label])
        left.axhline(board.target, color="black", linewidth=0.9, linestyle=":")
        left.annotate(
            f"target {board.target:g}",
            (0, board.target),
            (2, 3),
            ("axes fraction", "data"),
            textcoords="offset points",
            fontsize=7,
        )
        left.set_xlabel("samples learned from before the window")
        left.set_ylabel("AUC of the next window (higher is better)")
        left.xaxis.set_major_formatter(FuncFormatter(lambda value, _: short(value) if value else "0"))
        _bars(right, board, told, look)
        legend_of(figure, left)
        return figure


def title(board: StreamBoard, told: dict[str, ToTarget]) -> str:
    """Who reaches the target with the fewest samples, and whether a floor does."""
    goal = f"AUC {board.target:g}"
    reached = [row for row in board.rows if told[row.label].work is not None]
    floors = [row.label for row in reached if row.family == "floor"]
    models = [row.label for row in reached if row.family != "floor"]
    if not reached:
        return f"No row reaches {goal} on the next window"
    if not models:
        return f"Floors alone reach {goal} on the next window: {_named(floors)}"
    least = min(_samples(told[name]) for name in models)
    first = [name for name in models if _samples(told[name]) == least]
    said = f"{_named(first)} {_reach(first)} {goal} first among models, after {short(least)} samples"
    if not floors:
        return f"{said}; no floor does"
    least = min(_samples(told[name]) for name in floors)
    early = [name for name in floors if _samples(told[name]) == least]
    return f"{said}; of the floors {_named(early)}, after {short(least)}"


def _named(names: list[str]) -> str:
    return listed(names) if len(names) <= NAMED else f"{len(names)} rows"


def _reach(names: list[str]) -> str:
    return "reaches" if len(names) == 1 else "reach"


def _samples(one: ToTarget) -> float:
    return math.inf if one.work is None else one.work.samples


def _curve(axes: Axes, row: StreamRow, look: Look) -> None:
    x = [work.samples for work in row.work]
    dash = "--" if row.family == "floor" else "-"
    mean = [one.value for one in row.auc]
    axes.plot(x, mean, color=look.colour, marker=look.marker, markersize=3.5, linewidth=1.2, linestyle=dash, label=row.label)
    if len(row.seeds) > 1:
        axes.fill_between(
            x, [one.low for one in row.auc], [one.high for one in row.auc], color=look.colour, alpha=0.15, linewidth=0
        )


def _bars(axes: Axes, board: StreamBoard, told: dict[str, ToTarget], look: dict[str, Look]) -> None:
    """A bar a row: samples to the target, with its seconds beside it."""
    rows = list(board.rows)[::-1]
    longest = max((_samples(told[row.label]) for row in rows if told[row.label].work is not None), default=1.0)
    for at, row in enumerate(rows):
        one = told[row.label]
        if one.work is None:
            axes.text(0.01 * longest, at, f"not reached (best {one.best:.4f})", va="center", fontsize=7, color="#595959")
            continue
        axes.barh(at, one.work.samples, color=look[row.label].colour, height=0.6)
        some = "" if one.reached == one.seeds else f", {one.reached} of {one.seeds} seeds"
        text = f"{short(one.work.samples)}, {short(one.work.seconds)} s{'' if row.comparable else ' ' + LOADED}{some}"
        axes.annotate(text, (one.work.samples, at), (3, 0), textcoords="offset points", va="center", fontsize=7)
    axes.set_yticks(range(len(rows)), [row.label for row in rows], fontsize=7)
    axes.set_xlim(0, 1.45 * longest)
    axes.set_ylim(-0.7, len(rows) - 0.3)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: short(value) if value else "0"))
    loaded = (
        "" if all(row.comparable for row in rows) else f"\n{LOADED} times of a machine with other work: compare them with nothing"
    )
    axes.set_xlabel(f"samples and training seconds to AUC {board.target:g}{loaded}")
    axes.grid(axis="y", visible=False)
