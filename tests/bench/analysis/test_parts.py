"""Slices partition the test, have intervals where enough users are in them, and say so where not."""

from __future__ import annotations

import pytest

from rankbench.bench.analysis import leaderboard
from rankbench.bench.analysis.leaderboard import Board
from rankbench.bench.analysis.parts import SliceOfTest
from rankbench.bench.evaluation import metrics
from rankbench.bench.evaluation.stats import LARGEST
from rankbench.bench.records.store import Store
from rankbench.bench.records.view import View
from rankbench.bench.reporting import board_files
from support.records import predictions, record


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Board:
    store = Store(tmp_path_factory.mktemp("results"))
    for model, family, skill in (("hstu", "generative", 0.6), ("din", "classical", 1.2), ("ctr", "floor", 0.1)):
        for seed in range(3):
            frame = predictions(skill, seed)
            store.write(record(model, frame, seed, family), frame)
    (group,) = View.of(store).groups()
    return leaderboard.build(group)


def found(board: Board, name: str, metric: str = "auc") -> SliceOfTest:
    return next(part for part in board.parts if (part.name, part.metric) == (name, metric))


def test_the_slices_of_a_kind_hold_every_example_once(board: Board) -> None:
    for metric in ("request_gauc", "auc"):
        for kind in ("user_events", "user_gap", "item_events"):
            own = [part for part in board.parts if part.metric == metric and part.name.startswith(f"{kind}:")]
            assert sum(part.n for part in own) == board.facts.examples["test"] == 2400, (metric, kind)


def test_values_are_those_of_the_slice_alone(board: Board) -> None:
    part = found(board, "user_events: 0")
    values = []
    for seed in range(3):
        frame = predictions(1.2, seed)
        own = frame[frame["user_events"] == 0]
        values.append(metrics.auc(own["label"].to_numpy(), own["score"].to_numpy()))
    assert part.values["din"].value == pytest.approx(sum(values) / 3)
    assert part.n == 1200 and part.users == 40
    assert part.values["din"].low < part.values["din"].value < part.values["din"].high


def test_the_best_rows_of_both_families_are_compared_with_a_verdict(board: Board) -> None:
    part = found(board, "user_events: 0", "request_gauc")
    assert [(pair.one, pair.other, pair.verdict, pair.at_once) for pair in part.pairs] == [("hstu", "din", "worse", 1)]
    assert all(pair.basis == "post hoc" for one in board.parts for pair in one.pairs)


def test_few_users_say_nothing_but_that(board: Board) -> None:
    part = found(board, "user_gap: 0-6")
    assert not part.trusted and part.users < 10
    (pair,) = part.pairs
    assert pair.verdict == "not settled"
    assert pair.difference.high - pair.difference.low == pytest.approx(2 * LARGEST["auc"])
    (line,) = (line for line in board_files.parts(board, "auc") if line[0] == "user_gap: 0-6")
    assert line[-1] == "fewer than 10 users" and "[" not in "".join(line), "no interval is shown"


def test_an_empty_slice_has_no_values_and_no_line(board: Board) -> None:
    part = found(board, "user_gap: 180+")
    assert (part.n, part.users, part.values, part.pairs) == (0, 0, {}, ())
    assert "user_gap: 180+" not in {line[0] for line in board_files.parts(board, "auc")}
    header = board_files.parts(board, "auc")[0]
    assert header == ["slice", "examples", "users", "hstu", "din", "ctr", "hstu minus din"]


def test_slices_by_item_are_over_items_too_where_single_examples_are_compared(board: Board) -> None:
    for name in ("item_events: 0", "item_events: 1-9", "item_events: 10-99", "item_events: 100+"):
        assert found(board, name, "request_gauc").items is None
        if (part := found(board, name)).n:
            assert part.items is not None and part.items > 0, name
    assert all(part.items is None for part in board.parts if not part.name.startswith("item_events"))
