"""Differences, verdicts and the table, from predictions that are made up; the committed page against the committed record."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rankbench.bench.peers.fuxictr import Arm
from rankbench.bench.peers.quality import PeerDifference, difference, lines, row, verdicts
from support.records import predictions

ROOT = Path(__file__).resolve().parents[3]
SAME, LIKED = Arm("all", 0.0), Arm("liked", 0.0)


def compared(ours: float, theirs: float, arm: Arm = SAME) -> PeerDifference:
    return difference(
        "din", arm, [predictions(ours, seed) for seed in (0, 1)], [predictions(theirs, seed) for seed in (10, 11, 12)], 0.002
    )


def test_a_difference_is_ours_minus_theirs_whoever_is_better() -> None:
    ahead, behind = compared(1.0, 0.6), compared(0.6, 1.0)
    for metric, sign in (("auc", 1), ("request_gauc", 1), ("logloss", -1)):
        point, low, high = ahead.intervals[metric]
        assert low < point < high and sign * point > 0
        point, low, high = behind.intervals[metric]
        assert low < point < high and sign * point < 0
    assert (ahead.verdict, behind.verdict) == ("better", "worse")
    assert compared(1.0, 1.0).verdict == "not settled", "an interval that includes zero is no proof of being as good"


def test_points_are_means_over_seeds() -> None:
    ours, theirs = ([predictions(skill, seed) for seed in (0, 1)] for skill in (1.0, 0.8))
    rows = [row("din", "ours", "x", ours, [1]), row("din", "FuxiCTR", "x", theirs, [1])]
    for metric, values in difference("din", SAME, ours, theirs, 0.002).intervals.items():
        means = [sum(one.values[metric]) / 2 for one in rows]
        assert values[0] == pytest.approx(means[0] - means[1], abs=1e-12)


def test_few_users_settle_nothing() -> None:
    tables = [predictions(skill, users=5) for skill in (3.0, 0.1)]
    assert difference("din", SAME, tables[:1], tables[1:], 0.002).verdict == "not settled"


def test_an_interval_within_the_margin_is_equivalence() -> None:
    ours, theirs = [predictions(1.0, seed) for seed in (0, 1)], [predictions(1.0, seed) for seed in (2, 3)]
    assert difference("din", SAME, ours, theirs, 0.5).verdict == "equivalent"


def made(*differences: PeerDifference) -> dict[str, Any]:
    rows = [row("din", "ours", "no time", [predictions(1.0)], [3])]
    rows += [row("din", "FuxiCTR", one.variant, [predictions(0.9, seed) for seed in (1, 2)], [3, 3]) for one in differences]
    return {
        "dataset": "toy",
        "split": "chrono-rank",
        "examples": {"test": 2400},
        "seeds": 2,
        "history_length": 50,
        "peer": {"versions": {"fuxictr": "0.0"}},
        "rows": [vars(one) for one in rows],
        "differences": [vars(one) for one in differences],
    }


def test_the_verdict_of_a_model_is_the_least_favourable_with_the_same_information() -> None:
    regularised = Arm("all", 0.2)
    record = made(compared(0.5, 1.0, LIKED), compared(1.0, 0.5, SAME), compared(1.0, 1.0, regularised))
    (line,) = verdicts(record)
    assert line.startswith("din, beside FuxiCTR's with the same information (all, dropout 0.2): **not settled**, AUC ")


def test_the_table_has_a_line_a_row_and_differences_for_the_peer_alone() -> None:
    table = [line for line in lines(made(compared(1.0, 0.9), compared(1.0, 0.9, LIKED))) if line.startswith("| din")]
    assert len(table) == 3
    assert "±" not in table[0] and table[0].endswith("|  |  |  |"), "one seed has no spread, and ours no difference to itself"
    assert all("±" in line and line.count("[") == 3 for line in table[1:])


def test_the_page_shows_the_committed_record() -> None:
    page = (ROOT / "docs" / "results" / "peers.md").read_text()
    begin, end = "<!-- peers: fuxictr-ml-100k@chrono-rank -->\n", "\n<!-- peers: end -->"
    path = ROOT / "results" / "peers" / "fuxictr-ml-100k@chrono-rank.json"
    if not path.exists():
        assert begin not in page, "a table without its record"
        pytest.skip(f"{path.name} is not committed at the moment")
    record = json.loads(path.read_text())
    assert page.partition(begin)[2].partition(end)[0] == "\n".join(lines(record))
