"""Boards keep configurations apart, work where GAUC does not exist, and say what limits them."""

import dataclasses
from pathlib import Path

import pandas as pd
import pytest

from rankbench.bench.config import Tuning
from rankbench.bench.errors import UserError
from rankbench.bench.evaluation import scores
from rankbench.bench.records.store import Store
from rankbench.bench.records.view import View
from rankbench.bench.reporting import leaderboard, tables
from rankbench.bench.reporting.leaderboard import Board
from rankbench.bench.reporting.plots.quality import intervals
from support.records import predictions, record

TUNING = Tuning("din sweep", trials=15, seconds=9.0, metric="auc", value=0.6, cut=False)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path)


def _put(store: Store, model: str, frame: pd.DataFrame, seed: int = 0, family: str = "classical", **changes) -> None:
    config_hash = changes.pop("config_hash", "0123456789ab")
    made = record(model, frame, seed, family, **changes)
    store.write(dataclasses.replace(made, identity=dataclasses.replace(made.identity, config_hash=config_hash)), frame)


def _build(store: Store, draws: int = 200) -> Board:
    return leaderboard.build(View.of(store, "toy", "global-time"))


def _one_per_user(skill: float) -> pd.DataFrame:
    return predictions(skill).groupby("user").head(1).reset_index(drop=True)


def test_two_configurations_with_one_label_are_two_rows(store: Store) -> None:
    _put(store, "din", predictions(1.0), config_hash="aa" * 6)
    _put(store, "din", predictions(0.5), config_hash="bb" * 6)
    board = _build(store)
    assert [(row.label, row.seeds) for row in board.rows] == [("din #aaaaaaaaaaaa", (0,)), ("din #bbbbbbbbbbbb", (0,))]


def test_without_gauc_the_board_is_by_auc(store: Store) -> None:
    for model, family, skill in (("din", "classical", 2.0), ("dnn", "classical", 0.3), ("ctr", "floor", 0.1)):
        _put(store, model, _one_per_user(skill), family=family)
    board = _build(store)
    assert board.headline == "auc" and board.gauc_users == 0
    assert board.rows[0].label == "din"
    assert board.rows[0].tied and not board.rows[2].tied
    assert any("ordered and compared by AUC" in line for line in board.statements)
    assert not any("GAUC difference" in line for line in board.statements)
    assert intervals(board).axes[0].get_xlabel() == "test AUC (higher is better)"


def test_live_histories_are_compared_by_auc_and_the_board_says_why(store: Store) -> None:
    """The better GAUC is the worse AUC; which of them decides depends on what test examples see."""
    shifted = predictions(1.0)
    shifted["score"] = scores.rounded(0.01 * shifted["score"] + 0.019 * (shifted["user"] % 50))
    live = {**record("dnn", shifted).config}
    live["data"] = {**live["data"], "test_history": "live"}
    for model, family, frame in (("dnn", "classical", shifted), ("own-rate", "floor", predictions(0.3))):
        _put(store, model, frame, family=family)
    frozen = _build(store)
    assert (frozen.headline, frozen.rows[0].label) == ("gauc", "dnn")
    assert not any("Histories are live" in line for line in frozen.statements)
    for model, family, frame in (("dnn", "classical", shifted), ("own-rate", "floor", predictions(0.3))):
        _put(store, model, frame, family=family, config=live)
    board = _build(store)
    assert (board.headline, board.rows[0].label) == ("auc", "own-rate")
    assert any("Histories are live" in line for line in board.statements)
    assert any(f"GAUC {board.rows[0].gauc.point:.4f}" in line for line in board.statements)
    other = leaderboard.by_metric(board, "gauc")
    assert [(row.label, row.tied) for row in other.rows] == [(row.label, row.tied) for row in frozen.rows]


def test_a_model_between_the_floors_of_two_metrics_is_named_for_one(store: Store) -> None:
    """Scores that order all rows but shift by user: a better GAUC than AUC."""
    shifted = predictions(1.0)
    shifted["score"] = scores.rounded(0.01 * shifted["score"] + 0.019 * (shifted["user"] % 50))
    _put(store, "dnn", shifted)
    _put(store, "ctr", predictions(0.3), family="floor")
    lines = [line for line in _build(store).statements if "NOT above" in line]
    assert len(lines) == 1
    assert lines[0].startswith("dnn is NOT above the best floor, ctr: AUC difference -")


def test_a_board_without_floors_says_so(store: Store) -> None:
    _put(store, "din", predictions(1.0))
    assert any(line.startswith("No floor was run") for line in _build(store).statements)


def test_hstu_minus_din_has_its_sign_and_compares_like_with_like(store: Store) -> None:
    changed = {"changed": {"train.lr": 0.01}, "config_hash": "cd" * 6}
    _put(store, "din", predictions(1.0))
    _put(store, "hstu", predictions(0.6), family="generative")
    _put(store, "din", predictions(0.2), **changed)
    _put(store, "hstu", predictions(1.2), family="generative", **changed)
    lines = [line for line in _build(store).statements if " minus " in line]
    assert len(lines) == 2
    assert lines[0].startswith("GAUC of hstu [train.lr=0.01] minus din [train.lr=0.01]: +")
    assert lines[1].startswith("GAUC of hstu minus din: -") and lines[1].endswith("which leaves out zero.")


def test_a_tuned_din_stands_beside_hstu_without_a_tuned_row_and_the_board_says_so(store: Store) -> None:
    """Where a search found nothing better than HSTU's defaults, its tuned row is its row of defaults."""
    _put(store, "din", predictions(1.0))
    _put(store, "hstu", predictions(0.6), family="generative")
    _put(store, "din", predictions(1.2), config_hash="cd" * 6, changed={"train.lr": 0.01}, tuning=TUNING)
    lines = [line for line in _build(store).statements if " minus " in line]
    assert len(lines) == 2
    assert lines[0].startswith("GAUC of hstu minus din: -") and lines[0].endswith("which leaves out zero.")
    assert lines[1].startswith("GAUC of hstu minus din (tuned): -") and lines[1].endswith("; hstu has no tuned row here.")


def test_the_interval_of_a_pair_is_that_of_the_bootstrap(store: Store) -> None:
    """With two rows the board's own difference to the best is the pair's: the sentence must give the same numbers."""
    _put(store, "din", predictions(1.0))
    _put(store, "hstu", predictions(0.9), family="generative")
    board = _build(store)
    found = board.rows[1].gauc
    numbers = f"{found.difference:+.4f}, 95% interval [{found.difference_low:+.4f}, {found.difference_high:+.4f}]"
    assert board.rows[1].label == "hstu"
    assert any(numbers in line for line in board.statements)


def test_metrics_that_are_not_of_these_predictions_are_refused(store: Store) -> None:
    made = record("din", predictions(1.0))
    store.write(made, predictions(0.9))
    with pytest.raises(UserError, match=r"din: \w+ is 0\.\d+ by its records and 0\.\d+ by its predictions"):
        _build(store)


def test_rows_with_other_numbers_of_seeds_are_counted(store: Store) -> None:
    for model, seed in (("din", 0), ("din", 1), ("hstu", 0)):
        _put(store, model, predictions(1.0), seed)
    board = _build(store)
    assert "1 to 2 seed(s)" in tables.brief(board)
    assert any(line.startswith("Rows differ in their number of seeds (1 to 2): ") for line in board.statements)


def test_what_makes_numbers_incomparable_is_said(store: Store) -> None:
    frame = predictions(1.0)
    plain = record("din", frame)
    assert plain.cost is not None
    elsewhere = dataclasses.replace(plain.environment, accelerator="H100", git_commit="ab" * 20, git_dirty=True)
    _put(store, "din", frame, cost=dataclasses.replace(plain.cost, load_average=7.5))
    _put(store, "dnn", frame, environment=elsewhere, device="cuda:0")
    text = " ".join(_build(store).statements)
    for part in (
        "come from cpu (cpu, 2 threads); cuda:0 (H100, 2 threads)",
        "1 of 2 runs began on a machine with more work than cores",
        "different versions of the code: abababababababababab, an installed package",
        "uncommitted changes",
        "One seed, so that training noise is not measured: all rows.",
    ):
        assert part in text


def test_a_quiet_uniform_board_says_none_of_it(store: Store) -> None:
    for seed in (0, 1):
        _put(store, "din", predictions(1.0, seed), seed)
        _put(store, "ctr", predictions(0.2, seed), seed, family="floor")
    assert list(_build(store).statements) == ["din is the best by GAUC; the intervals of all differences to it leave out zero."]


def test_the_bayes_auc_of_simulated_data_is_named(store: Store) -> None:
    made = record("din", predictions(1.0))
    store.write(dataclasses.replace(made, data=dataclasses.replace(made.data, bayes_auc=0.8125)), predictions(1.0))
    assert any(line.endswith("is 0.8125.") for line in _build(store).statements)


def test_a_gauc_of_zero_is_a_number(store: Store) -> None:
    frame = predictions(1.0)
    frame["score"] = scores.rounded(0.9 - 0.8 * frame["label"])
    _put(store, "din", frame)
    assert _build(store).rows[0].gauc_seeds == (0.0,)
