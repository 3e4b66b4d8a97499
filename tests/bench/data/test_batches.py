"""The claim of the benchmark: both families score the same examples and see the same events."""

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from rankbench.bench.config import DataConfig
from rankbench.bench.contract import UNKNOWN, Jagged, PointwiseBatch, SequenceBatch
from rankbench.bench.data.batches import make_batches, pointwise_batch
from rankbench.bench.data.columns import ranges
from rankbench.bench.data.dataset import RankingData
from rankbench.bench.data.eventlog import Multi
from rankbench.bench.data.negatives import Examples
from rankbench.bench.data.requests import request_batch, request_of
from rankbench.bench.data.splits import SPLITS
from support.logs import changed, make_data, with_config


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> RankingData:
    # Long users and a short history: many segments are cut in chunks.
    return make_data(tmp_path_factory.mktemp("log") / "tiny", DataConfig("tiny", history_length=5), users=40, longest=400)


def seen_by_pointwise(data: RankingData, role: str) -> dict[int, list[tuple]]:
    """Example -> what it sees: (item id, action id, label) of every visible event, in order."""
    result = {}
    batches = make_batches(data, "pointwise", role, 64, 64)
    for plan in batches.plans(None):
        batch = batches.assemble(plan, None)
        assert isinstance(batch, PointwiseBatch)
        history = batch.history
        rows = list(zip(history.fields["item"].tolist(), history.action.tolist(), history.label.tolist(), strict=True))
        for at, example in enumerate(batch.example.tolist()):
            result[example] = rows[history.offsets[at] : history.offsets[at + 1]]
    return result


def seen_by_sequence(data: RankingData, role: str) -> dict[int, list[tuple]]:
    result = {}
    batches = make_batches(data, "sequence", role, 64, 500)
    for plan in batches.plans(0):
        batch = batches.assemble(plan, None)
        assert isinstance(batch, SequenceBatch)
        rows = list(zip(batch.fields["item"].tolist(), batch.action.tolist(), batch.past_label.tolist(), strict=True))
        for target, example in zip(batch.target.tolist(), batch.example.tolist(), strict=True):
            lo, hi = batch.lo[target], batch.hi[target]
            assert batch.observed[lo:hi].all()
            assert example not in result
            result[example] = rows[lo:hi]
    return result


@pytest.mark.parametrize("split", [name for name in SPLITS if name != "declared"])
@pytest.mark.parametrize("role", ["train", "valid", "test"])
def test_both_views_score_the_same_examples_and_see_the_same_events(data: RankingData, split: str, role: str) -> None:
    data = with_config(data, split=split)
    pointwise, sequence = seen_by_pointwise(data, role), seen_by_sequence(data, role)
    assert sorted(pointwise) == sorted(sequence) == data.split.examples(role).tolist()
    assert pointwise == sequence


def test_both_views_of_a_share_see_what_they_see_of_all_examples(data: RankingData) -> None:
    share = with_config(data, train_share=0.3)
    pointwise, sequence, whole = (
        seen_by_pointwise(share, "train"),
        seen_by_sequence(share, "train"),
        seen_by_pointwise(data, "train"),
    )
    assert pointwise == sequence == {example: whole[example] for example in pointwise}
    assert len(pointwise) == round(0.3 * len(whole))
    lookup = data.vocabulary.item[0].ids
    assert isinstance(lookup, np.ndarray)
    for example in list(pointwise)[::7]:
        visible = range(data.lo[example], data.hi[example])
        assert [row[0] for row in pointwise[example]] == lookup[data.log.item[list(visible)]].tolist()


@pytest.mark.parametrize("view", ["pointwise", "sequence"])
def test_rows_carry_the_right_user_item_time_and_label(data: RankingData, view: str) -> None:
    user_ids, item_ids = data.vocabulary.user[0].ids, data.vocabulary.item[0].ids
    assert not isinstance(user_ids, Multi) and not isinstance(item_ids, Multi)
    batches = make_batches(data, view, "test", 50, 100)
    for plan in batches.plans(None):
        batch = batches.assemble(plan, None)
        at = torch.arange(len(batch)) if isinstance(batch, PointwiseBatch) else batch.target
        event = batch.example.numpy()
        assert batch.fields["user"][at].tolist() == user_ids[data.log.user_of(event)].tolist()
        assert batch.fields["item"][at].tolist() == item_ids[data.log.item[event]].tolist()
        assert batch.fields["hour"][at].tolist() == (data.log.time[event] // 3_600_000 % 24 + 2).tolist()
        assert batch.label.tolist() == data.log.label[event].tolist()


def test_weekday_counts_from_monday(data: RankingData) -> None:
    event = np.arange(0, data.log.meta.events, 17)
    expected = np.asarray(data.log.time)[event].astype("datetime64[ms]").astype("datetime64[D]").astype(object)
    assert (data.request_fields(event)["weekday"] - 2).tolist() == [day.weekday() for day in expected]


def test_an_outcome_that_nobody_may_see_is_not_in_the_batch(data: RankingData, tmp_path: Path) -> None:
    """Replacing every label and action at or after hi of the last target changes no tensor but the labels."""
    event = int(data.split.examples("test")[-1])
    user_end = int(data.log.user_offsets[data.log.user_of(np.array([event]))[0] + 1])
    label, action = np.array(data.log.label), np.array(data.log.action)
    label[data.hi[event] : user_end] ^= 1
    action[data.hi[event] : user_end] = 0
    flipped = changed(data, tmp_path / "flipped", label=label, action=action)
    for view in ("pointwise", "sequence"):
        before, after = (request_batch(d, view, request_of(d, event), np.array([0, 1, 2])) for d in (data, flipped))
        for one, two in zip(tensors(before), tensors(after), strict=True):
            assert torch.equal(one, two)


def tensors(batch: object) -> list[torch.Tensor]:
    found: list[torch.Tensor] = []
    for name, value in vars(batch).items():
        if name == "label" and isinstance(batch, PointwiseBatch | SequenceBatch):
            continue
        if isinstance(value, torch.Tensor):
            found.append(value)
        elif isinstance(value, Jagged):
            found += [value.values, value.offsets]
        elif isinstance(value, dict):
            found += [t for entry in value.values() for t in (entry if isinstance(entry, Jagged) else [entry])]
        elif hasattr(value, "__dataclass_fields__"):
            found += tensors(value)
    return found


@pytest.mark.parametrize("time", ["none", "history", "request"])
def test_time_switch_decides_what_is_there(data: RankingData, time: str) -> None:
    data = with_config(data, time=time)
    event = data.split.examples("test")[:20]
    rows = pointwise_batch(data, Examples(data.log, event))
    segment = request_batch(data, "sequence", request_of(data, int(event[-1])), np.array([0]))
    assert isinstance(segment, SequenceBatch)
    assert (rows.history.gap is None) == (segment.time is None) == (time == "none")
    assert ("hour" in rows.fields) == ("hour" in segment.fields) == (time == "request")


def test_history_time_hides_when_the_request_is(data: RankingData, tmp_path: Path) -> None:
    data = with_config(data, time="history")
    event = int(data.split.examples("test")[-1])
    time = np.array(data.log.time)
    later = int(data.log.user_offsets[data.log.user_of(np.array([event]))[0] + 1])
    time[event:later] += 123_456_789
    moved = changed(data, tmp_path / "moved", time=time)
    one, two = (pointwise_batch(d, Examples(d.log, np.array([event]))) for d in (data, moved))
    assert one.history.gap is not None and two.history.gap is not None
    assert torch.equal(one.history.gap, two.history.gap)
    assert data.query_time(np.array([event])) == moved.query_time(np.array([event]))


def test_one_order_of_examples_per_seed(data: RankingData) -> None:
    for view in ("pointwise", "sequence"):
        batches = make_batches(data, view, "train", 32, 200)
        first, same, other = (batches.plans(seed) for seed in (1, 1, 2))
        assert all(np.array_equal(a, b) for a, b in zip(first, same, strict=True))
        assert not np.array_equal(np.concatenate(first), np.concatenate(other))
        assert sorted(np.concatenate(first).tolist()) == sorted(np.concatenate(other).tolist())


@pytest.mark.parametrize("rate", [0.1, 0.5])
def test_hidden_ids_are_as_many_in_candidates_and_histories_of_both_views(data: RankingData, rate: float) -> None:
    data = with_config(data, unknown_rate=rate)
    for view in ("pointwise", "sequence"):
        batches = make_batches(data, view, "train", 10_000, 100_000)
        plan = batches.plans(None)[0]
        plain = batches.assemble(plan, None)
        hidden = [batches.assemble(plan, np.random.default_rng(seed)) for seed in range(60)]
        for name, of in id_columns(view).items():
            before, after = of(plain), [of(batch) for batch in hidden]
            assert not (before == UNKNOWN).any(), "every training id is known"
            shares = torch.stack([(ids == UNKNOWN).float() for ids in after])
            assert abs(float(shares.mean()) - rate) < 4 * (rate * (1 - rate) / shares.numel()) ** 0.5, (view, name)
            for ids in after:
                kept = ids != UNKNOWN
                assert torch.equal(ids[kept], before[kept])


def id_columns(view: str) -> dict[str, Callable[[Any], Tensor]]:
    """Where a batch holds ids that training hides: of the user, of candidates, of past items."""
    if view == "pointwise":
        return {
            "user": lambda batch: batch.fields["user"],
            "candidates": lambda batch: batch.fields["item"],
            "past items": lambda batch: batch.history.fields["item"],
        }
    return {
        "user": lambda batch: batch.fields["user"][batch.offsets[:-1]],
        "candidates": lambda batch: batch.fields["item"][batch.target],
        "past items": lambda batch: batch.fields["item"][batch.observed],
    }


def test_a_user_is_hidden_for_a_whole_segment_or_for_a_row(data: RankingData) -> None:
    data = with_config(data, unknown_rate=0.5)
    batches = make_batches(data, "sequence", "train", 10_000, 100_000)
    batch = batches.assemble(batches.plans(None)[0], np.random.default_rng(0))
    ids, offsets = batch.fields["user"], batch.offsets.tolist()
    assert all(len(set(ids[begin:end].tolist())) == 1 for begin, end in itertools.pairwise(offsets))
    rows = make_batches(data, "pointwise", "train", 10_000, 100_000)
    batch = rows.assemble(rows.plans(None)[0], np.random.default_rng(0))
    plain = rows.assemble(rows.plans(None)[0], None)
    some = plain.fields["user"] == plain.fields["user"].mode().values
    assert 0 < (batch.fields["user"][some] == UNKNOWN).sum() < some.sum(), "rows of one user are hidden each for itself"


def test_ranges_is_concatenated_aranges() -> None:
    values, offsets = ranges(np.array([5, 0, 9]), np.array([3, 0, 2]))
    assert values.tolist() == [5, 6, 7, 9, 10] and offsets.tolist() == [0, 3, 3, 5]
