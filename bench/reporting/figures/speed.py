"""The figure of a benchmark: how long each contender takes in each case, with the range over rounds."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence

import matplotlib
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from .style import OTHERS, STYLE, headed

MARKERS = "o^sDvP"

Cases = Mapping[str, Mapping[str, Sequence[float]]]
"""Case -> contender -> one value per round."""


def figure(title: str, about: str, unit: str, cases: Cases) -> Figure:
    """One line a case, one point a contender (the median), a bar from its smallest to its largest value; log axis."""
    names = list(dict.fromkeys(name for values in cases.values() for name in values))
    with matplotlib.rc_context(STYLE):
        drawn = headed(title, about, 1.1 + 0.42 * len(cases))
        axes = drawn.add_subplot()
        for at, name in enumerate(names):
            apart = 0.6 * ((at + 0.5) / len(names) - 0.5)
            places = [(row, values[name]) for row, values in enumerate(cases.values()) if name in values]
            middle = [statistics.median(values) for _, values in places]
            around = [
                [one - min(values) for one, (_, values) in zip(middle, places, strict=True)],
                [max(values) - one for one, (_, values) in zip(middle, places, strict=True)],
            ]
            axes.errorbar(
                middle,
                [row + apart for row, _ in places],
                xerr=around,
                fmt=MARKERS[at % len(MARKERS)],
                color=OTHERS[at % len(OTHERS)],
                markersize=5,
                linewidth=1,
                label=name,
            )
        axes.set_xscale("log")
        shown = [one for values in cases.values() for measured in values.values() for one in measured]
        narrow = max(shown) < 4 * min(shown)
        axes.xaxis.set_major_locator(LogLocator(subs=range(1, 10) if narrow else (1, 2, 5)))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set_yticks(range(len(cases)), list(cases))
        axes.set_ylim(len(cases) - 0.5, -0.5)
        axes.grid(axis="y", visible=False)
        axes.set_xlabel(unit)
        drawn.legend(loc="outside lower center", ncols=len(names))
    return drawn
