"""Of a results folder with records, scores and study.json alone, one command makes every table and figure again, as they were."""

from __future__ import annotations

import json
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


def test_the_figure_of_a_measurement_is_drawn_from_its_record_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    speed = tmp_path / "speed"
    speed.mkdir()
    timing = {"title": "Layers", "about": "a processor", "unit": "ms", "cases": {"B32": {"packed": [1.0, 2.0], "padded": [3.0]}}}
    for name in ("layers", "large-hstu.dropout=0.1"):
        (speed / f"{name}.json").write_text(json.dumps({"rows": [], "figure": timing}))
    (speed / "stopped.json").write_text(json.dumps({"rows": []}))
    assert cli.main(["redraw", "--results", str(tmp_path)]) == 0
    assert "packed" in (speed / "layers.svg").read_text() and not (speed / "stopped.svg").exists()
    assert (speed / "large-hstu.dropout=0.1.svg").exists(), "a name may have dots"
    for broken, said in (
        ("[", "is not JSON"),
        ("[]", "is no record"),
        (json.dumps({"figure": timing | {"unit": 3}}), "figure.unit"),
    ):
        (speed / "layers.json").write_text(broken)
        capsys.readouterr()
        assert cli.main(["redraw", "--results", str(tmp_path)]) == 2 and said in capsys.readouterr().err
