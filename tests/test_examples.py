"""The examples run as they stand, each in a folder of its own: here, and the first of them where only a wheel is installed."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from support.cache import own_cache
from support.wheel import installed

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
BRIEF = ("--set", "train.epochs=1", "--seeds", "1", "--device", "cpu", "--jobs", "1")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    shutil.copytree(EXAMPLES, tmp_path / "examples", ignore=shutil.ignore_patterns("results"))
    return tmp_path


def called(place: Path, *words: str, env: dict[str, str] | None = None) -> str:
    """What a command that must succeed prints; `rankbench` is this tree's unless `env` says otherwise."""
    if env is None:
        program = place / "bin" / "rankbench"
        program.parent.mkdir(exist_ok=True)
        program.write_text(f'#!/bin/sh\nexec {sys.executable} -m rankbench "$@"\n')
        program.chmod(0o755)
        env = {**os.environ, "PATH": f"{program.parent}:{os.environ['PATH']}", "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(words, cwd=place, env={**env, "RANKBENCH_CACHE": str(own_cache(place))}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.long
def test_python(place: Path) -> None:
    shown = called(place, sys.executable, "examples/compare.py").splitlines()
    assert shown[0] == "6 of 6 runs are finished" and len(shown) == 5
    assert shown[-1].startswith("hstu minus din: ")
    assert shown[-1].endswith(("better", "worse", "equivalent", "not settled"))


@pytest.mark.long
def test_own_table_gives_the_expected_board_and_the_notebook_reads_it(place: Path) -> None:
    """Rows as expected.csv has them: floors of counts exactly, what is trained up to another processor's rounding."""
    shown = called(place, "examples/own_table/run.sh")
    assert "2,700 events, 60 users, 40 items" in shown and "device" in shown and "brand" in shown
    (board,) = (place / "examples/own_table/results/boards").iterdir()
    found, expected = (
        {row["label"]: row for row in csv.DictReader(path.open())}
        for path in (board / "board.csv", EXAMPLES / "own_table/expected.csv")
    )
    assert found.keys() == expected.keys() == {"ctr", "lr", "din", "hstu"}
    for label, row in expected.items():
        for metric in ("request_gauc", "auc", "logloss"):
            near = 1e-4 if label == "ctr" else 0.1
            assert float(found[label][f"quality.{metric}.point"]) == pytest.approx(float(row[f"{metric}.point"]), abs=near)

    notebook = json.loads((EXAMPLES / "board.ipynb").read_text())
    cells = ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]
    (place / "examples/cells.py").write_text("import matplotlib\nmatplotlib.use('agg')\n" + "\n\n".join(cells))
    lines = called(place / "examples", sys.executable, "cells.py", env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})
    assert lines.startswith("clicks global-time 4 rows\n") and "hstu minus din: " in lines.splitlines()[-1]


def test_the_notebook_is_committed_without_outputs() -> None:
    cells = json.loads((EXAMPLES / "board.ipynb").read_text())["cells"]
    assert all(not cell["outputs"] and cell["execution_count"] is None for cell in cells if cell["cell_type"] == "code")


@pytest.mark.long
def test_a_model_of_ones_own_from_python_and_from_the_shell(place: Path) -> None:
    shown = called(place, sys.executable, "examples/own_model.py").splitlines()
    assert {line.split()[0] for line in shown} == {"lr", "din", "liked-items"}
    asked = ["run", "--models", "examples/own_model.py,lr", "--dataset", "examples/own_table/clicks.yaml", "--results", "two"]
    called(place, "rankbench", *asked, "--set", "train.epochs=1", "--seeds", "1", "--jobs", "2", "--device", "cpu")
    records = {path.parts[-3]: json.loads(path.read_text()) for path in (place / "two/runs").rglob("seed-0.json")}
    assert {name: record["status"] for name, record in records.items()} == {"liked-items": "ok", "lr": "ok"}


@pytest.mark.long
def test_every_unified_block_is_timed_without_anybody_elses_code(place: Path) -> None:
    shown = called(
        place, sys.executable, "examples/unified_blocks.py", "--rounds", "1", "--seconds", "0", "--events", "20"
    ).splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in shown[2:]]
    titles = [title.split(",")[0] for title, *_ in rows]
    assert set(titles) == {"RankMixer", "TokenMixer-Large", "OneTrans", "HyFormer", "InterFormer", "LONGER"} and len(titles) == 10
    for _, whose, parameters, speed, *_ in rows:
        assert whose == "ours" and int(parameters.replace(",", "")) > 0 and int(speed.replace(",", "")) > 0


@pytest.mark.long
def test_logs_of_any_size_are_made_converted_and_trained_on_in_part(place: Path) -> None:
    called(place, sys.executable, "examples/large_log.py", "20_000", "large")
    called(place, sys.executable, "examples/many_items.py", "2_000", "many")
    for names in (["large/large.yaml"], ["many/own.yaml"], ["yambda-50m", "--data-root", "many"]):
        called(place, "rankbench", "data", "get", *names)
    whole = called(place, sys.executable, "examples/bounded_pass.py", "large/large.yaml", "lr")
    part = called(place, sys.executable, "examples/bounded_pass.py", "large/large.yaml", "hstu", "2", "data.negatives=uniform")
    assert "16,000 examples, 100.0% of a pass" in whole and "hstu: 2 steps" in part
    assert not list(place.glob("*.pt")), "what is finished leaves no checkpoint"


@pytest.mark.slow
def test_the_wheel_alone_runs_the_quickstart(tmp_path: Path) -> None:
    """Without the checkout: libraries come from this environment, the package from the wheel."""
    python = installed(tmp_path)
    site = python.parent.parent / "lib"
    env = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    env["PATH"] = f"{python.parent}:{env['PATH']}"
    shutil.copy(EXAMPLES / "quickstart.sh", tmp_path)
    shown = called(tmp_path, "./quickstart.sh", "simulator", *BRIEF, env=env)
    where = subprocess.run(
        [python, "-c", "import rankbench; print(rankbench.__file__)"], cwd=tmp_path, env=env, capture_output=True, text=True
    )
    assert Path(where.stdout.strip()).is_relative_to(site) and not str(site).startswith(sysconfig.get_path("purelib"))
    assert "hstu" in shown and (tmp_path / "report.html").stat().st_size > 10_000
    records = [json.loads(path.read_text()) for path in (tmp_path / "results/local/runs").rglob("seed-0.json")]
    assert {record["identity"]["model"]: record["status"] for record in records} == dict.fromkeys(
        ("ctr", "lr", "din", "hstu"), "ok"
    )
