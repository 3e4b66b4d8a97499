"""Quality along an axis, a line a series: means with their intervals over users, one tick a seed, named at the ends."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, NullFormatter
from scipy.optimize import isotonic_regression

from .plots import COLOURS, DPI, STYLE

MARKERS = {"floor": "sxP", "classical": "oDshX", "generative": "^v<>d"}
DASHES = ("-", "--", "-.", ":")
SHADES = (0.0, -0.4, 0.4, -0.65, 0.2)
"""Of a family's colour: towards black below 0, towards white above."""

APART = 0.06
"""Between lines at one place of the axis, so that their intervals are seen apart; of the smallest step."""

LETTER = 9.5
"""Points between names at the ends of lines."""


@dataclass(frozen=True)
class Mark:
    """A value somewhere along the axis."""

    x: float | str
    value: float
    low: float
    high: float
    """95% interval over users; both NaN where there is none."""
    seeds: tuple[float, ...] = ()


@dataclass(frozen=True)
class Line:
    """A series of marks in the order of the axis."""

    name: str
    family: str
    marks: tuple[Mark, ...]
    dashed: bool = False
    """Drawn as a variant of the line of the same name without dashes."""


@dataclass(frozen=True)
class Look:
    """How a series is drawn."""

    colour: tuple[float, ...]
    marker: str
    dash: str


def looks(names: Sequence[tuple[str, str]]) -> dict[str, Look]:
    """Name -> look, of (name, family) pairs: members of a family share its colour, and differ in shade, marker and dashes."""
    result: dict[str, Look] = {}
    members = dict.fromkeys(COLOURS, 0)
    for name, family in names:
        if name not in result:
            at = members[family]
            members[family] += 1
            markers = MARKERS[family]
            result[name] = Look(
                shade(COLOURS[family], SHADES[at % len(SHADES)]), markers[at % len(markers)], DASHES[at % len(DASHES)]
            )
    return result


def shade(colour: str, by: float) -> tuple[float, ...]:
    """A colour moved towards white (by > 0) or black (by < 0)."""
    end = 1.0 if by > 0 else 0.0
    return tuple(part + (end - part) * abs(by) for part in to_rgb(colour))


def figure(title: str, width: float, height: float) -> Figure:
    """An empty figure with its title; sizes in inches."""
    drawn = Figure(figsize=(width, height), dpi=DPI, layout="constrained")
    FigureCanvasAgg(drawn)
    drawn.suptitle(textwrap.fill(title, round(12 * width)), x=0.01, ha="left", fontsize=10, fontweight="bold")
    return drawn


def curves(
    title: str, x_label: str, y_label: str, panels: Mapping[str, Sequence[Line]], log_x: bool = True, log_y: bool = False
) -> Figure:
    """Panels side by side on common axes, each with its lines.

    Args:
        panels: caption -> lines; a single panel may have an empty caption. Marks at words are placed in the order in which
            words first occur, those at numbers by value.
    """
    with matplotlib.rc_context(STYLE):
        drawn = figure(title, max(7.2, 4.3 * len(panels)), 4.4)
        grid = drawn.subplots(1, len(panels), sharex=True, sharey=True, squeeze=False)[0]
        every = [line for lines in panels.values() for line in lines]
        styles = looks([(line.name, line.family) for line in every])
        places = _places([mark.x for line in every for mark in line.marks], log_x)
        step = min((b - a for a, b in pairwise(sorted(set(places.values())))), default=1.0)
        for axes, (caption, lines) in zip(grid, panels.items(), strict=True):
            axes.set_title(caption, fontsize=9, loc="left")
            solid = [line.name for line in lines if not line.dashed]
            for line in lines:
                among = solid.index(line.name) if line.name in solid else 0
                apart = APART * step * (among - (len(solid) - 1) / 2)
                _draw(axes, line, styles[line.name], places, apart)
            axes.set_xlabel(x_label)
        grid[0].set_ylabel(y_label)
        if log_y:
            grid[0].set_yscale("log")
            grid[0].yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        grid[0].set_xticks(list(places.values()), [x if isinstance(x, str) else f"{x:g}" for x in places])
        grid[0].xaxis.set_minor_formatter(NullFormatter())
        drawn.legend(handles=_key(every), loc="outside lower left", ncols=4)
        for axes, lines in zip(grid, panels.values(), strict=True):
            _name_lines(drawn, axes, [line for line in lines if not line.dashed], styles, places)
        return drawn


def _places(values: Sequence[float | str], log: bool) -> dict[float | str, float]:
    """Where each value of the axis lies."""
    numbers = sorted({value for value in values if not isinstance(value, str)})
    words = dict.fromkeys(value for value in values if isinstance(value, str))
    if words:
        return {word: float(at) for at, word in enumerate([*words, *numbers])}
    return {value: math.log2(value) if log else float(value) for value in numbers}


def _draw(axes: Axes, line: Line, look: Look, places: Mapping[float | str, float], apart: float) -> None:
    x = [places[mark.x] + apart for mark in line.marks]
    values = [mark.value for mark in line.marks]
    face = "white" if line.dashed else look.colour
    axes.plot(
        x,
        values,
        color=look.colour,
        marker=look.marker,
        markerfacecolor=face,
        markersize=5,
        linewidth=1.2,
        linestyle=":" if line.dashed else look.dash,
        zorder=3,
    )
    for at, mark in zip(x, line.marks, strict=True):
        axes.plot([at, at], [mark.low, mark.high], color=look.colour, linewidth=2.2, alpha=0.35, solid_capstyle="butt", zorder=2)
        if len(mark.seeds) > 1:
            axes.plot([at] * len(mark.seeds), mark.seeds, "_", color=look.colour, markersize=7, markeredgewidth=0.8, zorder=2.5)


def _key(lines: Sequence[Line]) -> list[Line2D]:
    """What the parts of a line mean; names stand at its end."""
    families = [family for family in COLOURS if any(line.family == family for line in lines)]
    parts = [Line2D([], [], color=COLOURS[family], marker=MARKERS[family][0], label=family) for family in families]
    if any(math.isfinite(mark.low) for line in lines for mark in line.marks):
        parts.append(Line2D([], [], color="black", linewidth=2.2, alpha=0.35, label="95% interval over users"))
    if any(len(mark.seeds) > 1 for line in lines for mark in line.marks):
        parts.append(Line2D([], [], color="black", marker="_", linestyle="", label="one seed"))
    return parts


def _name_lines(
    drawn: Figure, axes: Axes, lines: Sequence[Line], styles: Mapping[str, Look], places: Mapping[float | str, float]
) -> None:
    """Each line's name to the right of its last mark, moved up or down as little as keeps names apart."""
    drawn.canvas.draw()
    edge = axes.transAxes.transform((1, 0))[0]
    ends = sorted((axes.transData.transform((0, line.marks[-1].value))[1], at) for at, line in enumerate(lines))
    low, high = axes.get_window_extent().y0, axes.get_window_extent().y1
    gap = LETTER * DPI / 72
    spread = isotonic_regression([end - gap * at for at, (end, _) in enumerate(ends)]).x
    spread = [value + gap * at for at, value in enumerate(spread)]
    shift = min(0.0, high - spread[-1]) + max(0.0, low - spread[0])
    for (_, at), y in zip(ends, spread, strict=True):
        line = lines[at]
        end = axes.transData.transform((places[line.marks[-1].x], line.marks[-1].value))
        axes.annotate(
            line.name,
            (places[line.marks[-1].x], line.marks[-1].value),
            ((edge - end[0]) * 72 / DPI + 8, (y + shift - end[1]) * 72 / DPI),
            textcoords="offset points",
            fontsize=8,
            color=styles[line.name].colour,
            va="center",
            annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": styles[line.name].colour, "linewidth": 0.5, "alpha": 0.6, "shrinkB": 4},
        )
