"""The table by which a window is chosen, against a literal count."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from rankbench.bench.data.eventlog import write_log
from rankbench.bench.data.splits import make_split
from rankbench.bench.data.visibility import requests_of
from rankbench.bench.evaluation.comparable import WINDOWS, about_windows, comparable
from support.logs import make_log, raw_log


@pytest.mark.parametrize("window", WINDOWS)
def test_rows_of_requests_with_both_labels_are_counted(tmp_path: Path, window: float) -> None:
    log = make_log(tmp_path / "log", seed=3, users=60)
    requests = requests_of(log, window)
    test = make_split(log, "global-time", requests).examples("test")
    labels: dict[int, list[int]] = {}
    for event in test:
        labels.setdefault(int(requests.first[event]), []).append(int(log.label[event]))
    mixed = {first: own for first, own in labels.items() if len(set(own)) == 2}
    found = comparable(log, "global-time", window)
    assert (found.test_rows, found.rows, found.requests) == (len(test), sum(map(len, mixed.values())), len(mixed))
    assert found.users == len({int(log.user[first]) for first in mixed})


def test_the_default_is_named_once(tmp_path: Path) -> None:
    lines = about_windows(make_log(tmp_path / "log", seed=3, users=60), "global-time")
    assert len(lines) == 1 + len(WINDOWS) and sum("(default)" in line for line in lines) == 1
    assert np.all(["rows in" in line for line in lines[1:]])


def test_a_window_that_leaves_no_split_says_so_and_hides_no_other(tmp_path: Path) -> None:
    raw = raw_log(seed=3, users=60)
    events = raw.events.assign(time=1_600_000_000 + np.arange(len(raw.events)) * 60)  # less than a day
    log = write_log(dataclasses.replace(raw, events=events), tmp_path / "log")
    lines = about_windows(log, "global-time")
    assert [("rows in" in line) for line in lines[1:]] == [True] * (len(WINDOWS) - 1) + [False]
    assert "choose another --split" in lines[-1]
