"""Whatever is wrong with what a user gives: one clear line, the right exit code, nothing half-written; or it is harmless."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pandas as pd
import pytest
import torch

from rankbench.bench import cli
from rankbench.bench.records import store
from support.cache import own_cache
from support.tables import click_table

LEAVE_ONE_OUT = ("--split", "leave-one-out")
HEAD = "user,item,time,click\n"
START = 1_600_000_000


@pytest.fixture
def table(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RANKBENCH_CACHE", str(own_cache(tmp_path)))
    monkeypatch.delenv("RANKBENCH_DATA", raising=False)
    return click_table(tmp_path, rows=600)


def run(*more: str, models: str = "popularity") -> int:
    usual = {"--dataset": "clicks.yaml", "--device": "cpu", "--seeds": "1", "--jobs": "1", "--results": "out"}
    kept = [word for option, value in usual.items() if option not in more for word in (option, value)]
    return cli.main(["run", *kept, "--quiet", "--models", models, *more])


def refused(capsys: pytest.CaptureFixture[str], *more: str, models: str = "popularity") -> str:
    """The one line, after checking that there is no other and that nothing was stored."""
    assert run(*more, models=models) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1 and lines[0].startswith("rankbench: error: "), lines
    assert not [path for path in Path("out").rglob("*") if path.is_file()]
    return lines[0]


def edit(column: str, row: int, value: object) -> None:
    frame = pd.read_csv("clicks.csv", dtype=object)
    frame.loc[row, column] = value
    frame.to_csv("clicks.csv", index=False)


@pytest.mark.parametrize(
    ("events", "message"),
    [
        ("", "clicks.csv"),
        (HEAD, "clicks has no rows"),
        ("user,item,click\nu,i,1\n", "clicks.csv has no column 'time'; it has: user, item, click"),
        ("user,item,time,clicked\nu,i,1,1\n", "clicks.csv has no column 'click'"),
        (HEAD + "".join(f"u,i{n},{START + n},{n % 3}\n" for n in range(30)), "holds '2' in data row 3, not 0 or 1"),
        (HEAD + "".join(f"u,i{n},{START + n},1\n" for n in range(30)), "the label 'click' is 1 in all 30 rows"),
        (HEAD + f"u,i,{START},1\nu,i,{START + 1},0\n", "leaves only the label 1 in its 1 events for train"),
        (HEAD + "".join(f"u,i{n},{n - 3},{n % 2}\n" for n in range(30)), "time '-3' in data row 1 is negative"),
        (HEAD + "".join(f"u,i{n},soon,{n % 2}\n" for n in range(30)), "no row has a readable time; the first is 'soon'"),
        (HEAD + "u,i,1,1\nu,i,2,0,7,7\n", "Expected 4 columns, got 6"),
        ("\x00\xff\xfe\x80binary", "clicks.csv is not utf-8 text"),
    ],
    ids=[
        "empty file", "no rows", "no time", "no label", "label not 0 or 1", "one class", "two events", "negative time",
        "no time can be read", "ragged rows", "not text",
    ],
)  # fmt: skip
def test_wrong_tables(events: str, message: str, table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table.with_suffix(".csv").write_bytes(events.encode("latin-1"))
    assert message in refused(capsys)


@pytest.mark.parametrize(
    ("yaml", "message"),
    [
        ("events: clicks.csv\nlable: click\n", "unknown key in clicks.yaml 'lable'; did you mean 'label'?"),
        ("events: other.csv\nlabel: click\n", "other.csv does not exist"),
        ("events: '*.tsv'\nlabel: click\n", "no file is of the form *.tsv"),
        ("events: clicks.csv\nlabel: click\nlabel: user\n", "line 3: the key 'label' is there twice, first in line 2: keep one"),
        ("events: clicks.csv\nlabel: click\nuser_features: [user]\n", "user_features lists 'user', the column of an id"),
        ("events: clicks.csv\nlabel: click\nutc_offset_hours: .nan\n", "utc_offset_hours must be"),
        (f"events: {'x' * 300}.csv\nlabel: click\n", "cannot be read"),
        ("events: clicks.csv\nlabel: click\nlabels: {a: }\n", "labels.a must be a column or a rule"),
        ("1: clicks.csv\nlabel: click\n", "line 1: the key '1' is not text for YAML: write it in quotes"),
        ("events: clicks.csv\nlabel: click\ntime_unit: ms\n", "all times lie in January 1970"),
        ("events: clicks.csv\nlabel: click\nuser_features: [agee]\n", "clicks.csv has no column 'agee'"),
        ("events: clicks.csv\nlabel: click\nitem_features: [age]\n", "item feature 'age' of"),
        ("events: clicks.csv\nlabel: click >> 4\n", "click >> 4"),
        ("- events\n", "must hold keys such as"),
        ("events: [\n", "clicks.yaml cannot be read"),
    ],
    ids=[
        "typo",
        "no file",
        "a folder",
        "a key twice",
        "an id as feature",
        "no offset",
        "a long name",
        "no rule at all",
        "a key of digits",
        "seconds as milliseconds",
        "no feature",
        "no item feature",
        "no rule",
        "a list",
        "not YAML",
    ],
)
def test_wrong_descriptions(yaml: str, message: str, table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table.write_text(yaml)
    assert message in refused(capsys)


def test_a_file_that_is_no_parquet(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table.with_suffix(".csv").rename("clicks.parquet")
    table.write_text("events: clicks.parquet\nlabel: click\n")
    assert "clicks.parquet cannot be read" in refused(capsys)


def test_users_with_one_event(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One of them is a training example without history; nothing but them leaves nothing to validate on."""
    frame = pd.read_csv("clicks.csv")
    frame.loc[300, "user"] = "once"
    frame.to_csv("clicks.csv", index=False)
    assert run(*LEAVE_ONE_OUT) == 0
    capsys.readouterr()
    frame.assign(user=range(len(frame))).to_csv("clicks.csv", index=False)
    Path("out").rename("before")
    assert "split leave-one-out of clicks leaves no events for valid" in refused(capsys, *LEAVE_ONE_OUT)


@pytest.mark.long
def test_order_of_rows_changes_nothing(table: Path) -> None:
    assert run("--set", "train.epochs=2", models="dnn") == 0
    pd.read_csv("clicks.csv").sample(frac=1, random_state=0).to_csv("clicks.csv", index=False)
    Path("out").rename("sorted")
    assert run("--set", "train.epochs=2", models="dnn") == 0
    tests = [json.loads(next(Path(root).rglob("seed-0.json")).read_text())["metrics"]["test"] for root in ("out", "sorted")]
    assert tests[0] == tests[1]


@pytest.mark.long
@pytest.mark.parametrize(
    ("column", "value", "counted"),
    [
        ("click", "", "missing_label"),
        ("time", "soon", "unreadable_time"),
        ("user", "", "missing_user"),
        ("item", "", "missing_item"),
    ],
)
def test_a_broken_row_is_left_out_and_counted(column: str, value: str, counted: str, table: Path) -> None:
    edit(column, 7, value)
    assert run() == 0
    data = json.loads(next(Path("out").rglob("seed-0.json")).read_text())["data"]
    cleaning = data["cleaning"]
    assert cleaning[counted] == 1 and cleaning["rows_kept"] == data["events"] == cleaning["rows_read"] - 1


@pytest.mark.long
def test_ids_beyond_64_bits_and_missing_features_are_ordinary_values(table: Path) -> None:
    frame = pd.read_csv("clicks.csv", dtype=object)
    frame["item"] = "99999999999999999999" + frame["item"].str[1:]
    frame.loc[frame["user"] == "u3", "age"] = "nan"
    frame.to_csv("clicks.csv", index=False)
    table.write_text("events: clicks.csv\nlabel: click\nuser_features: [age]\n")
    assert run("--set", "train.epochs=1", models="dnn") == 0
    assert json.loads(next(Path("out").rglob("seed-0.json")).read_text())["data"]["items"] == 20


def test_a_device_that_is_not_there(table: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert "device cuda is not available" in refused(capsys, "--device", "cuda")


def test_a_monitor_that_can_choose_nothing(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = refused(capsys, *LEAVE_ONE_OUT, "--set", "train.monitor=request_gauc", models="dnn")
    assert "train.monitor=request_gauc cannot choose an epoch" in line and "train.monitor=auc" in line


def test_results_that_cannot_be_written_are_found_before_training(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "cannot be written" in refused(capsys, "--results", "clicks.csv/out")


def test_a_full_disk_at_record_time(table: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(store, "sync", full)
    line = refused(capsys)
    assert "No space left on device" in line and "free some space or choose another --results" in line


@pytest.mark.long
def test_a_corrupted_checkpoint(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--set", "train.epochs=1", models="dnn") == 0
    (record,) = Path("out").rglob("seed-0.json")
    checkpoint = Path("out/checkpoints") / record.relative_to("out/runs").with_suffix(".pt")
    checkpoint.parent.mkdir(parents=True, exist_ok=True)
    checkpoint.write_bytes(b"PK not a checkpoint")
    record.unlink()
    capsys.readouterr()
    assert run("--set", "train.epochs=1", models="dnn") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "is corrupted; delete it, or start over with --no-resume" in line
    assert run("--set", "train.epochs=1", "--no-resume", models="dnn") == 0


def test_a_corrupted_record(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run() == 0
    (record,) = Path("out").rglob("seed-0.json")
    record.write_text(record.read_text()[:100])
    capsys.readouterr()
    for command in (["board", "--results", "out"], ["score", "--results", "out"]):
        assert cli.main(command) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert str(record) in line and "is not JSON" in line
    assert run() == 2
