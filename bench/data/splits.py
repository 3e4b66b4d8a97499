"""Splits: which events are training, validation and test examples; their hash; what a split gives away.

Fractions are 80 / 10 / 10 of the events everywhere. Whatever the split, an example sees only strictly earlier events of its
user; splits differ in what the *training set as a whole* knows of the time of a test event.
"""

from __future__ import annotations

import functools
import hashlib
from dataclasses import dataclass

import numpy as np

from ..errors import UserError, unknown_name
from .eventlog import EventLog

UNUSED, TRAIN, VALID, TEST = 0, 1, 2, 3
ROLES = {"train": TRAIN, "valid": VALID, "test": TEST}

SPLITS = {
    "global-time": "train before t1, valid before t2, test after (80/10/10); no training event is later than a test event",
    "per-user-time": "each user's last 10% are test, the 10% before valid; training knows the future of other users",
    "leave-one-out": "each user's last event is test, the one before valid; training knows the future of other users",
    "chrono-rank": "exactly 80/10/10 of the rows ordered by (time, user, item); may cut through one timestamp",
}


@dataclass(frozen=True)
class Split:
    """A role for every event of a log."""

    name: str
    role: np.ndarray
    """uint8 [events]: UNUSED, TRAIN, VALID or TEST."""
    hash: str
    """sha256 of the (user, item, time, role) table; runs with different hashes are never compared."""
    share_train_after_test: float
    """Share of training events that are later than the earliest test event: 0 means no look into the future."""
    warm_user: np.ndarray
    """bool [users]: has training events."""
    warm_item: np.ndarray
    """bool [items]: has training events."""

    def examples(self, role: str) -> np.ndarray:
        """int64 event positions of the examples of `train`, `valid` or `test`, ascending."""
        return np.flatnonzero(self.role == ROLES[role])


def make_split(log: EventLog, name: str) -> Split:
    """The split `name` (`default`: the log's own) of a log.

    Raises:
        UserError: an unknown name, or a role that would be empty or hold only one label.
    """
    resolved = log.meta.default_split if name == "default" else name
    strategies = {
        "global-time": _global_time,
        "per-user-time": _per_user_time,
        "leave-one-out": _leave_one_out,
        "chrono-rank": _chrono_rank,
    }
    if resolved not in strategies:
        raise unknown_name("split", resolved, strategies)
    role = strategies[resolved](log)
    for role_name, code in ROLES.items():
        labels = log.label[role == code]
        if len(labels) == 0 or (labels.min() == labels.max() and not log.positive_only):
            what = "no events" if len(labels) == 0 else f"only the label {labels[0]} in its {len(labels)} events"
            raise UserError(
                f"split {resolved} of {log.meta.name} leaves {what} for {role_name}; choose another --split or more data"
            )
    train, test = role == TRAIN, role == TEST
    return Split(
        name=resolved,
        role=role,
        hash=_hash(log, role),
        share_train_after_test=float(np.mean(log.time[train] > log.time[test].min())),
        warm_user=np.bincount(log.user[train], minlength=log.meta.users) > 0,
        warm_item=np.bincount(log.item[train], minlength=log.meta.items) > 0,
    )


def _global_time(log: EventLog) -> np.ndarray:
    t1, t2 = np.quantile(log.time, [0.8, 0.9], method="higher")
    return np.where(log.time < t1, TRAIN, np.where(log.time < t2, VALID, TEST)).astype(np.uint8)


def _position_from_end(log: EventLog) -> np.ndarray:
    return np.repeat(log.user_offsets[1:], np.diff(log.user_offsets)) - 1 - np.arange(log.meta.events)


def _per_user_time(log: EventLog) -> np.ndarray:
    from_end = _position_from_end(log)
    n = np.repeat(np.diff(log.user_offsets), np.diff(log.user_offsets))
    test, valid = n // 10, n // 10
    return np.where(from_end < test, TEST, np.where(from_end < test + valid, VALID, TRAIN)).astype(np.uint8)


def _leave_one_out(log: EventLog) -> np.ndarray:
    from_end = _position_from_end(log)
    n = np.repeat(np.diff(log.user_offsets), np.diff(log.user_offsets))
    role = np.where(from_end == 0, TEST, np.where(from_end == 1, VALID, TRAIN))
    return np.where(n < 3, TRAIN, role).astype(np.uint8)


def _chrono_rank(log: EventLog) -> np.ndarray:
    order = np.lexsort((log.item, log.user, log.time))  # codes are in the order of the ids
    role = np.empty(log.meta.events, dtype=np.uint8)
    first, second = log.meta.events * 8 // 10, log.meta.events * 9 // 10
    role[order[:first]], role[order[first:second]], role[order[second:]] = TRAIN, VALID, TEST
    return role


@functools.lru_cache(maxsize=4)
def _dictionary_digest(log: EventLog, name: str) -> bytes:
    return hashlib.sha256("\0".join(log.dictionary(name)).encode()).digest()


def _hash(log: EventLog, role: np.ndarray) -> str:
    digest = hashlib.sha256()
    for part in (
        _dictionary_digest(log, "user"),
        _dictionary_digest(log, "item"),
        log.user_offsets.tobytes(),
        log.item.tobytes(),
        log.time.tobytes(),
        role.tobytes(),
    ):
        digest.update(part)
    return digest.hexdigest()
