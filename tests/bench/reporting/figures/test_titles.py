"""A figure's title is the statement that it draws: every verdict in its own word, and no more than the interval allows."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence

import numpy as np
import pytest

from rankbench.bench.analysis.leaderboard import Board
from rankbench.bench.analysis.statements import Families, of_kind
from rankbench.bench.analysis.study_statements import Trend
from rankbench.bench.analysis.summary import answer
from rankbench.bench.evaluation.cards import shown
from rankbench.bench.evaluation.stats import Estimate, Verdict
from rankbench.bench.reporting.figures import cost, style, titles
from rankbench.bench.reporting.figures.answers import answers
from rankbench.bench.reporting.figures.curves import Mark
from rankbench.bench.reporting.figures.intervals import intervals
from rankbench.bench.reporting.figures.ladder import Rung, ladder
from rankbench.bench.reporting.figures.scaling import Curve, Panel
from rankbench.bench.reporting.figures.scaling import title as of_scaling
from rankbench.bench.reporting.figures.slices import slices
from rankbench.bench.reporting.words import verdict
from support.pages import made_board

pytestmark = pytest.mark.long

WORDS: tuple[Verdict, ...] = ("better", "worse", "equivalent", "not settled")


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Board:
    return made_board(tmp_path_factory.mktemp("results"))


def _title(figure: object) -> str:
    return " ".join(figure.get_suptitle().split())  # type: ignore[attr-defined]


def _turned(board: Board, word: Verdict) -> Board:
    """The same board with another verdict on its families."""
    statements = tuple(
        dataclasses.replace(one, pair=dataclasses.replace(one.pair, verdict=word)) if isinstance(one, Families) else one
        for one in board.statements
    )
    return dataclasses.replace(board, statements=statements)


@pytest.mark.parametrize("word", WORDS)
def test_the_main_figure_says_the_answer_of_its_board(board: Board, word: Verdict) -> None:
    turned = _turned(board, word)
    for metric in board.headlines:
        pair = next(one.pair for one in of_kind(turned.statements, Families) if one.pair.metric == metric)
        assert _title(intervals(turned.by(metric))) == f"By {shown(metric)}, {verdict(pair)}"


def test_a_board_of_one_family_is_named_by_who_may_be_the_best(board: Board) -> None:
    alone = dataclasses.replace(board, statements=tuple(one for one in board.statements if not isinstance(one, Families)))
    said = titles.of_families(alone, board.headline)
    first, *others = board.rows
    near = sum(row.quality[board.headline].among_best for row in others)
    assert said.endswith(f"{near} of {len(others)} other rows are not distinguishable from the best, {first.label}")


def test_the_answers_of_boards_are_counted_as_their_statements_say(board: Board) -> None:
    boards = [("a", _turned(board, "better")), ("b", _turned(board, "worse")), ("c", _turned(board, "not settled"))]
    figure = answers(boards)
    assert figure is not None
    assert _title(figure).endswith("is better than the best classical one on a; worse on b; not settled on c")
    many = [(f"{name}{at}", one) for name, one in boards for at in range(4)]
    figure = answers(many)
    assert figure is not None and _title(figure).count("4 of 12 boards") == 3
    left, right = figure.axes
    assert left.get_xlim() == right.get_xlim(), "one scale"
    for axes, metric in zip(figure.axes, board.headlines, strict=True):
        found = answer(board, metric)
        assert found is not None
        ends = (found.pair.difference.low, found.pair.difference.high)
        assert sum(tuple(line.get_xdata()) == ends for line in axes.lines) == len(many)
        colours = {line.get_color() for line in axes.lines if tuple(line.get_xdata()) == ends}
        assert colours == {style.COLOURS["generative"], style.COLOURS["classical"], "black"}


def test_no_answer_is_no_picture(board: Board) -> None:
    alone = dataclasses.replace(board, statements=tuple(one for one in board.statements if not isinstance(one, Families)))
    assert answers([("a", alone)]) is None


def test_slices_are_counted_by_verdict(board: Board) -> None:
    figure = slices(board, board.headline)
    assert figure is not None
    parts = [part for part in board.parts if part.metric == board.headline and part.n and part.trusted]
    said = _title(figure)
    for word in WORDS:
        count = sum(part.pairs[0].verdict == word for part in parts)
        assert (word in said.replace("better or worse", "")) == (count > 0), word
        if count > titles.NAMED:
            assert f"{count} of {len(parts)} slices" in said or f"of the {count} slices" in said


def test_the_cheapest_of_a_cost_figure_may_be_the_best(board: Board) -> None:
    said = cost.title(board, cost.FLOPS)
    tied = [row for row in cost.FLOPS.drawn(board) if row.quality[board.headline].among_best]
    least = min(row.flops_per_example for row in tied)
    assert all((row.label in re.split(r"[ ,:]+", said)) == (row.flops_per_example == least) for row in tied)
    alone = dataclasses.replace(board, rows=tuple(row for row in board.rows if row is tied[0] or row not in tied))
    said = cost.title(alone, cost.FLOPS)
    assert f"{tied[0].label} is the only row here that may be the best" in said and "least" not in said, (
        "it was compared with none"
    )


def _rungs(verdicts: Sequence[Verdict]) -> list[Rung]:
    mark, apart = Mark(0, 0.7, 0.6, 0.8), Estimate(0.0, -0.1, 0.1)
    return [
        Rung("base", "generative", mark),
        *(Rung(f"v{at}", "generative", mark, apart, word) for at, word in enumerate(verdicts)),
    ]


def test_a_ladder_names_few_variants_and_counts_many() -> None:
    few = ladder("about", "auc", ("a variant", "the base"), {"": _rungs(["better", "worse", "not settled"])})
    assert _title(few) == "By AUC, a variant is better than the base for v0; worse for v1; not settled for v2"
    many = ladder("about", "auc", ("a variant", "the base"), {"hstu": _rungs(["not settled"] * 5)})
    assert _title(many) == "By AUC, whether a variant is better or worse than the base is not settled for any of the 5 cases"
    single = ladder("about", "auc", ("a variant", "the base"), {"din": _rungs(["equivalent"]), "hstu": _rungs(["worse"])})
    assert _title(single) == "By AUC, a variant is worse than the base for hstu; equivalent for din"


def test_a_slope_whose_interval_holds_zero_is_not_said_to_fall() -> None:
    def curve(name: str, slope: Estimate | None) -> Curve:
        trend = Trend(name, "logloss", "layers", "law", "", 1.0, 8.0, slope, "log-linear", (), None, None, (), None)
        none = np.zeros(0)
        return Curve(name, "generative", none, none, none, none, trend, None)

    curves = (
        curve("hstu", Estimate(-0.01, -0.02, -0.005)),
        curve("din", Estimate(-0.01, -0.02, 0.005)),
        curve("lr", Estimate(0.01, 0.002, 0.02)),
        curve("fm", None),
    )
    said = of_scaling([Panel("depth", "layers", curves)])
    assert (
        said
        == "Logloss falls with layers for hstu; it rises with layers for lr; it is not shown to move with layers for din and fm"
    )
