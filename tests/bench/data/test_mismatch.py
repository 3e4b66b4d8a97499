"""How far validation is from the test, against a loop over the rows."""

from __future__ import annotations

import dataclasses
import statistics
from pathlib import Path

import numpy as np
import pytest

from rankbench.bench.config import DataConfig
from rankbench.bench.data.dataset import RankingData
from rankbench.bench.data.mismatch import RoleFacts, mismatch
from rankbench.bench.data.splits import SPLITS, TRAIN
from rankbench.bench.data.visibility import Requests
from support.logs import make_data, with_config

DAY = 86_400_000


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> RankingData:
    return make_data(tmp_path_factory.mktemp("log") / "tiny", DataConfig("tiny", history_length=6), users=60, longest=80)


def by_hand(data: RankingData, role: str) -> RoleFacts:
    log, rows = data.log, data.split.examples(role).tolist()
    parts, gaps, newest, middle = dict.fromkeys(("0", "1-19", "20-49", "50+"), 0), [], [], []
    for row in rows:
        user = int(log.user_of(np.array([row]))[0])
        own = range(int(log.user_offsets[user]), int(log.user_offsets[user + 1]))
        trained = [int(log.time[event]) for event in own if data.split.role[event] == TRAIN]
        parts["0" if not trained else "1-19" if len(trained) < 20 else "20-49" if len(trained) < 50 else "50+"] += 1
        start = int(data.request_start[row])
        if trained:
            gaps.append(max(start - max(trained), 0) / DAY)
        ages = [(start - int(log.time[event])) / DAY for event in range(int(data.lo[row]), int(data.hi[row]))]
        if ages:
            newest.append(ages[-1])
            middle.append(ages[len(ages) // 2])
    return RoleFacts(
        rows=len(rows),
        user_events={part: count / len(rows) for part, count in parts.items()},
        user_gap_days=statistics.median(gaps) if gaps else None,
        newest_days=statistics.median(newest) if newest else None,
        older_30_days=sum(age > 30 for age in middle) / len(rows),
        older_180_days=sum(age > 180 for age in middle) / len(rows),
    )


@pytest.mark.parametrize("split", [name for name in SPLITS if name != "declared"])
def test_the_facts_are_those_of_a_loop(split: str, data: RankingData) -> None:
    data = with_config(data, split=split)
    found = mismatch(data.log, data.split, Requests(data.request_start, data.request), data.lo, data.hi)
    for role, facts in (("valid", found.valid), ("test", found.test)):
        expected = by_hand(data, role)
        for name, value in dataclasses.asdict(expected).items():
            assert getattr(facts, name) == (value if value is None else pytest.approx(value, abs=1e-5)), (role, name)
        assert sum(facts.user_events.values()) == pytest.approx(1)


def test_both_are_said_side_by_side(data: RankingData) -> None:
    lines = list(data.mismatch.lines())
    assert len(lines) == 3 and lines[1].startswith("  valid: 0: ") and lines[2].startswith("  test: 0: ")


def test_a_row_without_a_past_has_no_age(tmp_path: Path) -> None:
    """Nobody sees anything: no median, and nothing is old."""
    late = make_data(tmp_path / "log", DataConfig("tiny", history_length=6, feedback_delay=1e9))
    assert late.mismatch.test.newest_days is None and late.mismatch.test.older_30_days == 0
