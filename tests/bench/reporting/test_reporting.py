"""Boards are a pure function of records and predictions, order rightly, say what must be said, and refuse mixtures."""

import dataclasses
import json
import re
from pathlib import Path

import pytest
from rich.console import Console

from rankbench.bench.analysis import leaderboard, recompute
from rankbench.bench.analysis.statements import Best, Costs, of_kind
from rankbench.bench.errors import UserError
from rankbench.bench.evaluation import scores
from rankbench.bench.records.store import Store
from rankbench.bench.records.view import View
from rankbench.bench.reporting import board_files
from support.records import predictions, record


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """din and hstu nearly alike, dnn clearly worse, a floor at the bottom; two seeds each."""
    store = Store(tmp_path / "results")
    for model, family, skill in (
        ("din", "classical", 1.0),
        ("hstu", "generative", 1.01),
        ("dnn", "classical", 0.6),
        ("ctr", "floor", 0.2),
    ):
        for seed in (0, 1):
            frame = predictions(skill, seed)
            store.write(record(model, frame, seed, family), frame)
    return store


def test_order_and_who_may_be_the_best(store: Store) -> None:
    board = leaderboard.build(View.of(store, "toy", "global-time"))
    rows = {row.label: row for row in board.rows}
    assert [row.label for row in board.rows][2:] == ["dnn", "ctr"]
    for metric in board.headlines:
        assert [label for label, row in rows.items() if row.quality[metric].among_best] == [row.label for row in board.rows[:2]]
        assert rows["dnn"].quality[metric].difference_high < 0
    assert rows["din"].seeds == (0, 1) and len(rows["din"].by_seed["request_gauc"]) == 2
    assert [len(best.others) for best in of_kind(board.statements, Best)] == [1, 1]


def test_same_files_same_bytes(store: Store, tmp_path: Path) -> None:
    contents = []
    for name in ("one", "two"):
        board = leaderboard.build(View.of(store, "toy", "global-time"))
        paths = board_files.write(board, tmp_path / name)
        assert len(paths) == 4 and all(path.stat().st_size > 500 for path in paths)
        contents.append([path.read_bytes() for path in paths])
    assert contents[0] == contents[1]


def test_tables_hold_every_row_and_the_facts(store: Store) -> None:
    failed = record("deepfm", None)
    store.write(failed, None)
    board = leaderboard.build(View.of(store, "toy", "global-time"))
    markdown = board_files.to_markdown(board)
    for word in (
        "| hstu",
        "| din",
        "| dnn",
        "| ctr",
        "2,400 test examples",
        "0.0% of training events",
        "deepfm/0123456789ab/seed-0: ValueError: it broke",
    ):
        assert word in markdown
    brief = board_files.to_brief(board).splitlines()
    names = [row.label + " =" * (at > 0 and row.quality["request_gauc"].among_best) for at, row in enumerate(board.rows)]
    assert [line.split(" | ")[0] for line in brief if line.startswith("| ")] == [f"| {name}" for name in ("model", *names)]
    assert "| model | family | request GAUC | to the best | AUC | logloss | train s | ms / 100 candidates |" in brief
    assert len(board_files.to_csv(board).splitlines()) == 5
    assert json.loads(board_files.to_json(board))["dataset"] == "toy"
    for width in (80, 300):
        console = Console(width=width, record=True)
        board_files.show(board, console)
        shown = console.export_text()
        assert "hstu" in shown and "GAUC" in shown
        assert all(len(line) <= width for line in shown.splitlines())


def test_other_splits_and_other_information_do_not_mix(store: Store) -> None:
    frame = predictions(1.0)
    other = record("lr", frame)
    for name in ("split_hash", "content_hash"):
        data, identity = (dataclasses.replace(part, **{name: "e" * 64}) for part in (other.data, other.identity))
        changed = dataclasses.replace(other, data=data, identity=identity)
        store.write(changed, frame)
        with pytest.raises(UserError, match=rf"cannot share a board: {name} .*lr/0123456789ab/seed-0"):
            leaderboard.build(View.of(store, "toy", "global-time"))
        assert [len(group.records) for group in View.of(store).groups()] == [8, 1], "each has a board of its own"
        store.record_path(changed.identity).unlink()
    config = {**other.config, "data": {**other.config["data"], "time": "none"}}
    store.write(dataclasses.replace(other, config=config), frame)
    with pytest.raises(UserError, match=r"cannot share a board: data\.time"):
        leaderboard.build(View.of(store, "toy", "global-time"))


def test_predictions_about_other_rows_do_not_mix(store: Store) -> None:
    frame = predictions(1.0)
    frame.loc[3, "item"] += 1
    store.write(record("lr", frame), frame)
    with pytest.raises(UserError, match="not about the same rows"):
        leaderboard.build(View.of(store, "toy", "global-time"))


def test_simulated_devices_never_enter(store: Store) -> None:
    frame = predictions(3.0)
    store.write(record("lr", frame, simulated=True), frame)
    board = leaderboard.build(View.of(store, "toy", "global-time"))
    assert "lr" not in {row.label for row in board.rows}


def test_a_changed_setting_names_its_row(store: Store) -> None:
    frame = predictions(0.9)
    made = record("din", frame, changed={"params.dropout": 0.5, "data.dataset": "toy"})
    store.write(dataclasses.replace(made, identity=dataclasses.replace(made.identity, config_hash="ab" * 6)), frame)
    board = leaderboard.build(View.of(store, "toy", "global-time"))
    assert {"din", "din [dropout=0.5]"} <= {row.label for row in board.rows}


def test_times_of_a_loaded_machine_are_marked_and_enter_no_sentence(store: Store) -> None:
    for seed in (0, 1):
        frame = predictions(1.01, seed)
        made = record("hstu", frame, seed, "generative")
        assert made.cost is not None
        store.write(dataclasses.replace(made, cost=dataclasses.replace(made.cost, load_average=9.0)), frame)
    board = leaderboard.build(View.of(store, "toy", "global-time"))
    assert not of_kind(board.statements, Costs)
    table = board_files.main_table(board, ("model", "train s", "ms / 100 candidates"))
    assert [line[1:] for line in table if line[0].startswith("hstu")] == [["6.0 †", "1.2 †"]]
    assert [line[1:] for line in table if line[0].startswith("dnn")] == [["6.0", "1.2"]]


def test_what_is_stored_is_rounded_and_read_back_the_same(store: Store) -> None:
    """Nothing rests on digits in which processors differ."""
    board = leaderboard.build(View.of(store, "toy", "global-time"))
    assert board_files.from_json(board_files.to_json(board), "here") == board
    assert max(len(number.partition(".")[2]) for number in re.findall(r"0\.\d+", board_files.to_json(board))) <= 10


def test_no_runs_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="start with: rankbench run"):
        leaderboard.build(View.of(Store(tmp_path), "toy", "global-time"))


def test_rescore_confirms_and_catches(store: Store) -> None:
    assert len(recompute.rescore(View.of(store))) == 8
    frame = predictions(0.6, 0)
    made = record("dnn", frame)
    frame["score"] = scores.rounded(frame["score"] ** 2)
    store.write(made, frame)
    with pytest.raises(UserError, match=r"logloss of all is .* in the record and .* from its predictions"):
        recompute.rescore(View.of(store))
