"""The audit of the intervals reads the runs below a folder, prints what it counted and keeps it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rankbench.bench import cli
from rankbench.bench.analysis.interval_audit import Audit, OfBoard, Simulated
from rankbench.bench.evaluation import proof
from rankbench.bench.evaluation.proof import Coverage, SelfComparison
from rankbench.bench.records import provenance
from rankbench.bench.records.store import Store
from rankbench.bench.reporting.audit_page import to_markdown
from support.records import predictions, record


def test_models_of_five_seeds_are_compared_with_themselves(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = Store(tmp_path)
    for model, skill, seeds in (("din", 1.0, 5), ("hstu", 0.9, 6), ("dnn", 0.5, 3)):
        for seed in range(seeds):
            frame = predictions(skill, seed)
            store.write(record(model, frame, seed), frame)
    assert cli.main(["audit", "statistics", "--results", str(tmp_path), "--tests", "0"]) == 0
    page = (tmp_path / "audit" / "statistics.md").read_text()
    assert page in capsys.readouterr().out
    assert len([line for line in page.splitlines() if line.startswith("| toy@global-time | ")]) == 4
    (board,) = json.loads((tmp_path / "audit" / "statistics.json").read_text())["against_themselves"]
    assert [(one["models"], one["compared"]) for one in board["found"]] == [(2, 20)] * 4


def test_runs_of_studies_and_of_folders_inside_are_compared_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for folder in ("studies/identity", "earlier"):
        for seed in range(5):
            frame = predictions(1.0, seed)
            Store(tmp_path / folder).write(record("din", frame, seed), frame)
    assert cli.main(["audit", "statistics", "--results", str(tmp_path), "--tests", "0"]) == 0
    page = capsys.readouterr().out
    assert "| earlier: toy@global-time | " in page and "| studies/identity: toy@global-time | " in page
    assert "| all | AUC | 2 | " in page


def test_nothing_to_audit_is_said_and_nothing_is_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["audit", "statistics", "--results", str(tmp_path), "--tests", "0"]) == 2
    assert "nothing to audit: no board has a model with five seeds" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
    assert cli.main(["audit", "statistics", "--results", str(tmp_path), "--tests", "-1"]) == 2
    assert "--tests -1 must be 0 or more" in capsys.readouterr().err


def test_simulated_tests_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(proof, "WORLDS", (proof.World(20, 0.01),))
    monkeypatch.setattr(proof, "truth", lambda _: dict.fromkeys(proof.METRICS, 0.65))
    assert cli.main(["audit", "statistics", "--results", str(tmp_path), "--tests", "3"]) == 0
    assert capsys.readouterr().out.count("| 20 | 0.01 | ") == 12


def test_worlds_that_were_simulated_stay_until_the_program_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def simulated(world: proof.World, tests: int) -> list[Coverage]:
        counted.append(world.users)
        if world.users in broken:
            raise KeyboardInterrupt
        return [Coverage(world.users, world.training, 3, "auc", tests, 0.0, 0.95, 0.95, 0.95, 0.95, 3.8)]

    def audit(*arguments: str) -> str:
        cli.main(["audit", "statistics", "--results", str(tmp_path), *arguments])
        return capsys.readouterr().out

    counted, broken = [], {21}
    monkeypatch.setattr(proof, "WORLDS", (proof.World(20, 0.0), proof.World(21, 0.0)))
    monkeypatch.setattr(proof, "coverage", simulated)
    audit("--tests", "3")
    broken.clear()
    assert "| 20 | 0 | " in audit("--tests", "3") and counted == [20, 21, 21]
    assert "| 21 | 0 | " in audit("--tests", "0") and counted == [20, 21, 21]
    audit("--tests", "4")
    assert counted[3:] == [20, 21]
    monkeypatch.setattr(provenance, "code_hash", lambda: "0" * 64)
    assert "hash 000000000000" in audit("--tests", "4") and counted[5:] == [20, 21]
    (tmp_path / "audit" / "statistics.json").write_text("{")
    assert cli.main(["audit", "statistics", "--results", str(tmp_path)]) == 2
    assert "statistics.json is not JSON" in capsys.readouterr().err


def test_what_lies_outside_the_bounds_is_bold() -> None:
    counted = Audit(
        Simulated(400, "a" * 64, (Coverage(30, 0.01, 3, "auc", 400, -0.0079, 0.951, 0.928, 0.975, 0.96, 3.8),)),
        (
            OfBoard(
                "ml-1m@global-time",
                (SelfComparison("auc", 13, 130, 5, "din (3 of 10)"), SelfComparison("logloss", 13, 130, 10, "x")),
            ),
        ),
    )
    page = to_markdown(counted)
    assert "| 30 | 0.01 | 3 | AUC | -0.0079 | 95.1 | **92.8** | **97.5** | 96.0 | 3.8 |" in page
    assert "| ml-1m@global-time | AUC | 13 | 5 of 130 | 3.8% | din (3 of 10) |" in page
    assert "| **7.7%** | x |" in page
