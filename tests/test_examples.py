"""The examples run as they stand, each in a folder of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from support.cache import own_cache

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    shutil.copytree(EXAMPLES, tmp_path / "examples", ignore=shutil.ignore_patterns("results"))
    return tmp_path


def called(place: Path, *words: str) -> str:
    program = place / "bin" / "rankbench"
    program.parent.mkdir(exist_ok=True)
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m rankbench "$@"\n')
    program.chmod(0o755)
    paths = {"PATH": f"{program.parent}:{os.environ['PATH']}", "PYTHONPATH": os.pathsep.join(sys.path)}
    environment = {**os.environ, **paths, "RANKBENCH_CACHE": str(own_cache(place))}
    done = subprocess.run(words, cwd=place, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.long
def test_python(place: Path) -> None:
    shown = called(place, sys.executable, "examples/compare.py").splitlines()
    assert shown[0] == "6 of 6 runs are finished" and len(shown) == 5
    assert shown[-1].startswith("hstu minus din: ")
    assert shown[-1].endswith(("better", "worse", "equivalent", "not settled"))


@pytest.mark.long
def test_own_table(place: Path) -> None:
    shown = called(place, "examples/own_table/run.sh")
    assert "2,700 events, 60 users, 40 items" in shown and "device" in shown and "brand" in shown
    (board,) = (place / "examples/own_table/results/boards").glob("*/board.md")
    text = board.read_text()
    assert all(f"| {model}" in text for model in ("ctr", "lr", "din", "hstu")) and "request GAUC" in text
