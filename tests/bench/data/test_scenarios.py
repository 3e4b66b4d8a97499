"""What histories hold, what is told of past events, side information and domains as settings of the data, against loops."""

from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rankbench.bench.config import DataConfig
from rankbench.bench.contract import UNKNOWN, PointwiseBatch, SequenceBatch
from rankbench.bench.data import columns
from rankbench.bench.data.batches import make_batches
from rankbench.bench.data.dataset import RankingData, prepare_log
from rankbench.bench.data.eventlog import EventLog, write_log
from rankbench.bench.data.requests import request_at, request_batch, request_of
from rankbench.bench.data.sources.schema import Domain, Label
from rankbench.bench.errors import UserError
from support.logs import raw_log

LENGTH = 4


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> EventLog:
    raw = raw_log(seed=7, users=25, longest=50)
    rare = (Label("love", "rating >= 5"), Label("never", "rating >= 6"))
    schema = dataclasses.replace(raw.schema, labels=rare, domain=Domain("page", "where it was shown"))
    return write_log(dataclasses.replace(raw, schema=schema), tmp_path_factory.mktemp("log") / "log")


def prepared(log: EventLog, **settings: Any) -> RankingData:
    return prepare_log(log, DataConfig("tiny", history_length=LENGTH, **settings))


def seen(data: RankingData, event: int, held: np.ndarray) -> list[int]:
    """The latest events of the user before the request that histories hold, by a loop."""
    begin = int(data.log.user_offsets[data.log.user[event]])
    past = [at for at in range(begin, event) if data.log.time[at] < data.request_start[event] and held[at]]
    return past[-LENGTH:]


BEHAVIOURS = [("label",), ("love",), ("love", "label"), ("never",)]


@pytest.mark.parametrize("behaviours", BEHAVIOURS)
def test_histories_hold_the_latest_events_of_the_behaviours_and_no_others(log: EventLog, behaviours: tuple[str, ...]) -> None:
    data, whole = prepared(log, behaviours=behaviours), prepared(log)
    held = np.zeros(log.meta.events, dtype=bool)
    for name in behaviours:
        held |= np.asarray(log.label if name == "label" else log.further_label(name)) == 1
    for event in range(log.meta.events):
        assert data.past(np.arange(data.lo[event], data.hi[event])).tolist() == seen(data, event, held)
    for role in ("train", "valid", "test"):
        assert np.array_equal(data.examples(role).event, whole.examples(role).event)
    assert data.split.hash == whole.split.hash


@pytest.mark.parametrize("supervision", ["dense", "impression"])
@pytest.mark.parametrize("behaviours", [*BEHAVIOURS, ()])
def test_both_families_see_the_same_events(log: EventLog, behaviours: tuple[str, ...], supervision: str) -> None:
    """Items and actions of what an example sees, in rows as in packed sequences; none of the others is in its segment's past."""
    data = prepared(log, behaviours=behaviours, supervision=supervision, unknown_rate=0.0)
    rows, packed = {}, {}
    batches = make_batches(data, "pointwise", "train", 64, 0)
    for plan in batches.plans(0):
        batch = batches.assemble(plan, None)
        past = batch.history
        for row, example in enumerate(batch.example.tolist()):
            span = slice(int(past.offsets[row]), int(past.offsets[row + 1]))
            rows[example] = list(zip(past.fields["item"][span].tolist(), past.action[span].tolist(), strict=True))
    batches = make_batches(data, "sequence", "train", 0, 100)
    for plan in batches.plans(0):
        batch = batches.assemble(plan, None)
        for target, example in zip(batch.target.tolist(), batch.example.tolist(), strict=True):
            span = slice(int(batch.lo[target]), int(batch.hi[target]))
            packed[example] = list(zip(batch.fields["item"][span].tolist(), batch.action[span].tolist(), strict=True))
            assert not behaviours or not batch.observed[target], "an example stands apart from what histories hold"
    assert rows == packed and len(rows) == len(data.examples("train"))


@pytest.mark.parametrize(
    "settings",
    [
        {"behaviours": ("love", "label"), "request_window": 3600.0},
        {"behaviours": ("label",), "test_history": "frozen", "supervision": "impression"},
        {"behaviours": ("never",), "negatives": "in-batch", "negative_rate": 2.0},
        {"domains": ("home", "feed"), "train_share": 0.6, "outcomes": "none"},
    ],
)
def test_no_block_and_no_scratch_file_changes_what_is_read(
    log: EventLog, settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = prepared(log, **settings)
    monkeypatch.setattr(columns, "BLOCK_ROWS", 7)
    monkeypatch.setattr(columns, "IN_MEMORY", 0)
    parts = prepared(log, **settings)
    assert np.array_equal(parts.lo[:], whole.lo[:]) and np.array_equal(parts.hi[:], whole.hi[:])
    assert parts.spec == whole.spec and parts.mismatch == whole.mismatch and parts.logit_correction == whole.logit_correction
    for view, role in itertools.product(("pointwise", "sequence"), ("train", "valid", "test")):
        one, other = (make_batches(data, view, role, 32, 100) for data in (whole, parts))
        for plan, same in zip(one.plans(0), other.plans(0), strict=True):
            assert np.array_equal(plan, same)
            found, again = one.assemble(plan, None), other.assemble(same, None)
            assert torch.equal(found.example, again.example) and torch.equal(found.label, again.label)
            if isinstance(found, SequenceBatch) and isinstance(again, SequenceBatch):
                assert all(torch.equal(getattr(found, name), getattr(again, name)) for name in ("lo", "hi", "target", "action"))
            elif isinstance(found, PointwiseBatch) and isinstance(again, PointwiseBatch):
                past, over = found.history, again.history
                assert torch.equal(past.offsets, over.offsets) and torch.equal(past.action, over.action)


def test_a_request_from_outside_sees_what_an_event_of_the_log_does(log: EventLog) -> None:
    data = prepared(log, behaviours=("label",))
    users = log.dictionary("user")
    for event in data.split.examples("test")[::7].tolist():
        asked = request_of(data, event)
        again = request_at(data, str(users[asked.user]), asked.time, {})
        assert (again.lo, again.hi, again.start) == (asked.lo, asked.hi, asked.start)
        items = np.array([1, 2])
        history = request_batch(data, "pointwise", asked, items).history  # type: ignore[union-attr]
        sequence = request_batch(data, "sequence", asked, items)
        at = int(sequence.target[0])  # type: ignore[union-attr]
        span = slice(int(sequence.lo[at]), int(sequence.hi[at]))  # type: ignore[union-attr]
        assert history.action[: int(history.offsets[1])].tolist() == sequence.action[span].tolist()


@pytest.mark.parametrize("view", ["pointwise", "sequence"])
@pytest.mark.parametrize(
    ("outcomes", "actions", "labels"), [("action", True, True), ("label", False, True), ("none", False, False)]
)
def test_what_is_told_of_past_events(log: EventLog, view: str, outcomes: str, actions: bool, labels: bool) -> None:
    data = prepared(log, outcomes=outcomes)
    batches = make_batches(data, view, "train", 10_000, 10_000)
    batch = batches.assemble(batches.plans(None)[0], None)
    if view == "pointwise":
        action, label = batch.history.action, batch.history.label  # type: ignore[union-attr]
    else:
        observed = batch.observed  # type: ignore[union-attr]
        action, label = batch.action[observed], batch.past_label[observed]  # type: ignore[union-attr]
    assert (len(action.unique()) > 3) == actions and (actions or action.unique().tolist() == [UNKNOWN])
    assert label.unique().tolist() == ([0.0, 1.0] if labels else [0.0])
    assert batch.label.unique().tolist() == [0.0, 1.0], "what is asked stays"


@pytest.mark.parametrize(
    ("kept", "user", "item"),
    [("all", ["user", "age", "job"], ["item", "genres"]), ("items", ["user"], ["item", "genres"]),
     ("users", ["user", "age", "job"], ["item"]), ("none", ["user"], ["item"])],
)  # fmt: skip
def test_side_information_is_given_to_every_model_or_to_none(log: EventLog, kept: str, user: list[str], item: list[str]) -> None:
    data = prepared(log, side_information=kept)
    assert [field.name for field in data.spec.user] == user and [field.name for field in data.spec.item] == item
    batches = make_batches(data, "pointwise", "test", 50, 0)
    assert set(batches.assemble(batches.plans(None)[0], None).fields) >= {*user, *item, "page"}


def test_a_hidden_domain_is_no_input_and_makes_no_domain_ranker(log: EventLog) -> None:
    shown, hidden = prepared(log), prepared(log, domain_field=False)
    assert shown.spec.domain == "page" and hidden.spec.domain == ""
    assert "page" in [field.name for field in shown.spec.context]
    assert "page" not in [field.name for field in hidden.spec.context]


def test_one_domain_is_trained_and_validated_on_alone_and_the_test_stays(log: EventLog) -> None:
    whole, data = prepared(log), prepared(log, domains=("home", "feed"))
    names = log.dictionary("feature.page")
    for role in ("train", "valid"):
        event = whole.examples(role).event
        kept = event[np.isin(names[np.asarray(log.feature("page"))[event]], ["home", "feed"])]
        assert np.array_equal(data.examples(role).event, kept) and 0 < len(kept) < len(event)
    assert np.array_equal(data.examples("test").event, whole.examples("test").event)
    assert np.array_equal(data.hi[:], whole.hi[:]) and data.vocabulary.item[0].field == whole.vocabulary.item[0].field
    train = data.examples("train")
    assert data.spec.positive_rate == pytest.approx(train.label.mean())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"behaviours": ("lov",)}, "unknown outcome of tiny in data.behaviours 'lov'; did you mean 'love'"),
        ({"domains": ("hom",)}, "unknown domain of tiny in data.domains 'hom'; did you mean 'home'"),
    ],
)
def test_a_name_that_is_not_there_is_told_the_nearest(log: EventLog, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        prepared(log, **settings).examples("train")


def test_settings_of_domains_need_a_domain(tmp_path: Path) -> None:
    plain = write_log(raw_log(users=20), tmp_path / "log")
    for settings in ({"domain_field": False}, {"domains": ("home",)}):
        with pytest.raises(UserError, match="tiny declares no domain"):
            prepared(plain, **settings)
