"""Windows of time share out the end of a log, each with rows and with a training of its own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rankbench.bench.config import DataConfig
from rankbench.bench.data.dataset import prepare_log
from rankbench.bench.data.splits import TEST, TRAIN, VALID, make_split
from rankbench.bench.data.visibility import requests_of
from rankbench.bench.data.windows import most_windows
from rankbench.bench.errors import UserError
from support.logs import DAY, log_of_days, make_log


@pytest.mark.parametrize("window", [0, 3600])
def test_windows_share_out_the_test_and_each_is_behind_its_training(window: int, tmp_path: Path) -> None:
    log = make_log(tmp_path / "log", users=60)
    requests = requests_of(log, window)
    pieces = most_windows(log, requests, 4)
    whole = make_split(log, f"windows-{pieces}", requests)
    parts = [make_split(log, f"window-{at}-of-{pieces}", requests) for at in range(1, pieces + 1)]
    assert pieces > 1
    assert np.array_equal(sum((one.role == TEST).astype(int) for one in parts), (whole.role == TEST).astype(int))
    grown = 0
    for one in parts:
        first = {role: log.time[one.role == role].min() for role in (VALID, TEST)}
        assert log.time[one.role == TRAIN].max() < first[VALID] <= log.time[one.role == VALID].max() < first[TEST]
        assert one.share_train_after_test == 0 and (one.role == TRAIN).sum() > grown
        grown = (one.role == TRAIN).sum()
    assert np.array_equal(parts[0].role == TRAIN, whole.role == TRAIN)
    assert np.array_equal(parts[0].role == VALID, whole.role == VALID)


def test_a_window_that_is_not_there_is_refused(tmp_path: Path) -> None:
    log = make_log(tmp_path / "log")
    with pytest.raises(UserError, match="there are 3 windows, from 1 to 3"):
        make_split(log, "window-4-of-3", requests_of(log, 0))
    with pytest.raises(UserError, match="unknown split 'windows-0'"):
        prepare_log(log, DataConfig("tiny", split="windows-0"))


@pytest.mark.parametrize("days", [6, 10, 12])
def test_windows_of_whole_days_have_rows_and_training_of_their_own(days: int, tmp_path: Path) -> None:
    """Borders move to the end of one day and to the beginning of the next, which differ and have nothing between them."""
    log = log_of_days(tmp_path / "log", days)
    requests = requests_of(log, DAY)
    pieces = most_windows(log, requests)
    assert 1 < pieces <= days / 2
    tests, grown = 0, 0
    for at in range(1, pieces + 1):
        role = make_split(log, f"window-{at}-of-{pieces}", requests).role  # refuses a window without rows
        assert (role == TRAIN).sum() > grown
        tests, grown = tests + (role == TEST).sum(), (role == TRAIN).sum()
    assert tests == (make_split(log, f"windows-{pieces}", requests).role == TEST).sum()


def test_a_log_of_one_day_has_one_window(tmp_path: Path) -> None:
    log = log_of_days(tmp_path / "log", 1)
    assert most_windows(log, requests_of(log, DAY)) == 1
