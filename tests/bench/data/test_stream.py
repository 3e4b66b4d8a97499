"""Windows of a stream: where they begin, what belongs to them, and what belongs to none."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from rankbench.bench.config import DataConfig
from rankbench.bench.data.dataset import RankingData, prepare_log
from rankbench.bench.data.eventlog import write_log
from rankbench.bench.data.splits import is_split
from rankbench.bench.data.stream import window_of
from rankbench.bench.errors import UserError
from support.logs import raw_log

DAY = 86_400
START = 1_600_041_600
"""Midnight, UTC."""


def prepared(folder: Path, rows: list[tuple[str, int, int]], split: str = "stream-days", **settings: object) -> RankingData:
    """Of rows (user, seconds since START, rating)."""
    raw = raw_log(users=5, longest=4)
    events = pd.DataFrame(
        [(user, f"i{at % 9}", START + second, rating, "home") for at, (user, second, rating) in enumerate(rows)],
        columns=["user", "item", "time", "rating", "page"],
    )
    return prepare_log(write_log(dataclasses.replace(raw, events=events), folder), DataConfig("tiny", split=split, **settings))  # type: ignore[arg-type]


def both(user: str, second: int) -> list[tuple[str, int, int]]:
    return [(user, second, 5), (user, second + 60, 1)]


def test_days_are_windows_and_a_day_that_cannot_be_scored_is_joined_with_the_next(tmp_path: Path) -> None:
    rows = [*both("u0", 100), ("u1", DAY + 5, 5), *both("u1", 2 * DAY + 7), *both("u2", 5 * DAY), *both("u3", 6 * DAY + 9)]
    rows.append(("u4", 8 * DAY, 5))
    data = prepared(tmp_path / "log", rows)
    assert [(edge // 1000 - START) / DAY for edge in data.split.edges] == [1, 3, 6]
    window = window_of(data.split.edges, data.log.time)
    day = (data.log.time[:] // 1000 - START) // DAY
    assert dict(zip(day.tolist(), window.tolist(), strict=True)) == {0: 0, 1: 1, 2: 1, 5: 2, 6: 3, 8: 3}
    assert dict(zip(window.tolist(), data.split.role.tolist(), strict=True)) == {0: 1, 1: 1, 2: 2, 3: 3}


def test_a_request_that_goes_on_over_a_border_belongs_to_no_window(tmp_path: Path) -> None:
    rows = [row for day in range(4) for row in both("u0", day * DAY + DAY // 2)]
    rows += [("u1", DAY - 100, 5), ("u1", DAY + 100, 1)]  # 7 hours do not divide a day
    data = prepared(tmp_path / "log", rows, request_window=7 * 3600.0)
    over = data.log.user_of(np.arange(data.log.meta.events)) == 1
    assert over.sum() == 2 and (data.split.role[over] == 0).all() and (data.split.role[~over] != 0).all()


def test_pieces_hold_about_as_many_events_and_follow_each_other(tmp_path: Path) -> None:
    data = prepare_log(write_log(raw_log(users=40, longest=40), tmp_path / "log"), DataConfig("tiny", split="stream-6"))
    window = window_of(data.split.edges, data.log.time)
    count = np.bincount(window)
    assert data.windows == 6 and count.min() > 0.7 * len(window) / 6
    assert data.split.share_train_after_test == 0


def test_what_is_measured_beforehand_is_measured_in_the_first_window(tmp_path: Path) -> None:
    rows = [row for day in range(5) for row in both("u0", day * DAY + 100)] + [("u1", 50, 5), ("u2", 50, 5)]
    data = prepared(tmp_path / "log", rows)
    assert data.spec.positive_rate == pytest.approx(0.75)


@pytest.mark.parametrize("split", ["stream-2", "stream-days"])
def test_fewer_than_three_windows_are_refused(split: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=f"split {split} leaves 2 window"):
        prepared(tmp_path / "log", [*both("u0", 0), *both("u1", DAY), *both("u2", DAY + 600)], split)


def test_a_window_of_one_label_is_refused(tmp_path: Path) -> None:
    rows = [("u0", second, 5) for second in range(0, 3000, 10)] + [("u1", second, 1) for second in range(3000, 9000, 10)]
    with pytest.raises(UserError, match="split stream-3: window 1 of 3 of tiny has 300 positives and 0 negatives, and cannot"):
        prepared(tmp_path / "log", rows, "stream-3")


@pytest.mark.parametrize("name", ["stream-0", "stream-", "stream-day", "stream-1000", "stream-3 "])
def test_other_names_are_no_splits(name: str) -> None:
    assert is_split("stream-3") and is_split("stream-days") and not is_split(name)
