"""The scripts for cards: their parts stay within nine minutes, no step stops another, and results are kept after each."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
from pathlib import Path

import pytest

from support import gpu_check, npu_check
from support.card_check import ALL_TOGETHER_S, Step, belongs, run_all, with_needed
from support.gpu_check import main

ALL = (gpu_check.STEPS, npu_check.STEPS)
EACH = [
    pytest.param(step, steps, id=f"{name}-{step.name}") for name, steps in zip(("gpu", "npu"), ALL, strict=True) for step in steps
]


@pytest.mark.parametrize("steps", ALL, ids=["gpu", "npu"])
def test_steps_of_a_part_fit_into_nine_minutes(steps: tuple[Step, ...]) -> None:
    for part in (0, *{step.part for step in steps}):
        assert sum(step.limit_s for step in steps if belongs(step, part)) <= ALL_TOGETHER_S
    assert all(step.limit_s < 120 for step in steps) and len({step.name for step in steps}) == len(steps)
    for step in steps:
        for command in (step.on_card, step.small):
            assert command.format(folder="F", table="T").replace("{", "") == command.format(folder="F", table="T")


@pytest.mark.long
@pytest.mark.parametrize(("step", "steps"), EACH)
def test_every_step_runs_without_a_card(
    step: Step, steps: tuple[Step, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that nothing fails for the first time on the card; wherever the tests are run from."""
    if importlib.util.find_spec("triton") is None:
        pytest.skip("triton is not installed: make triton installs it")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PYTHONPATH", raising=False)
    # A step's limit is for an idle machine, as the one with a card is; here others may be at work.
    patient = [dataclasses.replace(one, limit_s=5 * one.limit_s) for one in with_needed([step.name], steps)]
    for outcome in run_all(patient, None, tmp_path / "kept", 5 * ALL_TOGETHER_S):
        assert outcome.result == "ok", "\n".join(outcome.said)


def test_a_step_that_fails_or_hangs_stops_no_other(tmp_path: Path) -> None:
    steps = (
        Step("breaks", "", "-c 'print(1); raise SystemExit(3)'", 20),
        Step("hangs", "", "-c 'import time; time.sleep(60)'", 0.5),
        Step("works", "", "-c 'print(\"{folder}\")'", 20),
    )
    outcomes = run_all(steps, None, tmp_path)
    assert [one.result for one in outcomes] == ["failed", "too long", "ok"]
    assert outcomes[0].said == ["1"] and outcomes[2].said == [str(tmp_path)]
    kept = json.loads((tmp_path / "results.json").read_text())
    assert kept["card"] is None and [one["result"] for one in kept["steps"]] == ["failed", "too long", "ok"]


def test_what_finds_no_time_left_is_said(tmp_path: Path) -> None:
    (outcome,) = run_all([Step("late", "", "-c 'pass'", 20)], None, tmp_path, all_together_s=0)
    assert outcome.result == "no time left" and (tmp_path / "results.json").exists()


def test_an_unknown_step_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--only", "dance"])
    assert "no step is called dance; there are implementations, programs" in capsys.readouterr().err
