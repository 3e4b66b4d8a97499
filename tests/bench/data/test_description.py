"""`data describe` says all that can be said of a data set, also where a split of it is not possible."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from rankbench.bench.data.description import describe
from rankbench.bench.data.logs import open_dataset
from rankbench.bench.data.sources.schema import DataRoots
from rankbench.bench.data.visibility import requests_of
from rankbench.bench.errors import UserError
from support.tables import click_table


def described(folder: Path, more: str = "") -> str:
    path = folder / "clicks.yaml"
    path.write_text(f"events: clicks.csv\nlabel: click\n{more}")
    return "\n".join(describe(str(path), DataRoots(None, folder / "cache")))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    click_table(tmp_path, rows=600)
    return tmp_path


def test_size_dates_content_and_splits_are_shown(folder: Path) -> None:
    text = described(folder, "time_zone: Asia/Tokyo\nrequest_window: 600\n")
    frame = pd.read_csv(folder / "clicks.csv")
    first = pd.Timestamp(frame["time"].min(), unit="s", tz="Asia/Tokyo").strftime("%Y-%m-%d %H:%M")
    assert f"time: {first} to " in text and " Asia/Tokyo; events per user: median" in text
    assert "hour of the day and weekday: UTC+9 hours" in text
    assert "requests: a user's events within 600 seconds (data.request_window)" in text
    log = open_dataset(str(folder / "clicks.yaml"), DataRoots(None, folder / "cache"))
    assert f"content hash: {log.meta.content_hash}" in text
    assert next(line for line in text.splitlines() if line.startswith("split ")).startswith(
        "split global-time (default): train before"
    )


def test_rows_among_which_ranking_is_judged_are_counted(folder: Path) -> None:
    text = described(folder, "request_window: 86400\n")
    log = open_dataset(str(folder / "clicks.yaml"), DataRoots(None, folder / "cache"))
    requests = requests_of(log, 86_400).first
    mixed = [one for one in np.unique(requests) if len(set(log.label[requests == one].tolist())) == 2]
    rows = int(np.isin(requests, mixed).sum())
    assert f"rows in requests with both labels: {rows:,} of 600, in {len(mixed):,} requests" in text


def test_what_only_histories_hold_is_not_judged(folder: Path) -> None:
    """Rows of other behaviours have no label to speak of: neither requests nor domains count them."""
    frame = pd.read_csv(folder / "clicks.csv")
    frame["kind"] = np.where(np.arange(len(frame)) % 3 == 0, "share", "show")
    frame["page"] = frame["kind"] + "s"
    frame["y"] = frame["click"].where(frame["kind"] == "show")
    frame.to_csv(folder / "clicks.csv", index=False)
    more = "request_window: 86400\nbehaviours: {column: kind, examples: [show], history: [share]}\ndomain: {column: page}\n"
    (folder / "kinds.yaml").write_text(f"events: clicks.csv\nlabel: y\ncontext_features: [page]\n{more}")
    text = "\n".join(describe(str(folder / "kinds.yaml"), DataRoots(None, folder / "cache")))
    log = open_dataset(str(folder / "kinds.yaml"), DataRoots(None, folder / "cache"))
    assert log.asked is not None
    requests, asked = requests_of(log, 86_400).first, log.asked[:]
    mixed = [one for one in np.unique(requests) if len(set(log.label[(requests == one) & asked].tolist())) == 2]
    rows = int((np.isin(requests, mixed) & asked).sum())
    assert f"rows in requests with both labels: {rows:,} of {asked.sum():,}, in {len(mixed):,} requests" in text
    assert f"shows 100.0% ({log.label[asked].mean():.1%} positive), shares 0.0% (0.0% positive)" in text


def test_an_impossible_split_is_one_line_among_the_others(folder: Path) -> None:
    frame = pd.read_csv(folder / "clicks.csv").assign(user="one")
    frame.to_csv(folder / "clicks.csv", index=False)
    text = described(folder)
    assert "split leave-one-out: not possible: split leave-one-out of clicks leaves only the label" in text
    assert "split global-time (default): train before" in text and "licence: not stated" in text


def test_what_was_dropped_or_is_missing_is_shown(folder: Path) -> None:
    frame = pd.read_csv(folder / "clicks.csv", dtype=str)
    frame.loc[0, "click"] = ""
    frame.loc[1, "user"] = None
    frame.loc[2] = frame.loc[3]
    frame.to_csv(folder / "clicks.csv", index=False)
    (folder / "users.csv").write_text("user,age,town\n" + "".join(f"u{n},{n if n else 'x'},t\n" for n in range(25)))
    text = described(folder, "users: users.csv\nuser_features: [{column: age, kind: number}, town]\n")
    assert "rows: 600 read, 597 kept; dropped: 1 without user, 1 without label, 1 repeated" in text
    assert "5 users are not in the table of users: their features are missing" in text
    assert "values that are not numbers, and count as missing: 1 of age" in text


def test_counters_of_a_start_of_their_own_are_shown_as_such(folder: Path) -> None:
    frame = pd.read_csv(folder / "clicks.csv")
    frame["time"] -= frame["time"].min()
    frame.to_csv(folder / "clicks.csv", index=False)
    with pytest.raises(UserError, match="is before 1990 if time_unit is 's'"):
        described(folder)
    assert "since the start from which times count" in described(folder, "time_origin: relative\n")
