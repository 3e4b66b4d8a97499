"""Results of changed data are never shown as those of the data before: no record, checkpoint, sweep or board outlives them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from rankbench.bench import cli
from rankbench.bench.records import provenance
from rankbench.bench.training.checkpoint import Checkpoint
from support.tables import click_table

pytestmark = pytest.mark.usefixtures("own_folders", "no_figures")


@pytest.fixture
def no_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """They take most of a board's time, and say nothing here."""
    monkeypatch.setattr("rankbench.bench.reporting.figures.write", lambda *_: None)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Rows with stars beside the click, described by clicks.yaml."""
    path = click_table(tmp_path, rows=500)
    frame = pd.read_csv("clicks.csv")
    frame["stars"] = 1 + (frame.index.to_numpy() * 7 + frame["click"]) % 5
    frame.to_csv("clicks.csv", index=False)
    path.write_text("events: clicks.csv\nlabel: stars >= 4\n")
    return path


def run(*more: str, models: str = "ctr", results: str = "out", code: int = 0, dataset: str = "clicks.yaml") -> None:
    fixed = ("--device", "cpu", "--seeds", "1", "--jobs", "1", "--results", results)
    fewer = ("--set", "train.epochs=2") if models in ("dnn", "lr") else ()
    assert cli.main(["run", "--dataset", dataset, "--models", models, *fixed, *fewer, *more]) == code


def records(results: str = "out") -> list[dict[str, Any]]:
    found = [json.loads(path.read_text()) for path in Path(results).rglob("seed-*.json")]
    return sorted(found, key=lambda record: record["finished"])


def said(capsys: pytest.CaptureFixture[str]) -> str:
    return "".join(capsys.readouterr())


def board(results: str, folder: str) -> list[str]:
    return [row["label"] for row in json.loads(Path(results, "boards", folder, "board.json").read_text())["rows"]]


def test_a_changed_label_rule_starts_over_and_says_so(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run()
    (before,) = records()
    said(capsys)
    table.write_text("events: clicks.csv\nlabel: stars >= 3\n")
    run()
    line = next(line for line in said(capsys).splitlines() if "the data changed" in line)
    assert line.startswith("clicks: the data changed since the last run (label rule 'stars >= 4' is now 'stars >= 3')")
    assert "its cells start over; the earlier runs stay in out/runs/clicks@global-time" in line
    after = [record for record in records() if record != before]
    assert len(after) == 1 and before in records(), "nothing finished is lost"
    assert after[0]["metrics"] != before["metrics"]
    assert after[0]["identity"]["config_hash"] == before["identity"]["config_hash"]
    run()
    assert "1 of 1 cells were finished before" in said(capsys) and len(records()) == 2
    table.write_text("events: clicks.csv\nlabel: stars >= 4\n")
    run()
    assert "1 of 1 cells were finished before" in said(capsys), "the data of the first run are back"


def test_models_that_saw_other_features_share_no_board(
    table: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(provenance, "_git", lambda: ("ab" * 20, False))  # `check` wants code that was committed
    run(models="ctr,popularity")
    table.write_text("events: clicks.csv\nlabel: stars >= 4\ncontext_features: [click]\n")
    said(capsys)
    run(models="lr")
    assert "features 'none' is now 'context click category'" in said(capsys)
    assert board("out", "clicks@global-time") == ["lr"]
    assert cli.main(["board", "--results", "out", "--dataset", "clicks.yaml"]) == 0
    folders = sorted(path.name for path in Path("out/boards").iterdir())
    assert folders[0] == "clicks@global-time" and folders[1].startswith("clicks@global-time+data-") and len(folders) == 2
    assert sorted(board("out", folders[1])) == ["ctr", "popularity"]
    assert cli.main(["check", "out", "--dataset", "clicks.yaml"]) == 1
    assert said(capsys).count("it is of other data: content hash") == 2


def test_permuted_labels_of_training_are_other_data(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Users, items, times and the test rows stay as they were, and with them the split."""
    run()
    frame = pd.read_csv("clicks.csv")
    frame.loc[:250, "stars"] = np.random.default_rng(0).permutation(frame.loc[:250, "stars"])
    frame.to_csv("clicks.csv", index=False)
    said(capsys)
    run()
    assert "the data changed since the last run (its rows hold other values)" in said(capsys)
    one, other = records()
    assert one["data"]["split_hash"] == other["data"]["split_hash"] and one["metrics"] != other["metrics"]


def test_an_interrupted_run_does_not_go_on_from_the_checkpoint_of_other_data(
    table: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as interrupted:
        interrupted.setattr(Checkpoint, "remove", lambda self: None)
        run(models="dnn")
    for path in Path("out/runs").rglob("seed-0.*"):
        path.unlink()
    (left,) = Path("out/checkpoints").rglob("*.pt")
    said(capsys)
    table.write_text("events: clicks.csv\nlabel: stars >= 3\n")
    run(models="dnn")
    assert f"the data changed since a run was interrupted: it starts over; its checkpoint stays in {left.parent}" in said(capsys)
    run(models="dnn", results="fresh")
    (one,), (fresh,) = records(), records("fresh")
    assert one["metrics"] == fresh["metrics"] and left.exists()


def sweep(*more: str) -> None:
    fixed = ("--models", "dnn", "--device", "cpu", "--trials", "1", "--results", "out", "--quiet", "--set", "train.epochs=1")
    assert cli.main(["sweep", "--dataset", "clicks.yaml", *fixed, *more]) == 0


@pytest.mark.long
def test_a_sweep_of_other_data_is_another_sweep(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sweep()
    run("--config", "tuned", models="dnn")
    (first,) = Path("out/sweeps").rglob("dnn.json")
    before = first.read_bytes()
    table.write_text("events: clicks.csv\nlabel: stars >= 3\n")
    said(capsys)
    run("--config", "tuned", models="dnn", code=2)
    assert "no tuned settings of dnn for clicks@global-time" in capsys.readouterr().err
    sweep()
    line = "dnn: the data changed: a new search begins; that of the data before stays in out/sweeps/clicks@global-time~"
    assert line in said(capsys)
    found = sorted(Path("out/sweeps").rglob("dnn.json"))
    assert len(found) == 2 and first.read_bytes() == before
    values = [json.loads(path.read_text())["trials"][0]["value"] for path in found]
    assert values[0] != values[1], "it was searched on the new data"


def test_the_declared_name_is_the_one_that_counts(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Of a table that has a name of its own: in records, and for every command that is given its file."""
    text = table.read_text() + "name: shop\n"
    table.unlink()
    Path("m7.yaml").write_text(text)
    run(dataset="m7.yaml", models="dnn")
    (record,) = records()
    assert record["identity"]["dataset"] == record["config"]["data"]["dataset"] == "shop"
    for path in Path("out/rows").rglob("*.parquet"):
        path.unlink()
    said(capsys)
    for command in (
        ["board", "--results", "out", "--dataset", "m7.yaml"],
        ["board", "--results", "out", "--dataset", "shop"],
        ["score", "--results", "out", "--dataset", "m7.yaml"],
        ["predict", "dnn", "--user", "u1", "--results", "out", "--dataset", "m7.yaml", "--top", "2"],
        ["run", "--dataset", "m7.yaml", "--models", "dnn", "--seeds", "1", "--device", "cpu", "--results", "out",
         "--set", "train.epochs=2"],
    ):  # fmt: skip
        assert cli.main(command) == 0, (command, capsys.readouterr().err)
    assert "1 of 1 cells were finished before" in said(capsys)
    assert cli.main(["check", "out", "--dataset", "m7.yaml"]) in (0, 1)
    assert not [line for line in said(capsys).splitlines() if "its identity of" in line or "it is of other data" in line]


def test_two_request_windows_stand_side_by_side(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(models="ctr,popularity")
    run("--set", "data.request_window=3600")
    run("--set", "data.history_length=20")
    run(models="own-rate")
    assert cli.main(["board", "--results", "out", "--dataset", "clicks"]) == 0
    assert sorted(path.name for path in Path("out/boards").iterdir()) == [
        "clicks@global-time",
        "clicks@global-time+history_length=20",
        "clicks@global-time+request_window=3600.0",
    ]
    assert sorted(board("out", "clicks@global-time")) == ["ctr", "own-rate", "popularity"]
    assert board("out", "clicks@global-time+request_window=3600.0") == ["ctr"]


def test_the_terminal_names_no_change_where_there_is_none(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run()
    run(models="popularity")
    run("--set", "data.history_length=20")
    assert "the data changed" not in said(capsys)
