"""Names beside points, where they hide nothing.

adjustText was tried in the place of this search on the figures of the committed boards, five seconds each: it laid names on
markers or intervals in six of seven, where this lays none, and gave other bytes on a second run in five of them.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterator
from itertools import pairwise

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.path import Path
from matplotlib.transforms import Bbox

from ...analysis.comparison import Row
from ...analysis.leaderboard import Board
from .style import COLOURS, DPI, interval, known, lay_out

LEADER = 9
"""Points between a marker and its name from which on a line joins them."""
ALONG = 12
"""Places of an arrow that names keep off."""
CROSSING = 50.0
"""Square pixels of something hidden that are as bad as a line across it."""


def name_points(
    figure: Figure,
    axes: Axes,
    board: Board,
    points: list[tuple[Row, float, float]],
    line: list[tuple[float, float]],
    arrows: list[list[tuple[float, float]]],
) -> None:
    """Name each point at the nearest place where the name hides no marker, interval, line or other name.

    Args:
        points: rows with their places on both axes; the interval of the headline metric stands on each.
        line: corners of a line through the figure.
        arrows: both ends of each.
    """
    lay_out(figure)
    renderer = figure.canvas.get_renderer()  # type: ignore[attr-defined]
    frame, pixels = axes.get_window_extent(renderer), DPI / 72
    turns = axes.transData.transform(line)
    taken = [Bbox([begin, end]).padded(pixels) for begin, end in pairwise([*turns, turns[-1]])]
    for begin, end in (axes.transData.transform(arrow) for arrow in arrows):
        for share in np.linspace(0, 1, ALONG):
            place = begin + share * (end - begin)
            taken.append(Bbox([place, place]).padded(pixels))
    size = 5 * pixels
    markers: list[Bbox] = []
    for row, seconds, height in points:
        found = interval(board, row)
        ends = (found.low, found.high) if known(found) else (height, height)
        (x, low), (_, middle), (_, high) = axes.transData.transform([(seconds, ends[0]), (seconds, height), (seconds, ends[1])])
        markers.append(Bbox([[x - size, middle - size], [x + size, middle + size]]))
        taken.append(Bbox([[x - pixels, low], [x + pixels, max(low, high)]]))
    names: list[Bbox] = []
    for name, colour, (place, height) in _names(axes, board, points, size):
        text = axes.annotate(
            name,
            (place, height),
            (0, 0),
            textcoords="offset points",
            fontsize=8,
            color=colour,
            va="center",
            ha="center",
        )
        text.set_in_layout(False)
        x, y = axes.transData.transform((place, height))
        point = float(x), float(y)
        others = [box for box in markers if not box.contains(*point)]
        box = text.get_window_extent(renderer)
        offset, found_box = _free_place(box, point, frame, [*taken, *markers, *names], [*others, *names], pixels)
        text.set_position(offset)
        names.append(found_box)
        end = _nearest(found_box, point)
        if math.dist(end, point) > LEADER * pixels:
            x, y = axes.transData.inverted().transform(end)
            axes.plot([place, x], [height, y], color="grey", linewidth=0.5, zorder=0.8, scalex=False, scaley=False)


def _names(
    axes: Axes, board: Board, points: list[tuple[Row, float, float]], size: float
) -> Iterator[tuple[str, str, tuple[float, float]]]:
    """Name, colour and place of each point; points below the axis whose markers overlap share a name.

    Args:
        size: half a marker, in pixels.
    """
    below: list[tuple[float, float, list[Row]]] = []
    for row, place, height in points:
        if interval(board, row).point >= axes.get_ylim()[0]:
            yield textwrap.fill(row.label, 26), COLOURS[row.family], (place, height)
            continue
        x, _ = axes.transData.transform((place, height))
        for other, _, rows in below:
            if rows[0].family == row.family and abs(axes.transData.transform((other, height))[0] - x) < 2 * size:
                rows.append(row)
                break
        else:
            below.append((place, height, [row]))
    for place, height, rows in below:
        values = [(row.label, f"{interval(board, row).point:.3f}") for row in rows]
        if len(values) > 1:
            name = "\n".join(("below the axis:", *(f"{label} ({value})" for label, value in values)))
        else:
            name = "{} ({}, below the axis)".format(*values[0])
        yield name, COLOURS[rows[0].family], (place, height)


def _free_place(
    box: Bbox, point: tuple[float, float], frame: Bbox, taken: list[Bbox], others: list[Bbox], pixels: float
) -> tuple[tuple[float, float], Bbox]:
    """Offset in points of the nearest free place for a box now centred on its point, and the box there.

    Args:
        taken: what the box may not hide.
        others: what the line from the point to the box may not cross, lest the name seems another's.
    """
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
        end = _nearest(moved, point)
        if math.dist(end, point) > LEADER * pixels:
            leader = Path([point, end])
            hidden += CROSSING * sum(leader.intersects_bbox(other) for other in others)
        if best is None or hidden < best[0]:
            best = hidden, (dx, dy), moved
        if hidden == 0:
            break
    return (best[1], best[2]) if best is not None else ((0.0, 0.0), box)


def _nearest(box: Bbox, point: tuple[float, float]) -> tuple[float, float]:
    """The place of a box that is next to a point."""
    x, y = point
    return min(max(x, box.x0), box.x1), min(max(y, box.y0), box.y1)


def _overlap(one: Bbox, other: Bbox) -> float:
    """Area in common, square pixels."""
    width, height = min(one.x1, other.x1) - max(one.x0, other.x0), min(one.y1, other.y1) - max(one.y0, other.y0)
    return width * height if width > 0 and height > 0 else 0.0
