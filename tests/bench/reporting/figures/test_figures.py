"""Figures hide nothing: every name is there, inside the picture, and on no other name."""

import dataclasses
from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import matplotlib
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.path import Path as MplPath
from matplotlib.text import Annotation, Text
from matplotlib.transforms import Bbox

from rankbench.bench.analysis import leaderboard
from rankbench.bench.analysis.details import Details, details
from rankbench.bench.analysis.leaderboard import Board
from rankbench.bench.evaluation import ranks
from rankbench.bench.evaluation.reliability import Reliability
from rankbench.bench.records.schema import CurvePoint
from rankbench.bench.records.store import Store
from rankbench.bench.records.view import View
from rankbench.bench.reporting import figures
from rankbench.bench.reporting.figures import cost, labels, style
from rankbench.bench.reporting.figures.calibration import calibration, chosen
from rankbench.bench.reporting.figures.intervals import intervals
from rankbench.bench.reporting.figures.learning import learning
from rankbench.bench.reporting.figures.ranks import critical_difference
from rankbench.bench.reporting.figures.slices import slices
from support.records import predictions, record

pytestmark = pytest.mark.long

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
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Eleven models, four of them nearly on one spot, and one with a long list of changes."""
    store = Store(tmp_path_factory.mktemp("results"))
    for model, family, skill, seconds in (*MODELS, ("din", "classical", 0.65, 21.0)):
        for seed in (0, 1):
            frame = predictions(skill, seed)
            made = record(model, frame, seed, family)
            assert made.cost is not None
            flops = 0.0 if family == "floor" else 1e4 * seconds
            cost = dataclasses.replace(made.cost, train_seconds=seconds, train_cpu_seconds=seconds, flops_per_example=flops)
            if skill == 0.65:
                identity = dataclasses.replace(made.identity, config_hash="ab" * 6)
                made = dataclasses.replace(made, identity=identity, changed=LONG)
            curve = tuple(
                CurvePoint(epoch, 0.6, 0.5 + skill * epoch / 20, 0.5 + skill * epoch / 20, 0.6, epoch * seconds)
                for epoch in (1, 2, 3)
            )
            store.write(dataclasses.replace(made, cost=cost, curve=curve), frame)
    return store


@pytest.fixture(scope="module")
def board(store: Store) -> Board:
    return leaderboard.build(View.of(store, "toy", "global-time"))


@pytest.fixture(scope="module")
def found(store: Store, board: Board) -> Details:
    return details(View.of(store, "toy", "global-time"), board)


def _texts(figure: Figure) -> list[tuple[str, Bbox]]:
    """Every visible text that is not empty, with its place in pixels."""
    figure.canvas.draw()
    assert isinstance(figure.canvas, FigureCanvasAgg)
    renderer = figure.canvas.get_renderer()
    texts = [*figure.findobj(Text, include_self=False)]
    # Matplotlib keeps tick labels beyond the ends of an axis without drawing them.
    for axes in figure.axes:
        for axis, (low, high) in ((axes.xaxis, sorted(axes.get_xlim())), (axes.yaxis, sorted(axes.get_ylim()))):
            ticks = (*axis.get_major_ticks(), *axis.get_minor_ticks())
            beyond = [tick for tick in ticks if not low <= tick.get_loc() <= high]
            texts = [text for text in texts if not any(text in (tick.label1, tick.label2) for tick in beyond)]
    return [(text.get_text(), text.get_window_extent(renderer)) for text in texts if text.get_text() and text.get_visible()]


def _check_texts(figure: Figure) -> list[str]:
    """All texts, on one line each, after checking that none is cut off or on another."""
    found = _texts(figure)
    for text, box in found:
        assert figure.bbox.x0 <= box.x0 and box.x1 <= figure.bbox.x1, text
        assert figure.bbox.y0 <= box.y0 and box.y1 <= figure.bbox.y1, text
    for (one, first), (other, second) in combinations(found, 2):
        assert not first.overlaps(second), (one, other)
    return [" ".join(text.split()) for text, _ in found]


@pytest.mark.parametrize("draw", [intervals, lambda board: cost.against(board, cost.TIME)], ids=["intervals", "against time"])
def test_every_name_is_readable(board: Board, draw: Callable[[Board], Figure]) -> None:
    joined = _check_texts(draw(board))
    for row in board.rows:
        assert any(text == row.label or f"{row.label} (" in text for text in joined), row.label
    assert any(text.startswith("toy@global-time: request GAUC") for text in joined), "what it is about"
    assert sum("higher is better" in text for text in joined) == 1


@pytest.mark.parametrize("paid", [cost.FLOPS, cost.PARAMETERS], ids=lambda paid: paid.name)
def test_floors_are_a_line_where_they_cost_nothing(board: Board, paid: cost.CostAxis) -> None:
    joined = _check_texts(cost.against(board, paid))
    learnt = {row.label for row in board.rows if row.family != "floor"}
    assert {row.label for row in paid.drawn(board)} == learnt <= set(joined)
    best = next(row.label for row in board.rows if row.family == "floor")
    assert f"best of the others: {best}" in joined


def test_no_name_hides_a_marker(board: Board) -> None:
    figure = cost.against(board, cost.TIME)
    found, axes = _texts(figure), figure.axes[0]
    names = [box for text, box in found if any(text.split()[0] == row.model for row in board.rows)]
    shared = [(text, box) for text, box in found if text.startswith("below the axis:")]
    # Two floors below the axis, of the same cost: their markers are one.
    assert [text.replace("\n", " ") for text, _ in shared] == [
        "below the axis: " + " ".join(f"{row.label} ({row.quality['request_gauc'].point:.3f})" for row in board.rows[-2:])
    ]
    names += [box for _, box in shared]
    assert len(names) == len(board.rows) - 1
    for row in board.rows:
        x, y = axes.transData.transform((row.train_seconds, row.quality["request_gauc"].point))
        assert not any(box.contains(x, y) for box in names), row.label


def test_no_line_to_a_name_crosses_another_marker() -> None:
    """It would seem that the name is the other's. All is taken but the left, where the nearest way leads over a marker."""
    point, other = (500.0, 300.0), Bbox([[465, 295], [475, 305]])
    taken = [Bbox([[440, 306], [1000, 600]]), Bbox([[440, 0], [1000, 294]]), Bbox([[506, 294], [1000, 306]]), other]
    name, frame = Bbox([[470, 292], [530, 308]]), Bbox([[0, 0], [1000, 600]])
    for others, crosses in (([], True), ([other], False)):
        _, box = labels._free_place(name, point, frame, taken, others, 1.0)
        assert not any(box.overlaps(one) for one in taken)
        assert MplPath([point, labels._nearest(box, point)]).intersects_bbox(other) is crosses


def test_the_front_is_what_no_row_beats_in_both(board: Board) -> None:
    rows = cost.FLOPS.drawn(board)
    kept = {row.label for row in cost.front(board, rows, cost.FLOPS)}
    for row in rows:
        own = (-row.quality["request_gauc"].point, row.flops_per_example)
        beaten = any(
            other != own and all(one <= two for one, two in zip(other, own, strict=True))
            for other in ((-row.quality["request_gauc"].point, row.flops_per_example) for row in rows)
        )
        assert (row.label not in kept) == beaten, row.label


def test_learning_shows_every_seed_and_the_median_bold(board: Board) -> None:
    curves = {"din": tuple((CurvePoint(1, 1, 0, y / 2, 1, 5.0), CurvePoint(2, 1, 0, y, 1, 9.0)) for y in (0.8, 0.6, 0.7))}
    for by, ends in (("epoch", (1, 2)), ("seconds", (5.0, 9.0))):
        figure = learning(board, curves, by)
        _check_texts(figure)
        (panel,) = figure.axes
        drawn = [(line.get_linewidth(), tuple(line.get_xdata()), tuple(line.get_ydata())) for line in panel.lines]
        assert {y for width, _, y in drawn if width == 0.7} == {(0.4, 0.8), (0.3, 0.6), (0.35, 0.7)}
        assert [(x, y) for width, x, y in drawn if width == 1.8] == [(ends, (0.35, 0.7))]


def test_every_learnt_row_has_a_panel_of_learning(board: Board, found: Details) -> None:
    figure = learning(board, found.curves, "epoch")
    joined = _check_texts(figure)
    learnt = {row.label.replace(" ", "") for row in board.rows if row.family != "floor"}
    assert len(figure.axes) == len(learnt) <= len(joined)
    assert learnt <= {text.replace(" ", "") for text in joined}


def test_slices_have_a_mark_with_its_interval_for_each_family_and_part(board: Board) -> None:
    figure = slices(board, "request_gauc")
    assert figure is not None
    joined = _check_texts(figure)
    left, right = figure.axes
    shown = [part for part in board.parts if part.metric == "request_gauc" and part.trusted]
    assert any("n=1,200" in text.replace(" ", "") for text in joined) and "fewer than 10 users" in joined
    best = [row for family in ("generative", "classical", "floor") if (row := board.best(family, "request_gauc")) is not None]
    marks = {line.get_xdata()[0] for line in left.lines if len(line.get_xdata()) == 1}
    spans = {tuple(line.get_xdata()) for line in left.lines if len(line.get_xdata()) == 2}
    for part in shown:
        for row in best:
            found = part.values[row.label]
            assert found.value in marks and (found.low, found.high) in spans, (part.name, row.label)
    differences = [line for line in right.lines if len(line.get_xdata()) == 1]
    assert [line.get_xdata()[0] for line in differences] == [part.pairs[0].difference.value for part in shown]
    hollow = [line.get_markerfacecolor() == "white" for line in differences]
    assert hollow == [part.pairs[0].verdict == "not settled" for part in shown]


def test_no_slice_with_enough_users_is_no_figure(board: Board) -> None:
    few = tuple(dataclasses.replace(part, users=9) for part in board.parts)
    assert slices(dataclasses.replace(board, parts=few), "auc") is None


def test_the_main_figure_draws_the_paired_difference_beside_the_level(board: Board) -> None:
    left, right = intervals(board).axes
    spans = {tuple(line.get_xdata()) for line in right.lines if len(line.get_xdata()) == 2}
    edge, end = right.get_xlim()
    for row in board.rows[1:]:
        found = row.quality["request_gauc"]
        if found.difference >= edge:
            assert (max(found.difference_low, edge), min(found.difference_high, end)) in spans, row.label
    (band,) = right.patches
    assert (band.get_x(), band.get_x() + band.get_width()) == pytest.approx((-board.margin, board.margin))
    assert "difference" in right.get_xlabel() and "higher is better" in left.get_xlabel()


def test_calibration_draws_residuals_of_four_rows_at_most_on_one_scale(board: Board, found: Details) -> None:
    figure = calibration(board, found.reliability)
    joined = _check_texts(figure)
    assert len(figure.axes) == 4 and {row.family for row in chosen(board, found.reliability)} == {
        row.family for row in board.rows
    }
    assert len({axes.get_ylim() for axes in figure.axes}) == 1
    best = board.best("generative")
    assert best is not None and any(text.startswith(f"ECE {best.means['ece']:.3f} (floor") for text in joined)


def test_a_bin_without_an_interval_is_not_drawn_and_the_title_counts_what_differs(board: Board) -> None:
    one = {"din": Reliability((0.2, 0.5, 0.7), (0.3, 0.5, 0.6), (0.25, 0.0, 0.4), (0.4, 1.0, 0.9), (100.0, 20.0, 50.0))}
    figure = calibration(board, one)
    (panel,) = figure.axes
    marks = [line for line in panel.lines if line.get_marker() == style.MARKERS["classical"]]
    assert [(line.get_xdata()[0], round(line.get_ydata()[0], 9)) for line in marks] == [(0.2, 0.1), (0.7, -0.1)]
    assert [line.get_markerfacecolor() == "white" for line in marks] == [False, True], "the second includes zero"
    assert figure.get_suptitle() == "What was observed is shown to differ from the prediction in 1 of 2 bins of din"


def test_far_floors_are_named_with_their_value_and_do_not_press_the_others(board: Board) -> None:
    low, _ = intervals(board).axes[0].get_xlim()
    rows = {row.label: row for row in board.rows}
    assert rows["random"].quality["request_gauc"].point < low < rows["ctr"].quality["request_gauc"].point
    shown = [text.get_text() for text in intervals(board).axes[0].texts]
    assert f"{rows['random'].quality['request_gauc'].point:.3f}, left of the axis" in shown


def test_the_same_board_gives_the_same_bytes_and_no_global_state_changes(board: Board, found: Details, tmp_path: Path) -> None:
    settings = dict(matplotlib.rcParams)
    few = dataclasses.replace(board, rows=(*board.rows[:2], board.rows[-1]))
    contents = [[path.read_bytes() for path in figures.write(few, found, tmp_path / name)] for name in ("one", "two")]
    assert contents[0] == contents[1] and len(contents[0]) == 2 * len(figures.CAPTIONS)
    assert b"<dc:date>" not in contents[0][0]
    assert dict(matplotlib.rcParams) == settings


def test_a_row_without_measurable_time_has_a_place(board: Board) -> None:
    first = dataclasses.replace(board.rows[0], train_seconds=0.0)
    instant = dataclasses.replace(board, rows=(first, *board.rows[1:]))
    low, _ = cost.against(instant, cost.TIME).axes[0].get_xlim()
    assert 0 < low < cost.SECONDS_FLOOR


def test_an_interval_that_is_the_whole_range_is_not_drawn(board: Board) -> None:
    """One seed and no other row to borrow training noise from: the levels would be pressed together by lines that say nothing."""
    nothing = {"low": 0.0, "high": 1.0, "difference_low": -1.3, "difference_high": 0.7}
    rows = tuple(
        dataclasses.replace(row, quality={metric: dataclasses.replace(found, **nothing) for metric, found in row.quality.items()})
        for row in board.rows
    )
    left, right = intervals(dataclasses.replace(board, rows=rows)).axes
    assert left.get_xlim()[1] < 0.9 and right.get_xlim()[1] < 0.3
    assert not any(tuple(line.get_xdata()) == (0.0, 1.0) for line in left.lines if line.get_ydata()[0] == line.get_ydata()[-1])


def test_a_single_row_can_be_drawn(board: Board, tmp_path: Path) -> None:
    alone = dataclasses.replace(board, rows=board.rows[:1])
    names = {path.stem for path in figures.write(alone, Details({}, {}), tmp_path)}
    assert names == {"request_gauc", "auc", "slices-request_gauc", "slices-auc"}


def test_rows_whose_times_may_be_compared_with_nothing_are_not_drawn_against_time(board: Board) -> None:
    loaded = dataclasses.replace(board.rows[0], comparable=False)
    other = dataclasses.replace(board, rows=(loaded, *board.rows[1:]))
    assert loaded.label not in {row.label for row in cost.TIME.drawn(other)}
    assert loaded.label in {row.label for row in cost.FLOPS.drawn(other)}


def test_a_variant_is_named(board: Board) -> None:
    assert style.name(dataclasses.replace(board, variant="time=none")) == "toy@global-time+time=none"


def test_an_arrow_leads_from_a_row_to_itself_tuned(board: Board) -> None:
    row = next(row for row in board.rows if row.label == "hstu")
    tuned = dataclasses.replace(row, label="hstu (tuned)", tuned=True, flops_per_example=2 * row.flops_per_example)
    figure = cost.against(dataclasses.replace(board, rows=(tuned, *board.rows)), cost.FLOPS)
    (arrow,) = [text for text in figure.axes[0].texts if isinstance(text, Annotation) and text.arrow_patch is not None]
    assert (arrow.xyann[0], arrow.xy[0]) == (row.flops_per_example, tuned.flops_per_example)
    assert "default to tuned" in {text.get_text() for text in figure.legends[0].get_texts()}
    assert cost.from_defaults(list(board.rows)) == []


def test_ranks_are_named_and_groups_are_bars() -> None:
    values = {f"d{at}": {"hstu": 0.9, "din": 0.8, "a rather long name of a model": 0.7, "ctr": 0.1} for at in range(7)}
    ranking = ranks.rank(values)
    figure = critical_difference(ranking)
    joined = _check_texts(figure)
    assert set(ranking.models) <= set(joined)
    assert f"critical difference {ranking.critical_difference:.2f}" in joined
    assert len([line for line in figure.axes[0].lines if line.get_linewidth() == 3]) == len(ranking.groups) == 3
