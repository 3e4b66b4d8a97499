"""Splits keep time, hash what they decide, and refuse what cannot be ranked."""

from pathlib import Path

import numpy as np
import pytest

from rankbench.bench.data.splits import ROLES, SPLITS, TEST, TRAIN, VALID, make_split
from rankbench.bench.errors import UserError
from support.logs import make_log


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory):
    return make_log(tmp_path_factory.mktemp("log") / "tiny", seed=3, users=60)


@pytest.mark.parametrize("name", SPLITS)
def test_every_event_has_at_most_one_role_and_no_user_goes_back(log, name: str) -> None:
    split = make_split(log, name)
    assert sum(len(split.examples(role)) for role in ROLES) <= log.meta.events
    if name == "chrono-rank":  # its tie order is by ids, across users
        return
    for begin, end in zip(log.user_offsets[:-1], log.user_offsets[1:], strict=True):
        assert (np.diff(split.role[begin:end].astype(int)) >= 0).all(), "a user's roles never go back in time"


def test_global_time_never_trains_on_the_future(log) -> None:
    split = make_split(log, "global-time")
    latest = {role: log.time[split.role == code].max() for role, code in ROLES.items()}
    earliest = {role: log.time[split.role == code].min() for role, code in ROLES.items()}
    assert latest["train"] < earliest["valid"] and latest["valid"] < earliest["test"]
    assert split.share_train_after_test == 0
    assert len(split.examples("train")) / log.meta.events == pytest.approx(0.8, abs=0.05)


def test_splits_by_user_say_how_much_of_the_future_they_know(log) -> None:
    for name in ("per-user-time", "leave-one-out"):
        split = make_split(log, name)
        train, test = log.time[split.role == TRAIN], log.time[split.role == TEST]
        assert split.share_train_after_test == np.mean(train > test.min()) > 0


def test_leave_one_out_keeps_two_events_of_each_user_with_three(log) -> None:
    split = make_split(log, "leave-one-out")
    for begin, end in zip(log.user_offsets[:-1], log.user_offsets[1:], strict=True):
        roles = split.role[begin:end].tolist()
        assert roles == ([TRAIN] * (len(roles) - 2) + [VALID, TEST] if len(roles) >= 3 else [TRAIN] * len(roles))


def test_chrono_rank_is_the_order_by_time_user_item(log) -> None:
    split = make_split(log, "chrono-rank")
    users, items = log.dictionary("user"), log.dictionary("item")
    rows = sorted(range(log.meta.events), key=lambda e: (log.time[e], users[log.user[e]], items[log.item[e]]))
    n = len(rows)
    expected = np.zeros(n, dtype=int)
    expected[rows[: n * 8 // 10]], expected[rows[n * 8 // 10 : n * 9 // 10]], expected[rows[n * 9 // 10 :]] = TRAIN, VALID, TEST
    assert split.role.tolist() == expected.tolist()


def test_warm_means_seen_in_training(log) -> None:
    split = make_split(log, "global-time")
    train = split.examples("train")
    assert np.flatnonzero(split.warm_user).tolist() == sorted(set(log.user_of(train).tolist()))
    assert np.flatnonzero(split.warm_item).tolist() == sorted(set(log.item[train].tolist()))
    assert not split.warm_user.all(), "the log of this test must have cold users"


def test_the_hash_depends_on_rows_and_roles_alone(log, tmp_path: Path) -> None:
    again = make_log(tmp_path / "again", seed=3, users=60)
    other = make_log(tmp_path / "other", seed=4, users=60)
    assert make_split(again, "global-time").hash == make_split(log, "global-time").hash
    assert make_split(other, "global-time").hash != make_split(log, "global-time").hash
    assert make_split(log, "leave-one-out").hash != make_split(log, "global-time").hash


def test_unknown_split_names_the_nearest(log) -> None:
    with pytest.raises(UserError, match="did you mean 'global-time'"):
        make_split(log, "globl-time")


def test_a_role_without_both_labels_is_refused(tmp_path: Path) -> None:
    log = make_log(tmp_path / "short", seed=1, users=3, longest=4)
    with pytest.raises(UserError, match=r"leaves (no events|only the label)"):
        make_split(log, "global-time")
