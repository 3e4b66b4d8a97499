"""Quality along an axis, a line a series: means with their intervals over users and seeds, one tick a seed, named at the ends."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import NullFormatter
from scipy.optimize import isotonic_regression

from .style import COLOURS, DPI, GRID, OTHERS, STYLE, WIDTH, headed

MARKERS = {"floor": "sxP", "classical": "oDshX", "unified": "DpHd*", "generative": "^v<>d"}
OTHER_MARKERS = "osD^vP"
DASHES = ("-", (0, (5, 2)), (0, (5, 1, 1, 1)), (0, (3, 1, 1, 1, 1, 1)))
SHADES = (0.0, -0.4, 0.4, -0.65, 0.2)
"""Of a family's colour: towards black below 0, towards white above."""

APART = 0.06
"""Between lines at one place of the axis, so that their intervals are seen apart; of the mean step."""

TICKS_APART = 0.09
"""Of the axis, at least, between two numbers that are named."""

LETTER = 9.5
"""Points between names at the ends of lines."""


@dataclass(frozen=True)
class Mark:
    """A value somewhere along the axis."""

    x: float | str
    value: float
    low: float
    high: float
    """95% interval over users and seeds; both NaN where there is none."""
    seeds: tuple[float, ...] = ()


@dataclass(frozen=True)
class Line:
    """A series of marks in the order of the axis."""

    name: str
    family: str | None
    """None: the line stands for something else than a model."""
    marks: tuple[Mark, ...]
    dashed: bool = False
    """Drawn as a variant of the line of the same name without dashes."""


@dataclass(frozen=True)
class Look:
    """How a series is drawn."""

    colour: tuple[float, ...]
    marker: str
    dash: Any
    """As matplotlib takes it."""


def looks(lines: Sequence[Line]) -> dict[str, Look]:
    """Name -> look: members of a family share its colour, and differ in shade, marker and dashes; lines without one have
    colours of their own."""
    result: dict[str, Look] = {}
    members: dict[str | None, int] = {}
    for line in lines:
        if line.name in result:
            continue
        at = members.setdefault(line.family, 0)
        members[line.family] += 1
        if line.family is None:
            colour, markers = to_rgb(OTHERS[at % len(OTHERS)]), OTHER_MARKERS
        else:
            colour, markers = shade(COLOURS[line.family], SHADES[at % len(SHADES)]), MARKERS[line.family]
        result[line.name] = Look(colour, markers[at % len(markers)], DASHES[at % len(DASHES)])
    return result


def shade(colour: str, by: float) -> tuple[float, ...]:
    """A colour moved towards white (by > 0) or black (by < 0)."""
    end = 1.0 if by > 0 else 0.0
    return tuple(part + (end - part) * abs(by) for part in to_rgb(colour))


def curves(
    title: str,
    about: str,
    x_label: str,
    y_label: str,
    panels: Mapping[str, Sequence[Line]],
    log_x: bool = True,
    from_zero: bool = False,
    variant: tuple[str, str] | None = None,
    one_scale: bool = True,
) -> Figure:
    """Panels side by side, each with its lines.

    Args:
        panels: caption -> lines; a single panel may have an empty caption. Marks at words are placed in the order in which
            words first occur, those at numbers by value.
        from_zero: the vertical axis begins at 0, for amounts such as seconds.
        variant: what dashed lines and the others are, for the legend.
        one_scale: all panels show one amount; else each has a scale of its own, which its caption names.
    """
    with matplotlib.rc_context(STYLE):
        drawn = headed(title, about, 4.2, max(WIDTH, 4.3 * len(panels)))
        grid = drawn.subplots(1, len(panels), sharex=True, sharey=one_scale, squeeze=False)[0]
        every = [line for lines in panels.values() for line in lines]
        styles = looks(every)
        places = _places([mark.x for line in every for mark in line.marks], log_x)
        reach = max(places.values()) - min(places.values())
        step = reach / max(1, len(places) - 1)
        for axes, (caption, lines) in zip(grid, panels.items(), strict=True):
            axes.set_title(caption, fontsize=9, loc="left")
            for line in lines:
                _draw(axes, line, styles[line.name], places, APART * step * _aside(line, lines))
            axes.set_xlabel(x_label)
        for axes in grid:
            low, high = axes.get_ylim()
            if low < 0 < high and not from_zero:
                axes.axhline(0, color="black", linewidth=0.8, zorder=0.9)
        grid[0].set_ylabel(y_label)
        if from_zero:
            grid[0].set_ylim(bottom=0)
        ticks = _ticks(places, TICKS_APART * reach)
        grid[0].set_xticks([place for place, _ in ticks], [name for _, name in ticks])
        grid[0].xaxis.set_minor_formatter(NullFormatter())
        drawn.legend(handles=_key(every, variant), loc="outside lower left", ncols=5)
        for axes, lines in zip(grid, panels.values(), strict=True):
            ends = {
                line.name: (places[line.marks[-1].x] + APART * step * _aside(line, lines), line.marks[-1].value)
                for line in lines
                if not line.dashed
            }
            _name_lines(drawn, axes, ends, styles)
        return drawn


def _places(values: Sequence[float | str], log: bool) -> dict[float | str, float]:
    """Where each value of the axis lies."""
    numbers = sorted({value for value in values if not isinstance(value, str)})
    words = dict.fromkeys(value for value in values if isinstance(value, str))
    if words:
        return {word: float(at) for at, word in enumerate([*words, *numbers])}
    return {value: math.log2(value) if log else float(value) for value in numbers}


def _ticks(places: Mapping[float | str, float], apart: float) -> list[tuple[float, str]]:
    """Places with their names, from the end of the axis: a number too near to a later one is left unnamed."""
    ticks: list[tuple[float, str]] = []
    for value, at in list(places.items())[::-1]:
        if not ticks or ticks[-1][0] - at >= apart:
            ticks.append((at, value if isinstance(value, str) else f"{float(f'{value:.2g}'):g}"))
    return ticks[::-1]


def _aside(line: Line, lines: Sequence[Line]) -> float:
    """Steps from the middle at which a line is drawn; its dashed variant has the same place."""
    names = list(dict.fromkeys(one.name for one in lines))
    return names.index(line.name) - (len(names) - 1) / 2


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


def _key(lines: Sequence[Line], variant: tuple[str, str] | None) -> list[Line2D]:
    """What the parts of a line mean; names stand at its end."""
    families = [family for family in COLOURS if any(line.family == family for line in lines)]
    parts = [Line2D([], [], color=COLOURS[family], marker=MARKERS[family][0], label=family) for family in families]
    if any(math.isfinite(mark.low) for line in lines for mark in line.marks):
        parts.append(Line2D([], [], color="black", linewidth=2.2, alpha=0.35, label="95% interval over users and seeds"))
    if any(len(mark.seeds) > 1 for line in lines for mark in line.marks):
        parts.append(Line2D([], [], color="black", marker="_", linestyle="", label="one seed"))
    for dashed, label in ((True, variant[0]), (False, variant[1])) if variant else ():
        face, dash = ("white", ":") if dashed else ("black", "-")
        parts.append(Line2D([], [], color="black", marker="o", markersize=5, markerfacecolor=face, linestyle=dash, label=label))
    return parts


def _name_lines(drawn: Figure, axes: Axes, ends: Mapping[str, tuple[float, float]], styles: Mapping[str, Look]) -> None:
    """Names of lines right of the axes, each at the height of its end, moved up or down as little as keeps names apart."""
    drawn.canvas.draw()
    frame, gap = axes.get_window_extent(), LETTER * DPI / 72
    heights = sorted((float(axes.transData.transform(end)[1]), name) for name, end in ends.items())
    spread = isotonic_regression([height - gap * at for at, (height, _) in enumerate(heights)]).x
    spread = [value + gap * at for at, value in enumerate(spread)]
    shift = min(0.0, frame.y1 - spread[-1]) + max(0.0, frame.y0 - spread[0])
    for (_, name), y in zip(heights, spread, strict=True):
        colour = styles[name].colour
        axes.annotate(
            name,
            ends[name],
            (1.03, round((y + shift - frame.y0) / frame.height, GRID)),
            textcoords="axes fraction",
            fontsize=8,
            color=colour,
            va="center",
            annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": colour, "linewidth": 0.5, "alpha": 0.6, "shrinkB": 4},
        )
