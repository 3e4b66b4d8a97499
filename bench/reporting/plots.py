"""Figures of a board: one function each, board in, Figure out. Colours by family, safe for the colour-blind (Okabe & Ito)."""

from __future__ import annotations

from pathlib import Path

import matplotlib
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from .leaderboard import Board, Row

COLOURS = {"floor": "#7f7f7f", "classical": "#0072B2", "generative": "#D55E00"}
MARKERS = {"floor": "s", "classical": "o", "generative": "^"}
STYLE = {"font.size": 9, "axes.spines.top": False, "axes.spines.right": False, "svg.hashsalt": "rankbench", "svg.fonttype": "none"}


def _figure(width: float, height: float) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.add_subplot()


def _legend(axes: Axes, rows: tuple[Row, ...], **options: object) -> None:
    families = [family for family in COLOURS if any(row.family == family for row in rows)]
    handles = [Line2D([], [], color=COLOURS[f], marker=MARKERS[f], linestyle="", label=f) for f in families]
    axes.legend(handles=handles, frameon=False, fontsize=8, **options)  # type: ignore[arg-type]


def gauc_intervals(board: Board) -> Figure:
    """GAUC of every row with its interval over users, one faint dot a seed; filled markers cannot be told from the best."""
    with matplotlib.rc_context(STYLE):
        rows = board.rows[::-1]
        figure, axes = _figure(7, 1.5 + 0.3 * len(rows))
        for y, row in enumerate(rows):
            colour = COLOURS[row.family]
            axes.plot([row.gauc.low, row.gauc.high], [y, y], color=colour, linewidth=2, alpha=0.45, solid_capstyle="butt")
            axes.plot(row.gauc_seeds, [y + 0.24] * len(row.gauc_seeds), "|", color=colour, markersize=5, alpha=0.8)
            face = colour if row.tied else "white"
            axes.plot([row.gauc.point], [y], MARKERS[row.family], color=colour, markerfacecolor=face, markersize=6)
        floors = [row for row in board.rows if row.family == "floor"]
        if floors:
            axes.axvline(floors[0].gauc.point, color=COLOURS["floor"], linestyle=":", linewidth=1)
        axes.set_yticks(range(len(rows)), [row.label for row in rows])
        axes.set_ylim(-0.6, len(rows) - 0.4)
        axes.set_xlabel("test GAUC, higher is better (bar: 95% over users; ticks above: seeds; dotted: best floor)")
        axes.set_title(f"{board.dataset} @ {board.split}: filled markers cannot be told from the best", fontsize=10, loc="left")
        axes.grid(axis="x", linewidth=0.4, alpha=0.5)
        _legend(axes, board.rows, loc="best")
        return figure


def gauc_against_cost(board: Board) -> Figure:
    """GAUC against training time; the line joins the rows that no other row beats in both."""
    with matplotlib.rc_context(STYLE):
        figure, axes = _figure(7, 4.6)
        shown = [row for row in board.rows if row.model != "random"] or list(board.rows)
        for row in shown:
            axes.errorbar(
                row.train_seconds,
                row.gauc.point,
                yerr=[[row.gauc.point - row.gauc.low], [row.gauc.high - row.gauc.point]],
                fmt=MARKERS[row.family],
                color=COLOURS[row.family],
                elinewidth=0.8,
                alpha=0.9,
                markersize=6,
            )
        front: list[Row] = []
        for row in sorted(shown, key=lambda r: (r.train_seconds, -r.gauc.point)):
            if not front or row.gauc.point > front[-1].gauc.point:
                front.append(row)
        axes.step([r.train_seconds for r in front], [r.gauc.point for r in front], where="post", color="black", linewidth=0.8, alpha=0.5)
        axes.set_xscale("log")
        axes.set_xlabel("training time in seconds, log scale, mean over seeds (lower is better)")
        axes.set_ylabel("test GAUC, higher is better")
        axes.set_title(f"{board.dataset} @ {board.split}: quality against cost (bars: 95% over users)", fontsize=10, loc="left")
        axes.grid(linewidth=0.4, alpha=0.5)
        axes.margins(x=0.12, y=0.08)
        _legend(axes, board.rows, loc="lower right")
        _label_without_overlap(figure, axes, shown)
        return figure


def _label_without_overlap(figure: Figure, axes: Axes, rows: list[Row]) -> None:
    """Name each point beside it, at the first of several places that hides neither a name nor a marker."""
    figure.canvas.draw()
    renderer = figure.canvas.get_renderer()  # type: ignore[attr-defined]
    points = [axes.transData.transform((row.train_seconds, row.gauc.point)) for row in rows]
    legend = axes.get_legend()
    taken = [] if legend is None else [legend.get_window_extent(renderer)]
    frame = axes.get_window_extent(renderer)
    places = [(radius * dx, radius * dy) for radius in (9, 16, 26, 38, 52) for dx, dy in ((1, 0.4), (-1, 0.4), (1, -0.9), (-1, -0.9), (0, 1.1), (0, -1.3))]
    for row, (x, y) in zip(rows, points, strict=True):
        for dx, dy in places:
            text = axes.annotate(
                row.label,
                (row.train_seconds, row.gauc.point),
                xytext=(dx, dy),
                textcoords="offset points",
                fontsize=8,
                color=COLOURS[row.family],
                ha="left" if dx > 0 else "right" if dx < 0 else "center",
                va="center",
                arrowprops={"arrowstyle": "-", "linewidth": 0.4, "color": "grey", "shrinkB": 3} if abs(dx) + abs(dy) > 20 else None,
            )
            box = text.get_window_extent(renderer).padded(1)
            inside = frame.x0 <= box.x0 and box.x1 <= frame.x1 and frame.y0 <= box.y0 and box.y1 <= frame.y1
            clear = not any(box.overlaps(other) for other in taken) and not any(
                box.x0 - 3 < px < box.x1 + 3 and box.y0 - 3 < py < box.y1 + 3 for px, py in points if (px, py) != (x, y)
            )
            if inside and clear:
                taken.append(box)
                break
            text.remove()
        else:
            axes.annotate(row.label, (row.train_seconds, row.gauc.point), xytext=(6, 6), textcoords="offset points", fontsize=7)


def save(figure: Figure, path: Path) -> list[Path]:
    """SVG and PNG at `path` (without suffix); the same figure gives the same bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    svg, png = path.with_suffix(".svg"), path.with_suffix(".png")
    with matplotlib.rc_context(STYLE):
        figure.savefig(svg, metadata={"Date": None, "Creator": None})
        figure.savefig(png, dpi=150, metadata={"Software": None})
    return [svg, png]


def write(board: Board, folder: Path) -> list[Path]:
    """All figures of a board in `folder`."""
    return [
        *save(gauc_intervals(board), folder / "gauc"),
        *save(gauc_against_cost(board), folder / "gauc-against-cost"),
    ]
