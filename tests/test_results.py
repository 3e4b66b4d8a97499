"""An audit of what is committed under results/, however much that is: whole, consistent, and the source of every page."""

from __future__ import annotations

import csv
import json
import math
import re
import shlex
import shutil
import statistics
from pathlib import Path
from typing import Any

import pytest

from rankbench.bench import cli
from rankbench.bench.commands.roots import data_roots
from rankbench.bench.records.schema import RunRecord
from rankbench.bench.records.store import Store
from rankbench.bench.reporting import board_files, leaderboard_page, results_folder
from rankbench.bench.runs import schedule

pytestmark = pytest.mark.results

ROOT = Path(__file__).resolve().parents[1]
STORES = sorted(path.parent for path in (ROOT / "results").rglob("runs") if "local" not in path.parts)
BOARDS = sorted(path.parent for store in STORES for path in store.glob("boards/*/board.json"))
CONTENTS = ROOT / "results" / "results_folder.txt"
STUDIES = sorted(path.parent for path in (ROOT / "results").rglob("study.json") if "local" not in path.parts)


@pytest.fixture(scope="module")
def records() -> dict[Path, list[RunRecord]]:
    """Of every folder of runs. Reading is strict: a record that does not fit the schema fails here."""
    found = {store: Store(store).records() for store in STORES}
    assert all(found.values()), "a folder of runs holds at least one"
    return found


def test_what_is_promised_is_here_and_nothing_else() -> None:
    """The list names every folder of a board or a study, one per line, as a path below results/."""
    if not CONTENTS.exists():
        pytest.skip(f"{CONTENTS.name} is not there: nothing is promised")
    here = {folder.relative_to(ROOT / "results").as_posix() for folder in (*BOARDS, *STUDIES)}
    assert here == set(CONTENTS.read_text().split())


def test_runs_were_made_by_committed_code(records: dict[Path, list[RunRecord]]) -> None:
    for record in (record for group in records.values() for record in group):
        assert record.status == "ok" and not record.simulated, record.identity
        assert record.environment.git_commit and not record.environment.git_dirty, record.identity


@pytest.mark.parametrize("folder", BOARDS, ids=lambda folder: folder.relative_to(ROOT / "results").as_posix())
def test_boards_are_those_of_the_records(folder: Path, records: dict[Path, list[RunRecord]]) -> None:
    board = json.loads((folder / "board.json").read_text())
    runs: dict[tuple[str, str], list[RunRecord]] = {}
    for record in records[folder.parents[1]]:
        if (record.identity.dataset, record.identity.split) == (board["dataset"], board["split"]):
            runs.setdefault((record.identity.model, record.identity.config_hash), []).append(record)
    assert {(row["model"], row["config_hash"]) for row in board["rows"]} == set(runs)
    for row in board["rows"]:
        group = runs[row["model"], row["config_hash"]]
        assert sorted(row["seeds"]) == sorted(record.identity.seed for record in group)
        for metric in ("gauc", "auc", "logloss"):
            values = [record.metrics.test["all"][metric] for record in group if record.metrics is not None]
            if row[metric]["point"] is not None:
                assert math.isclose(statistics.fmean(values), row[metric]["point"], rel_tol=1e-9)  # type: ignore[arg-type]
    with (folder / "board.csv").open() as file:
        assert [line["label"] for line in csv.DictReader(file)] == [row["label"] for row in board["rows"]]
    for figure in ("auc.png", "auc-against-time.png"):
        assert (folder / figure).stat().st_size > 5000


def _need(dataset: str) -> None:
    """Skip unless a data set is here: nothing is fetched for a test."""
    roots = data_roots(None)
    fetched = list(roots.cache.glob(f"logs/{dataset}-*.pointer"))
    if not (fetched if dataset in ("ml-100k", "ml-1m") else roots.root and (roots.root / dataset).is_dir()):
        pytest.skip(f"{dataset} is not here (rankbench data get {dataset}, or RANKBENCH_DATA)")


def _slow_if_large(folders: list[Path]) -> list[Any]:
    return [pytest.param(folder, marks=[pytest.mark.slow] if "ml-1m" in folder.name else []) for folder in folders]


@pytest.mark.parametrize("folder", _slow_if_large(BOARDS), ids=lambda folder: folder.relative_to(ROOT / "results").as_posix())
def test_boards_are_made_again_byte_by_byte(folder: Path, tmp_path: Path) -> None:
    """From records, scores and the data set alone, in another place."""
    store, (dataset, split) = Store(folder.parents[1]), folder.name.split("@")
    assert all(store.has_scores(record.identity) for record in store.records(dataset, split))
    _need(dataset)
    shutil.copytree(store.root / "runs" / folder.name, tmp_path / "runs" / folder.name)
    assert cli.main(["board", "--results", str(tmp_path)]) == 0
    made = tmp_path / "boards" / folder.name
    assert {path.name for path in made.iterdir()} == {path.name for path in folder.iterdir()}
    for path in made.iterdir():
        if path.suffix != ".png":  # whose bytes depend on the version of a library for compression
            assert path.read_bytes() == (folder / path.name).read_bytes(), path.name


@pytest.mark.parametrize("folder", _slow_if_large(STUDIES), ids=lambda folder: folder.relative_to(ROOT / "results").as_posix())
def test_studies_are_made_again_byte_by_byte(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the command that each names, without training."""
    study = json.loads((folder / "study.json").read_text())
    _need(study["dataset"])
    shutil.copytree(folder.parent / "runs", tmp_path / "studies" / study["study"] / "runs")

    def train(*_: object) -> None:
        raise AssertionError("a committed study has all its runs")

    monkeypatch.setattr(schedule, "run_job", train)
    assert (
        cli.main([*shlex.split(study["command"])[1:], "--results", str(tmp_path), "--device", "cpu", "--quiet", "--jobs", "1"])
        == 0
    )
    made = tmp_path / "studies" / study["study"] / folder.name
    assert {path.name for path in made.iterdir()} == {path.name for path in folder.iterdir()}
    for path in made.iterdir():
        if path.suffix != ".png":
            assert path.read_bytes() == (folder / path.name).read_bytes(), path.name


@pytest.mark.parametrize("page", [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))], ids=lambda page: page.name)
def test_leaderboards_of_pages_are_the_committed_ones(page: Path) -> None:
    found = re.findall(r"<!-- board: (\S+) -->\n(.*?)<!-- board: end -->", page.read_text(), re.DOTALL)
    for folder, text in found:
        brief = ROOT / "results" / folder / "brief.md"
        assert brief.exists(), f"{page.name} shows the board {folder}, which is not committed"
        assert text == brief.read_text()


@pytest.mark.skipif(not BOARDS, reason="no board is committed")
def test_the_leaderboard_page_is_that_of_the_committed_boards() -> None:
    page = ROOT / "LEADERBOARD.md"
    assert page.read_text() == leaderboard_page.to_markdown(results_folder.collect(ROOT / "results"), "results"), (
        "rankbench report --results results --markdown --out LEADERBOARD.md"
    )


@pytest.mark.parametrize("folder", BOARDS, ids=lambda folder: folder.relative_to(ROOT / "results").as_posix())
def test_tables_are_those_of_the_board(folder: Path) -> None:
    board = board_files.from_json((folder / "board.json").read_text(), str(folder))
    for name, render in (
        ("board.md", board_files.to_markdown),
        ("board.csv", board_files.to_csv),
        ("brief.md", board_files.to_brief),
    ):
        assert (folder / name).read_text() == render(board), name


def test_no_place_of_a_machine_is_committed() -> None:
    for path in (ROOT / "results").rglob("*"):
        if path.suffix in (".json", ".md", ".csv", ".svg") and "local" not in path.parts:
            assert not re.search(r"(?<![\w.:/])/(home|root|tmp|work|usr|opt|Users)/", path.read_text()), path
