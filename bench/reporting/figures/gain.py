"""Rows of variants: what each gains over its reference, and beside it how many times as much it costs."""

from __future__ import annotations

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
from .ladder import NAME_WIDTH, row_height
from .style import COLOURS, MARKERS, STYLE

COST_MARKERS = "sD^v"


@dataclass(frozen=True)
class Gain:
    """One variant."""

    name: str
    family: str
    difference: Estimate
    """Of the metric, to the reference."""
    verdict: Verdict
    costs: Mapping[str, float]
    """Name -> times what the reference costs."""


def gains(about: str, metric: Metric, compared: tuple[str, str], groups: Mapping[str, Sequence[Gain]], reference: str) -> Figure:
    """Two columns of marks, one row a variant; the verdicts are the title.

    Args:
        compared: what a row stands for and what it is compared with, as a sentence names them.
        groups: caption -> rows, one at least.
        reference: what costs are counted in, as the axis names it.
    """
    judged: list[tuple[str, Verdict]] = [
        (f"{caption} {one.name}".strip(), one.verdict) for caption, rows in groups.items() for one in rows
    ]
    title = titles.by_verdict(shown(metric), *compared, judged, "for", "cases")
    with matplotlib.rc_context(STYLE):
        names = {caption: [textwrap.fill(one.name, NAME_WIDTH) for one in rows] for caption, rows in groups.items()}
        height = sum(row_height(name) for rows in names.values() for name in rows) + sum(bool(caption) for caption in groups)
        drawn = style.headed(title, about, 1.25 + 0.21 * height, 8.6)
        left, right = drawn.subplots(1, 2, sharey=True, width_ratios=(1.2, 1))
        costs = list(dict.fromkeys(name for rows in groups.values() for one in rows for name in one.costs))
        y, ticks = 0.0, []
        for caption, rows in groups.items():
            if caption:
                left.annotate(caption, (0, y + 0.5), (4, 0), left.get_yaxis_transform(), "offset points", va="center").set(
                    fontsize=8, fontweight="bold", bbox={"facecolor": "white", "edgecolor": "none", "pad": 1}
                )
                y += 1
            for one, name in zip(rows, names[caption], strict=True):
                at = y + row_height(name) / 2
                y += row_height(name)
                ticks.append((at, name))
                _gain(left, one, at)
                for place, cost in enumerate(costs):
                    if cost in one.costs:
                        right.plot([one.costs[cost]], [at], COST_MARKERS[place], color=COLOURS[one.family], markersize=5)
        left.axvline(0, color="black", linewidth=0.8, zorder=0.9)
        right.axvline(1, color="black", linewidth=0.8, zorder=0.9)
        left.set_yticks([at for at, _ in ticks], [name for _, name in ticks], fontsize=8)
        left.set_ylim(y + 0.2, -0.2)
        right.tick_params(axis="y", left=False, labelleft=False)
        for axes in (left, right):
            axes.grid(axis="y", visible=False)
            axes.locator_params(axis="x", nbins=6)
        left.set_xlabel(textwrap.fill(f"difference in {shown(metric)} to {compared[1]} (higher is better)", 50))
        right.set_xlabel(f"cost, times that {reference} (lower is better)")
        drawn.legend(handles=_key(groups, costs), loc="outside lower left", ncols=4)
        return drawn


def _gain(axes: Axes, one: Gain, y: float) -> None:
    colour, found = COLOURS[one.family], one.difference
    axes.plot([found.low, found.high], [y, y], color=colour, linewidth=1.2)
    face = "white" if one.verdict == "not settled" else colour
    axes.plot([found.value], [y], MARKERS[one.family], color=colour, markerfacecolor=face, markersize=5, zorder=3)


def _key(groups: Mapping[str, Sequence[Gain]], costs: Sequence[str]) -> list[Line2D]:
    families = [family for family in COLOURS if any(one.family == family for rows in groups.values() for one in rows)]
    return [
        *(Line2D([], [], color=COLOURS[one], marker=MARKERS[one], linestyle="", label=one) for one in families),
        Line2D([], [], color="black", linewidth=1.2, label="95% of the paired difference"),
        Line2D([], [], color="black", marker="o", markerfacecolor="white", linestyle="", label="hollow: not settled"),
        *(
            Line2D([], [], color="black", marker=marker, linestyle="", label=f"cost: {name}")
            for name, marker in zip(costs, COST_MARKERS, strict=False)
        ),
    ]
