"""Histories made of pools: what each example sees, in both views, against a literal reading of the log."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from rankbench.bench.config import DataConfig
from rankbench.bench.contract import PointwiseBatch, SequenceBatch
from rankbench.bench.data.batches import make_batches, pointwise_batch
from rankbench.bench.data.dataset import RankingData, prepare_log
from rankbench.bench.data.eventlog import write_log
from rankbench.bench.data.negatives import Examples
from rankbench.bench.data.requests import past_batch, request_at, request_batch, request_of
from rankbench.bench.data.sources.schema import Label
from rankbench.bench.errors import UserError
from support.logs import raw_log

CONFIG = DataConfig(
    "tiny", history_length=9, pools=("label", "low", "no-label"), supervision="impression", request_window=100, unknown_rate=0
)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> RankingData:
    raw = raw_log(users=25, longest=60)
    schema = dataclasses.replace(raw.schema, labels=(Label("low", "rating <= 2"),))
    return prepare_log(write_log(dataclasses.replace(raw, schema=schema), tmp_path_factory.mktemp("log") / "tiny"), CONFIG)


def literal(data: RankingData, event: int) -> list[int]:
    """The latest three of each pool among the user's events that are earlier than the request's window."""
    log = data.log
    user = int(log.user_of(np.array([event]))[0])
    start = int(log.time[event]) // 100_000 * 100_000
    begin, end = log.user_offsets[user : user + 2].tolist()
    columns = (column[begin:end].tolist() for column in (log.time, log.label, log.further_label("low")))
    visible = [(at, label, low) for at, (time, label, low) in enumerate(zip(*columns, strict=True), begin) if time < start]
    pools = (
        [at for at, label, _ in visible if label == 1],
        [at for at, _, low in visible if low == 1],
        [at for at, label, _ in visible if label == 0],
    )
    return sorted({at for pool in pools for at in pool[-3:]})


def test_an_example_sees_the_latest_events_of_each_pool_once_and_nothing_of_its_own_request(data: RankingData) -> None:
    events = np.arange(data.log.meta.events)
    seen, offsets = data.seen(events)
    found = [seen[offsets[event] : offsets[event + 1]].tolist() for event in events]
    for event in events[::7].tolist():
        assert found[event] == literal(data, event)
    before = events - data.log.user_offsets[data.log.user_of(events)]
    lengths = np.array([len(one) for one in found])
    assert lengths.max() >= 7 and lengths.min() == 0 and ((lengths < 9) & (before > 30)).any(), "a pool of rare events is short"


def test_rows_and_segments_hold_the_same_events(data: RankingData) -> None:
    events = data.split.examples("test")
    rows = pointwise_batch(data, Examples(data.log, events))
    expected = {int(event): literal(data, int(event)) for event in events}
    at, item = rows.history.offsets.tolist(), rows.history.fields["item"]
    known = np.asarray(data.vocabulary.item[0].ids)[np.asarray(data.log.item)].tolist()
    for row, event in enumerate(events.tolist()):
        assert item[at[row] : at[row + 1]].tolist() == [known[past] for past in expected[event]]  # type: ignore[index]
    time, begins = data.log.time.tolist(), data.request[:].tolist()
    batches = make_batches(data, "sequence", "test", 64, 100)
    for plan in batches.plans(None):
        batch = batches.assemble(plan, None)
        assert isinstance(batch, SequenceBatch) and len(batch.lo) <= 100
        for target, event in zip(batch.target.tolist(), batch.example.tolist(), strict=True):
            lo, hi = int(batch.lo[target]), int(batch.hi[target])
            assert batch.time is not None
            assert batch.time[lo:hi].tolist() == [time[past] for past in expected[event]]
            # A past event sees what is earlier than its own request.
            own = [sum(one < begins[past] for one in expected[event]) for past in expected[event]]
            assert batch.lo[lo:hi].tolist() == [lo] * len(own) and batch.hi[lo:hi].tolist() == [lo + count for count in own]


def test_a_request_of_any_time_sees_what_the_log_gives_it(data: RankingData) -> None:
    log = data.log
    event = int(data.split.examples("test")[-1])
    user = str(log.dictionary("user")[log.user_of(np.array([event]))[0]])
    asked = request_at(data, user, int(log.time[event]), {})
    logged = request_of(data, event)
    assert (asked.lo, asked.hi) == (logged.lo, logged.hi)
    assert past_batch(data, asked).time.tolist() == [int(log.time[past]) for past in literal(data, event)]  # type: ignore[union-attr]
    rows = request_batch(data, "pointwise", asked, np.array([1, 2]))
    assert isinstance(rows, PointwiseBatch) and rows.history.offsets.tolist() == [
        0,
        len(literal(data, event)),
        2 * len(literal(data, event)),
    ]
    both = request_batch(data, "sequence", asked, np.array([1, 2]))
    assert isinstance(both, SequenceBatch) and both.hi[both.target].tolist() == [len(literal(data, event))] * 2
    stranger = request_at(data, "nobody", 10**12, {})
    assert len(past_batch(data, stranger).lo) == 0


def test_one_pool_of_everything_is_the_usual_history(data: RankingData) -> None:
    usual = prepare_log(data.log, dataclasses.replace(CONFIG, pools=()))
    pools = prepare_log(data.log, dataclasses.replace(CONFIG, pools=("label", "no-label"), history_length=200))
    usual = prepare_log(data.log, dataclasses.replace(usual.config, history_length=100))
    events = np.arange(data.log.meta.events)
    for one, other in zip(usual.seen(events), pools.seen(events), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"supervision": "dense"}, "data.pools needs data.supervision=impression"),
        ({"behaviours": ("label",)}, "takes the place of data.behaviours"),
        ({"pools": ("label", "label")}, "names each pool once"),
        ({"pools": ("label", "lo")}, "unknown outcome of tiny in data.pools 'lo'; did you mean 'low'"),
        ({"history_length": 2}, "data.history_length=2 has no room for 3 data.pools"),
    ],
)
def test_what_pools_cannot_be_is_refused(changes: dict[str, object], message: str, data: RankingData) -> None:
    with pytest.raises(UserError, match=message):
        prepare_log(data.log, dataclasses.replace(CONFIG, **changes))  # type: ignore[arg-type]
