"""The grid of the study of steps: only variants that differ from the log."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from rankbench.bench.config import Settings
from rankbench.bench.data.sources.schema import DataRoots
from rankbench.bench.data.steps.declared import Bots, SampleUsers
from rankbench.bench.errors import UserError
from rankbench.bench.studies.points import Scope
from rankbench.bench.studies.questions import steps
from rankbench.bench.studies.questions.steps import STUDY


def test_a_step_that_leaves_nothing_out_is_no_point(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = {"no bots": (Bots(events=10_000),), "half of the users": (SampleUsers(0.5, rows="training"),)}
    monkeypatch.setattr(steps, "USUAL", asked)
    log = tmp_path / "log.yaml"
    log.write_text(yaml.safe_dump({"source": "simulator", "events": 3_000, "users": 60, "items": 50, "categories": 5}))
    scope = STUDY.prepare(Scope(("din", "hstu"), dataset=str(log), folder=tmp_path), DataRoots(None, tmp_path / "cache"))
    assert scope.idle_steps == ("no bots",)
    points = STUDY.grid(scope)
    assert {point.at for point in points} == {"no step", "half of the users"}
    files = {path.name for path in (tmp_path / "datasets").iterdir()}
    assert files == {"log.no-step.yaml", "log.half-of-the-users.yaml"}
    assert all(Path(point.settings[0].partition("=")[2]).is_file() for point in points)


def test_a_test_of_sampled_negatives_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    for asked in (
        Scope(("din",), positive_only=True, folder=tmp_path),
        Scope(("din",), settings=Settings(data={"test_negatives": "uniform"})),
    ):
        with pytest.raises(UserError, match="study steps needs a test of logged impressions"):
            STUDY.prepare(asked, DataRoots(None, tmp_path / "cache"))
    assert not list(tmp_path.iterdir())
