"""An audit of what is committed under results/, however much that is: whole, consistent, and the source of every page."""

from __future__ import annotations

import datetime
import json
import math
import re
import shlex
import statistics
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from rankbench.bench import cli, protocols
from rankbench.bench.analysis.statements import Families, of_kind
from rankbench.bench.audit.public_board import FOLDER, about_public
from rankbench.bench.commands.roots import data_roots
from rankbench.bench.public.board import expiry
from rankbench.bench.public.board import read as read_public
from rankbench.bench.public.row import day
from rankbench.bench.records import run_files
from rankbench.bench.records.schema import RunRecord
from rankbench.bench.records.store import Store, stores_below
from rankbench.bench.records.view import View
from rankbench.bench.reporting import board_files, html, leaderboard_page, public_page, results_folder, summary
from rankbench.bench.reporting.words import difference
from rankbench.bench.runs import schedule

pytestmark = pytest.mark.results

ROOT = Path(__file__).resolve().parents[1]
STORES = [store.root for store in stores_below(ROOT / "results") if "local" not in store.root.parts]
BOARDS = sorted(path.parent for store in STORES for path in store.glob("boards/*/board.json"))
LARGEST_PAGE = 2_000_000
"""Bytes of the report of all committed results."""
MOST_FILES = 1_700
"""Of the repository."""
CONTENTS = ROOT / "results" / "contents.txt"
STUDIES = sorted(path.parent for path in (ROOT / "results").rglob("study.json") if "local" not in path.parts)
STREAMS = sorted(path.parent for path in (ROOT / "results").rglob("stream.json") if "local" not in path.parts)


@pytest.fixture(scope="module")
def records() -> dict[Path, list[RunRecord]]:
    """Of every folder of runs. Reading is strict: a record that does not fit the schema fails here."""
    found = {store: Store(store).records() for store in STORES}
    assert all(found.values()), "a folder of runs holds at least one"
    return found


def test_what_is_promised_is_here_and_nothing_else() -> None:
    """The list names every folder of a board, a study or a pass through time, one per line, as a path below results/."""
    if not CONTENTS.exists():
        pytest.skip(f"{CONTENTS.name} is not there: nothing is promised")
    here = {folder.relative_to(ROOT / "results").as_posix() for folder in (*BOARDS, *STUDIES, *STREAMS)}
    assert here == set(CONTENTS.read_text().split())


def test_runs_were_made_by_committed_code(records: dict[Path, list[RunRecord]]) -> None:
    for record in (record for group in records.values() for record in group):
        assert record.status == "ok" and not record.simulated, record.identity
        assert record.environment.git_commit and not record.environment.git_dirty, record.identity


@pytest.mark.parametrize("folder", BOARDS, ids=lambda folder: folder.relative_to(ROOT / "results").as_posix())
def test_boards_are_those_of_the_records(folder: Path) -> None:
    board = json.loads((folder / "board.json").read_text())
    (group,) = (group for group in View.of(Store(folder.parents[1])).groups() if group.place == folder.name)
    runs: dict[tuple[str, str], list[RunRecord]] = {}
    for record in group.records:
        runs.setdefault((record.identity.model, record.identity.config_hash), []).append(record)
    assert {(row["model"], row["config_hash"]) for row in board["rows"]} == set(runs)
    for row in board["rows"]:
        of_row = runs[row["model"], row["config_hash"]]
        assert sorted(row["seeds"]) == sorted(record.identity.seed for record in of_row)
        for metric, found in row["quality"].items():
            values = [record.metrics.test["all"][metric] for record in of_row if record.metrics is not None]
            assert math.isclose(statistics.fmean(values), found["point"], rel_tol=1e-8)  # type: ignore[arg-type]


def _need(dataset: str) -> None:
    """Skip unless a data set is here: nothing is fetched for a test."""
    roots = data_roots(None)
    fetched = list(roots.cache.glob(f"logs/{dataset}-*.pointer"))
    if not (fetched if dataset in ("ml-100k", "ml-1m") else roots.root and (roots.root / dataset).is_dir()):
        pytest.skip(f"{dataset} is not here (rankbench data get {dataset}, or RANKBENCH_DATA)")


def _slow_if_large(folders: list[Path]) -> list[Any]:
    return [pytest.param(folder, marks=[pytest.mark.slow] if "ml-1m" in folder.name else []) for folder in folders]


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results folder of a clone: the history says which pairs were declared before their runs."""
    folder = tmp_path_factory.mktemp("clone") / "rankbench"
    subprocess.run(["git", "clone", "--quiet", "--shared", str(ROOT), str(folder)], check=True)
    return folder / "results"


@pytest.mark.parametrize("folder", _slow_if_large(BOARDS), ids=lambda folder: folder.relative_to(ROOT / "results").as_posix())
def test_boards_are_made_again_byte_by_byte(folder: Path, clone: Path) -> None:
    """From records, scores and the data set alone, in another place."""
    board = json.loads((folder / "board.json").read_text())
    _need(board["dataset"])
    store = clone / folder.parents[1].relative_to(ROOT / "results")
    assert all(Store(store).has_scores(record.identity) for record in Store(store).records(board["dataset"], board["split"]))
    assert cli.main(["board", "--results", str(store), "--dataset", board["dataset"], "--split", board["split"]]) == 0
    _same(folder, store / "boards" / folder.name)


@pytest.mark.parametrize("folder", _slow_if_large(STUDIES), ids=lambda folder: folder.relative_to(ROOT / "results").as_posix())
def test_studies_are_made_again_byte_by_byte(folder: Path, clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the command that each names, without training."""
    study = json.loads((folder / "study.json").read_text())
    _need(study["dataset"])

    def train(*_: object) -> None:
        raise AssertionError("a committed study has all its runs")

    monkeypatch.setattr(schedule, "run_job", train)
    store = clone / folder.parents[2].relative_to(ROOT / "results")
    words = [*shlex.split(study["command"])[1:], "--results", str(store), "--device", "cpu", "--quiet", "--jobs", "1"]
    assert cli.main(words) == 0
    _same(folder, store / "studies" / study["study"] / folder.name)


@pytest.mark.parametrize("folder", STREAMS, ids=lambda folder: folder.relative_to(ROOT / "results").as_posix())
def test_passes_through_time_are_made_again_byte_by_byte(folder: Path, clone: Path) -> None:
    stream = json.loads((folder / "stream.json").read_text())
    _need(stream["dataset"])
    store = clone / folder.parents[1].relative_to(ROOT / "results")
    words = ["board", "--protocol", stream["protocol"], "--dataset", stream["dataset"], "--results", str(store)]
    usual = protocols.PROTOCOLS[stream["protocol"]].targets.get(stream["dataset"])
    asked = [] if usual is not None and usual.auc == stream["target"] else ["--target", str(stream["target"])]
    assert cli.main([*words, *asked]) == 0
    _same(folder, store / "streams" / folder.name)


def _same(committed: Path, made: Path) -> None:
    """What is committed of a folder is what is made. What else lies there may have been drawn by an earlier version."""
    listed = subprocess.run(["git", "ls-files", "-z", "."], cwd=committed, check=True, capture_output=True, text=True)
    names = [name for name in listed.stdout.split("\0") if name]
    assert names, f"nothing of {committed} is committed"
    for name in names:
        assert (committed / name).read_bytes() == (made / name).read_bytes(), name


@pytest.mark.parametrize("page", [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))], ids=lambda page: page.name)
def test_leaderboards_of_pages_are_the_committed_ones(page: Path) -> None:
    found = re.findall(r"<!-- board: (\S+) -->\n(.*?)<!-- board: end -->", page.read_text(), re.DOTALL)
    for folder, text in found:
        board = ROOT / "results" / folder / "board.json"
        assert board.exists(), f"{page.name} shows the board {folder}, which is not committed"
        assert text == board_files.to_brief(board_files.from_json(board.read_text(), folder))


@pytest.mark.skipif(not BOARDS, reason="no board is committed")
def test_the_leaderboard_page_is_that_of_the_committed_boards() -> None:
    page = ROOT / "LEADERBOARD.md"
    assert page.read_text() == leaderboard_page.to_markdown(results_folder.collect(ROOT / "results"), "results"), (
        "rankbench report --results results --markdown --out LEADERBOARD.md"
    )


@pytest.mark.skipif(not BOARDS, reason="no board is committed")
def test_the_report_of_everything_is_small_and_its_figures_are_beside_it() -> None:
    """Figures of boards and studies are not in the page, however many there are; the first picture is, and that of all boards."""
    page = html.to_html(results_folder.collect(ROOT / "results"), "results", ROOT / "results")
    assert len(page.encode()) <= LARGEST_PAGE
    first, *others = re.findall(r'<img [^>]*?src="(.*?)"[^>]*>', page)
    within = [source for source in others if source.startswith("data:image/svg+xml;base64,")]
    assert first.startswith("data:image/svg+xml;base64,") and len(within) <= 1
    assert all((ROOT / "results" / unquote(source)).is_file() for source in others if source not in within)


@pytest.mark.skipif(not BOARDS, reason="no board is committed")
def test_the_summary_of_the_committed_boards_is_what_they_state() -> None:
    boards = results_folder.collect(ROOT / "results").boards
    for metric, (_, *lines) in summary.tables(boards).items():
        for files, line in zip(boards, lines, strict=True):
            pairs = [one.pair for one in of_kind(files.board.statements, Families) if one.pair.metric == metric]
            said = [[pair.one, pair.other, difference(pair.difference), pair.verdict] for pair in pairs]
            assert [line[2:6]] == said if said else line[4:6] == ["-", "-"], files.name


@pytest.mark.parametrize("folder", BOARDS, ids=lambda folder: folder.relative_to(ROOT / "results").as_posix())
def test_tables_are_those_of_the_board(folder: Path) -> None:
    board = board_files.from_json((folder / "board.json").read_text(), str(folder))
    assert (folder / "board.md").read_text() == board_files.to_markdown(board)


def test_nothing_is_wrong_with_the_public_leaderboard() -> None:
    """Rows unchanged since they were committed, and what their runs make of them."""
    assert [str(one) for one in about_public(ROOT / "results") if one.kind == "wrong"] == []


def test_the_page_of_the_public_leaderboard_is_that_of_its_rows() -> None:
    """As they stood on some day since the last was added: the page changes only where one is added or expires."""
    board = read_public(ROOT / "results" / FOLDER)
    today, last = datetime.datetime.now(datetime.UTC).date(), max(day(row.date) for row in board.rows.values())
    days = {last, today} | {until for row in board.rows.values() if (until := expiry(row)) is not None and last < until <= today}
    pages = {public_page.to_markdown(board, "../../results/public", on) for on in days}
    assert (ROOT / "docs" / "results" / "public_board.md").read_text() in pages, "make docs"


def test_no_place_of_a_machine_is_committed() -> None:
    files = {path for path in (ROOT / "results").rglob("*") if path.suffix in (".json", ".md", ".csv", ".svg")}
    runs = {path for store in STORES for folder in Store(store).cells() for path in run_files.records(folder)}
    assert runs
    for path in files | runs:
        if "local" not in path.parts:
            text = run_files.read(path).decode() if path in runs else path.read_text()
            assert not re.search(r"(?<![\w.:/])/(home|root|tmp|work|usr|opt|Users)/", text), path


def test_a_clone_has_not_too_many_files() -> None:
    """Runs are two files for each seed until they are packed."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout.split(b"\0")
    assert len(listed) <= MOST_FILES, "rankbench pack --results results"
