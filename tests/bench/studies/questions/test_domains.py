"""What the study of domains says of ways to train, and what it does not."""

from __future__ import annotations

from pathlib import Path

import pytest

from rankbench.bench.analysis.statements import of_kind
from rankbench.bench.analysis.study_statements import Differences
from rankbench.bench.studies.questions import domains
from rankbench.bench.studies.questions.domains import APART, HIDDEN, STUDY
from support.studies import made_up, scope


@pytest.mark.long
def test_levels_of_models_that_were_trained_apart_are_not_compared(tmp_path: Path) -> None:
    finding = made_up(STUDY, scope(("din",)), tmp_path)
    said = of_kind(list(domains.statements(finding)), Differences)
    ways = {one.metric: {str(item.at) for item in one.differences} for one in said if (one.series, one.part) == ("din", "")}
    assert ways["request_gauc"] == {HIDDEN, APART} and ways["auc"] == {HIDDEN}
    by_domain = [one for one in said if one.series == "din" and one.metric == "auc" and one.part]
    assert by_domain and all(APART in {str(item.at) for item in one.differences} for one in by_domain)
