"""What all figures share: looks, title, legend, panels and how they are saved."""

from __future__ import annotations

import io
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.transforms import Bbox

from ...analysis.comparison import Row
from ...analysis.leaderboard import Board
from ...atomic import write_bytes, write_text
from ...evaluation.stats import ModelInterval

COLOURS = {"floor": "#595959", "classical": "#0072B2", "unified": "#009E73", "generative": "#D55E00"}
MARKERS = {"floor": "s", "classical": "o", "unified": "D", "generative": "^"}
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
DPI = 150
WIDTH = 7.2
"""Inches."""

SIDE = 0.01
"""Of the width, left free on both sides."""

GRID = 4
"""Digits of the places of axes, as shares of the figure."""

PANELS = 4
"""Side by side, in a figure of a panel a row."""

LABEL = 24
"""Letters in a line of the label of a panel."""

OTHERS = ("#117733", "#882255", "#44AA99", "#999933", "#332288", "#AA4499")
"""Colours of what is no model and has no family, none of them near a family's (Tol 2021); markers tell them apart in grey."""


def headed(finding: str, about: str, height: float, width: float = WIDTH) -> Figure:
    """An empty figure under what it shows, a sentence, and below that in small letters what it is about.

    Args:
        height: of the drawing and its legend in inches; the two texts stand above it.
        width: inches.
    """
    title, small = textwrap.fill(finding, round(12 * width)), textwrap.fill(about, round(16 * width))
    lines = 0.17 * (1 + title.count("\n")), 0.145 * (1 + small.count("\n"))
    whole = height + sum(lines) + 0.12
    figure = Figure(figsize=(width, whole), dpi=DPI)
    FigureCanvasAgg(figure)
    figure.set_layout_engine("constrained", rect=(SIDE, 0, 1 - 2 * SIDE, height / whole))  # type: ignore[call-arg]
    left = 0.07 / width
    figure.suptitle(title, x=left, y=1 - 0.05 / whole, ha="left", va="top", fontsize=10, fontweight="bold").set_in_layout(False)
    text = figure.text(left, 1 - (0.08 + lines[0]) / whole, small, ha="left", va="top", fontsize=8, color="#444444")
    text.set_in_layout(False)
    return figure


def name(board: Board) -> str:
    """Data set, split and variant."""
    return f"{board.dataset}@{board.split}" + (f"+{board.variant}" if board.variant else "")


def panels(figure: Figure, rows: Sequence[Row], axis: str, columns: int = PANELS, size: float = 8) -> list[Axes]:
    """A panel for each row under its label; all share both axes. `axis` names the lower."""
    grid = figure.subplots(panel_lines(rows, columns), columns, sharex=True, sharey=True, squeeze=False)
    axes = list(grid.flat)
    for at, (panel, row) in enumerate(zip(axes, rows, strict=False)):
        lowest = at + columns >= len(rows)
        panel.set_title(textwrap.fill(row.label, LABEL), fontsize=size, color=COLOURS[row.family], pad=3)
        panel.tick_params(labelsize=size - 1, labelbottom=lowest)
        if lowest:
            panel.set_xlabel(axis, fontsize=size - 1)
    for panel in axes[len(rows) :]:
        panel.remove()
    return axes[: len(rows)]


def panel_lines(rows: Sequence[Row], columns: int = PANELS) -> int:
    """Of panels below one another."""
    return -(-len(rows) // columns)


def panels_height(rows: Sequence[Row], each: float, columns: int = PANELS) -> float:
    """Inches of all panels that are `each` high, with their labels."""
    wrapped = max(textwrap.fill(row.label, LABEL).count("\n") for row in rows)
    return panel_lines(rows, columns) * (each + 0.11 * wrapped)


def legend(figure: Figure, rows: Sequence[Row], others: list[Line2D], columns: int = 4) -> None:
    """Below the axes, where it hides nothing."""
    families = [family for family in COLOURS if any(row.family == family for row in rows)]
    handles = [Line2D([], [], color=COLOURS[f], marker=MARKERS[f], linestyle="", label=f) for f in families]
    figure.legend(handles=handles + others, loc="outside lower left", ncols=columns, columnspacing=1.2, handletextpad=0.4)


def legend_of(figure: Figure, axes: Axes, columns: int = 5) -> None:
    """Of what has a name in `axes`, below all axes: in as many columns as there is width for, `columns` at the most."""
    handles, names = axes.get_legend_handles_labels()
    for count in range(min(columns, len(names)), 0, -1):
        made = figure.legend(handles, names, loc="outside lower left", ncols=count, columnspacing=1.2, handletextpad=0.4)
        if count == 1 or made.get_window_extent().width <= figure.bbox.width:
            return
        made.remove()


def interval(board: Board, row: Row) -> ModelInterval:
    """Of the headline metric."""
    return row.quality[board.headline]


def seeds(board: Board, row: Row) -> tuple[float, ...]:
    """Values of the headline metric."""
    return row.by_seed[board.headline]


def known(found: ModelInterval) -> bool:
    """Whether there is an interval: of one seed without others to borrow from, or of too few users, there is the whole range."""
    return found.low > 0 or found.high < 1


def tied(board: Board, row: Row) -> bool:
    """Whether it may be the best by the headline metric."""
    return row.quality[board.headline].among_best


def quality_limits(spans: Sequence[tuple[Row, float, float]]) -> tuple[float, float]:
    """Ends of an axis of quality, for rows with their smallest and largest value, best row first. A floor far below the others
    is left out, lest it press them together."""
    floors = [row.label for row, _, _ in spans if row.family == "floor"]
    kept = [(low, high) for row, low, high in spans if row.label not in floors[1:]]
    low, high = min(span[0] for span in kept), max(span[1] for span in kept)
    low = min(low, *(span[1] for span in spans if span[1] >= low - 0.6 * (high - low)))
    margin = 0.06 * max(high - low, 1e-3)
    return low - margin, high + margin


def headline_limits(board: Board, rows: Sequence[Row]) -> tuple[float, float]:
    """`quality_limits` of the headline metric with its intervals and seeds."""
    spans = []
    for row in rows:
        found, values = interval(board, row), seeds(board, row)
        ends = (found.low, found.high) if known(found) else (found.point, found.point)
        spans.append((row, min(*ends, *values), max(*ends, *values)))
    return quality_limits(spans)


def beside(left: Axes, right: Axes, metric: str, difference: str) -> None:
    """Levels of rows to the left and what sets them apart to the right: one name for each row, gridlines across alone.

    Args:
        difference: what the right-hand axis shows.
    """
    right.tick_params(axis="y", left=False, labelleft=False)
    for axes in (left, right):
        axes.grid(axis="y", visible=False)
    left.set_xlabel(f"test {metric} (higher is better)")
    right.set_xlabel(difference)


def equivalent(margin: float) -> Line2D:
    """The legend's word for the band of differences that do not matter."""
    return band(f"equivalent: within ±{margin:g}")


def band(label: str) -> Line2D:
    """A grey band in a legend; flat ends, which stay off the words beside it."""
    return Line2D([], [], color="#DDDDDD", linewidth=6, solid_capstyle="butt", label=label)


def lay_out(figure: Figure) -> None:
    """Give the axes their places, once, on a grid: the solver's last bits depend on where its variables lie in memory, and one of
    them would make another file."""
    if figure.get_layout_engine() is None:
        return
    with matplotlib.rc_context(STYLE):
        figure.draw_without_rendering()
    figure.set_layout_engine("none")
    for axes in figure.axes:
        axes.set_position(Bbox(np.round(axes.get_position(original=True).get_points(), GRID)))


def as_svg(figure: Figure) -> str:
    """What `save` writes as SVG."""
    lay_out(figure)
    text = io.StringIO()
    with matplotlib.rc_context(STYLE):
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    return text.getvalue()


def save(figure: Figure, path: Path) -> list[Path]:
    """SVG and PNG at `path` (without suffix); the same figure gives the same bytes."""
    svg, png = (path.with_name(path.name + suffix) for suffix in (".svg", ".png"))  # a name may have dots of its own
    write_text(svg, as_svg(figure))
    pixels = io.BytesIO()
    with matplotlib.rc_context(STYLE):
        figure.savefig(pixels, format="png", dpi=DPI, metadata={"Software": None})
    write_bytes(png, pixels.getvalue())
    return [svg, png]
