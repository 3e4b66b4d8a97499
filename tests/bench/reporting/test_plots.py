"""Figures hide nothing: every name is there, inside the picture, and on no other name."""

import dataclasses
from itertools import combinations
from pathlib import Path

import matplotlib
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.transforms import Bbox

from rankbench.bench.records.store import Store
from rankbench.bench.reporting import leaderboard, plots
from rankbench.bench.reporting.leaderboard import Board
from support.records import predictions, record

MODELS = (
    ("random", "floor", 0.0, 0.3),
    ("popularity", "floor", 0.2, 0.3),
    ("ctr", "floor", 0.45, 0.4),
    ("lr", "floor", 0.46, 5.0),
    ("dnn", "classical", 0.60, 14.0),
    ("deepfm", "classical", 0.61, 15.0),
    ("dcnv2", "classical", 0.61, 15.1),
    ("din", "classical", 0.66, 21.0),
    ("sasrec", "generative", 0.66, 21.2),
    ("llama", "generative", 0.66, 21.1),
    ("hstu", "generative", 0.67, 21.3),
)
LONG = {"params.dropout": 0.2, "params.units": [200, 80], "train.lr": 0.003, "train.weight_decay": 1e-5}


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Board:
    """Eleven models, four of them nearly on one spot, and one with a long list of changes."""
    store = Store(tmp_path_factory.mktemp("results"))
    for model, family, skill, seconds in (*MODELS, ("din", "classical", 0.65, 21.0)):
        frame = predictions(skill)
        made = record(model, frame, family=family)
        assert made.cost is not None
        made = dataclasses.replace(made, cost=dataclasses.replace(made.cost, train_seconds=seconds))
        if skill == 0.65:
            identity = dataclasses.replace(made.identity, config_hash="ab" * 6)
            made = dataclasses.replace(made, identity=identity, changed=LONG)
        store.write(made, frame)
    return leaderboard.build(store, "toy", "global-time", draws=50)


def _texts(figure: Figure) -> dict[str, Bbox]:
    """Every visible text that is not empty, with its place in pixels."""
    figure.canvas.draw()
    assert isinstance(figure.canvas, FigureCanvasAgg)
    renderer, axes = figure.canvas.get_renderer(), figure.axes[0]
    texts = [*figure.findobj(Text, include_self=False)]
    # Matplotlib keeps tick labels beyond the ends of an axis without drawing them.
    for axis, (low, high) in ((axes.xaxis, axes.get_xlim()), (axes.yaxis, axes.get_ylim())):
        beyond = [place for place in (*axis.get_major_ticks(), *axis.get_minor_ticks()) if not low <= place.get_loc() <= high]
        texts = [text for text in texts if not any(text in (tick.label1, tick.label2) for tick in beyond)]
    return {text.get_text(): text.get_window_extent(renderer) for text in texts if text.get_text() and text.get_visible()}


@pytest.mark.parametrize("draw", [plots.intervals, plots.against_time])
def test_every_name_is_readable(board: Board, draw) -> None:
    figure = draw(board)
    found = _texts(figure)
    joined = [" ".join(text.split()) for text in found]
    for row in board.rows:
        assert any(text == row.label or text.startswith(f"{row.label} (") for text in joined), row.label
    assert any(text.startswith("toy@global-time: GAUC") for text in joined)
    assert sum("higher is better" in text for text in joined) == 1
    for text, box in found.items():
        assert figure.bbox.x0 <= box.x0 and box.x1 <= figure.bbox.x1, text
        assert figure.bbox.y0 <= box.y0 and box.y1 <= figure.bbox.y1, text
    for (one, first), (other, second) in combinations(found.items(), 2):
        assert not first.overlaps(second), (one, other)


def test_no_name_hides_a_marker(board: Board) -> None:
    figure = plots.against_time(board)
    found, axes = _texts(figure), figure.axes[0]
    names = [box for text, box in found.items() if any(text.split()[0] == row.model for row in board.rows)]
    assert len(names) == len(board.rows)
    for row in board.rows:
        x, y = axes.transData.transform((row.train_seconds, row.gauc.point))
        assert not any(box.contains(x, y) for box in names), row.label


def test_far_floors_are_named_with_their_value_and_do_not_press_the_others(board: Board) -> None:
    low, _ = plots.intervals(board).axes[0].get_xlim()
    rows = {row.label: row for row in board.rows}
    assert rows["random"].gauc.point < low < rows["ctr"].gauc.point
    shown = [text.get_text() for text in plots.intervals(board).axes[0].texts]
    assert f"{rows['random'].gauc.point:.3f}, left of the axis" in shown


def test_the_same_board_gives_the_same_bytes_and_no_global_state_changes(board: Board, tmp_path: Path) -> None:
    settings = dict(matplotlib.rcParams)
    contents = [[path.read_bytes() for path in plots.write(board, tmp_path / name)] for name in ("one", "two")]
    assert contents[0] == contents[1] and len(contents[0]) == 8
    assert b"<dc:date>" not in contents[0][0]
    assert dict(matplotlib.rcParams) == settings


def test_a_row_without_measurable_time_has_a_place(board: Board) -> None:
    first = dataclasses.replace(board.rows[0], train_seconds=0.0, train_cpu_seconds=0.0)
    instant = dataclasses.replace(board, rows=(first, *board.rows[1:]))
    low, _ = plots.against_time(instant).axes[0].get_xlim()
    assert 0 < low < plots.SECONDS_FLOOR


def test_a_single_row_can_be_drawn(board: Board, tmp_path: Path) -> None:
    alone = dataclasses.replace(board, rows=board.rows[:1])
    assert len(plots.write(alone, tmp_path)) == 8


@pytest.mark.parametrize(
    ("settings", "warned"),
    [
        ({"test_history": "live"}, True),
        ({"test_history": "frozen"}, False),
        ({"test_history": "live", "test_negatives": "uniform"}, False),
    ],
)
def test_figures_of_gauc_warn_where_users_are_selected_by_their_labels(board: Board, settings: dict, warned: bool) -> None:
    figure, _ = plots._figure(dataclasses.replace(board, headline="gauc", settings=settings), "GAUC", 3)
    assert ("punishes" in figure.get_suptitle()) == warned
