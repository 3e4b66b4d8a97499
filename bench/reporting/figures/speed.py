"""The figure of a benchmark: how long each contender takes in each case, with the range over rounds."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from ...errors import UserError
from ...typed import from_dict, parse, text_of
from .style import OTHERS, STYLE, headed, legend_of

MARKERS = "o^sDvP"


@dataclass(frozen=True)
class Timing:
    """What the figure of a measurement shows; its record keeps it."""

    title: str
    about: str
    """Where and how it was measured."""
    unit: str
    cases: dict[str, dict[str, list[float]]]
    """Case -> contender -> one value per round."""


def figure(timing: Timing) -> Figure:
    """One line a case, one point a contender (the median), a bar from its smallest to its largest value; log axis."""
    cases = timing.cases
    names = list(dict.fromkeys(name for values in cases.values() for name in values))
    with matplotlib.rc_context(STYLE):
        drawn = headed(timing.title, timing.about, 1.1 + 0.42 * len(cases))
        axes = drawn.add_subplot()
        for at, (name, (marker, colour)) in enumerate(zip(names, looks(len(names)), strict=True)):
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
                fmt=marker,
                color=colour,
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
        axes.set_xlabel(timing.unit)
        legend_of(drawn, axes)
    return drawn


def looks(count: int) -> list[tuple[str, str]]:
    """Marker and colour of each contender; once all colours are used, they come again with other markers."""
    colours = len(OTHERS)
    return [(MARKERS[(at + at // colours) % len(MARKERS)], OTHERS[at % colours]) for at in range(count)]


def timing_of(record: Path) -> Timing | None:
    """What the figure of a record of a measurement shows; None for a record of a measurement that did not end.

    Raises:
        UserError: the file is no such record.
    """

    def broken(what: str) -> UserError:
        return UserError(f"{record} {what}; measure again")

    kept: Any = parse(text_of(record, broken), broken)
    if not isinstance(kept, dict):
        raise broken("is no record of a measurement")
    return from_dict(Timing, kept["figure"], f"{record}: figure") if isinstance(kept.get("figure"), dict) else None
