"""Splits: which events are training, validation and test examples; their hash; what a split gives away.

Fractions are 80 / 10 / 10 of the events, up to whole requests: no split cuts through a request, because what a part of it got
tells what the rest got. Whatever the split, an example sees only strictly earlier events of its user; splits differ in what the
*training set as a whole* knows of the time of a test event.

Events that the source declares as history are no examples of any split. Those earlier than all that is held out (by splits per
user: than what is held out of their user) belong to what training knows: vocabularies and counts hold them.
"""

from __future__ import annotations

import functools
import hashlib
import re
from dataclasses import dataclass

import numpy as np

from ..errors import UserError, unknown_name
from .eventlog import EventLog
from .keys import name_hashes
from .visibility import Requests

UNUSED, TRAIN, VALID, TEST, KNOWN = 0, 1, 2, 3, 4
NEVER = np.iinfo(np.int64).min
ROLES = {"train": TRAIN, "valid": VALID, "test": TEST}

SPLITS = {
    "global-time": "train before t1, valid before t2, test after (80/10/10); no training event is later than a test event",
    "per-user-time": "each user's last requests, a tenth of its events or more, are test, those before valid; training knows the "
    "future of other users",
    "leave-one-out": "each user's last request is test, the one before valid; training knows the future of other users",
    "chrono-rank": "80/10/10 of the rows ordered by (time, user, item), up to whole requests",
    "declared": "as the source says; requests that it cuts through belong to no role, and where it names no validation, the last "
    "tenth of training is",
}

WINDOWED, VALIDATED = 0.4, 0.1
"""Shares of the events: the end of the log that is cut into windows, and what comes before a window and chooses epochs."""
_WINDOWS = re.compile(r"windows-(?P<all>[1-9]\d?)|window-(?P<one>[1-9]\d?)-of-(?P<of>[1-9]\d?)")
"""`windows-4`: the end of the log is the test, all four windows, and training ends before the first. `window-3-of-4`: the third
alone is the test, and training goes on until before it."""


def is_split(name: str) -> bool:
    """Whether there is a split of this name."""
    return name in SPLITS or _WINDOWS.fullmatch(name) is not None


_PER_USER = ("per-user-time", "leave-one-out")
"""Splits under which training of one user goes on after the test of another."""


@dataclass(frozen=True)
class Split:
    """A role for every event of a log."""

    name: str
    role: np.ndarray
    """uint8 [events]: UNUSED, TRAIN, VALID, TEST, or KNOWN: no example, but known to training."""
    hash: str
    """sha256 of the (user, item, time, request, role) table; runs with different hashes are never compared."""
    share_train_after_test: float
    """Share of training events that are later than the earliest test event; at 0, nothing is learned from what came after it."""
    user_events: np.ndarray
    """int64 [users]: training events."""
    item_events: np.ndarray
    """int64 [items]: training events."""
    user_last: np.ndarray
    """int64 [users], milliseconds: the last training event; NEVER without one."""

    def examples(self, role: str) -> np.ndarray:
        """int64 event positions of the examples of `train`, `valid` or `test`, ascending."""
        return np.flatnonzero(self.role == ROLES[role])

    @property
    def known(self) -> np.ndarray:
        """bool [events]: of which vocabularies and statistics may be made."""
        return (self.role == TRAIN) | (self.role == KNOWN)


@dataclass(frozen=True)
class _Rows:
    """What splits are made of: all events, or those that can be examples."""

    events: int
    users: int
    user_offsets: np.ndarray
    time: np.ndarray
    item: np.ndarray
    declared: np.ndarray | None
    start: np.ndarray
    first: np.ndarray
    """As in Requests, positions among these rows."""

    @property
    def last(self) -> np.ndarray:
        return Requests(self.start, self.first).last

    def user_of(self, row: np.ndarray) -> np.ndarray:
        return np.searchsorted(self.user_offsets, row, side="right") - 1


def _rows(log: EventLog, requests: Requests) -> _Rows:
    declared = None if log.declared is None else np.asarray(log.declared)
    if log.asked is None:
        time, item = np.asarray(log.time), np.asarray(log.item)
        offsets = np.asarray(log.user_offsets)
        return _Rows(len(time), log.meta.users, offsets, time, item, declared, requests.start, requests.first)
    asked = np.flatnonzero(log.asked)
    assert declared is not None
    begins = requests.first[asked]
    first = np.maximum.accumulate(np.where(np.diff(begins, prepend=-1) != 0, np.arange(len(asked)), 0))
    return _Rows(
        len(asked),
        log.meta.users,
        np.searchsorted(asked, log.user_offsets),
        log.time[asked],
        log.item[asked],
        declared[asked],
        requests.start[asked],
        first,
    )


def make_split(log: EventLog, name: str, requests: Requests) -> Split:
    """The split `name` (`default`: the log's own) of a log into whole requests.

    Raises:
        UserError: an unknown name, a declared split of a log that declares none, or a role that would be empty or hold only one
            label.
    """
    resolved = log.meta.default_split if name == "default" else name
    strategies = {
        "global-time": _global_time,
        "per-user-time": _per_user_time,
        "leave-one-out": _leave_one_out,
        "chrono-rank": _chrono_rank,
        "declared": _declared,
    }
    if _WINDOWS.fullmatch(resolved):
        strategies[resolved] = functools.partial(_in_windows, name=resolved)
    if resolved not in strategies:
        raise unknown_name("split", resolved, strategies)
    if resolved == "declared" and not can_be_declared(log):
        raise UserError(
            f"{log.meta.name} declares no test: choose another --split, or see `split` and `events` in docs/howto/own-data.md"
        )
    role = strategies[resolved](_rows(log, requests))
    if log.asked is not None:
        role = _with_history(log, role, resolved in _PER_USER)
    for role_name, code in ROLES.items():
        labels = log.label[role == code]
        if len(labels) == 0 or (labels.min() == labels.max() and not log.positive_only):
            what = "no events" if len(labels) == 0 else f"only the label {labels[0]} in its {len(labels)} events"
            raise UserError(
                f"split {resolved} of {log.meta.name} leaves {what} for {role_name}; choose another --split or more data"
            )
    return _described(log, requests, resolved, role)


def _described(log: EventLog, requests: Requests, name: str, role: np.ndarray) -> Split:
    """Roles with what follows from them."""
    train, test = (role == TRAIN) | (role == KNOWN), role == TEST
    return Split(
        name=name,
        role=role,
        hash=_hash(log, requests, role),
        share_train_after_test=float(np.mean(log.time[train] > log.time[test].min())),
        user_events=np.bincount(log.user[train], minlength=log.meta.users),
        item_events=np.bincount(log.item[train], minlength=log.meta.items),
        user_last=_latest(log.time[train], log.user[train], log.meta.users),
    )


def _latest(time: np.ndarray, user: np.ndarray, users: int) -> np.ndarray:
    last = np.full(users, NEVER, dtype=np.int64)
    np.maximum.at(last, user, time)
    return last


def held_out(log: EventLog, share: float) -> np.ndarray:
    """bool [items]: those of which training knows nothing, by data.held_out_items; a smaller share lies within a larger."""
    return name_hashes(log, "item") >> np.uint64(11) < np.uint64(share * 2**53)


def without_items(split: Split, log: EventLog, requests: Requests, share: float) -> Split:
    """The same split whose training knows nothing of a share of the items, chosen by a hash of their names alone.

    Raises:
        UserError: nothing, or one label alone, is left to train on.
    """
    role = np.where(held_out(log, share)[log.item] & split.known, UNUSED, split.role).astype(np.uint8)
    labels = log.label[role == TRAIN]
    if len(labels) == 0 or (labels.min() == labels.max() and not log.positive_only):
        raise UserError(f"data.held_out_items={share:g} leaves nothing of {log.meta.name} to train on; hold out fewer items")
    return _described(log, requests, split.name, role)


def can_be_declared(log: EventLog) -> bool:
    """Whether the source says which events are the test."""
    return log.declared is not None and bool((log.declared == TEST).any())


def _with_history(log: EventLog, asked_role: np.ndarray, per_user: bool) -> np.ndarray:
    """uint8 [events]: the roles of those that can be examples, and of the others KNOWN or UNUSED."""
    assert log.asked is not None
    role = np.full(log.meta.events, UNUSED, dtype=np.uint8)
    role[log.asked] = asked_role
    held_out = (role == VALID) | (role == TEST)
    first = np.full(log.meta.users, np.iinfo(np.int64).max)
    if per_user:
        np.minimum.at(first, log.user[held_out], log.time[held_out])
    elif held_out.any():
        first[:] = log.time[held_out].min()
    role[~log.asked & (log.time < first[log.user])] = KNOWN
    return role


def _global_time(rows: _Rows) -> np.ndarray:
    """By the start of the request. Windows are the same for all users, so that the border is one of them for everybody; a logged
    request that is still going on at a border belongs to no role."""
    begin, end = rows.start, rows.time[rows.last]
    t1, t2 = (_border(share, rows.time, begin, end) for share in (0.8, 0.9))
    role = np.full(rows.events, UNUSED, dtype=np.uint8)
    role[end < t1] = TRAIN
    role[(begin >= t1) & (end < t2)] = VALID
    role[begin >= t2] = TEST
    return role


def _window_edges(rows: _Rows, pieces: int) -> tuple[list[int], list[int]]:
    """Milliseconds: where each of `pieces` windows begins, with about as many events each, and where the validation before it
    does."""
    begin, end = rows.start, rows.time[rows.last]
    shares = [1 - WINDOWED + WINDOWED * at / pieces for at in range(pieces)]
    edges, before = ([_border(share - back, rows.time, begin, end) for share in shares] for back in (0.0, VALIDATED))
    return edges, before


def most_windows(log: EventLog, requests: Requests, most: int = 8) -> int:
    """Into how many windows the end of a log can be cut, `most` at most, so that each begins later than the one before, behind a
    validation and a training of its own."""
    rows = _rows(log, requests)
    for pieces in range(most, 1, -1):
        edges, before = _window_edges(rows, pieces)
        if int(rows.time.min()) < before[0] and (np.diff(edges) > 0).all() and all(map(int.__lt__, before, edges)):
            return pieces
    return 1


def _in_windows(rows: _Rows, name: str) -> np.ndarray:
    """A request belongs to the window in which it begins; training and validation end before those that are the test."""
    found = _WINDOWS.fullmatch(name)
    assert found is not None
    pieces = int(found["all"] or found["of"])
    at = int(found["one"] or 1)
    if at > pieces:
        raise UserError(f"split {name}: there are {pieces} windows, from 1 to {pieces}")
    edges, before = _window_edges(rows, pieces)
    begin, end = rows.start, rows.time[rows.last]
    last = at == pieces or found["all"]
    role = np.full(rows.events, UNUSED, dtype=np.uint8)
    role[end < before[at - 1]] = TRAIN
    role[(begin >= before[at - 1]) & (end < edges[at - 1])] = VALID
    role[(begin >= edges[at - 1]) & (True if last else begin < edges[at])] = TEST
    return role


def _declared(rows: _Rows) -> np.ndarray:
    assert rows.declared is not None
    role = np.where(rows.declared <= TEST, rows.declared, UNUSED).astype(np.uint8)
    # What a part of a request got tells what the rest got.
    low, high = role.copy(), role.copy()
    np.minimum.at(low, rows.first, role)
    np.maximum.at(high, rows.first, role)
    role[low[rows.first] != high[rows.first]] = UNUSED
    if not (role == VALID).any() and (train := role == TRAIN).any():
        begin, end = rows.start, rows.time[rows.last]
        border = _border(0.9, rows.time[train], begin[train], end[train])
        role[train & (begin >= border)] = VALID
        role[train & (begin < border) & (end >= border)] = UNUSED
    return role


def _border(share: float, time: np.ndarray, begin: np.ndarray, end: np.ndarray) -> int:
    """The moment before which lies a share of the events. If the requests under way then began together, which those of one
    window did, the border moves to where they begin or end: to the one with the nearer share."""
    border = int(np.quantile(time, share, method="higher"))
    under_way = (begin < border) & (end >= border)
    if not under_way.any() or begin[under_way].min() < begin[under_way].max():
        return border
    back, on = int(begin[under_way].min()), int(end[under_way].max()) + 1
    wanted = share * len(time)
    return back if wanted - np.count_nonzero(time < back) <= np.count_nonzero(time < on) - wanted else on


def _per_user_time(rows: _Rows) -> np.ndarray:
    """Whole requests from the end, until they hold a tenth of the user's events, are test, and again valid; a first one stays."""
    events = np.diff(rows.user_offsets)
    role = np.full(rows.events, TRAIN, dtype=np.uint8)
    begins = np.flatnonzero(rows.first == np.arange(rows.events))
    user = rows.user_of(begins)
    # Events from the start of each request to the end of its user, and how many requests stand before it.
    behind = rows.user_offsets[user + 1] - begins
    place = np.arange(len(begins)) - np.searchsorted(user, user, side="left")
    after = behind - np.diff(np.append(begins, rows.events))
    wanted = (events // 10)[user]
    code = np.where((after < wanted) & (place >= 2), TEST, TRAIN)
    tested = np.zeros(rows.users, dtype=np.int64)
    np.maximum.at(tested, user[code == TEST], behind[code == TEST])
    code = np.where((code != TEST) & (tested[user] > 0) & (after < tested[user] + wanted) & (place >= 1), VALID, code)
    return _spread(role, code, begins)


def _leave_one_out(rows: _Rows) -> np.ndarray:
    begins = np.flatnonzero(rows.first == np.arange(rows.events))
    user = rows.user_of(begins)
    count = np.bincount(user, minlength=rows.users)[user]
    from_end = count - 1 - (np.arange(len(begins)) - np.searchsorted(user, user, side="left"))
    code = np.where(from_end == 0, TEST, np.where(from_end == 1, VALID, TRAIN))
    return _spread(np.empty(rows.events, dtype=np.uint8), np.where(count < 3, TRAIN, code), begins)


def _spread(role: np.ndarray, code: np.ndarray, begins: np.ndarray) -> np.ndarray:
    """Codes of requests as roles of their events."""
    role[:] = np.repeat(code, np.diff(np.append(begins, len(role))))
    return role


def _chrono_rank(rows: _Rows) -> np.ndarray:
    order = np.lexsort((rows.item, rows.user_of(np.arange(rows.events)), rows.time))  # codes are in the order of the ids
    role = np.empty(rows.events, dtype=np.uint8)
    first, second = rows.events * 8 // 10, rows.events * 9 // 10
    role[order[:first]], role[order[first:second]], role[order[second:]] = TRAIN, VALID, TEST
    return role[rows.first]


@functools.lru_cache(maxsize=4)
def _dictionary_digest(log: EventLog, name: str) -> bytes:
    return hashlib.sha256("\0".join(log.dictionary(name)).encode()).digest()


def _hash(log: EventLog, requests: Requests, role: np.ndarray) -> str:
    digest = hashlib.sha256()
    for part in (
        _dictionary_digest(log, "user"),
        _dictionary_digest(log, "item"),
        log.user_offsets.tobytes(),
        log.item.tobytes(),
        log.time.tobytes(),
        requests.start.tobytes(),
        requests.first.tobytes(),
        role.tobytes(),
    ):
        digest.update(part)
    return digest.hexdigest()
