"""Provenance names versions and the commit, never a place."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from rankbench.bench.records import provenance


def test_paths_of_the_command_are_cut_to_their_last_part() -> None:
    given = [
        "/a/bin/rankbench",
        "run",
        "--results",
        "/b/c/",
        "--config=/d/e.yaml",
        "--set",
        "data.dataset=../f.yaml",
        "train.lr=1e-3",
    ]
    expected = ("rankbench", "run", "--results", "c", "--config=e.yaml", "--set", "data.dataset=f.yaml", "train.lr=1e-3")
    assert provenance.command(given) == expected


@pytest.mark.parametrize(
    "storage", ["postgresql://me:secret@host/db", "http://me:secret@host:5000", "mysql://host?password=secret"]
)
def test_passwords_of_the_command_are_left_out(storage: str) -> None:
    for given in (["--storage", storage], [f"--mlflow={storage}"]):
        assert "secret" not in " ".join(provenance.command(given))


def test_the_environment_holds_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["/a/rankbench", "run"])
    assert provenance.environment(torch.device("cpu")).command == ("rankbench", "run")


def _git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=x", "-c", "user.email=x@example.org", "-c", "commit.gpgsign=false"]
    return subprocess.run(["git", *identity, *arguments], cwd=folder, capture_output=True, text=True, check=True).stdout.strip()


def test_only_a_repository_that_tracks_the_code_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = tmp_path / "somewhere" / "provenance.py"
    code.parent.mkdir()
    code.write_text("")
    (tmp_path / "notes").write_text("of somebody else")
    _git(tmp_path, "init", "-q")
    _git(tmp_path, "add", "notes")
    _git(tmp_path, "commit", "-qm", "theirs")
    monkeypatch.setattr(provenance, "__file__", str(code))
    assert _found() == (None, None)
    _git(tmp_path, "add", ".")
    _git(tmp_path, "commit", "-qm", "ours")
    commit = _git(tmp_path, "rev-parse", "HEAD")
    assert _found() == (commit, False)
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "board.md").write_text("written by a run")
    assert _found() == (commit, False)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "record.json").write_text("written by a run with --results mine")
    assert _found() == (commit, False)
    (tmp_path / "bench").mkdir()
    (tmp_path / "bench" / "new.py").write_text("a module that no commit holds")
    assert _found() == (commit, True)
    (tmp_path / "bench" / "new.py").unlink()
    code.write_text("changed")
    assert _found() == (commit, True)


def _found() -> tuple[str | None, bool | None]:
    environment = provenance.environment(torch.device("cpu"))
    return environment.git_commit, environment.git_dirty


def test_the_environment_names_versions_but_no_place() -> None:
    found = provenance.environment(torch.device("cpu"))
    assert found.versions["torch"] == torch.__version__ or found.versions["torch"] == torch.__version__.partition("+")[0]
    text = str(found)
    assert os.uname().nodename not in text and (Path.home() == Path("/") or str(Path.home()) not in text)
