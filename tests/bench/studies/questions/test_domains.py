"""What the study of domains says of ways to train, and what it does not."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from rankbench.bench.analysis.statements import of_kind
from rankbench.bench.analysis.study_statements import Differences, Remark
from rankbench.bench.config import Settings
from rankbench.bench.studies.points import cells
from rankbench.bench.studies.questions import domains
from rankbench.bench.studies.questions.domains import APART, HIDDEN, STUDY
from support.studies import OFFERS, made_up, scope


@pytest.mark.long
def test_levels_of_models_that_were_trained_apart_are_not_compared(tmp_path: Path) -> None:
    finding = made_up(STUDY, scope(("din",)), tmp_path)
    said = of_kind(list(domains.statements(finding)), Differences)
    ways = {one.metric: {str(item.at) for item in one.differences} for one in said if (one.series, one.part) == ("din", "")}
    assert ways["request_gauc"] == {HIDDEN, APART} and ways["auc"] == {HIDDEN}
    by_domain = [one for one in said if one.series == "din" and one.metric == "auc" and one.part]
    assert by_domain and all(APART in {str(item.at) for item in one.differences} for one in by_domain)


def test_little_data_is_not_little_training() -> None:
    """A model of one domain may take as many steps as one for all, and everything is watched by the same metric."""
    asked = Settings(train={"epochs": 6, "patience": 3, **STUDY.train})
    points = {
        point.at: point for point in STUDY.grid(dataclasses.replace(scope(("din",)), settings=asked)) if point.model == "din"
    }
    trained = {at: cells(point, (), asked, 1)[0].experiment.train for at, point in points.items() if not point.side_by_side}
    assert {(one.epochs, one.patience) for at, one in trained.items() if at in (domains.TOGETHER, HIDDEN)} == {(6, 3)}
    # Shares of .6, .3 and .1 of the examples.
    own = [trained[at] for at in ("trained on home", "trained on search", f"trained on {domains.SMALL}")]
    assert [(one.epochs, one.patience) for one in own] == [(10, 5), (20, 10), (60, 30)]
    assert {one.monitor for one in trained.values()} == {"auc"}
    parts = [cell.experiment.train for cell in cells(points[APART], (), asked, 1)]
    assert parts == own


@pytest.mark.long
def test_models_are_not_asked_about_domains_whose_items_they_never_met(tmp_path: Path) -> None:
    finding = made_up(STUDY, scope(("din",)), tmp_path)
    elsewhere = {str(one.point.at) for one, _ in domains.transfers(finding, "din", "home")}
    assert "trained on search" in elsewhere
    by_item = dataclasses.replace(finding.scope, offers=dataclasses.replace(OFFERS, domain_by_item=True))
    told = dataclasses.replace(finding, scope=by_item)
    assert {str(one.point.at) for one, _ in domains.transfers(told, "din", "home")} == {domains.TOGETHER, HIDDEN}
    assert Remark("domains of items") in tuple(STUDY.statements(told)) and Remark("domains of items") not in tuple(
        STUDY.statements(finding)
    )
