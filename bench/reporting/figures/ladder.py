"""Rows of named variants: what each reaches, and beside it how far it is from what it is compared with."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ...evaluation.cards import shown
from ...evaluation.stats import Estimate, Metric, Verdict
from . import style, titles
from .curves import Mark
from .style import COLOURS, MARKERS, STYLE

NAME_WIDTH = 38
"""Letters in a line of a row's name."""


@dataclass(frozen=True)
class Rung:
    """One variant."""

    name: str
    family: str
    level: Mark
    """Its `x` is not looked at."""
    difference: Estimate | None = None
    """None for what others are compared with."""
    verdict: Verdict | None = None
    """On the difference."""


def ladder(
    about: str,
    metric: Metric,
    compared: tuple[str, str],
    groups: Mapping[str, Sequence[Rung]],
    lines: Mapping[str, float] | None = None,
    joined: bool = False,
) -> Figure:
    """Two columns of marks, one row per variant, from top to bottom; the verdicts of the rungs are the title.

    Args:
        about: what is shown, beside the verdicts.
        compared: what a rung stands for, and what its difference is to, as a sentence names them.
        groups: caption -> rungs; a single group may have an empty caption.
        lines: name -> a level drawn through the left column.
        joined: rungs of a group are steps of one way, their levels joined.
    """
    with matplotlib.rc_context(STYLE):
        names = {caption: [textwrap.fill(rung.name, NAME_WIDTH) for rung in rungs] for caption, rungs in groups.items()}
        height = sum(row_height(name) for rows in names.values() for name in rows) + sum(bool(caption) for caption in groups)
        drawn = style.headed(title(metric, compared, groups), about, 1.25 + 0.21 * height, 8.6)
        left, right = drawn.subplots(1, 2, sharey=True, width_ratios=(1, 1))
        y, ticks = 0.0, []
        for caption, rungs in groups.items():
            if caption:
                left.annotate(caption, (0, y + 0.5), (4, 0), left.get_yaxis_transform(), "offset points", va="center").set(
                    fontsize=8, fontweight="bold", bbox={"facecolor": "white", "edgecolor": "none", "pad": 1}
                )
                y += 1
            places = []
            for rung, name in zip(rungs, names[caption], strict=True):
                places.append(y + row_height(name) / 2)
                y += row_height(name)
                _level(left, rung, places[-1])
                if rung.difference is not None:
                    _difference(right, rung, rung.difference, places[-1])
            if joined:
                left.plot([rung.level.value for rung in rungs], places, color="black", linewidth=0.8, alpha=0.4, zorder=1)
            ticks += list(zip(places, names[caption], strict=True))
        for name, value in (lines or {}).items():
            left.axvline(value, color=COLOURS["floor"], linestyle=":", linewidth=1.2, label=name, zorder=0.9)
        right.axvline(0, color="black", linewidth=0.8, zorder=0.9)
        left.set_yticks([place for place, _ in ticks], [name for _, name in ticks], fontsize=8)
        left.set_ylim(y + 0.2, -0.2)
        style.beside(left, right, shown(metric), textwrap.fill(f"difference in {shown(metric)} to {compared[1]}", 46))
        for axes in (left, right):
            axes.locator_params(axis="x", nbins=6)
        drawn.legend(handles=[*_key(groups), *left.get_legend_handles_labels()[0]], loc="outside lower left", ncols=3)
        return drawn


def title(metric: Metric, compared: tuple[str, str], groups: Mapping[str, Sequence[Rung]]) -> str:
    """The verdicts of all rungs, each named as far as it takes to tell it from the others."""
    judged: dict[str, list[tuple[str, Verdict]]] = {
        caption: [(rung.name, rung.verdict) for rung in rungs if rung.verdict] for caption, rungs in groups.items()
    }
    single = max(map(len, judged.values())) == 1
    named: list[tuple[str, Verdict]] = [
        (caption if single and caption else f"{caption} {name}".strip(), verdict)
        for caption, rungs in judged.items()
        for name, verdict in rungs
    ]
    return titles.by_verdict(shown(metric), *compared, named, "for", "cases") if named else f"{shown(metric)} of {compared[0]}"


def row_height(name: str) -> float:
    """Of a row, in lines of text, by the lines of its name."""
    return 1.15 + 0.75 * name.count("\n")


def _level(axes: Axes, rung: Rung, y: float) -> None:
    colour, level = COLOURS[rung.family], rung.level
    axes.plot([level.low, level.high], [y, y], color=colour, linewidth=2.2, alpha=0.35, solid_capstyle="butt")
    if len(level.seeds) > 1:
        axes.plot(level.seeds, [y] * len(level.seeds), "|", color=colour, markersize=9, markeredgewidth=0.8)
    axes.plot([level.value], [y], MARKERS[rung.family], color=colour, markersize=5, zorder=3)


def _difference(axes: Axes, rung: Rung, found: Estimate, y: float) -> None:
    if math.isnan(found.value):
        return
    colour = COLOURS[rung.family]
    axes.plot([found.low, found.high], [y, y], color=colour, linewidth=1.2)
    face = "white" if rung.verdict in (None, "not settled") else colour
    axes.plot([found.value], [y], MARKERS[rung.family], color=colour, markerfacecolor=face, markersize=5, zorder=3)


def _key(groups: Mapping[str, Sequence[Rung]]) -> list[Line2D]:
    rungs = [rung for group in groups.values() for rung in group]
    families = [family for family in COLOURS if any(rung.family == family for rung in rungs)]
    parts = [
        *(Line2D([], [], color=COLOURS[one], marker=MARKERS[one], linestyle="", label=one) for one in families),
        Line2D([], [], color="black", linewidth=2.2, alpha=0.35, label="95% interval over users and seeds"),
        Line2D([], [], color="black", linewidth=1.2, label="95% of the paired difference"),
        Line2D([], [], color="black", marker="o", markerfacecolor="white", linestyle="", label="hollow: not settled"),
    ]
    if any(len(rung.level.seeds) > 1 for rung in rungs):
        parts.insert(len(families), Line2D([], [], color="black", marker="|", linestyle="", label="one seed"))
    return parts
