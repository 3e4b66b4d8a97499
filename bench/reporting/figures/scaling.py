"""Losses over size with what was fitted to them: small multiples, one for each thing that grows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import EngFormatter, LogLocator, NullFormatter, NullLocator

from ...analysis.study_statements import Trend
from ..study_words import brief, loss_name
from . import titles
from .curves import Line, Look, looks
from .style import STYLE, headed

COLUMNS = 2


@dataclass(frozen=True)
class Band:
    """A fitted curve [k]."""

    x: np.ndarray
    middle: np.ndarray
    low: np.ndarray
    high: np.ndarray
    """Pointwise 95%."""
    shown: bool
    """Scaling is shown; else it is drawn dotted."""


@dataclass(frozen=True)
class Curve:
    """Points [n] of one series, and the fit."""

    name: str
    family: str
    x: np.ndarray
    y: np.ndarray
    low: np.ndarray
    high: np.ndarray
    """95% interval"""
    trend: Trend
    band: Band | None


@dataclass(frozen=True)
class Panel:
    """Series along one axis."""

    caption: str
    x_label: str
    curves: tuple[Curve, ...]


def fits(about: str, y_label: str, panels: Sequence[Panel], intervals: str) -> Figure:
    """Points with intervals, fits with bands, and under each panel what is shown of each series; all of that is the title.

    Args:
        intervals: what intervals and bands are of, for the legend.
    """
    with matplotlib.rc_context(STYLE):
        rows = -(-len(panels) // COLUMNS)
        entries = max(len(panel.curves) for panel in panels)
        # Beside one another, the marks' explanations take as much room as two panels.
        alone = len(panels) == 1
        height = 0.7 + 0.36 * alone + rows * (2.9 + 0.18 * entries)
        drawn = headed(title(panels), about, height, 4.6 * min(COLUMNS, len(panels)))
        styles = looks([Line(curve.name, curve.family, ()) for panel in panels for curve in panel.curves])
        grid = drawn.subplots(rows, min(COLUMNS, len(panels)), squeeze=False).ravel()
        for axes, panel in zip(grid, panels, strict=False):
            _panel(axes, panel, styles)
            axes.set_ylabel(y_label)
        for axes in grid[len(panels) :]:
            axes.set_visible(False)
        parts = [
            Line2D([], [], color="black", marker="o", linestyle="", label="mean over seeds"),
            Line2D([], [], color="black", linewidth=2.2, alpha=0.35, label=intervals),
            Line2D([], [], color="black", linestyle=":", label="dotted: no scaling shown"),
        ]
        drawn.legend(handles=parts, loc="outside lower left", ncols=1 if alone else len(parts), columnspacing=1.2)
        return drawn


def title(panels: Sequence[Panel]) -> str:
    """Which losses fall along the axis, which rise, and of which nothing is shown."""
    named = len({curve.trend.axis for panel in panels for curve in panel.curves}) > 1
    still = "is not shown to move with"
    groups: dict[str, list[str]] = {"falls with": [], "rises with": [], still: []}
    for panel in panels:
        for curve in panel.curves:
            slope = curve.trend.slope
            way = still if slope is None or not slope.shown else "falls with" if slope.value < 0 else "rises with"
            groups[way].append(f"{curve.name} ({panel.caption})" if len(panels) > 1 else curve.name)
    total, axis = sum(map(len, groups.values())), "size" if named else panels[0].curves[0].trend.axis
    loss = loss_name(panels[0].curves[0].trend)
    clauses = [f"{way} {axis} for {titles.some(names, total, 'series')}" for way, names in groups.items() if names]
    return f"{loss[0].upper()}{loss[1:]} {'; it '.join(clauses)}"


def _panel(axes: Axes, panel: Panel, styles: dict[str, Look]) -> None:
    axes.set_xscale("log")
    axes.set_title(panel.caption, fontsize=9, loc="left")
    axes.set_xlabel(panel.x_label)
    sizes = np.concatenate([curve.x for curve in panel.curves])
    wide = sizes.max() / sizes.min() > 100
    axes.xaxis.set_major_locator(LogLocator(subs=(1,) if wide else (1, 2, 5)))
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.xaxis.set_minor_locator(LogLocator(subs="auto") if wide else NullLocator())
    axes.xaxis.set_minor_formatter(NullFormatter())
    # At least one tick on both sides of sizes that are close together.
    margin = max(1.15, (8 / (sizes.max() / sizes.min())) ** 0.5)
    axes.set_xlim(sizes.min() / margin, sizes.max() * margin)
    handles = []
    for curve in panel.curves:
        look = styles[curve.name]
        if (band := curve.band) is not None:
            axes.fill_between(band.x, band.low, band.high, color=look.colour, alpha=0.12, linewidth=0, zorder=1)
            dash = look.dash if band.shown else ":"
            axes.plot(band.x, band.middle, color=look.colour, linewidth=1.2, linestyle=dash, zorder=2)
        axes.vlines(curve.x, curve.low, curve.high, color=look.colour, linewidth=2.2, alpha=0.35, zorder=2)
        axes.plot(curve.x, curve.y, color=look.colour, marker=look.marker, markersize=5, linestyle="", zorder=3)
        label = f"{curve.name}: {brief(curve.trend)}"
        handles += axes.plot([], [], color=look.colour, marker=look.marker, markersize=5, linestyle=look.dash, label=label)
    axes.legend(handles=handles, loc="upper left", bbox_to_anchor=(-0.12, -0.2), borderaxespad=0, fontsize=8)
