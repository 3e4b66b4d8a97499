"""Boards keep configurations apart, work where no request can be ranked, and say what limits them."""

import dataclasses
import math
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


<<<<<<< HEAD
def _build(store: Store, draws: int = 200) -> Board:
    return leaderboard.build(View.of(store, "toy", "global-time"))
=======
def _twice(store: Store, model: str, skill: float, family: str = "classical", **changes) -> None:
    """Two seeds, so that the noise of training is known."""
    for seed in (0, 1):
        _put(store, model, predictions(skill, seed), seed, family, **changes)
>>>>>>> stats


def _shifted(seed: int) -> pd.DataFrame:
    """Scores that order the rows of a user but not those of all: better within requests than by AUC."""
    frame = predictions(1.0, seed)
    return frame.assign(score=scores.rounded(0.01 * frame["score"] + 0.019 * (frame["user"] % 50)))


def _build(store: Store) -> Board:
    return leaderboard.build(store, "toy", "global-time")


def _one_per_request(skill: float, seed: int) -> pd.DataFrame:
    frame = predictions(skill, seed)
    return frame.assign(request=frame["example"])


def test_two_configurations_with_one_label_are_two_rows(store: Store) -> None:
    _put(store, "din", predictions(1.0), config_hash="aa" * 6)
    _put(store, "din", predictions(0.5), config_hash="bb" * 6)
    board = _build(store)
    assert [(row.label, row.seeds) for row in board.rows] == [("din #aaaaaaaaaaaa", (0,)), ("din #bbbbbbbbbbbb", (0,))]


def test_without_requests_of_both_labels_the_board_is_by_auc(store: Store) -> None:
    for model, family, skill in (("din", "classical", 2.0), ("dnn", "classical", 0.3), ("ctr", "floor", 0.1)):
        for seed in (0, 1):
            _put(store, model, _one_per_request(skill, seed), seed, family=family)
    board = _build(store)
    assert board.headline == "auc" and board.request_groups == 0
    assert board.rows[0].label == "din"
    assert board.rows[0].tied and not board.rows[2].tied
    assert any("ordered and compared by AUC" in line for line in board.statements)
    assert not any("request GAUC" in line for line in board.statements)
    assert intervals(board).axes[0].get_xlabel() == "test AUC (higher is better)"


def test_a_board_whose_two_measures_disagree_says_so(store: Store) -> None:
    for seed in (0, 1):
        _put(store, "dnn", _shifted(seed), seed)
    _twice(store, "own-rate", 0.3, "floor")
    board = _build(store)
    assert (board.headline, board.rows[0].label) == ("request_gauc", "dnn")
    assert "Within a request dnn is first, over all pairs of examples (AUC) own-rate." in board.statements
    other = leaderboard.by_metric(board, "auc")
    assert [(row.label, row.tied) for row in other.rows] == [("own-rate", True), ("dnn", False)]


def test_a_model_between_the_floors_of_two_metrics_is_named_for_one(store: Store) -> None:
    for seed in (0, 1):
        _put(store, "dnn", _shifted(seed), seed)
    _twice(store, "ctr", 0.3, "floor")
    lines = [line for line in _build(store).statements if "NOT above" in line]
    assert len(lines) == 1
    assert lines[0].startswith("dnn is NOT above the best floor, ctr: AUC difference -")


def test_a_board_says_what_it_could_have_shown(store: Store) -> None:
    _twice(store, "din", 1.0)
    _twice(store, "dnn", 0.9)
    board = _build(store)
    found = board.resolution["request_gauc"]
    assert 0 < found.half_width < found.detectable < 0.2
    assert any(f"two typical rows can show here is {found.half_width:.4f}" in line for line in board.statements)


def test_parts_of_the_test_have_intervals(store: Store) -> None:
    _twice(store, "din", 1.0)
    _twice(store, "dnn", 0.5)
    row = _build(store).rows[0]
    assert {name: part.n for name, part in row.slices.items() if name.startswith("user_gap")} == {
        "user_gap: none": 1200, "user_gap: 0-6": 210, "user_gap: 7-29": 690, "user_gap: 30-179": 300, "user_gap: 180+": 0,
    }  # fmt: skip
    for part in row.slices.values():
        for found in (part.request_gauc, part.auc):
            assert math.isnan(found.low) if not part.n else found.low < found.value < found.high


def test_a_board_without_floors_says_so(store: Store) -> None:
    _put(store, "din", predictions(1.0))
    assert any(line.startswith("No floor was run") for line in _build(store).statements)


def test_hstu_minus_din_has_its_sign_and_compares_like_with_like(store: Store) -> None:
    changed = {"changed": {"train.lr": 0.01}, "config_hash": "cd" * 6}
    _twice(store, "din", 1.0)
    _twice(store, "hstu", 0.6, "generative")
    _twice(store, "din", 0.2, **changed)
    _twice(store, "hstu", 1.2, "generative", **changed)
    lines = [line for line in _build(store).statements if " minus " in line]
    assert len(lines) == 2
    assert lines[0].startswith("request GAUC of hstu [train.lr=0.01] minus din [train.lr=0.01]: +")
    assert lines[1].startswith("request GAUC of hstu minus din: -") and lines[1].endswith("which leaves out zero.")


def test_a_tuned_din_stands_beside_hstu_without_a_tuned_row_and_the_board_says_so(store: Store) -> None:
    """Where a search found nothing better than HSTU's defaults, its tuned row is its row of defaults."""
    _twice(store, "din", 1.0)
    _twice(store, "hstu", 0.6, "generative")
    _twice(store, "din", 1.2, config_hash="cd" * 6, changed={"train.lr": 0.01}, tuning=TUNING)
    lines = [line for line in _build(store).statements if " minus " in line]
    assert len(lines) == 2
    assert lines[0].startswith("request GAUC of hstu minus din: -") and lines[0].endswith("which leaves out zero.")
    assert lines[1].startswith("request GAUC of hstu minus din (tuned): -") and lines[1].endswith("; hstu has no tuned row here.")


def test_the_interval_of_a_pair_is_that_of_the_board(store: Store) -> None:
    """With two rows the board's own difference to the best is the pair's: the sentence must give the same numbers."""
    _twice(store, "din", 1.0)
    _twice(store, "hstu", 0.9, "generative")
    board = _build(store)
    found = board.rows[1].request_gauc
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
    first, second = _build(store).statements
    assert first == "din is the best by request GAUC: no other row may be, at 95% confidence."
    assert second.startswith("The smallest difference in request GAUC that two typical rows can show here is ")


def test_the_bayes_auc_of_simulated_data_is_named(store: Store) -> None:
    made = record("din", predictions(1.0))
    store.write(dataclasses.replace(made, data=dataclasses.replace(made.data, bayes_auc=0.8125)), predictions(1.0))
    assert any(line.endswith("is 0.8125.") for line in _build(store).statements)


def test_a_metric_of_zero_is_a_number(store: Store) -> None:
    frame = predictions(1.0)
    frame["score"] = scores.rounded(0.9 - 0.8 * frame["label"])
    _put(store, "din", frame)
    assert _build(store).rows[0].request_gauc_seeds == (0.0,)
