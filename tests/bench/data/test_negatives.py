"""Negatives: what may be sampled, what is frozen, what both families see, and what the correction does to probabilities."""

import dataclasses
import math

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rankbench.bench import registry
from rankbench.bench.config import DataConfig, Experiment, LogDefaults
from rankbench.bench.contract import SequenceBatch
from rankbench.bench.data.batches import make_batches, pointwise_batch
from rankbench.bench.data.dataset import RankingData, prepare_log
from rankbench.bench.data.eventlog import EventLog, write_log
from rankbench.bench.data.negatives import IN_BATCH, Examples, Sampler, negatives_per_positive
from rankbench.bench.data.sources.schema import ALL_POSITIVE
from rankbench.bench.data.visibility import Requests
from rankbench.bench.errors import UserError
from rankbench.bench.evaluation.evaluator import Forward, predict
from support.logs import make_data, raw_log, with_config

SAMPLED = ("uniform", "popularity", "in-batch")
CPU = torch.device("cpu")
LOG = LogDefaults("global-time", 0, positive_only=False)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> RankingData:
    config = DataConfig("tiny", history_length=6, request_window=60)
    return make_data(tmp_path_factory.mktemp("log") / "tiny", config, items=200, longest=60)


def sampler_of(data: RankingData, exclude_future: bool = False, repeats: bool = False) -> Sampler:
    return Sampler(data.log, data.split, Requests(data.request_start, data.request), exclude_future, repeats)


@pytest.fixture(scope="module")
def positives(tmp_path_factory: pytest.TempPathFactory) -> EventLog:
    """The same kind of log where every row is a positive."""
    raw = raw_log(seed=3, items=200, longest=60)
    raw = dataclasses.replace(raw, schema=dataclasses.replace(raw.schema, label=ALL_POSITIVE))
    return write_log(raw, tmp_path_factory.mktemp("log") / "positives")


def check_literally(data: RankingData, examples: Examples, repeats: bool = False, exclude_future: bool = False) -> None:
    """The rules in their own words, one example at a time."""
    log = data.log
    user, item, time, label = (np.asarray(column) for column in (log.user, log.item, log.time, log.label))
    chosen: dict[int, list[int]] = {}
    for event, shown, is_positive, draw in zip(examples.event, examples.item, examples.label, examples.draw, strict=True):
        met = (user == user[event]) & (item == shown)
        assert time[item == shown].min() < data.request_start[event], "somebody had met it earlier"
        if is_positive:
            assert draw == 0 and item[event] == shown and label[event] == 1
            assert repeats or np.flatnonzero(met)[0] == event, "a first meeting"
        else:
            end = np.flatnonzero(data.request == data.request[event]).max()
            assert draw > 0 and not met[: end + 1].any(), "not met before the end of the request"
            assert not exclude_future or not (met & (label == 1)).any()
        chosen.setdefault(int(event), []).append(int(shown))
    assert all(len(items) == len(set(items)) for items in chosen.values()), "no item twice for one positive"


@pytest.mark.parametrize("source", SAMPLED)
@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 50), rate=st.integers(1, 9), repeats=st.booleans(), exclude_future=st.booleans())
def test_every_example_obeys_the_rules(
    data: RankingData, source: str, seed: int, rate: int, repeats: bool, exclude_future: bool
) -> None:
    sampled = with_config(
        data, negatives=source, negative_rate=float(rate), repeats=repeats, exclude_future_positives=exclude_future
    )
    examples = sampled.examples("train", seed, 0)
    check_literally(data, examples, repeats, exclude_future)
    assert (np.diff(examples.event * 100 + examples.draw) > 0).all(), "ordered by event, then draw"
    drawn = np.bincount(np.unique(examples.event, return_inverse=True)[1]) - 1
    assert drawn.max() <= rate
    if source == "in-batch":
        return
    sampler = sampler_of(data, exclude_future, repeats)
    every = np.arange(data.log.meta.items) if source == "uniform" else np.unique(sampler.popular)
    for event, count in zip(np.unique(examples.event), drawn, strict=True):
        possible = sampler.allowed(np.full(len(every), event), every)
        if source == "popularity":
            possible &= np.isin(every, sampler.popular[sampler.popular_time < data.request_start[event]])
        assert count == min(rate, possible.sum()), "fewer negatives only where no more items exist"


def test_popularity_draws_what_was_liked_often_before(data: RankingData) -> None:
    sampler = sampler_of(data)
    train = data.split.examples("train")
    train = train[(data.log.label[train] == 1) & sampler.rankable(train)]
    late = train[[np.argmax(data.request_start[train])]]
    rng = np.random.default_rng(0)
    drawn = np.concatenate([sampler.with_negatives(late, "popularity", 1, rng).item[1:] for _ in range(3_000)])
    before = sampler.popular[sampler.popular_time < data.request_start[late]]
    weight = np.bincount(before, minlength=data.log.meta.items).astype(float)
    weight[~sampler.allowed(np.full(len(weight), late), np.arange(len(weight)))] = 0
    seen = np.bincount(drawn, minlength=len(weight))
    assert seen.sum() == 3_000 and weight.max() > 2 * np.median(weight[weight > 0])
    assert np.abs(seen / 3_000 - weight / weight.sum()).max() < 0.02


def test_in_batch_negatives_are_positives_of_the_same_group(data: RankingData) -> None:
    sampled = with_config(data, negatives="in-batch", negative_rate=2.0)
    examples = sampled.examples("train", 0, 0)
    liked = set(data.log.item[examples.event[examples.draw == 0]].tolist())
    assert len(examples) > 2 * (examples.draw == 0).sum() and (examples.draw == 0).sum() <= IN_BATCH
    assert set(examples.item[examples.draw > 0].tolist()) <= liked


def test_training_is_drawn_anew_each_epoch_and_repeats_itself_for_a_seed(data: RankingData) -> None:
    sampled = with_config(data, negatives="uniform", negative_rate=3.0)
    first, again = sampled.examples("train", 1, 2), sampled.examples("train", 1, 2)
    np.testing.assert_array_equal(first.item, again.item)
    for other in (sampled.examples("train", 1, 3), sampled.examples("train", 2, 2)):
        np.testing.assert_array_equal(first.event[first.draw == 0], other.event[other.draw == 0])
        assert (first.item != other.item).any()


def test_the_sampled_test_is_the_same_for_every_seed_and_training_rate(data: RankingData) -> None:
    plain = with_config(data, test_negatives="uniform", test_negative_rate=7)
    for other in (with_config(plain, negatives="popularity", negative_rate=2.0), with_config(plain, negative_rate=0.3)):
        for role in ("valid", "test"):
            one, two = plain.examples(role), other.examples(role, seed=5, epoch=9)
            np.testing.assert_array_equal(one.ids(), two.ids())
            np.testing.assert_array_equal(one.item, two.item)
            check_literally(data, one)
            assert one.label.mean() == pytest.approx(1 / 8, abs=0.05)
    ids = plain.examples("test").ids()
    assert len(np.unique(ids)) == len(ids)


def test_exposed_negatives_are_thinned_and_positives_kept(data: RankingData) -> None:
    every, half = data.examples("train"), with_config(data, negative_rate=0.5).examples("train", 3, 0)
    assert set(half.event) <= set(every.event) and half.label.sum() == every.label.sum()
    assert (half.label == 0).sum() == pytest.approx((every.label == 0).sum() / 2, rel=0.2)
    np.testing.assert_array_equal(half.event, with_config(data, negative_rate=0.5).examples("train", 3, 8).event)
    np.testing.assert_array_equal(data.examples("test").event, with_config(data, negative_rate=0.5).examples("test").event)


def test_a_share_of_training_examples_lies_within_a_larger_one_and_changes_nothing_else(data: RankingData) -> None:
    every = data.examples("train")
    shares = {share: with_config(data, train_share=share) for share in (1e-9, 0.25, 0.5, 1.0)}
    kept = {share: set(one.examples("train", 3).event.tolist()) for share, one in shares.items()}
    assert [len(kept[share]) for share in shares] == [1, round(len(every) / 4), round(len(every) / 2), len(every)]
    assert kept[1e-9] < kept[0.25] < kept[0.5] < kept[1.0]
    half = shares[0.5]
    np.testing.assert_array_equal(half.examples("train", 3, 0).event, half.examples("train", 3, 8).event)
    assert kept[0.5] != set(half.examples("train", 4).event.tolist()), "another choice for each seed"
    for role in ("valid", "test"):
        np.testing.assert_array_equal(half.examples(role).event, data.examples(role).event)
    np.testing.assert_array_equal(half.lo, data.lo)
    np.testing.assert_array_equal(half.hi, data.hi)
    assert half.spec == data.spec and half.logit_correction == data.logit_correction


def test_the_rates_of_negatives_hold_within_the_share(data: RankingData) -> None:
    half = with_config(data, train_share=0.5)
    thinned = with_config(data, train_share=0.5, negative_rate=0.5).examples("train", 3)
    assert set(thinned.event) <= set(half.examples("train", 3).event)
    assert thinned.label.sum() == half.examples("train", 3).label.sum()
    sampled = with_config(data, train_share=0.5, negatives="uniform", negative_rate=2.0).examples("train", 3)
    check_literally(data, sampled)
    assert set(sampled.event) <= set(half.examples("train", 3).event)


@pytest.mark.parametrize("role", ["train", "test"])
def test_both_views_score_the_same_items_and_no_one_sees_a_sampled_one(data: RankingData, role: str) -> None:
    sampled = with_config(data, negatives="uniform", negative_rate=3.0, test_negatives="popularity", test_negative_rate=4)
    rows = make_batches(sampled, "pointwise", role, 64, 64, seed=1)
    packed = make_batches(sampled, "sequence", role, 64, 200, seed=1)
    for batches in (rows, packed):
        plans = batches.plans(2)
        items, seen = {}, []
        for plan in plans:
            batch = batches.assemble(plan, None)
            seen += batch.example.tolist()
            at = batch.target if isinstance(batch, SequenceBatch) else slice(None)
            items |= dict(zip(batch.example.tolist(), batch.fields["item"][at].tolist(), strict=True))
            if isinstance(batch, SequenceBatch):
                drawn = torch.zeros(len(batch.lo), dtype=torch.bool)
                drawn[batch.target[batch.example >= data.log.meta.events]] = True
                visible = torch.zeros(len(batch.lo), dtype=torch.bool)
                for low, high in zip(batch.lo.tolist(), batch.hi.tolist(), strict=True):
                    visible[low:high] = True
                assert not (drawn & visible).any(), "a sampled item is part of nobody's history"
                assert not batch.observed[drawn].any()
        examples = sampled.examples(role, 1, 2)
        table = data.vocabulary.item[0].ids
        assert isinstance(table, np.ndarray) and len(seen) == len(set(seen))
        assert items == dict(zip(examples.ids().tolist(), table[examples.item].tolist(), strict=True))


@pytest.mark.parametrize("name", ["din", "hstu"])
def test_a_sampled_item_scores_as_if_it_were_alone(name: str, data: RankingData) -> None:
    sampled = with_config(data, test_negatives="uniform", test_negative_rate=5)
    info = registry.info(name)
    torch.manual_seed(0)
    model = info.build(info.config(), sampled.spec).eval()
    batches = make_batches(sampled, info.view, "test", 64, 300)
    together = predict(Forward(model, CPU, "fp32"), batches, sampled)
    for row in range(0, len(together), 17):
        one = make_batches(sampled, info.view, "test", 64, 300)
        keep = np.array([row])
        if info.view == "pointwise":
            logit = model(pointwise_batch(sampled, batches.examples.take(keep)))
        else:
            one._cut(batches.examples.take(keep))  # type: ignore[attr-defined]
            logit = model(one.assemble(np.array([0]), None))
        alone = 1 / (1 + math.exp(-(float(logit.detach()) + sampled.logit_correction)))
        assert together[row] == pytest.approx(alone, abs=1e-5)


@pytest.mark.parametrize(
    ("changes", "weight"), [({"negative_rate": 0.25}, 0.25), ({"negatives": "uniform", "negative_rate": 3.0}, None)]
)
def test_probabilities_are_put_back_to_the_odds_they_are_judged_by(
    data: RankingData, changes: dict, weight: float | None
) -> None:
    sampled = with_config(data, **changes)
    training, judged = negatives_per_positive(data.log, data.split.examples("train"), sampled.config)
    w = training / judged
    assert weight is None or w == pytest.approx(weight)
    p = np.linspace(0.01, 0.99, 9)
    corrected = 1 / (1 + np.exp(-(np.log(p / (1 - p)) + sampled.logit_correction)))
    np.testing.assert_allclose(corrected, p / (p + (1 - p) / w))
    assert with_config(data).logit_correction == 0


def test_a_log_of_positives_alone_is_sampled_in_training_and_test(positives: EventLog) -> None:
    data = prepare_log(positives, DataConfig("tiny", history_length=6))
    assert (data.config.negatives, data.config.negative_rate, data.config.test_negatives) == ("uniform", 4.0, "uniform")
    assert data.spec.positive_rate == pytest.approx(0.2)
    for role in ("train", "test"):
        examples = data.examples(role)
        check_literally(data, examples)
        assert 0 < examples.label.mean() < 0.5
    with pytest.raises(UserError, match=r"positives alone: data\.test_negatives must be uniform or popularity"):
        prepare_log(positives, DataConfig("tiny", test_negatives="exposed"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"negatives": "exposed", "negative_rate": 2.0}, "share, in"),
        ({"negatives": "uniform", "negative_rate": 0.5}, "whole number"),
    ],
)
def test_wrong_rates_are_refused(changes: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        DataConfig(**changes)


def test_only_sampling_that_takes_place_is_part_of_an_experiment() -> None:
    plain = Experiment("din", DataConfig().resolved(LOG))
    idle = DataConfig(test_negative_rate=9, exclude_future_positives=True).resolved(LOG)
    assert plain.hash == Experiment("din", idle).hash
    uniform = DataConfig(negatives="uniform").resolved(LOG)
    expected = DataConfig(split="global-time", request_window=0, negatives="uniform", negative_rate=4.0, test_negatives="exposed")
    assert uniform == expected
    assert plain.hash != Experiment("din", uniform).hash


def test_items_that_only_the_positive_could_be_are_no_examples(positives: EventLog) -> None:
    kept, left = (prepare_log(positives, DataConfig("tiny", repeats=repeats)) for repeats in (True, False))
    log = pd.DataFrame({"user": positives.user[:], "item": positives.item, "time": positives.time})
    again = log.duplicated(["user", "item"]).to_numpy()
    events = kept.split.examples("train")
    assert again[events].any(), "the log has repeats"
    with_repeats = kept.examples("train")
    assert again[with_repeats.event[with_repeats.draw == 0]].any()
    assert not again[left.examples("train").event].any()
