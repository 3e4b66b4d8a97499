"""The figure of a pass through time shows what models add to the best floor of each window."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from matplotlib.axes import Axes

from rankbench.bench.analysis import stream
from rankbench.bench.analysis.stream import StreamBoard, StreamRow, Window
from rankbench.bench.reporting.figures.stream import to_target
from support.stream_rows import WINDOWS, row

FLOORS = (row("ctr", [[0.60, 0.70, 0.71, 0.71]], family="floor"), row("lr", [[0.55, 0.68, 0.72, 0.70]], family="floor"))
DIN = row("din", [[0.50, 0.69, 0.73, 0.74], [0.50, 0.71, 0.73, 0.76]])


def axes_of(rows: Sequence[StreamRow]) -> dict[str, Axes]:
    board = StreamBoard(
        dataset="simulated",
        split="stream-4",
        place="simulated",
        protocol="dlrmv4-mini",
        target=0.7,
        target_why="somebody asked for it",
        envelope="",
        windows=tuple(Window(at + 2, str(at), 100, 50) for at in range(WINDOWS)),
        rows=tuple(rows),
        statements=tuple(stream._to_target(one, 0.7) for one in rows),
    )
    return {axes.get_ylabel().replace("\n", " "): axes for axes in to_target(board).axes}


def test_a_model_is_held_against_the_floor_that_is_best_in_that_window() -> None:
    axes = axes_of([DIN, *FLOORS])["AUC minus the best floor's"]
    drawn = {line.get_label(): np.asarray(line.get_ydata(), float) for line in axes.get_lines()}
    assert drawn["din"] == pytest.approx([-0.10, 0.0, 0.01, 0.04]) and not drawn.keys() & {"ctr", "lr"}


def test_windows_before_anything_was_learned_do_not_flatten_the_later_ones() -> None:
    alone = row("din", [[0.50, 0.70, 0.73, 0.75]])
    low, high = axes_of([alone, *FLOORS])["AUC minus the best floor's"].get_ylim()
    assert -0.10 < low < 0 < 0.04 <= high


def test_a_single_seed_that_stays_below_the_floors_is_seen() -> None:
    below = row("din", [[0.50, 0.60, 0.62, 0.63]])
    low, _ = axes_of([below, *FLOORS])["AUC minus the best floor's"].get_ylim()
    assert low < 0.62 - 0.72


@pytest.mark.parametrize("rows", [[DIN], list(FLOORS)], ids=["no floor", "floors alone"])
def test_without_floors_and_models_there_is_nothing_to_hold_against(rows: list[StreamRow]) -> None:
    assert not [name for name in axes_of(rows) if "best floor" in name]
