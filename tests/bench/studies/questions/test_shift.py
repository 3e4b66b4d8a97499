"""What the study of shift must find in a world that turns, and must not find in one that stands still."""

from __future__ import annotations

from pathlib import Path

import pytest

from rankbench.bench.analysis.study_statements import Differences
from rankbench.bench.config import Settings
from rankbench.bench.data.sources.schema import DataRoots
from rankbench.bench.errors import UserError
from rankbench.bench.records.store import Store
from rankbench.bench.runs.schedule import Options
from rankbench.bench.studies import grid
from rankbench.bench.studies.grid import StudyResult
from rankbench.bench.studies.points import Scope
from rankbench.bench.studies.questions import shift
from rankbench.bench.studies.questions.shift import AGAIN, AS_MANY, ONCE, STUDY


def answer(folder: Path, drift: float) -> StudyResult:
    """Logistic regression on a log in which nothing but the popularity of items says anything."""
    path = folder / "world.yaml"
    path.write_text(
        "source: simulator\nevents: 12000\nusers: 150\nitems: 40\ncategories: 10\nintercept: 0\npopularity: 1.5\n"
        f"long_term_taste: 0\nrecent_interest: 0\ntime_of_day: 0\ntarget_match: 0\ndrift: {drift}\n"
    )
    settings = Settings(data={"dataset": str(path), "history_length": 5}, train={"epochs": 6, "lr": 0.02})
    options = Options(Store(folder / "results"), DataRoots(None, folder / "cache"), quiet=True, jobs=1)
    return grid.run(STUDY, Scope(("lr",)), settings, 2, options)


@pytest.mark.long
def test_fresh_events_help_where_the_world_turns_and_bring_nothing_where_it_does_not(tmp_path: Path) -> None:
    found = {}
    for name, drift in (("turning", 2.0), ("steady", 0.0)):
        (tmp_path / name).mkdir()
        finding = answer(tmp_path / name, drift)
        pairs = {one.one.point.factor: one for one in finding.pairs["auc"]}
        assert set(pairs) == {AGAIN, AS_MANY} and all(one.other.point.factor == ONCE for one in pairs.values())
        found[name] = finding, pairs[AS_MANY]
    finding, fresh = found["turning"]
    assert fresh.verdict == "better" and fresh.difference.value > 0.05
    later = shift.by_window(finding, "auc", fresh)
    assert [one.window.at for one in later] == [2, 3] and later[1].difference.value > later[0].difference.value > 0
    steady, fresh = found["steady"]
    for one in (finding, steady):
        told = [said for said in shift.statements(one) if isinstance(said, Differences)]
        assert told and all(said.part == "window by window" for said in told if said.metric == "auc"), (
            "runs have levels of their own"
        )
    assert fresh.verdict in ("equivalent", "not settled") and abs(fresh.difference.value) < 0.01


def test_retraining_on_as_many_keeps_the_number_of_events() -> None:
    points = {point.at: point for point in STUDY.grid(Scope(("din",), "full", windows=4))}
    assert [part.settings[0] for part in points[AGAIN].parts] == [
        "data.split=windows-4",
        *(f"data.split=window-{n}-of-4" for n in (2, 3, 4)),
    ]
    shares = [float(part.settings[1].partition("=")[2]) for part in points[AS_MANY].parts[1:]]
    assert shares == pytest.approx([0.5 / 0.6, 0.5 / 0.7, 0.5 / 0.8], abs=1e-4)


def test_a_log_that_has_no_windows_or_no_impressions_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="logged impressions of both labels"):
        shift.prepare(Scope(("din",), positive_only=True, windows=4), DataRoots(None, tmp_path))
    with pytest.raises(UserError, match="two windows of whole requests"):
        shift.prepare(Scope(("din",), windows=1), DataRoots(None, tmp_path))
