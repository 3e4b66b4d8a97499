"""Commands that are killed at random moments and started again leave what undisturbed ones leave; python -m support.kills tries
more of them."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from support.kills.outcome import Difference, difference, failed, outcome
from support.kills.rounds import drawn
from support.kills.scenarios import SCENARIOS


def test_a_seed_draws_the_same_round() -> None:
    assert all(drawn(one, 7) == drawn(one, 7) for one in SCENARIOS)
    assert len({str(drawn(SCENARIOS[0], seed)) for seed in range(20)}) > 10


def test_what_is_lost_unequal_or_left_behind_is_found(tmp_path: Path) -> None:
    record = {"status": "ok", "metrics": {"auc": 0.7}, "kernels": {"linear": "torch"}, "cost": {"train_seconds": 1.0, "steps": 3}}
    for name in ("straight", "found"):
        (tmp_path / name).mkdir()
        for seed in range(3):
            (tmp_path / name / f"seed-{seed}.json").write_text(json.dumps(record))
    straight, found = outcome(tmp_path / "straight", False), tmp_path / "found"
    slower = {**record, "cost": {"train_seconds": 9.0, "steps": 3}}
    (found / "seed-0.json").write_text(json.dumps(slower))
    assert difference(straight, outcome(found, False), failed(found)) == Difference()
    (found / "seed-0.json").write_text(json.dumps({**record, "kernels": {}}))
    (found / "seed-1.json").unlink()
    (found / ".writing-1").write_text("")
    assert difference(straight, outcome(found, False), failed(found)) == Difference(
        lost=("seed-1.json",), unequal=("seed-0.json",), left=(".writing-1",)
    )
    (found / "seed-2.json").write_text(json.dumps({**record, "status": "failed"}))
    assert difference(straight, outcome(found, False), failed(found)).lost == ("seed-1.json", "seed-2.json")


def test_of_a_search_those_trials_are_compared_that_count(tmp_path: Path) -> None:
    def trial(number: int, state: str, value: float | None, retry_of: int | None = None) -> dict[str, object]:
        return {"number": number, "state": state, "value": value, "seconds": number / 3, "retry_of": retry_of}

    found = []
    for trials in (
        [trial(0, "complete", 0.6), trial(1, "complete", 0.7)],
        [trial(0, "complete", 0.6), trial(1, "handed on", None), trial(2, "complete", 0.7, 1)],
        [trial(0, "complete", 0.6), trial(1, "complete", 0.8)],
    ):
        (tmp_path / "din.json").write_text(json.dumps({"trials": trials}))
        found.append(outcome(tmp_path, False))
    assert found[0] == found[1] != found[2]


@pytest.mark.long
def test_killed_commands_lose_nothing_change_nothing_and_leave_nothing(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "TMPDIR": str(tmp_path)}
    environment.pop("RANKBENCH_DATA", None)
    command = [sys.executable, "-m", "support.kills", "--rounds", str(len(SCENARIOS))]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=3000)
    assert done.returncode == 0, done.stdout + done.stderr
    (kills,) = re.findall(r"^all, .* rounds, (\d+) kills, 0 lost, 0 unequal, 0 left behind", done.stdout, re.MULTILINE)
    assert int(kills) >= len(SCENARIOS), done.stdout
