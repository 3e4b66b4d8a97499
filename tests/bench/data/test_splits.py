"""Splits keep time, hash what they decide, and refuse what cannot be ranked."""

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from rankbench.bench.config import DataConfig
from rankbench.bench.data.dataset import prepare_log
from rankbench.bench.data.eventlog import EventLog, write_log
from rankbench.bench.data.sources.schema import HISTORY
from rankbench.bench.data.splits import (
    KNOWN,
    NEVER,
    ROLES,
    SPLITS,
    TEST,
    TRAIN,
    UNUSED,
    VALID,
    Split,
    is_split,
    make_split,
)
from rankbench.bench.data.visibility import Requests, logged_requests, windowed_requests
from rankbench.bench.data.vocabulary import build_vocabulary
from rankbench.bench.errors import UserError
from support.logs import make_log, raw_log


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory):
    return make_log(tmp_path_factory.mktemp("log") / "tiny", seed=3, users=60)


@pytest.fixture(scope="module")
def declared(tmp_path_factory: pytest.TempPathFactory):
    """A log whose source says which rows are for the test, and which are seen in histories alone."""
    folder = tmp_path_factory.mktemp("declared")
    return write_log(with_roles(("train", "train", "valid", "test")), folder / "log")


def with_roles(parts: tuple[str, ...]):
    """A random log in parts of equal length by time; a quarter of the rows is history."""
    raw = raw_log(seed=3, users=60)
    at = pd.qcut(raw.events["time"].rank(method="dense"), len(parts), labels=False).to_numpy(dtype=int)
    role = pd.Series(np.array(parts)[at]).mask(np.random.default_rng(0).random(len(at)) < 0.25, "history")
    return dataclasses.replace(
        raw,
        events=raw.events.assign(role=role.to_numpy()),
        schema=dataclasses.replace(raw.schema, roles=True),
        default_split="declared",
    )


def requests(log: EventLog, seconds: int = 0) -> Requests:
    return windowed_requests(log.user_offsets, log.time, seconds * 1000)


def split_of(log: EventLog, name: str, seconds: int = 0) -> Split:
    return make_split(log, name, requests(log, seconds))


def pages(log: EventLog) -> Requests:
    """Requests that the log names: three events of a user in turn."""
    place = np.arange(log.meta.events) - np.repeat(log.user_offsets[:-1], np.diff(log.user_offsets))
    return logged_requests(log.user_offsets, log.time, place // 3)


MADE = [name for name in SPLITS if name != "declared"]


@pytest.mark.parametrize("name", SPLITS)
@pytest.mark.parametrize("windows", [0, 3600])
def test_what_is_history_is_no_example_and_no_split_cuts_through_the_examples_of_a_request(declared, name: str, windows) -> None:
    found = requests(declared, windows)
    split = make_split(declared, name, found)
    asked = declared.declared != HISTORY
    assert not asked.all() and not np.isin(split.role[~asked], list(ROLES.values())).any()
    for first in np.unique(found.first):
        assert len(np.unique(split.role[asked & (found.first == first)])) <= 1


@pytest.mark.parametrize("name", SPLITS)
def test_history_before_what_is_held_out_is_known_to_vocabularies_and_later_history_is_not(declared, name: str) -> None:
    split = split_of(declared, name)
    held_out = (split.role == VALID) | (split.role == TEST)
    for user, (begin, end) in enumerate(zip(declared.user_offsets[:-1], declared.user_offsets[1:], strict=True)):
        own = slice(begin, end) if name in ("per-user-time", "leave-one-out") else slice(None)
        border = declared.time[own][held_out[own]].min(initial=2**62)
        history = declared.declared[begin:end] == HISTORY
        expected = np.where(declared.time[begin:end] < border, KNOWN, UNUSED)[history]
        assert split.role[begin:end][history].tolist() == expected.tolist()
        assert split.user_events[user] == np.isin(split.role[begin:end], [TRAIN, KNOWN]).sum()
    assert (split.role == KNOWN).any() and split.known[:].sum() == (split.role == TRAIN).sum() + (split.role == KNOWN).sum()
    without = build_vocabulary(declared, split.role == TRAIN)
    assert build_vocabulary(declared, split.known).user[0].field.size >= without.user[0].field.size


def test_declared_roles_are_those_of_the_source(declared) -> None:
    split = split_of(declared, "default")
    assert split.name == "declared" and split.share_train_after_test == 0
    for role, code in ROLES.items():
        asked = declared.declared == code
        assert set(np.unique(split.role[asked])) <= {code, UNUSED} and np.mean(split.role[asked] == code) > 0.95, role


def test_without_a_declared_validation_the_last_tenth_of_training_is(tmp_path: Path) -> None:
    log = write_log(with_roles(("train", "train", "test")), tmp_path / "log")
    split = split_of(log, "declared")
    train, valid = log.time[split.role == TRAIN], log.time[split.role == VALID]
    assert train.max() < valid.min() and len(valid) / (len(train) + len(valid)) == pytest.approx(0.1, abs=0.03)
    assert set(np.asarray(log.declared)[split.role == VALID]) == {TRAIN}


def test_a_log_that_declares_nothing_has_no_declared_split(log) -> None:
    with pytest.raises(UserError, match="tiny declares no test: choose another --split"):
        split_of(log, "declared")


@pytest.mark.parametrize("name", MADE)
@pytest.mark.parametrize("asked", ["moments", "windows", "ids"])
def test_no_split_cuts_through_a_request(log, name: str, asked: str) -> None:
    found = {"moments": requests(log), "windows": requests(log, 3600), "ids": pages(log)}[asked]
    role = make_split(log, name, found).role
    assert (role == role[found.first]).all()
    assert len(np.unique(found.first)) < log.meta.events, "the log of this test must have requests of several events"


def test_the_border_of_a_split_by_time_leaves_out_no_window(log) -> None:
    split = split_of(log, "global-time", 3600)
    assert (split.role != UNUSED).all() and split.share_train_after_test == 0


def test_a_request_under_way_at_a_border_belongs_to_no_role(log) -> None:
    split = make_split(log, "global-time", pages(log))
    time, train, valid, test = np.asarray(log.time), split.role == TRAIN, split.role == VALID, split.role == TEST
    assert time[train].max() < time[valid].min() and time[valid].max() < time[test].min()


@pytest.mark.parametrize("name", MADE)
def test_every_event_has_at_most_one_role_and_no_user_goes_back(log, name: str) -> None:
    split = split_of(log, name)
    assert sum(len(split.examples(role)) for role in ROLES) <= log.meta.events
    if name == "chrono-rank":  # its tie order is by ids, across users
        return
    for begin, end in zip(log.user_offsets[:-1], log.user_offsets[1:], strict=True):
        assert (np.diff(split.role[begin:end].astype(int)) >= 0).all(), "a user's roles never go back in time"


def test_global_time_never_trains_on_the_future(log) -> None:
    split = split_of(log, "global-time")
    latest = {role: log.time[split.role == code].max() for role, code in ROLES.items()}
    earliest = {role: log.time[split.role == code].min() for role, code in ROLES.items()}
    assert latest["train"] < earliest["valid"] and latest["valid"] < earliest["test"]
    assert split.share_train_after_test == 0
    assert len(split.examples("train")) / log.meta.events == pytest.approx(0.8, abs=0.05)


def test_splits_by_user_say_how_much_of_the_future_they_know(log) -> None:
    for name in ("per-user-time", "leave-one-out"):
        split = split_of(log, name)
        train, test = log.time[split.role == TRAIN], log.time[split.role == TEST]
        assert split.share_train_after_test == np.mean(train > test.min()) > 0


@pytest.mark.parametrize("seconds", [0, 3600])
def test_leave_one_out_holds_out_two_requests_of_each_user_with_three(log, seconds: int) -> None:
    found = requests(log, seconds)
    role = make_split(log, "leave-one-out", found).role
    for begin, end in zip(log.user_offsets[:-1], log.user_offsets[1:], strict=True):
        own = np.unique(found.first[begin:end])
        roles = role[own].tolist()
        assert roles == ([TRAIN] * (len(own) - 2) + [VALID, TEST] if len(own) >= 3 else [TRAIN] * len(own))


@pytest.mark.parametrize("seconds", [0, 3600])
def test_per_user_time_takes_requests_from_the_end_until_they_hold_a_tenth(log, seconds: int) -> None:
    found = requests(log, seconds)
    role = make_split(log, "per-user-time", found).role
    for begin, end in zip(log.user_offsets[:-1], log.user_offsets[1:], strict=True):
        own = [np.flatnonzero(found.first == first) for first in np.unique(found.first[begin:end])]
        expected = {TEST: 0, VALID: 0}
        left = len(own)
        for code, least in ((TEST, 2), (VALID, 1)):
            while left > least and expected[code] < (end - begin) // 10 and (code == TEST or expected[TEST]):
                left -= 1
                assert (role[own[left]] == code).all()
                expected[code] += len(own[left])
        assert all((role[events] == TRAIN).all() for events in own[:left])


def test_chrono_rank_is_the_order_by_time_user_item_up_to_whole_requests(log) -> None:
    split = split_of(log, "chrono-rank")
    users, items = log.dictionary("user"), log.dictionary("item")
    rows = sorted(range(log.meta.events), key=lambda e: (log.time[e], users[log.user[e]], items[log.item[e]]))
    n = len(rows)
    expected = np.zeros(n, dtype=int)
    expected[rows[: n * 8 // 10]], expected[rows[n * 8 // 10 : n * 9 // 10]], expected[rows[n * 9 // 10 :]] = TRAIN, VALID, TEST
    assert split.role.tolist() == expected[requests(log).first].tolist()


def test_what_is_known_of_a_user_or_item_is_counted_in_training(log) -> None:
    split = split_of(log, "global-time")
    train = split.examples("train")
    users, items = log.user_of(train).tolist(), np.asarray(log.item[train]).tolist()
    assert split.user_events.tolist() == [users.count(user) for user in range(log.meta.users)]
    assert split.item_events.tolist() == [items.count(item) for item in range(log.meta.items)]
    for user in range(log.meta.users):
        own = np.asarray(log.time[train])[np.array(users) == user]
        assert split.user_last[user] == own.max(initial=NEVER)
    assert not split.user_events.all(), "the log of this test must have cold users"


def test_the_hash_depends_on_rows_requests_and_roles(log, tmp_path: Path) -> None:
    again = make_log(tmp_path / "again", seed=3, users=60)
    other = make_log(tmp_path / "other", seed=4, users=60)
    assert split_of(again, "global-time").hash == split_of(log, "global-time").hash
    assert split_of(other, "global-time").hash != split_of(log, "global-time").hash
    assert split_of(log, "global-time", 3600).hash != split_of(log, "global-time").hash
    assert split_of(log, "leave-one-out").hash != split_of(log, "global-time").hash


def test_unknown_split_names_the_nearest(log) -> None:
    with pytest.raises(UserError, match="did you mean 'global-time'"):
        split_of(log, "globl-time")


def test_a_role_without_both_labels_is_refused(tmp_path: Path) -> None:
    log = make_log(tmp_path / "short", seed=1, users=3, longest=4)
    with pytest.raises(UserError, match=r"leaves (no events|only the label)"):
        split_of(log, "global-time")


@pytest.mark.parametrize("asked", ["moments", "windows", "ids"])
def test_the_last_events_of_whole_users_are_asked_about(log, asked: str) -> None:
    """Requests from the end until they hold four events, of users who are all of one part; a first request is history."""
    found = {"moments": requests(log), "windows": requests(log, 3600), "ids": pages(log)}[asked]
    split = make_split(log, "last-4", found)
    assert is_split("last-4") and not is_split("last-0")
    parts = []
    for begin, end in zip(log.user_offsets[:-1], log.user_offsets[1:], strict=True):
        role, first = split.role[begin:end], found.first[np.arange(begin, end)]
        starts = [start for start in np.unique(first).tolist() if start > begin]
        border = next((start for start in reversed(starts) if end - start >= 4), starts[0] if starts else end)
        expected = np.arange(begin, end) >= border
        own = np.unique(role[expected])
        assert len(own) <= 1 and np.isin(own, list(ROLES.values())).all()
        assert np.isin(role[~expected], [UNUSED, KNOWN]).all() and len(np.unique(role[~expected])) <= 1
        assert KNOWN not in role or set(own) <= {TRAIN}
        parts += own.tolist()
    assert parts.count(TRAIN) > parts.count(TEST) > 0 < parts.count(VALID)


def test_training_is_frozen_where_it_asks_about_the_end_of_users(log) -> None:
    frozen = prepare_log(log, DataConfig("tiny", history_length=6, split="last-4", test_history="frozen"))
    examples = np.flatnonzero(np.isin(frozen.split.role, list(ROLES.values())))
    assert len(examples) and not np.isin(frozen.split.role[frozen.hi[examples] - 1], list(ROLES.values())).any()
    for user in np.unique(log.user_of(examples)):
        mine = examples[log.user_of(examples) == user]
        assert (frozen.hi[mine] == mine[0]).all()
    live = prepare_log(log, DataConfig("tiny", history_length=6, split="last-4"))
    assert (live.hi[examples] >= frozen.hi[examples]).all() and (live.hi[examples] > frozen.hi[examples]).any()
