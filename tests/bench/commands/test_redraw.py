"""Of a results folder with records, scores and study.json alone, one command makes every table and figure again, as they were."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from rankbench.bench import cli
from rankbench.bench.runs import schedule

MADE = (".md", ".csv", ".svg", ".png", "board.json")
"""How names of files end that are made of others."""


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.long
def test_everything_is_made_again_without_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RANKBENCH_CACHE", str(tmp_path / "cache"))
    small = ("--dataset", "simulator", "--device", "cpu", "--jobs", "1", "--quiet", "--seeds", "1", "--set", "train.epochs=1")
    assert cli.main(["run", "--models", "ctr,lr", *small, "--results", "results"]) == 0
    assert cli.main(["run", "--models", "ctr,lr", *small, "--results", "results/more", "--set", "data.time=none"]) == 0
    assert cli.main(["study", "time", "--models", "lr", *small, "--results", "results"]) == 0
    before = files(tmp_path / "results")
    for name in before:
        if name.endswith(MADE):
            (tmp_path / "results" / name).unlink()

    def train(*_: object) -> None:
        raise AssertionError("nothing is trained")

    monkeypatch.setattr(schedule, "run_job", train)
    capsys.readouterr()
    assert cli.main(["redraw", "--results", "results"]) == 0
    assert files(tmp_path / "results") == before
    assert len(capsys.readouterr().out.splitlines()) == 3

    (cell, *_) = sorted((tmp_path / "results/studies/time/runs").rglob("seed-0.json"))
    shutil.rmtree(cell.parent)
    assert cli.main(["redraw", "--results", "results"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("left out: results/studies/time/simulator@") and "nothing is trained here" in line
