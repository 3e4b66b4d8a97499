"""Splits: which events are training, validation and test examples; their hash; what a split gives away.

Fractions are 80 / 10 / 10 of the events, up to whole requests: no split cuts through a request, because what a part of it got
tells what the rest got. Whatever the split, an example sees only strictly earlier events of its user; splits differ in what the
*training set as a whole* knows of the time of a test event.

Events that the source declares as history are no examples of any split. Those earlier than all that is held out (by splits per
user: than what is held out of their user) belong to what training knows: vocabularies and counts hold them.
"""

from __future__ import annotations

import dataclasses
import functools
import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..errors import UserError, unknown_name
from . import last_events, stream, windows
from .columns import Column, Computed, blocks, order_statistics, positions, scratch, user_blocks
from .eventlog import EventLog
from .keys import name_hashes
from .split_rows import KNOWN, ROLES, TEST, TRAIN, UNUSED, VALID, AllRows, Roles, UserRows, border_of
from .visibility import Requests

NEVER = np.iinfo(np.int64).min

SPLITS = {
    "global-time": "train before t1, valid before t2, test after (80/10/10); no training event is later than a test event",
    "per-user-time": "each user's last requests, a tenth of its events or more, are test, those before valid; training knows the "
    "future of other users",
    "leave-one-out": "each user's last request is test, the one before valid; training knows the future of other users",
    "chrono-rank": "80/10/10 of the rows ordered by (time, user, item), up to whole requests",
    "declared": "as the source says; requests that it cuts through belong to no role, and where it names no validation, the last "
    "tenth of training is",
}


def is_split(name: str) -> bool:
    """Whether there is a split of this name."""
    return name in SPLITS or any(kind.fullmatch(name) is not None for kind in (windows.NAME, stream.NAME, last_events.NAME))


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
    edges: tuple[int, ...] = ()
    """Milliseconds at which the second and later windows of a stream begin (stream.py); empty for a split of another kind."""

    def examples(self, *roles: str) -> np.ndarray:
        """int64 event positions of the examples of `train`, `valid` or `test`, or of several of them, ascending."""
        codes = [ROLES[role] for role in roles]
        return positions(len(self.role), lambda block: np.isin(self.role[block], codes))

    @property
    def known(self) -> Column:
        """bool [events]: of which vocabularies and statistics may be made."""
        return Computed(len(self.role), lambda event: (self.role[event] == TRAIN) | (self.role[event] == KNOWN))


def make_split(log: EventLog, name: str, requests: Requests) -> Split:
    """The split `name` (`default`: the log's own) of a log into whole requests.

    Raises:
        UserError: an unknown name, a declared split of a log that declares none, or a role that would be empty or hold only one
            label.
    """
    resolved = log.meta.default_split if name == "default" else name
    strategies: dict[str, Callable[[AllRows], Roles]] = {
        "global-time": _global_time,
        "per-user-time": lambda rows: _per_user_time,
        "leave-one-out": lambda rows: _leave_one_out,
        "chrono-rank": _chrono_rank,
        "declared": _declared,
    }
    if windows.NAME.fullmatch(resolved):
        strategies[resolved] = functools.partial(windows.roles_of, name=resolved)
    rows, edges = AllRows(log, requests), ()
    if stream.NAME.fullmatch(resolved):
        edges = stream.edges_of(rows, resolved)
        strategies[resolved] = lambda rows: functools.partial(_streamed, edges)
    if last := last_events.NAME.fullmatch(resolved):
        strategies[resolved] = functools.partial(_last_events, wanted=int(last["events"]))
    if resolved not in strategies:
        raise unknown_name("split", resolved, strategies)
    if resolved == "declared" and not can_be_declared(log):
        raise UserError(
            f"{log.meta.name} declares no test: choose another --split, or see `split` and `events` in docs/howto/own-data.md"
        )
    roles = strategies[resolved](rows)
    role = scratch(log.meta.events, np.uint8, log.near)
    for users, events in user_blocks(log.user_offsets):
        found = roles(rows.of(users, events))
        if log.asked is None:
            role[events] = found
        else:
            role[events][log.asked[events]] = found
    if log.asked is not None:
        _mark_known(log, role, resolved in _PER_USER or last_events.names(resolved))
    if edges:
        stream.check_labels(log, resolved, edges, role != UNUSED)
    return dataclasses.replace(_described(log, resolved, requests, role), edges=edges)


def _described(log: EventLog, name: str, requests: Requests, role: np.ndarray) -> Split:
    """The split with what is known of it.

    Raises:
        UserError: a role that is empty or holds only one label.
    """
    count = np.zeros((len(ROLES) + 2, 2), dtype=np.int64)
    user_events, item_events = np.zeros(log.meta.users, dtype=np.int64), np.zeros(log.meta.items, dtype=np.int64)
    user_last, first_test = np.full(log.meta.users, NEVER, dtype=np.int64), np.iinfo(np.int64).max
    for block, user in log.users_of_blocks():
        part, time = role[block], np.asarray(log.time[block])
        count += np.bincount(part * 2 + log.label[block], minlength=count.size).reshape(count.shape)
        train, test = (part == TRAIN) | (part == KNOWN), part == TEST
        user_events += np.bincount(user[train], minlength=log.meta.users)
        item_events += np.bincount(log.item[block][train], minlength=log.meta.items)
        np.maximum.at(user_last, user[train], time[train])
        first_test = min(first_test, int(time[test].min(initial=first_test)))
    for word, code in ROLES.items():
        negatives, positives = count[code].tolist()
        if not negatives + positives or (not (negatives and positives) and not log.positive_only):
            label = int(positives > 0)
            what = f"only the label {label} in its {negatives + positives} events" if negatives + positives else "no events"
            raise UserError(f"split {name} of {log.meta.name} leaves {what} for {word}; choose another --split or more data")
    after = sum(
        int(((log.time[block] > first_test) & ((role[block] == TRAIN) | (role[block] == KNOWN))).sum())
        for block in blocks(log.meta.events)
    )
    return Split(
        name=name,
        role=role,
        hash=_hash(log, requests, role),
        share_train_after_test=float(after / int(count[[TRAIN, KNOWN]].sum())),
        user_events=user_events,
        item_events=item_events,
        user_last=user_last,
    )


def held_out(log: EventLog, share: float) -> np.ndarray:
    """bool [items]: those of which training knows nothing, by data.held_out_items; a smaller share lies within a larger."""
    return name_hashes(log, "item") >> np.uint64(11) < np.uint64(share * 2**53)


def without_items(split: Split, log: EventLog, requests: Requests, share: float) -> Split:
    """The same split whose training knows nothing of a share of the items, chosen by a hash of their names alone.

    Raises:
        UserError: nothing, or one label alone, is left to train on.
    """
    out, role = held_out(log, share), scratch(log.meta.events, np.uint8, log.near)
    labels = np.zeros(2, dtype=np.int64)
    for block in blocks(log.meta.events):
        unknown = out[log.item[block]] & split.known[block]
        role[block] = np.where(unknown, UNUSED, split.role[block])
        labels += np.bincount(log.label[block][role[block] == TRAIN], minlength=2)
    if not labels.any() or (not labels.all() and not log.positive_only):
        raise UserError(f"data.held_out_items={share:g} leaves nothing of {log.meta.name} to train on; hold out fewer items")
    return dataclasses.replace(_described(log, split.name, requests, role), edges=split.edges)


def can_be_declared(log: EventLog) -> bool:
    """Whether the source says which events are the test."""
    return log.declared is not None and bool((log.declared == TEST).any())


def _mark_known(log: EventLog, role: np.ndarray, per_user: bool) -> None:
    """Turn the role of what is no example into KNOWN, where training may know it."""
    first = np.full(log.meta.users, np.iinfo(np.int64).max)
    for block, user in log.users_of_blocks():
        held_out = (role[block] == VALID) | (role[block] == TEST)
        np.minimum.at(first, user[held_out], log.time[block][held_out])
    if not per_user:
        first[:] = first.min()
    assert log.asked is not None
    for block, user in log.users_of_blocks():
        role[block][~log.asked[block] & (log.time[block] < first[user])] = KNOWN


def _global_time(rows: AllRows) -> Roles:
    """By the start of the request. Windows are the same for all users, so that the border is one of them for everybody; a logged
    request that is still going on at a border belongs to no role."""
    t1, t2 = (border_of(share, rows) for share in (0.8, 0.9))

    def roles(part: UserRows) -> np.ndarray:
        begin, end = part.start, part.time[part.last]
        role = np.full(part.events, UNUSED, dtype=np.uint8)
        role[end < t1] = TRAIN
        role[(begin >= t1) & (end < t2)] = VALID
        role[begin >= t2] = TEST
        return role

    return roles


def _streamed(edges: tuple[int, ...], part: UserRows) -> np.ndarray:
    """The last window of a stream is the test, the one before it validation; what goes on over a border has no role."""
    begin, end = (stream.window_of(edges, moment) for moment in (part.start, part.time[part.last]))
    role = np.where(begin == len(edges), TEST, np.where(begin == len(edges) - 1, VALID, TRAIN))
    return np.where(begin == end, role, UNUSED).astype(np.uint8)


def _declared(rows: AllRows) -> Roles:
    def as_declared(part: UserRows) -> np.ndarray:
        assert part.declared is not None
        role = np.where(part.declared <= TEST, part.declared, UNUSED).astype(np.uint8)
        # What a part of a request got tells what the rest got.
        low, high = role.copy(), role.copy()
        np.minimum.at(low, part.first, role)
        np.maximum.at(high, part.first, role)
        role[low[part.first] != high[part.first]] = UNUSED
        return role

    has = np.zeros(len(ROLES) + 1, dtype=bool)
    for part in rows:
        has[as_declared(part)] = True
    if has[VALID] or not has[TRAIN]:
        return as_declared
    border = border_of(0.9, rows, lambda part: as_declared(part) == TRAIN)

    def roles(part: UserRows) -> np.ndarray:
        role, begin, end = as_declared(part), part.start, part.time[part.last]
        train = role == TRAIN
        role[train & (begin >= border)] = VALID
        role[train & (begin < border) & (end >= border)] = UNUSED
        return role

    return roles


def _per_user_time(rows: UserRows) -> np.ndarray:
    """Whole requests from the end, until they hold a tenth of the user's events, are test, and again valid; a first one stays."""
    events = np.diff(rows.user_offsets)
    begins = np.flatnonzero(rows.first == np.arange(rows.events))
    user = _user_of(rows, begins)
    # Events from the start of each request to the end of its user, and how many requests stand before it.
    behind = rows.user_offsets[user + 1] - begins
    place = np.arange(len(begins)) - np.searchsorted(user, user, side="left")
    after = behind - np.diff(np.append(begins, rows.events))
    wanted = (events // 10)[user]
    code = np.where((after < wanted) & (place >= 2), TEST, TRAIN)
    tested = np.zeros(rows.users, dtype=np.int64)
    np.maximum.at(tested, user[code == TEST], behind[code == TEST])
    code = np.where((code != TEST) & (tested[user] > 0) & (after < tested[user] + wanted) & (place >= 1), VALID, code)
    return _spread(rows, code, begins)


def _leave_one_out(rows: UserRows) -> np.ndarray:
    begins = np.flatnonzero(rows.first == np.arange(rows.events))
    user = _user_of(rows, begins)
    count = np.bincount(user, minlength=rows.users)[user]
    from_end = count - 1 - (np.arange(len(begins)) - np.searchsorted(user, user, side="left"))
    code = np.where(from_end == 0, TEST, np.where(from_end == 1, VALID, TRAIN))
    return _spread(rows, np.where(count < 3, TRAIN, code), begins)


def _last_events(rows: AllRows, wanted: int) -> Roles:
    part = last_events.part_of(name_hashes(rows.log, "user"))
    asked, rest = np.array([TRAIN, VALID, TEST]), np.array([KNOWN, UNUSED, UNUSED])
    return lambda some: np.where(last_events.asked(some, wanted), asked[part[some.user]], rest[part[some.user]]).astype(np.uint8)


def _user_of(rows: UserRows, row: np.ndarray) -> np.ndarray:
    return np.searchsorted(rows.user_offsets, row, side="right") - 1


def _spread(rows: UserRows, code: np.ndarray, begins: np.ndarray) -> np.ndarray:
    """Codes of requests as roles of their events."""
    return np.repeat(code, np.diff(np.append(begins, rows.events))).astype(np.uint8)


def _chrono_rank(rows: AllRows) -> Roles:
    events = sum(part.events for part in rows)
    places = (events * 8 // 10, events * 9 // 10)
    times = order_statistics(lambda: (part.time for part in rows), [min(place, events - 1) for place in places])
    # Of the rows at a border's own time, so many come before it in order of user and item (codes are in the order of the ids).
    borders = []
    for place, time in zip(places, times, strict=True):
        earlier = sum(int((part.time < time).sum()) for part in rows)
        tied = [_by_item(part, part.time == time) for part in rows]
        user, item, row = (np.concatenate(column) for column in zip(*tied, strict=True))
        left = place - earlier
        whole = len(user) <= left
        borders.append((time, (int(user[left]), int(item[left]), int(row[left])) if not whole else (2**62, 0, 0)))

    def roles(part: UserRows) -> np.ndarray:
        role = np.full(part.events, TRAIN, dtype=np.uint8)
        row = np.arange(part.events) - part.user_offsets[part.user - part.first_user]
        for code, (time, (user, item, place)) in zip((VALID, TEST), borders, strict=True):
            same_user, same_item = part.user == user, part.item == item
            behind = (part.user > user) | (same_user & ((part.item > item) | (same_item & (row >= place))))
            role[(part.time > time) | ((part.time == time) & behind)] = code
        return role[part.first]

    return roles


def _by_item(part: UserRows, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """User, item and place among the user's rows of the chosen rows, sorted by these."""
    at = np.flatnonzero(chosen)
    row = at - part.user_offsets[part.user[at] - part.first_user]
    order = np.lexsort((row, part.item[at], part.user[at]))
    return part.user[at][order], part.item[at][order], row[order]


@functools.lru_cache(maxsize=4)
def _dictionary_digest(log: EventLog, name: str) -> bytes:
    digest, between = hashlib.sha256(), ""
    for texts in log.dictionary_blocks(name):
        digest.update((between + "\0".join(texts)).encode())
        between = "\0"
    return digest.digest()


def _hash(log: EventLog, requests: Requests, role: np.ndarray) -> str:
    digest = hashlib.sha256(_dictionary_digest(log, "user") + _dictionary_digest(log, "item"))
    digest.update(log.user_offsets.tobytes())
    for column in (log.item, log.time, requests.start, requests.first, role):
        for block in blocks(log.meta.events):
            digest.update(np.ascontiguousarray(column[block]).data)
    return digest.hexdigest()
