"""The page says what the rows say: divisions apart, claims first, and what is no longer ranked with its reason."""

from __future__ import annotations

import dataclasses
import datetime
from pathlib import Path

import pytest

from rankbench.bench import cli
from rankbench.bench.public.board import PublicBoard, expiry, read
from rankbench.bench.public.submission import Submission
from rankbench.bench.reporting.public_page import to_markdown
from support.public import public, runs, submitted

pytestmark = pytest.mark.long

TODAY = datetime.datetime.now(datetime.UTC).date()


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three rows of the closed division, the reference among them, and one of the open division."""
    folder = tmp_path_factory.mktemp("page")
    root = public(folder / "results")
    submitted(runs(runs(folder / "theirs", "hstu", 1.2, family="generative"), "dnn", 0.5), root)
    submitted(folder / "results", root)
    submitted(runs(folder / "more", "gru", 1.1, changed={"train.lr": 0.5}), root, Submission("C. Person", "open"))
    return folder / "results"


@pytest.fixture(scope="module")
def board(results: Path) -> PublicBoard:
    return read(results / "public")


def tables(page: str) -> dict[str, list[str]]:
    """Heading -> first cells of the table below it."""
    found: dict[str, list[str]] = {}
    heading = ""
    for line in page.splitlines():
        if line.startswith("#"):
            heading = line.lstrip("# ")
        elif line.startswith("| ") and not line.startswith("| model"):
            found.setdefault(heading, []).append(line.split(" | ")[0].removeprefix("| "))
    return found


def test_rows_stand_by_their_claims_and_divisions_apart(board: PublicBoard) -> None:
    found = tables(to_markdown(board, "results/public", TODAY))
    assert found["toy: closed division"] == ["hstu", "din", "dnn"]
    assert found["toy: open division"] == ["gru"]


def test_every_row_has_its_words_numbers_and_file(board: PublicBoard) -> None:
    page = to_markdown(board, "results/public", TODAY)
    for row in board.rows.values():
        file = row.path(board.root).relative_to(board.root).as_posix()
        (line,) = (line for line in page.splitlines() if f"(results/public/{file})" in line)
        assert f"{row.entrant.quality['auc'].value.value:.4f} [" in line and row.by in line
        assert all(f"**{claim.verdict}**" in line for claim in row.entrant.claims.values())
        assert f"self-reported, until {expiry(row)}" in line


def test_an_expired_row_leaves_the_ranking_and_stays_on_the_page(board: PublicBoard) -> None:
    row = next(row for row in board.rows.values() if row.entrant.model == "hstu")
    until = expiry(row)
    assert until is not None
    page = to_markdown(board, "results/public", until)
    assert "toy: closed division" not in tables(page)
    assert f"{row.id[:8]}, hstu on toy @ global-time, closed, by A. Person: expired on {until}" in page


def test_a_replaced_row_is_listed_with_its_reason(board: PublicBoard) -> None:
    old = next(row for row in board.rows.values() if row.entrant.model == "dnn")
    new = dataclasses.replace(old, replaces=old.id, reason="other kernels")
    page = to_markdown(dataclasses.replace(board, rows={**board.rows, new.id: new}), "results/public", TODAY)
    assert f"replaced by {new.id[:8]} on {new.date}: other kernels" in page
    assert tables(page)["toy: closed division"].count("dnn") == 1


def test_where_no_envelope_is_known_the_page_says_so(board: PublicBoard) -> None:
    assert "No row is verified yet, so that there is no envelope." in to_markdown(board, "results/public", TODAY)


def test_the_command_writes_it(results: Path, board: PublicBoard, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "public_board.md"
    assert cli.main(["report", "--results", str(results), "--public", "--out", str(out)]) == 0
    assert capsys.readouterr().out == f"rows: 4; {out}\n"
    assert out.read_text().startswith("# Public leaderboard\n")
    assert cli.main(["report", "--results", str(results), "--public", "--markdown", "--out", str(out)]) == 2
