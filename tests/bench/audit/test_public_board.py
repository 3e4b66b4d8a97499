"""A public leaderboard that somebody tampered with is refused, in a line that says what was done to which row."""

from __future__ import annotations

import dataclasses
import datetime
import json
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from rankbench.bench.audit.finding import Finding
from rankbench.bench.audit.public_board import about_public
from rankbench.bench.public.board import KEPT_DAYS, PublicBoard, gathered, paths
from rankbench.bench.public.row import CodeVersion, PublicRow, Verification, load, to_json
from rankbench.bench.records.store import stores_below
from support.public import public, runs, submitted
from support.records import pack

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def genuine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository whose results hold a board and, below contributed/, what somebody submitted to it."""
    folder = tmp_path_factory.mktemp("repository")
    root = public(folder / "results")
    submitted(runs(folder / "results" / "contributed" / "hstu", "hstu", 1.2, family="generative"), root)
    git(folder, "init", "--quiet")
    commit(folder)
    return folder


@pytest.fixture
def repository(genuine: Path, tmp_path: Path) -> Path:
    """A copy of its own."""
    shutil.copytree(genuine, tmp_path / "repository")
    return tmp_path / "repository"


def git(folder: Path, *words: str) -> str:
    own = ("-c", "user.name=A. Person", "-c", "user.email=a@example.org")
    return subprocess.run(["git", *own, *words], cwd=folder, capture_output=True, text=True, check=True).stdout


def commit(folder: Path) -> None:
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "a change")


def board(repository: Path) -> PublicBoard:
    root = repository / "results" / "public"
    return gathered(root, [load(path) for path in paths(root)])


def only(repository: Path) -> PublicRow:
    (row,) = board(repository).rows.values()
    return row


def write(repository: Path, row: PublicRow) -> Path:
    path = row.path(repository / "results" / "public")
    path.write_text(to_json(row))
    return path


def found(repository: Path, today: datetime.date | None = None) -> list[Finding]:
    return list(about_public(repository / "results", today))


def wrong(repository: Path) -> list[str]:
    return [str(one) for one in found(repository) if one.kind == "wrong"]


def better(row: PublicRow) -> PublicRow:
    """Its numbers as its submitter would like them, consistent in themselves."""
    auc = row.entrant.quality["auc"]
    value = dataclasses.replace(auc.value, value=auc.value.value + 0.01)
    quality = {**row.entrant.quality, "auc": dataclasses.replace(auc, value=value, by_seed=tuple(v + 0.01 for v in auc.by_seed))}
    return dataclasses.replace(row, entrant=dataclasses.replace(row.entrant, quality=quality))


def test_a_genuine_board_passes(repository: Path) -> None:
    assert found(repository) == []
    assert list(about_public(repository / "nothing")) == []


def test_rows_stand_on_packed_runs_as_on_loose_ones(repository: Path) -> None:
    for store in stores_below(repository / "results"):
        pack(store)
    commit(repository)
    assert found(repository) == []
    row = only(repository)
    row.path(repository / "results" / "public").unlink()
    write(repository, better(row))
    assert any("its quality is not what its runs make of it" in line for line in wrong(repository))


def test_an_edited_row_is_refused_by_its_name(repository: Path) -> None:
    row = only(repository)
    path = row.path(repository / "results" / "public")
    path.write_text(to_json(better(row)))
    assert [line for line in wrong(repository) if "was edited, copied or renamed" in line]


def test_an_edited_row_under_its_new_name_is_missed_in_the_history_and_is_not_what_its_runs_make(repository: Path) -> None:
    row = only(repository)
    row.path(repository / "results" / "public").unlink()
    write(repository, better(row))
    commit(repository)
    said = wrong(repository)
    assert any("it was committed once and is not here" in line and row.id in line for line in said)
    assert any("its quality is not what its runs make of it" in line for line in said)


def test_a_row_that_was_added_on_a_branch_and_left_out_of_the_merge_is_missed(repository: Path) -> None:
    row, main = only(repository), git(repository, "branch", "--show-current").strip()
    git(repository, "checkout", "--quiet", "-b", "side")
    side = write(repository, dataclasses.replace(row, by="Somebody Else"))
    commit(repository)
    side.unlink()
    commit(repository)
    git(repository, "checkout", "--quiet", main)
    git(repository, "merge", "--quiet", "--no-ff", "--no-edit", "side")
    assert any(side.name in line and "committed once" in line for line in wrong(repository))


def test_a_history_that_is_not_here_is_said_to_be(repository: Path, tmp_path: Path) -> None:
    (repository / "note").write_text("more")
    commit(repository)
    git(tmp_path, "clone", "--quiet", "--depth", "1", f"file://{repository}", "shallow")
    (said,) = [one.what for one in found(tmp_path / "shallow") if one.kind == "note" and "history" in one.what]
    assert "git fetch --unshallow" in said
    shutil.rmtree(repository / ".git")
    assert any("it lies in no repository with a commit" in one.what for one in found(repository))


def test_a_version_on_which_rows_stand_cannot_be_changed(repository: Path) -> None:
    path = repository / "results" / "public" / "versions.yaml"
    entries = yaml.safe_load(path.read_text())
    entries[0]["allowance"]["trials"] = 500
    path.write_text(yaml.safe_dump(entries))
    assert any("version 1 of the board was changed since" in line for line in wrong(repository))
    path.write_text("- version: 1")
    assert [line.split(": ")[1] for line in wrong(repository)] == ["public/versions.yaml"]


def test_a_verified_row_needs_its_runs_unchanged_and_a_self_reported_one_is_noted(repository: Path) -> None:
    (path,) = (repository / "results" / "contributed").rglob("hstu/*/seed-1.json")
    path.write_text(path.read_text().replace('"load_average": 0.5', '"load_average": 0.4'))
    (note,) = found(repository)
    assert note.kind == "note" and "are not below the results folder, or were changed since" in note.what
    row = only(repository)
    said = Verification("B. Reviewer", CodeVersion(None, None, "e" * 64), None)
    write(repository, dataclasses.replace(row, tier="recomputed", verification=said, replaces=row.id, reason="recomputed"))
    assert any("were changed since" in line for line in wrong(repository))


def test_a_reference_that_was_changed_is_named(repository: Path) -> None:
    for path in (repository / "results" / "runs").rglob("din/*/seed-2*"):
        path.unlink()
    assert any("the reference has 2 seeds, not 0 to 2" in line for line in wrong(repository))
    shutil.rmtree(repository / "results" / "runs" / "toy@global-time" / "din")
    assert any("the reference din/" in line and "is not in" in line for line in wrong(repository))


def test_an_expired_row_is_a_note(repository: Path) -> None:
    day = datetime.date.fromisoformat(only(repository).submitted) + datetime.timedelta(days=KEPT_DAYS)
    (said,) = found(repository, day)
    assert said.kind == "note" and f"it is self-reported and expired on {day}" in said.what


def test_without_test_rows_it_says_that_nothing_was_computed_again(repository: Path) -> None:
    shutil.rmtree(repository / "results" / "rows")
    (said,) = found(repository)
    assert said.kind == "note" and "its numbers were not computed again" in said.what


def test_a_file_that_is_no_row_is_named(repository: Path) -> None:
    path = repository / "results" / "public" / "closed" / "toy@global-time" / "mine.json"
    path.write_text(json.dumps({"auc": 1.0}))
    assert any("public/closed/toy@global-time/mine.json" in line for line in wrong(repository))
