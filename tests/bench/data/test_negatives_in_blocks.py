"""What is sampled in blocks and scratch files is, number by number, what was sampled from whole arrays: records were made so."""

import itertools
from collections.abc import Callable

import numpy as np
import pytest

from rankbench.bench.config import DataConfig
from rankbench.bench.data import columns, negatives
from rankbench.bench.data.batches import SequenceBatches, make_batches
from rankbench.bench.data.dataset import RankingData
from rankbench.bench.data.examples import Examples
from rankbench.bench.data.negatives import Sampler
from rankbench.bench.data.visibility import Requests
from support.logs import make_data, with_config

ROUNDS, GROUP = 12, 64


class Whole:
    """The algorithm on arrays as long as events, meetings and examples, as it was before there were blocks."""

    def __init__(self, data: RankingData, exclude_future: bool, repeats: bool, out: np.ndarray | None = None) -> None:
        log = data.log
        self.exclude_future, self.repeats, self.items = exclude_future, repeats, log.meta.items
        self.user, self.item, self.time = (np.asarray(column, dtype=np.int64) for column in (log.user, log.item, log.time))
        label, train = np.asarray(log.label), data.split.examples("train")
        self.start, request = data.request_start[:], data.request[:]
        self.end = np.array([np.flatnonzero(request == one).max() for one in request])
        self.first_time = np.full(self.items, np.iinfo(np.int64).max)
        np.minimum.at(self.first_time, self.item, self.time)
        if out is not None:
            self.first_time[out] = np.iinfo(np.int64).max
        key = self.user * self.items + self.item
        self.met, self.met_event = np.unique(key, return_index=True)
        self.liked = np.isin(self.met, key[label == 1])
        positive = train[label[train] == 1]
        self.popular = positive[np.argsort(self.time[positive], kind="stable")]

    def rankable(self, event: np.ndarray) -> np.ndarray:
        first = np.isin(event, self.met_event) | self.repeats
        return (self.first_time[self.item[event]] < self.start[event]) & first

    def allowed(self, event: np.ndarray, item: np.ndarray) -> np.ndarray:
        key = self.user[event] * self.items + item
        at = np.minimum(np.searchsorted(self.met, key), len(self.met) - 1)
        known = self.met[at] == key
        refused = known & (self.met_event[at] <= self.end[event])
        if self.exclude_future:
            refused |= known & self.liked[at]
        return (item >= 0) & (self.first_time[item] < self.start[event]) & ~refused

    def source(
        self, source: str, host: np.ndarray, rng: np.random.Generator
    ) -> tuple[Callable[[np.ndarray], np.ndarray], Callable[[int], np.ndarray]]:
        if source == "in-batch":
            order = rng.permutation(len(host))
            items = self.item[host[order]]
            place = np.argsort(order)
            begin = place // GROUP * GROUP
            end = np.minimum(begin + GROUP, len(host))
        else:
            by_first_time = np.argsort(self.first_time, kind="stable")
            items = by_first_time if source == "uniform" else self.item[self.popular]
            since = self.first_time[by_first_time] if source == "uniform" else self.time[self.popular]
            begin, end = np.zeros(len(host), dtype=np.int64), np.searchsorted(since, self.start[host], side="left")

        def propose(at: np.ndarray) -> np.ndarray:
            size = (end - begin)[at]
            drawn = begin[at] + (rng.random(len(at)) * size).astype(np.int64)
            return np.where(size > 0, items[np.minimum(drawn, len(items) - 1)], -1)

        return propose, lambda at: items[begin[at] : end[at]]

    def examples(self, positive: np.ndarray, source: str, rate: int, rng: np.random.Generator) -> tuple[np.ndarray, ...]:
        """Events, items and draws."""
        host = positive[self.rankable(positive)]
        taken = np.full((len(host), rate + 1), -1)
        taken[:, 0] = self.item[host]
        propose, pool = self.source(source, host, rng)
        for draw in range(1, rate + 1):
            missing = np.arange(len(host))
            for _ in range(ROUNDS):
                item = propose(missing)
                good = self.allowed(host[missing], item) & (taken[missing, :draw] != item[:, None]).all(1)
                taken[missing[good], draw] = item[good]
                missing = missing[~good]
                if not len(missing):
                    break
            for at in missing.tolist():
                left = pool(at)
                left = left[self.allowed(np.full(len(left), host[at]), left) & ~np.isin(left, taken[at])]
                if len(left):
                    taken[at, draw] = rng.choice(left)
        row, draw = np.nonzero(taken >= 0)
        return host[row], taken[row, draw], draw


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> RankingData:
    """More positives than an in-batch group has, and so few items that draws are refused to the last round."""
    config = DataConfig("tiny", history_length=6, request_window=60)
    found = make_data(tmp_path_factory.mktemp("log") / "tiny", config, users=40, items=40)
    assert (found.log.label[found.split.examples("train")] == 1).sum() > 3 * GROUP
    return found


def sampled(whole: Examples) -> tuple[list[int], ...]:
    return whole.event.tolist(), whole.item.tolist(), whole.draw.tolist()


@pytest.mark.parametrize("source", ["uniform", "popularity", "in-batch"])
@pytest.mark.parametrize(
    ("rate", "rows", "memory", "exclude_future", "repeats", "left_out"),
    [
        (1, 7, 0, False, False, False),
        (3, 7, 0, True, True, False),
        (4, 50, 1 << 24, False, True, True),
        (20, 500, 1 << 10, True, False, False),
        (20, 1_000_000, 1 << 24, False, True, False),
    ],
)
def test_blocks_and_scratch_files_change_no_number(
    data: RankingData, source: str, rate: int, rows: int, memory: int, exclude_future: bool, repeats: bool, left_out: bool
) -> None:
    log, out = data.log, np.arange(data.log.meta.items) % 9 == 4 if left_out else None
    train = data.split.examples("train")
    positive = train[log.label[train] == 1]
    expected_rng, rng = np.random.default_rng(rows), np.random.default_rng(rows)
    event, item, draw = Whole(data, exclude_future, repeats, out).examples(positive, source, rate, expected_rng)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(columns, "BLOCK_ROWS", rows)
        patch.setattr(columns, "IN_MEMORY", memory)
        patch.setattr(negatives, "IN_BATCH", GROUP)
        sampler = Sampler(log, data.split, Requests(data.request_start, data.request), exclude_future, repeats)
        found = (sampler if out is None else sampler.without(out)).with_negatives(positive, source, rate, rng)
        assert sampled(found) == (event.tolist(), item.tolist(), draw.tolist())
        assert found.ids().tolist() == (event + draw * log.meta.events).tolist()
        assert found.label.tolist() == (draw == 0).tolist() and found.positives == (draw == 0).sum()
        part = found.take(np.arange(len(found))[::3])
        assert (part.item.dtype, part.draw.dtype, part.ids().dtype) == (np.int64,) * 3
        assert sampled(part) == (event[::3].tolist(), item[::3].tolist(), draw[::3].tolist())
    assert rng.bit_generator.state == expected_rng.bit_generator.state, "nothing else was drawn either"


@pytest.mark.parametrize("view", ["pointwise", "sequence"])
def test_an_epoch_is_drawn_once_and_the_one_before_is_gone_by_then(
    data: RankingData, view: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, held = [], []
    whole = RankingData.examples

    def examples(self: RankingData, role: str, seed: int = 0, epoch: int = 0) -> Examples:
        made.append(epoch)
        held.append(batches is not None and hasattr(batches, "examples"))
        return whole(self, role, seed, epoch)

    monkeypatch.setattr(RankingData, "examples", examples)
    batches = None
    batches = make_batches(with_config(data, negatives="uniform", negative_rate=2.0), view, "train", 64, 256, seed=3)
    for epoch in (None, 0, 1, 1, 2):
        batches.plans(epoch)
        expected = whole(batches.data, "train", 3, epoch or 0)  # type: ignore[attr-defined]
        assert sampled(batches.examples) == sampled(expected)
    assert (made, held) == ([0, 1, 2], [False] * 3)


@pytest.mark.parametrize("supervision", ["dense", "impression"])
def test_segments_know_what_stands_behind_them_whatever_the_blocks(
    data: RankingData, supervision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = with_config(data, negatives="uniform", negative_rate=3.0, supervision=supervision)
    monkeypatch.setattr(columns, "BLOCK_ROWS", 7)
    monkeypatch.setattr(columns, "IN_MEMORY", 0)
    batches = make_batches(one, "sequence", "train", 64, 256, seed=3)
    assert isinstance(batches, SequenceBatches)
    segments = itertools.pairwise(batches.offsets.tolist())
    behind = [(batches.examples.draw[low:high] > 0).sum() for low, high in segments]
    assert batches.extra.tolist() == behind and sum(behind)
    order = np.concatenate(batches.plans(None))
    assert order.tolist() == np.argsort(batches.past + batches.extra, kind="stable").tolist()
