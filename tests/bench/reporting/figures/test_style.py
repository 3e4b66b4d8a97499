"""What all figures share: the same figure is the same file, whatever the last bits of its layout."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.transforms import Bbox

from rankbench.bench.reporting.figures import speed
from rankbench.bench.reporting.figures.style import as_svg, headed, legend_of


def drawn() -> Figure:
    figure = headed("a title", "about it", 2.0)
    left, right = figure.subplots(1, 2)
    left.plot([0, 1, 2], [0.1, 0.7, 0.3], label="a line")
    right.set_xlabel("an axis")
    figure.legend(loc="outside lower left")
    return figure


@pytest.mark.long
def test_last_bits_of_the_layout_change_no_byte(monkeypatch: pytest.MonkeyPatch) -> None:
    """The layout's solver orders its variables by their places in memory, and adds in that order."""
    solve, jitter = ConstrainedLayoutEngine.execute, np.random.default_rng(0)

    def shaken(self: ConstrainedLayoutEngine, figure: Figure) -> Any:
        found = solve(self, figure)
        for axes in figure.axes:
            points = axes.get_position(original=True).get_points()
            axes._set_position(Bbox(points + jitter.normal(0, 1e-8, points.shape)), which="original")  # type: ignore[attr-defined]
        return found

    before = as_svg(drawn())
    monkeypatch.setattr(ConstrainedLayoutEngine, "execute", shaken)
    assert as_svg(drawn()) == before


def test_a_legend_of_long_names_is_no_wider_than_its_figure() -> None:
    figure = headed("a title", "about it", 2.0)
    axes = figure.add_subplot()
    for at in range(4):
        axes.plot([0, 1], [at, at], label=f"contender {at}, which is called by all that sets it apart")
    legend_of(figure, axes)
    (legend,) = figure.legends
    assert legend.get_window_extent().width <= figure.bbox.width and len(legend.get_texts()) == 4


def test_contenders_of_a_measurement_are_told_apart_by_marker_and_colour() -> None:
    assert len(set(speed.looks(16))) == 16
