"""Quality on the next window by what was learned from, beside the best floor's, and what it takes to reach a quality."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from ...analysis.stream import StreamBoard, StreamRow
from ...analysis.stream_statements import ToTarget
from ...evaluation.stats import Estimate
from ..board_files import LOADED
from ..study_words import short
from ..words import listed
from .curves import Line, Look, looks
from .style import STYLE, headed, legend_of

NAMED = 3
"""Rows that a title lists."""
Levels = Callable[[StreamRow], Sequence[Estimate]]
GAPS: Mapping[str, Levels] = {"AUC": lambda row: row.auc, "request GAUC": lambda row: row.request_gauc}
"""Metrics by which models are held against floors, window by window."""


def to_target(board: StreamBoard) -> Figure:
    """To the left the AUC of each window before it was learned from, by the samples so far: means over seeds, bands their
    intervals, floors dashed; below it, by how much models are above the best floor of each window, by both headlines. To the
    right the samples and seconds until the target."""
    told = {one.row: one for one in board.statements if isinstance(one, ToTarget)}
    look = looks([Line(row.label, row.family, ()) for row in board.rows])
    with matplotlib.rc_context(STYLE):
        several = any(len(row.seeds) > 1 for row in board.rows)
        about = (
            f"{board.dataset}@{board.split}, {board.protocol}: a point is a window, scored before anything was learned from it; "
            f"a description of these runs, {'bands are 95% intervals over seeds' if several else 'one seed each'}"
        )
        if not all(row.comparable for row in board.rows):
            about += f". {LOADED} marks times of a machine with other work, which may be compared with nothing"
        gaps = GAPS if len({row.family == "floor" for row in board.rows}) == 2 else {}
        if gaps:
            about += ". The lower panels are cut where first windows lie far below the floors"
        height = max(2.9 + 1.5 * len(gaps), 0.24 * len(board.rows) + 1.2)
        figure = headed(title(board, told), about, height, 9.6)
        grid = figure.add_gridspec(1 + len(gaps), 2, width_ratios=(3, 2), height_ratios=(4, *[3] * len(gaps)))
        left, right = figure.add_subplot(grid[0, 0]), figure.add_subplot(grid[:, 1])
        for row in board.rows:
            _curve(left, row, [(one.value, one.low, one.high) for one in row.auc], look[row.label], len(row.seeds) > 1)
        left.axhline(board.target, color="black", linewidth=0.9, linestyle=":")
        left.annotate(
            f"target {board.target:g}",
            (0, board.target),
            (2, 3),
            ("axes fraction", "data"),
            textcoords="offset points",
            fontsize=7,
        )
        left.set_ylabel("AUC of the next window\n(higher is better)")
        upper = lowest = left
        for at, (name, levels) in enumerate(gaps.items(), 1):
            lowest = figure.add_subplot(grid[at, 0], sharex=left)
            _above_floors(lowest, board, levels, look)
            lowest.set_ylabel(f"{name} minus\nthe best floor's")
            upper.tick_params(labelbottom=False)
            upper = lowest
        lowest.set_xlabel("samples learned from before the window")
        lowest.xaxis.set_major_formatter(FuncFormatter(lambda value, _: short(value) if value else "0"))
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


def _above_floors(axes: Axes, board: StreamBoard, levels: Levels, look: dict[str, Look]) -> None:
    """The floor with the highest mean is another one in each window; its noise is not in the bands."""
    floors = [[one.value for one in levels(row)] for row in board.rows if row.family == "floor"]
    best = [max(known, default=math.nan) for known in ([x for x in of if not math.isnan(x)] for of in zip(*floors, strict=True))]
    gaps = []
    for row in board.rows:
        if row.family != "floor":
            marks = zip(levels(row), best, strict=True)
            gaps.append([(one.value - least, one.low - least, one.high - least) for one, least in marks])
            _curve(axes, row, gaps[-1], look[row.label], len(row.seeds) > 1)
    axes.axhline(0, color="black", linewidth=0.9, linestyle=":")
    # What was learned from one window or two is far below: the later half would be a flat line beside it.
    marks = [value if math.isnan(low) else low for one in gaps for value, low, _ in one[len(best) // 2 :]]
    later = [mark for mark in marks if not math.isnan(mark)]
    axes.set_ylim(bottom=max(axes.get_ylim()[0], 2 * min([*later, -axes.get_ylim()[1]])))


def _curve(axes: Axes, row: StreamRow, marks: Sequence[tuple[float, float, float]], look: Look, bands: bool) -> None:
    """`marks`: value, low and high of each window."""
    x = [work.samples for work in row.work]
    dash = "--" if row.family == "floor" else "-"
    value, low, high = zip(*marks, strict=True)
    axes.plot(x, value, color=look.colour, marker=look.marker, markersize=3.5, linewidth=1.2, linestyle=dash, label=row.label)
    if bands:
        axes.fill_between(x, low, high, color=look.colour, alpha=0.15, linewidth=0)


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
    axes.set_xlabel(f"samples and training seconds to AUC {board.target:g}")
    axes.grid(axis="y", visible=False)
