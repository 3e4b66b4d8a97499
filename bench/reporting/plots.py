"""Figures of a board: one function each, board in, Figure out. Colours by family, colour-blind safe (Okabe & Ito 2008)."""

from __future__ import annotations

import math
import textwrap
from itertools import pairwise, zip_longest
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, NullFormatter
from matplotlib.transforms import Bbox

from ..evaluation.stats import ModelInterval
from .leaderboard import Board, Row, by_metric

COLOURS = {"floor": "#595959", "classical": "#0072B2", "generative": "#D55E00"}
MARKERS = {"floor": "s", "classical": "o", "generative": "^"}
STYLE: Any = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.linewidth": 0.4,
    "grid.alpha": 0.5,
    "legend.frameon": False,
    "legend.fontsize": 8,
    # Letters as paths look the same where the font is missing; the salt makes the ids of an SVG repeatable.
    "svg.fonttype": "path",
    "svg.hashsalt": "rankbench",
}
CAPTIONS = {
    "auc": "AUC on the test examples, with intervals over users and seeds",
    "gauc": "GAUC on the test examples, with intervals over users and seeds",
    "auc-against-time": "AUC against training time",
    "gauc-against-time": "GAUC against training time",
}
"""Figure of a board -> what it shows, in the order of a report."""

DPI = 150
LABEL_WIDTH = 34
"""Letters in a line of a row's label."""

SECONDS_FLOOR = 1e-3
"""Where a log axis begins for a row that took no measurable time."""


def _figure(board: Board, what: str, height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(7.2, height), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    # Where test negatives are sampled, every user has both labels, and nobody is left out by looking at labels.
    selected = board.settings.get("test_history") == "live" and "test_negatives" not in board.settings
    live = board.headline == "gauc" and selected
    note = " (live histories: it punishes use of the user's past)" if live else ""
    title = textwrap.fill(f"{board.dataset}@{board.split}: {what}{note}", 86)
    figure.suptitle(title, x=0.01, ha="left", fontsize=10, fontweight="bold")
    return figure, figure.add_subplot()


def _legend(figure: Figure, rows: tuple[Row, ...], others: list[Line2D]) -> None:
    """Below the axes, where it hides nothing."""
    families = [family for family in COLOURS if any(row.family == family for row in rows)]
    handles = [Line2D([], [], color=COLOURS[f], marker=MARKERS[f], linestyle="", label=f) for f in families]
    figure.legend(handles=handles + others, loc="outside lower left", ncols=4, columnspacing=1.2, handletextpad=0.4)


def _interval(board: Board, row: Row) -> ModelInterval:
    return getattr(row, board.headline)


def _seeds(board: Board, row: Row) -> tuple[float, ...]:
    return row.gauc_seeds if board.headline == "gauc" else row.auc_seeds


def _quality_limits(board: Board) -> tuple[float, float]:
    """Ends of the quality axis. A floor far below the others is left out, lest it press them together."""
    spans = {
        row.label: (min(_interval(board, row).low, *_seeds(board, row)), max(_interval(board, row).high, *_seeds(board, row)))
        for row in board.rows
    }
    floors = [row.label for row in board.rows if row.family == "floor"]
    kept = [span for label, span in spans.items() if label not in floors[1:]]
    low, high = min(span[0] for span in kept), max(span[1] for span in kept)
    near = [span[0] for span in spans.values() if span[0] >= low - 0.6 * (high - low)]
    low = min(low, *near)
    margin = 0.06 * max(high - low, 1e-3)
    return low - margin, high + margin


def intervals(board: Board) -> Figure:
    """The headline metric of every row with its interval over users, one tick a seed; filled markers are tied with the best."""
    with matplotlib.rc_context(STYLE):
        rows = board.rows[::-1]
        names = [textwrap.fill(row.label, LABEL_WIDTH) for row in rows]
        lines = sum(1.45 + name.count("\n") for name in names)
        metric = board.headline.upper()
        figure, axes = _figure(board, f"{metric} on the test examples", 1.45 + 0.19 * lines)
        edge, end = _quality_limits(board)
        axes.set_xlim(edge, end)
        y, places = 0.0, []
        for row, name in zip(rows, names, strict=True):
            half = (1.45 + name.count("\n")) / 2
            y += half
            _interval_row(axes, board, row, y, edge)
            places.append(y)
            y += half
        floors = [row for row in board.rows if row.family == "floor"]
        if floors:
            axes.axvline(_interval(board, floors[0]).point, color=COLOURS["floor"], linestyle=":", linewidth=1, zorder=0.9)
        axes.set_yticks(places, names)
        axes.set_ylim(0, y)
        axes.grid(axis="y", visible=False)
        axes.set_xlabel(f"test {metric} (higher is better)")
        others = [
            Line2D([], [], color="black", linewidth=2, alpha=0.45, label="95% interval over users"),
            Line2D([], [], color="black", marker="|", linestyle="", markersize=6, label="one seed"),
            Line2D([], [], color="black", marker="o", linestyle="", label="filled: tied with the best"),
            Line2D([], [], color="black", marker="o", markerfacecolor="white", linestyle="", label="hollow: below it"),
            Line2D([], [], color=COLOURS["floor"], linestyle=":", linewidth=1, label="best floor"),
        ]
        _legend(figure, board.rows, others if floors else others[:-1])
        return figure


def _interval_row(axes: Axes, board: Board, row: Row, y: float, edge: float) -> None:
    colour, found = COLOURS[row.family], _interval(board, row)
    if found.point < edge:
        axes.plot([edge], [y], "<", color=colour, markersize=5, clip_on=False)
        text = axes.annotate(f"{found.point:.3f}, left of the axis", (edge, y), (7, 0), textcoords="offset points", va="center")
        text.set(color=colour, fontsize=8, bbox={"facecolor": "white", "edgecolor": "none", "pad": 1})
        return
    axes.plot([found.low, found.high], [y, y], color=colour, linewidth=2.5, alpha=0.45, solid_capstyle="butt")
    seeds = _seeds(board, row)
    if len(seeds) > 1:
        axes.plot(seeds, [y + 0.42] * len(seeds), "|", color=colour, markersize=5)
    face = colour if row.tied else "white"
    axes.plot([found.point], [y], MARKERS[row.family], color=colour, markerfacecolor=face, markersize=6, zorder=3)


def against_time(board: Board) -> Figure:
    """The headline metric against training time; the line joins the rows that no other row beats in both."""
    with matplotlib.rc_context(STYLE):
        metric = board.headline.upper()
        figure, axes = _figure(board, f"{metric} against training time", 5.2)
        edge, end = _quality_limits(board)
        axes.set_ylim(edge, end)
        axes.set_xscale("log")
        points: list[tuple[Row, float, float]] = []
        for row in board.rows:
            colour, found, seconds = COLOURS[row.family], _interval(board, row), _seconds(row)
            points.append((row, seconds, max(found.point, edge)))
            if found.point < edge:
                axes.plot([seconds], [edge], "v", color=colour, markersize=5, clip_on=False)
                continue
            axes.plot([seconds, seconds], [found.low, found.high], color=colour, linewidth=1, alpha=0.6)
            face = colour if row.tied else "white"
            axes.plot([seconds], [found.point], MARKERS[row.family], color=colour, markerfacecolor=face, markersize=6, zorder=3)
        front: list[Row] = []
        for row in sorted(board.rows, key=lambda row: (_seconds(row), -_interval(board, row).point)):
            if not front or _interval(board, row).point > _interval(board, front[-1]).point:
                front.append(row)
        corners = _corners([(_seconds(row), _interval(board, row).point) for row in front])
        axes.plot(*zip(*corners, strict=True), color="black", linewidth=0.9, alpha=0.45, zorder=1)
        axes.set_xlabel(f"training time in seconds{_clock(board)}, mean over seeds, log scale (lower is better)")
        axes.set_ylabel(f"test {metric} (higher is better)")
        times = [_seconds(row) for row in board.rows]
        widen = max((max(times) / min(times)) ** 0.15, math.sqrt(20 * min(times) / max(times)))
        axes.set_xlim(min(times) / widen, max(times) * widen)
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.xaxis.set_minor_formatter(NullFormatter())
        others = [
            Line2D([], [], color="black", linewidth=1, alpha=0.6, label="95% interval over users"),
            Line2D([], [], color="black", linewidth=0.9, alpha=0.45, label="no row is better in both"),
            Line2D([], [], color="black", marker="o", linestyle="", label="filled: tied with the best"),
        ]
        _legend(figure, board.rows, others)
        _name_points(figure, axes, board, points, corners)
        return figure


def _corners(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """The stairs that join points: to the right, then up."""
    turns = [(after[0], before[1]) for before, after in pairwise(points)]
    return [corner for pair in zip_longest(points, turns) for corner in pair if corner is not None]


def _seconds(row: Row) -> float:
    return max(row.training_cost, SECONDS_FLOOR)


def _clock(board: Board) -> str:
    return " of CPU time" if all(row.on_cpu for row in board.rows) else ""


def _name_points(
    figure: Figure, axes: Axes, board: Board, points: list[tuple[Row, float, float]], line: list[tuple[float, float]]
) -> None:
    """Name each point at the nearest place where the name hides no marker, interval, line or other name."""
    figure.canvas.draw()
    renderer = figure.canvas.get_renderer()  # type: ignore[attr-defined]
    frame, pixels = axes.get_window_extent(renderer), DPI / 72
    turns = axes.transData.transform(line)
    taken = [Bbox([begin, end]).padded(pixels) for begin, end in pairwise([*turns, turns[-1]])]
    for row, seconds, height in points:
        found = _interval(board, row)
        (x, low), (_, middle), (_, high) = axes.transData.transform(
            [(seconds, found.low), (seconds, height), (seconds, found.high)]
        )
        size = 5 * pixels
        taken += [
            Bbox([[x - size, middle - size], [x + size, middle + size]]),
            Bbox([[x - pixels, low], [x + pixels, max(low, high)]]),
        ]
    for row, seconds, height in points:
        off_scale = _interval(board, row).point < axes.get_ylim()[0]
        name = textwrap.fill(row.label, 26) + (f" ({_interval(board, row).point:.3f}, below the axis)" if off_scale else "")
        text = axes.annotate(
            name,
            (seconds, height),
            (0, 0),
            textcoords="offset points",
            fontsize=8,
            color=COLOURS[row.family],
            va="center",
            ha="center",
        )
        text.set_in_layout(False)
        box = text.get_window_extent(renderer)
        place, found_box = _free_place(box, frame, taken, pixels)
        text.set_position(place)
        taken.append(found_box)
        x, y = axes.transData.transform((seconds, height))
        gap = math.hypot(max(found_box.x0 - x, x - found_box.x1, 0), max(found_box.y0 - y, y - found_box.y1, 0))
        if gap > 9 * pixels:
            end = axes.transData.inverted().transform(
                (min(max(x, found_box.x0), found_box.x1), min(max(y, found_box.y0), found_box.y1))
            )
            axes.plot([seconds, end[0]], [height, end[1]], color="grey", linewidth=0.5, zorder=0.8, scalex=False, scaley=False)


def _free_place(box: Bbox, frame: Bbox, taken: list[Bbox], pixels: float) -> tuple[tuple[float, float], Bbox]:
    """Offset in points of the nearest free place for a box now centred on its point, and the box there."""
    options: list[tuple[float, float, float]] = []
    for ring in range(2, 40):
        for angle in range(0, 360, 15):
            cos, sin = math.cos(math.radians(angle)), math.sin(math.radians(angle))
            dx, dy = (3 * ring + box.width / pixels / 2) * cos, (3 * ring + box.height / pixels / 2) * sin
            options.append((3 * ring + 2 * abs(sin), dx, dy))
    best: tuple[float, tuple[float, float], Bbox] | None = None
    for _, dx, dy in sorted(options):
        moved = box.translated(dx * pixels, dy * pixels).padded(pixels)
        if not (frame.x0 <= moved.x0 and moved.x1 <= frame.x1 and frame.y0 <= moved.y0 and moved.y1 <= frame.y1):
            continue
        hidden = sum(_overlap(moved, other) for other in taken)
        if best is None or hidden < best[0]:
            best = hidden, (dx, dy), moved
        if hidden == 0:
            break
    return (best[1], best[2]) if best is not None else ((0.0, 0.0), box)


def _overlap(one: Bbox, other: Bbox) -> float:
    """Area in common, square pixels."""
    width, height = min(one.x1, other.x1) - max(one.x0, other.x0), min(one.y1, other.y1) - max(one.y0, other.y0)
    return width * height if width > 0 and height > 0 else 0.0


def save(figure: Figure, path: Path) -> list[Path]:
    """SVG and PNG at `path` (without suffix); the same figure gives the same bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    svg, png = path.with_suffix(".svg"), path.with_suffix(".png")
    with matplotlib.rc_context(STYLE):
        figure.savefig(svg, metadata={"Date": None, "Creator": None})
        figure.savefig(png, dpi=DPI, metadata={"Software": None})
    return [svg, png]


def write(board: Board, folder: Path) -> list[Path]:
    """All figures of a board in `folder`: of GAUC, where it is defined, and of AUC."""
    paths = []
    for metric in ("gauc", "auc"):
        if not any(math.isnan(getattr(row, metric).point) for row in board.rows):
            seen = by_metric(board, metric)
            paths += save(intervals(seen), folder / metric) + save(against_time(seen), folder / f"{metric}-against-time")
    return paths
