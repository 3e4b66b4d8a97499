"""Boards keep configurations apart, give a verdict by both headlines, and say as values what limits them."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from rankbench.bench.analysis import leaderboard
from rankbench.bench.analysis.leaderboard import Board, Failure
from rankbench.bench.analysis.statements import (
    AgainstFloor,
    AucPairs,
    Best,
    Costs,
    CutWinners,
    Differs,
    Disagreement,
    Families,
    Headline,
    Loaded,
    Machine,
    Machines,
    Mismatch,
    MissingFamily,
    NoFloor,
    Pair,
    Reachable,
    SeedCounts,
    SingleSeeds,
    Smallest,
    Uncommitted,
    Unlearnt,
    Untuned,
    of_kind,
)
from rankbench.bench.config import Tuning
from rankbench.bench.errors import UserError
from rankbench.bench.evaluation import scores
from rankbench.bench.evaluation.stats import LEAST_USERS, compare
from rankbench.bench.records.schema import CurvePoint
from rankbench.bench.records.store import Store
from rankbench.bench.records.view import View
from rankbench.bench.reporting import board_files
from support.records import predictions, record

TUNING = Tuning("din sweep", trials=15, seconds=9.0, metric="auc", value=0.6, cut=True)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path)


def put(store: Store, model: str, frame: pd.DataFrame, seed: int = 0, family: str = "classical", **changes: Any) -> None:
    config_hash = changes.pop("config_hash", "0123456789ab")
    made = record(model, frame, seed, family, **changes)
    store.write(dataclasses.replace(made, identity=dataclasses.replace(made.identity, config_hash=config_hash)), frame)


def seeds(store: Store, model: str, skill: float, family: str = "classical", count: int = 3, **changes: Any) -> None:
    """Runs whose seeds differ by chance alone."""
    for seed in range(count):
        put(store, model, predictions(skill, seed), seed, family, **changes)


def build(store: Store) -> Board:
    (group,) = View.of(store).groups()
    return leaderboard.build(group)


def answers(board: Board) -> dict[str, Families]:
    return {one.pair.metric: one for one in of_kind(board.statements, Families)}


def shifted(skill: float, seed: int, by: str) -> pd.DataFrame:
    """Scores whose order within `by` is kept, and whose order between these is chance."""
    frame = predictions(skill, seed)
    level = frame[by].to_numpy() * 7919 % 97 / 97
    frame["score"] = scores.rounded(0.02 * frame["score"].to_numpy() + 0.95 * level + 0.01)
    return frame


def test_two_configurations_with_one_label_are_two_rows(store: Store) -> None:
    put(store, "din", predictions(1.0), config_hash="aa" * 6)
    put(store, "din", predictions(0.5), config_hash="bb" * 6)
    assert [(row.label, row.seeds) for row in build(store).rows] == [("din #aaaaaaaaaaaa", (0,)), ("din #bbbbbbbbbbbb", (0,))]


def test_the_better_family_is_named_by_both_headlines(store: Store) -> None:
    seeds(store, "hstu", 1.0, "generative")
    seeds(store, "sasrec", 0.6, "generative")
    seeds(store, "din", 0.5)
    seeds(store, "ctr", 0.1, "floor")
    board = build(store)
    found = answers(board)
    assert board.headlines == ("request_gauc", "auc") and list(found) == ["request_gauc", "auc"]
    for metric, answer in found.items():
        assert (answer.pair.one, answer.pair.other, answer.pair.verdict, answer.floor) == ("hstu", "din", "better", None)
        assert answer.pair.basis == "post hoc" and answer.pair.at_once == 6, "chosen by the same numbers, among all pairs of rows"
        assert answer.pair.difference.low > 0
        row = board.rows[0].quality[metric]  # type: ignore[index]
        assert row.point - board.best("classical").quality[metric].point == pytest.approx(answer.pair.difference.value, abs=1e-9)  # type: ignore
    assert not of_kind(board.statements, Disagreement) and not of_kind(board.statements, MissingFamily)
    assert [one.others for one in of_kind(board.statements, Best)] == [(), ()]


def test_the_best_unified_row_is_held_against_the_best_of_both_families(store: Store) -> None:
    """It is none of the two that the board's question is about."""
    for model, skill, family in (("onetrans", 1.4, "unified"), ("hstu", 1.0, "generative"), ("din", 0.5, "classical")):
        seeds(store, model, skill, family)
    board = build(store)
    found = [pair for pair in of_kind(board.statements, Pair) if pair.one == "onetrans"]
    assert [(pair.metric, pair.other) for pair in found] == [
        (metric, other) for metric in ("request_gauc", "auc") for other in ("din", "hstu")
    ]
    assert all((pair.basis, pair.verdict) == ("post hoc", "better") for pair in found)
    assert {(answer.pair.one, answer.pair.other) for answer in answers(board).values()} == {("hstu", "din")}


def test_where_the_headlines_disagree_that_is_said_first(store: Store) -> None:
    """Right within a request and by chance between requests, against the reverse."""
    for seed in range(3):
        put(store, "hstu", shifted(2.0, seed, "request"), seed, "generative")
    seeds(store, "din", 0.7)
    board = build(store)
    first = board.statements[0]
    assert isinstance(first, Disagreement)
    assert (first.first.metric, first.first.verdict) == ("request_gauc", "better")
    assert (first.second.metric, first.second.verdict) == ("auc", "worse")
    assert board.headline == "request_gauc" and board.rows[0].label == "hstu"
    other = board.by("auc")
    assert other.rows[0].label == "din" and other.statements == board.statements


def test_alike_is_not_settled_and_within_the_margin_is_equivalent(store: Store) -> None:
    def put_all(margins: dict[str, float]) -> Board:
        for model, family in (("hstu", "generative"), ("din", "classical")):
            for seed in range(3):
                frame = predictions(1.0 if model == "hstu" else 1.001, seed)
                made = record(model, frame, seed, family)
                store.write(dataclasses.replace(made, data=dataclasses.replace(made.data, margin=margins[model])), frame)
        return build(store)

    board = put_all({"hstu": 0.002, "din": 0.2})
    assert board.margin == 0.002, "of several margins the smallest"
    assert {answer.pair.verdict for answer in answers(board).values()} == {"not settled"}
    board = put_all({"hstu": 0.2, "din": 0.2})
    assert {answer.pair.verdict for answer in answers(board).values()} == {"equivalent"}


def test_too_few_users_with_requests_of_both_labels_leave_auc(store: Store) -> None:
    """One example per request, but for the first users."""
    for model, family, skill in (("din", "classical", 2.0), ("dnn", "classical", 0.3), ("ctr", "floor", 0.1)):
        for seed in range(2):
            frame = predictions(skill, seed)
            frame["request"] = frame["example"] + 1000
            own = frame["user"] < LEAST_USERS - 1
            frame.loc[own, "request"] = frame.loc[own, "user"]
            put(store, model, frame, seed, family)
    board = build(store)
    (why,) = of_kind(board.statements, Headline)
    assert (why.metric, why.users, why.requests, why.rows, why.test_rows) == ("auc", 9, 9, 270, 2400)
    assert board.headline == "auc" and board.headlines == ("auc",) and board.rows[0].label == "din"
    assert {part.metric for part in board.parts} == {"auc"}
    assert board_files.main_table(board)[0][3] == "AUC"


def test_no_request_with_both_labels_is_no_number(store: Store) -> None:
    for model in ("din", "hstu"):
        frame = predictions(1.0)
        frame["request"] = frame["example"]
        put(store, model, frame)
    board = build(store)
    assert board.headline == "auc" and board.request_groups == 0
    assert board_files.from_json(board_files.to_json(board), "here").rows[0].means["request_mrr"] is None
    assert "| - |" in board_files.to_markdown(board)


def test_the_share_of_pairs_within_a_user_is_that_of_the_metrics(store: Store) -> None:
    frame = predictions(1.0)
    put(store, "din", frame)
    (pairs,) = of_kind(build(store).statements, AucPairs)
    positives, negatives = (frame["user"][frame["label"] == label].value_counts() for label in (1, 0))
    within = (positives * negatives).sum() / (positives.sum() * negatives.sum())
    assert pairs.within_user == pytest.approx(within, abs=1e-9) and 0 < pairs.within_request < pairs.within_user


def test_one_statement_a_metric_says_who_is_better_than_the_best_floor_and_who_is_not(store: Store) -> None:
    seeds(store, "ctr", 0.3, "floor")
    seeds(store, "random", 0.0, "floor")
    seeds(store, "dnn", 0.2)
    seeds(store, "din", 0.9)
    found = of_kind(build(store).statements, AgainstFloor)
    assert [one.metric for one in found] == ["request_gauc", "auc"]
    for one in found:
        assert one.floor == "ctr" and [(pair.one, pair.other) for pair in one.pairs] == [("din", "ctr"), ("dnn", "ctr")]
        assert (one.of("better"), one.of("worse"), one.of("not settled")) == (("din",), ("dnn",), ())
    assert not of_kind(build(store).statements, NoFloor)


def test_a_floor_above_both_families_is_said_with_the_answer(store: Store) -> None:
    seeds(store, "ctr", 0.9, "floor")
    seeds(store, "hstu", 0.4, "generative")
    seeds(store, "din", 0.5)
    assert {answer.floor for answer in answers(build(store)).values()} == {"ctr"}


def test_a_board_of_one_family_says_what_is_missing(store: Store) -> None:
    put(store, "din", predictions(1.0))
    board = build(store)
    assert of_kind(board.statements, MissingFamily) == [MissingFamily("generative")]
    assert of_kind(board.statements, NoFloor) and of_kind(board.statements, Untuned)
    assert not of_kind(board.statements, Smallest), "nothing is compared"


def test_hstu_and_din_are_compared_with_the_same_changes(store: Store) -> None:
    changed = {"changed": {"train.lr": 0.01}, "config_hash": "cd" * 6}
    seeds(store, "din", 1.0, count=2)
    seeds(store, "hstu", 0.6, "generative", 2)
    seeds(store, "din", 0.2, count=2, **changed)
    seeds(store, "hstu", 0.5, "generative", 2, **changed)
    board = build(store)
    assert {row.label: row.changes for row in board.rows}["din [train.lr=0.01]"] == {"train.lr": 0.01}
    pairs = [(pair.one, pair.other, pair.verdict) for pair in of_kind(board.statements, Pair)]
    assert pairs == [("hstu [train.lr=0.01]", "din [train.lr=0.01]", "better")] * 2, "the best rows of both are the answer"


def test_a_tuned_din_stands_beside_hstu_without_a_tuned_row_and_the_board_says_so(store: Store) -> None:
    """Where a search found nothing better than HSTU's defaults, its tuned row is its row of defaults."""
    seeds(store, "din", 1.0, count=2)
    seeds(store, "hstu", 0.6, "generative", 2)
    seeds(store, "sasrec", 0.7, "generative", 2)
    seeds(store, "din", 1.2, count=2, config_hash="cd" * 6, changed={"train.lr": 0.01}, tuning=TUNING)
    board = build(store)
    assert [(row.model, row.tuned) for row in board.rows][:2] == [("din", True), ("din", False)]
    pairs = {(pair.one, pair.other): pair.untuned for pair in of_kind(board.statements, Pair) if pair.metric == "auc"}
    assert pairs == {("hstu", "din"): (), ("hstu", "din (tuned)"): ("hstu",)}
    assert not of_kind(board.statements, Untuned)
    assert of_kind(board.statements, CutWinners) == [CutWinners(("din (tuned)",))]


def test_a_single_pair_of_rows_has_the_interval_of_a_single_comparison(store: Store) -> None:
    seeds(store, "din", 1.0)
    seeds(store, "hstu", 0.9, "generative")
    board = build(store)
    (group,) = View.of(store).groups()
    found = leaderboard.measure(group, {"hstu": group.records[3:], "din": group.records[:3]})
    alone = compare(found.predictions, "auc").difference("hstu", "din")
    pair = answers(board)["auc"].pair
    assert pair.at_once == 1
    assert (pair.difference.low, pair.difference.high) == (
        pytest.approx(alone.low, abs=1e-9),
        pytest.approx(alone.high, abs=1e-9),
    )


def test_the_smallest_difference_that_could_be_shown_is_that_of_the_comparison(store: Store) -> None:
    seeds(store, "din", 1.0)
    seeds(store, "hstu", 0.9, "generative")
    for one in of_kind(build(store).statements, Smallest):
        assert 0 < one.half_width < one.detectable and one.margin == 0.002
        pair = answers(build(store))[one.metric].pair
        assert one.half_width == pytest.approx((pair.difference.high - pair.difference.low) / 2, abs=1e-9)


def test_metrics_that_are_not_of_these_predictions_are_refused(store: Store) -> None:
    store.write(record("din", predictions(1.0)), predictions(0.9))
    with pytest.raises(UserError, match=r"din: \w+ is 0\.\d+ by its records and 0\.\d+ by its predictions"):
        build(store)


def test_rows_with_other_numbers_of_seeds_are_counted(store: Store) -> None:
    for model, seed in (("din", 0), ("din", 1), ("hstu", 0)):
        put(store, model, predictions(1.0 + 0.01 * seed, seed), seed)
    board = build(store)
    assert "1 to 2 seeds" in board_files.brief(board)
    assert of_kind(board.statements, SeedCounts) == [SeedCounts({row.label: len(row.seeds) for row in board.rows})]
    assert of_kind(board.statements, SingleSeeds) == [SingleSeeds(("hstu",), False)]


@pytest.mark.parametrize(("auc", "counted"), [(0.40, True), (0.54, True), (0.55, False)])
def test_runs_that_ended_before_they_learnt_are_counted(auc: float, counted: bool, store: Store) -> None:
    """Validation has 300 positives and 300 others: a standard error of .0236 where nothing is learnt."""
    for seed, valid_auc in enumerate((auc, 0.7)):
        curve = (CurvePoint(3, 0.7, valid_auc, 0.5, 0.7, 1.0), CurvePoint(4, 0.6, 0.9, 0.9, 0.5, 2.0))
        put(store, "din", predictions(1.0 + 0.01 * seed, seed), seed, curve=curve)
        put(store, "hstu", predictions(1.0 + 0.01 * seed, seed), seed)
    assert of_kind(build(store).statements, Unlearnt) == ([Unlearnt({"din": 1}, {"din": 2})] if counted else [])


def test_what_makes_numbers_incomparable_is_said(store: Store) -> None:
    frame = predictions(1.0)
    plain = record("din", frame)
    assert plain.cost is not None
    elsewhere = dataclasses.replace(
        plain.environment, accelerator="H100", git_commit="ab" * 20, git_dirty=True, code_hash="d" * 64, versions={"torch": "3"}
    )
    put(store, "din", frame, cost=dataclasses.replace(plain.cost, load_average=7.5), kernels={"hstu_attention": "reference"})
    put(store, "dnn", frame, environment=elsewhere, device="cuda:0", kernels={"hstu_attention": "tiled"}, precision="bf16")
    board = build(store)
    assert of_kind(board.statements, Machines) == [Machines((Machine("cpu", "cpu", 2), Machine("cuda:0", "H100", 2)))]
    assert of_kind(board.statements, Loaded) == [Loaded(1, 2)]
    assert of_kind(board.statements, Uncommitted) == [Uncommitted(1)]
    assert of_kind(board.statements, SingleSeeds) == [SingleSeeds(("din", "dnn"), True)]
    assert [(one.what, one.name, one.values) for one in of_kind(board.statements, Differs)] == [
        ("kernel", "hstu_attention", {"reference": ("din",), "tiled": ("dnn",)}),
        ("version", "torch", {"2": ("din",), "3": ("dnn",)}),
        ("code", "", {"d" * 12: ("dnn",), "e" * 12: ("din",)}),
        ("precision", "", {"bf16": ("dnn",), "fp32": ("din",)}),
    ]
    assert {row.label: row.comparable for row in board.rows} == {"din": False, "dnn": True}
    assert {row.label: row.devices for row in board.rows} == {"din": ("cpu",), "dnn": ("cuda:0",)}


def test_a_quiet_uniform_board_says_none_of_it(store: Store) -> None:
    for model, family, skill in (("din", "classical", 1.0), ("hstu", "generative", 0.6), ("ctr", "floor", 0.2)):
        seeds(store, model, skill, family)
    kinds = [type(statement) for statement in build(store).statements]
    each = [Best, Smallest, AgainstFloor]
    assert kinds == [Families, Families, *each, *each, Costs, Headline, AucPairs, Untuned, Mismatch]


def test_the_bayes_auc_of_simulated_data_is_named(store: Store) -> None:
    made = record("din", predictions(1.0))
    store.write(dataclasses.replace(made, data=dataclasses.replace(made.data, bayes_auc=0.8125)), predictions(1.0))
    assert of_kind(build(store).statements, Reachable) == [Reachable(0.8125)]


def test_a_metric_of_zero_is_a_number(store: Store) -> None:
    frame = predictions(1.0)
    frame["score"] = scores.rounded(0.9 - 0.8 * frame["label"])
    put(store, "din", frame)
    assert build(store).rows[0].by_seed["request_gauc"] == (0.0,)


def test_runs_that_failed_or_lost_their_scores_are_listed(store: Store) -> None:
    put(store, "din", predictions(1.0))
    store.write(record("deepfm", None), None)
    put(store, "dnn", predictions(0.5))
    lost = next(one for one in View.of(store).records if one.identity.model == "dnn")
    store.scores_path(lost.identity).unlink()
    board = build(store)
    assert [row.label for row in board.rows] == ["din"]
    assert board.failures == (
        Failure("deepfm", "0123456789ab", 0, "failed", "ValueError: it broke"),
        Failure("dnn", "0123456789ab", 0, "no scores", ""),
    )
