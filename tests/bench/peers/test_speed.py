"""Training speed beside other projects: who is measured, on which rows, and what is said of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rankbench.bench import cli
from rankbench.bench.data.dataset import RankingData
from rankbench.bench.data.sources.schema import DataRoots
from rankbench.bench.peers import speed
from rankbench.bench.peers.fuxictr import find_peer
from rankbench.bench.peers.speed import DEEPCTR, FUXICTR, NOT_MEASURED, OURS, EpochTime, TrainerSpeed, compare, lines
from support.fuxictr import model_zoo, stand_in
from support.tables import click_table

ROOT = Path(__file__).resolve().parents[3]

OF_FUXICTR = [TrainerSpeed(name, 1, [10.0 + 5 * (at == 1)], [10.0 - at]) for at, name in enumerate(FUXICTR)]


@pytest.fixture
def data(tmp_path: Path) -> RankingData:
    return speed.examples(DataRoots(None, tmp_path / "cache"), str(click_table(tmp_path)), 6)


@pytest.fixture
def no_deepctr(monkeypatch: pytest.MonkeyPatch) -> None:
    """A constant stands in for deepctr-torch, which need not be installed."""
    monkeypatch.setattr(speed, "_deepctr_din", lambda data: lambda: EpochTime(100, 1.0, 2.0))


def command(table: Path, *more: str) -> int:
    return cli.main(["peers", "speed", "--dataset", str(table), "--history-length", "6", "--rounds", "1", *more])


def test_examples_hold_ids_alone(data: RankingData) -> None:
    assert [table.field.name for table in (*data.vocabulary.user, *data.vocabulary.item)] == ["user", "item"]
    assert data.vocabulary.context == () and data.spec.history_length == 6


@pytest.mark.long
@pytest.mark.usefixtures("no_deepctr")
def test_everybody_trains_on_the_same_examples(data: RankingData, tmp_path: Path) -> None:
    rows = compare(data, find_peer(stand_in(tmp_path), model_zoo(tmp_path), ["din"]), 1, 1, lambda line: None)
    examples = len(data.split.examples("train"))
    assert [(row.contender, row.examples) for row in rows[1:]] == [(name, examples) for name in (*FUXICTR, *OURS)]
    assert all(len(row.wall) == len(row.cpu) == 1 for row in rows), "the first of two rounds warms up"
    worker = next(row for row in rows if row.contender == "FuxiCTR DIN, 1 worker")
    assert worker.wall == [examples / 2] and worker.cpu == [examples / 0.5]


def test_ratios_are_taken_round_by_round() -> None:
    rows = [TrainerSpeed(DEEPCTR, 1, [1.0, 2.0, 10.0], [2.0] * 3)]
    rows += [TrainerSpeed(name, 1, [2.0, 8.0, 30.0], [4.0] * 3) for name in OURS]
    text = lines(rows, [1.04, 2.0])
    cpu, wall = (line for line in text if line.startswith(f"| {DEEPCTR} |") and "[" in line)
    assert cpu.count("2.00 [2.00, 2.00]") == wall.count("3.00 [2.00, 4.00]") == len(OURS)
    assert f"| {DEEPCTR} | 2 | 2 |" in text
    assert text[-2:] == [NOT_MEASURED, "Load average 1.0 before, 2.0 after; the benchmark itself makes about 1 a thread."]


def test_the_faster_loader_of_fuxictr_is_named() -> None:
    text = "\n".join(lines([*OF_FUXICTR, *(TrainerSpeed(name, 1, [1.0], [1.0]) for name in OURS)], [1.0]))
    assert "by the wall clock that of *FuxiCTR DIN, 1 worker*, per CPU second that of *FuxiCTR DIN*." in text
    assert NOT_MEASURED not in text


@pytest.mark.long
@pytest.mark.usefixtures("own_folders", "no_deepctr")
def test_the_command_prints_and_records(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = click_table(tmp_path)
    assert command(table) == 0
    shown = capsys.readouterr().out
    assert NOT_MEASURED in shown and "FuxiCTR DIN, " not in shown
    alone, kept = (tmp_path / f"results/local/peers-clicks-1-{more}history=6.json" for more in ("", "beside=fuxictr+"))
    assert json.loads(alone.read_text())["peer"] is None
    assert command(table, "--models-from", str(model_zoo(tmp_path)), "--python", stand_in(tmp_path)) == 0
    shown, record = capsys.readouterr().out, json.loads(kept.read_text())
    assert "| FuxiCTR DIN, 1 worker |" in shown and NOT_MEASURED not in shown
    assert record["peer"]["versions"]["fuxictr"] == "0.0" and set(record["peer"]["files"]) == {"din"}
    assert "\n".join(lines([TrainerSpeed(**row) for row in record["rows"]], record["load_average"])) in shown
    assert str(tmp_path) not in kept.read_text() and kept.with_suffix(".png").stat().st_size > 5000


@pytest.mark.usefixtures("own_folders", "no_deepctr")
def test_a_fuxictr_that_fails_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fuxictr = ["--models-from", str(model_zoo(tmp_path)), "--python", stand_in(tmp_path, broken=True)]
    assert command(click_table(tmp_path), *fuxictr) == 1
    assert capsys.readouterr().err.splitlines()[-1] == "failed: FuxiCTR failed at an epoch of din: it broke"
    assert not list((tmp_path / "results/local").glob("peers*")), "nothing is half-written"


def test_the_page_shows_the_committed_record() -> None:
    shown = (ROOT / "docs" / "results" / "peers.md").read_text().partition("<!-- speed: peers-ml-100k-1-beside=fuxictr -->\n")[2]
    record = json.loads((ROOT / "results" / "peers" / "peers-ml-100k-1-beside=fuxictr.json").read_text())
    rows = [TrainerSpeed(**row) for row in record["rows"]]
    assert shown.partition("\n<!-- speed: end -->")[0] == "\n".join(lines(rows, record["load_average"]))
    assert [row.contender for row in rows] == [DEEPCTR, *FUXICTR, *OURS]


@pytest.mark.peers
def test_deepctr_torch_itself_is_timed(data: RankingData) -> None:
    pytest.importorskip("deepctr_torch")
    measured = speed._deepctr_din(data)()
    assert measured.examples == len(data.split.examples("train")) and measured.cpu_seconds > 0
