"""A board's line in the summary is what it states, and boards stand in the order of the weight of their evidence."""

from __future__ import annotations

import dataclasses
import random

import pytest

from rankbench.bench.analysis.leaderboard import Board
from rankbench.bench.analysis.statements import Costs, Families, of_kind
from rankbench.bench.analysis.summary import answer, weight
from support.pages import made_board


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Board:
    return made_board(tmp_path_factory.mktemp("results"))


def _tuned(board: Board, *labels: str) -> Board:
    return dataclasses.replace(
        board, rows=tuple(dataclasses.replace(row, tuned=True) if row.label in labels else row for row in board.rows)
    )


def _wider(board: Board) -> Board:
    def stretch(one: Families) -> Families:
        apart = dataclasses.replace(one.pair.difference, high=one.pair.difference.high + 0.01)
        return dataclasses.replace(one, pair=dataclasses.replace(one.pair, difference=apart))

    statements = tuple(stretch(one) if isinstance(one, Families) else one for one in board.statements)
    return dataclasses.replace(board, statements=statements)


def _of_one_family(board: Board) -> Board:
    return dataclasses.replace(board, statements=tuple(one for one in board.statements if not isinstance(one, Families)))


def test_an_answer_is_the_statement_of_its_metric_with_costs_of_the_same_rows(board: Board) -> None:
    (costs,) = of_kind(board.statements, Costs)
    for one in of_kind(board.statements, Families):
        found = answer(board, one.pair.metric)
        assert found is not None and found.pair is one.pair and found.costs is costs
        assert (costs.generative.label, costs.classical.label) == (one.pair.one, one.pair.other)
    others = dataclasses.replace(costs, classical=dataclasses.replace(costs.classical, label="dnn"))
    statements = tuple(others if one is costs else one for one in board.statements)
    found = answer(dataclasses.replace(board, statements=statements), "auc")
    assert found is not None and found.costs is None, "costs of other rows are not this answer's"


def test_tuned_counts_the_rows_of_the_answer_alone(board: Board) -> None:
    for labels, said in (((), "no"), (("dnn",), "no"), (("hstu",), "one"), (("hstu", "din"), "both")):
        found = answer(_tuned(board, *labels), "auc")
        assert found is not None and found.tuned == said


def test_weightier_boards_come_first(board: Board) -> None:
    order = [_tuned(board, "hstu", "din"), _tuned(_wider(board), "hstu", "din"), _tuned(board, "hstu"), board, _wider(board)]
    order.append(_of_one_family(board))
    shuffled = random.Random(0).sample(order, len(order))
    assert sorted(shuffled, key=weight) == order
