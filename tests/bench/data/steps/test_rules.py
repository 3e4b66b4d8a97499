"""Each step against a literal loop over the rows, on random logs."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from rankbench.bench.data.steps import rules
from rankbench.bench.data.steps.declared import Bots, KCore, Repeats, SampleUsers, ShortHistories, Step
from rankbench.bench.data.steps.rules import AllRows, Rows


@st.composite
def logs(draw: st.DrawFn) -> Rows:
    n = draw(st.integers(0, 40))
    user = np.sort(draw(st.lists(st.integers(0, 5), min_size=n, max_size=n))).astype(np.int64)
    item = np.array(draw(st.lists(st.integers(0, 4), min_size=n, max_size=n)), dtype=np.int64)
    time = np.array(draw(st.lists(st.integers(0, 30), min_size=n, max_size=n)), dtype=np.int64) * 1000
    label = np.array(draw(st.lists(st.integers(0, 1), min_size=n, max_size=n)), dtype=np.uint8)
    order = np.lexsort((time, user))
    action = np.array(draw(st.lists(st.integers(0, 1), min_size=n, max_size=n)), dtype=np.int32)
    return Rows(user[order], item[order], time[order], label[order], action)


def kept(step: Step, rows: Rows) -> np.ndarray:
    """Of rows that come in blocks of one user, as ids do."""
    users = int(rows.user.max(initial=-1)) + 1

    def parts() -> Iterator[Rows]:
        for user in range(users):
            of = rows.user == user
            yield Rows(rows.user[of], rows.item[of], rows.time[of], rows.label[of], rows.action[of])

    ids = lambda: (np.array([f"user {user}"], dtype=object) for user in range(users))  # noqa: E731
    found = list(rules.kept(step, AllRows(users, int(rows.item.max(initial=-1)) + 1, parts, ids)))
    whole = list(rules.kept(step, AllRows(users, int(rows.item.max(initial=-1)) + 1, lambda: iter([rows]), ids)))
    assert np.array_equal(np.concatenate([*found, np.empty(0, dtype=bool)]), whole[0]), "blocks change nothing"
    return whole[0]


@given(logs(), st.integers(1, 4), st.integers(1, 4), st.booleans())
def test_a_core_is_what_is_left_when_nobody_with_too_few_rows_is(rows: Rows, users: int, items: int, positives: bool) -> None:
    left = list(range(len(rows.user)))
    counted = [bool(one) or not positives for one in rows.label]
    while True:
        few = [
            at
            for at in left
            if sum(rows.user[one] == rows.user[at] and counted[one] for one in left) < users
            or sum(rows.item[one] == rows.item[at] and counted[one] for one in left) < items
        ]
        if not few:
            break
        left.remove(few[0])  # one row at a time: the core does not depend on the order
    found = kept(KCore(users, items, "positives" if positives else "all"), rows)
    assert np.flatnonzero(found).tolist() == left


@given(logs(), st.one_of(st.none(), st.integers(1, 20)), st.booleans())
def test_a_repeat_is_a_row_soon_after_one_that_says_the_same(rows: Rows, within: int | None, any_action: bool) -> None:
    """A purchase after a look at the item is none, unless one asks for that."""
    wanted, told = [], list(zip(rows.user, rows.item, 0 * rows.action if any_action else rows.action, strict=True))
    for at in range(len(rows.user)):
        before = [one for one in range(at) if told[one] == told[at]]
        soon = bool(before) and (within is None or rows.time[at] - rows.time[before[-1]] <= within * 1000)
        wanted.append(not soon)
    assert kept(Repeats(within, any_action), rows).tolist() == wanted


@given(logs(), st.integers(2, 5), st.integers(1, 10))
def test_a_bot_did_more_than_allowed_within_some_span(rows: Rows, events: int, seconds: int) -> None:
    def bot(user: int) -> bool:
        times = rows.time[rows.user == user]
        return any((times[(times >= one) & (times <= one + seconds * 1000)]).size >= events for one in times)

    assert kept(Bots(events, seconds), rows).tolist() == [not bot(one) for one in rows.user]


@given(logs(), st.integers(2, 5))
def test_short_histories_are_users_with_few_rows(rows: Rows, events: int) -> None:
    assert kept(ShortHistories(events), rows).tolist() == [(rows.user == one).sum() >= events for one in rows.user]


def test_a_smaller_share_of_users_lies_within_a_larger_one_and_another_seed_draws_others() -> None:
    n = 2000
    zeros = np.zeros(n, dtype=np.int64)
    rows = Rows(np.arange(n), zeros, zeros, zeros.astype(np.uint8), zeros.astype(np.int32))
    tenth, third, other = (kept(step, rows) for step in (SampleUsers(0.1), SampleUsers(0.3), SampleUsers(0.3, seed=1)))
    assert third[tenth].all() and 0.27 < third.mean() < 0.33 and 0.08 < tenth.mean() < 0.12
    assert 0.05 < (third & other).mean() < 0.13
