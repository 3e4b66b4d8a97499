"""Boards are a pure function of records and predictions, order rightly, say what must be said, and refuse mixtures."""

import dataclasses
import json
from pathlib import Path

import pytest
from rich.console import Console

from rankbench.bench.errors import UserError
from rankbench.bench.evaluation import scores
from rankbench.bench.records.store import Store
from rankbench.bench.records.view import View
from rankbench.bench.reporting import leaderboard, rescore, tables
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


def test_order_ties_and_statements(store: Store) -> None:
    board = leaderboard.build(View.of(store, "toy", "global-time"))
    rows = {row.label: row for row in board.rows}
    assert [row.label for row in board.rows][2:] == ["dnn", "ctr"]
    assert rows["din"].tied and rows["hstu"].tied and not rows["dnn"].tied and not rows["ctr"].tied
    assert rows["dnn"].request_gauc.difference_high < 0
    assert rows["din"].seeds == (0, 1) and len(rows["din"].request_gauc_seeds) == 2
    text = " ".join(board.statements)
    assert "Not distinguishable from the best" in text
    assert "includes zero: no difference is shown" in text
    assert "NOT above the best floor" not in text


def test_a_model_below_the_floor_is_named(store: Store) -> None:
    frame = predictions(0.1)
    store.write(record("dcnv2", frame), frame)
    board = leaderboard.build(View.of(store, "toy", "global-time"))
    assert any(line.startswith("dcnv2 is NOT above the best floor, ctr") for line in board.statements)
    assert any("Rows differ in their number of seeds (1 to 2)" in line for line in board.statements)


def test_same_files_same_bytes(store: Store, tmp_path: Path) -> None:
    contents = []
    for name in ("one", "two"):
        board = leaderboard.build(View.of(store, "toy", "global-time"))
        paths = tables.write(board, tmp_path / name)
        assert len(paths) == 4 and all(path.stat().st_size > 500 for path in paths)
        contents.append([path.read_bytes() for path in paths])
    assert contents[0] == contents[1]


def test_tables_hold_every_row_and_the_facts(store: Store) -> None:
    failed = record("deepfm", None)
    store.write(failed, None)
    board = leaderboard.build(View.of(store, "toy", "global-time"))
    markdown = tables.to_markdown(board)
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
    brief = tables.to_brief(board).splitlines()
    names = [row.label + (" =" if row.tied and at else "") for at, row in enumerate(board.rows)]
    assert [line.split(" | ")[0] for line in brief if line.startswith("| ")] == [f"| {name}" for name in ("model", *names)]
    assert len(tables.to_csv(board).splitlines()) == 5
    assert json.loads(tables.to_json(board))["dataset"] == "toy"
    for width in (80, 200):
        console = Console(width=width, record=True)
        tables.show(board, console)
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


def test_no_runs_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="start with: rankbench run"):
        leaderboard.build(View.of(Store(tmp_path), "toy", "global-time"))


def test_rescore_confirms_and_catches(store: Store) -> None:
    assert len(rescore.rescore(View.of(store))) == 8
    frame = predictions(0.6, 0)
    made = record("dnn", frame)
    frame["score"] = scores.rounded(frame["score"] ** 2)
    store.write(made, frame)
    with pytest.raises(UserError, match=r"logloss of all is .* in the record and .* from its predictions"):
        rescore.rescore(View.of(store))
