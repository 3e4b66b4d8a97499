"""What every registered model must do, whatever it is: the contract that makes a comparison fair."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from rankbench.bench import registry
from rankbench.bench.config import DataConfig, TrainConfig
from rankbench.bench.contract import IdentityConfig, ModelInfo, Ranker
from rankbench.bench.data.batches import make_batches, segment_start
from rankbench.bench.data.dataset import RankingData, prepare_log
from rankbench.bench.data.eventlog import EventLog, Multi, write_log
from rankbench.bench.data.requests import request_batch, request_of
from rankbench.bench.data.visibility import Requests, visible_intervals
from rankbench.bench.evaluation import evaluator, metrics
from rankbench.bench.training.checkpoint import Checkpoint
from rankbench.bench.training.progress import Quiet
from rankbench.bench.training.trainer import train
from rankbench.bench.typed import from_dict
from support.contract import other_outcomes, scattered, scores
from support.logs import changed, make_data, raw_log, with_config

CPU = torch.device("cpu")
MODELS = tuple(registry.MODELS)
LEARNED = tuple(name for name in MODELS if name != "random")
GRADIENT = tuple(name for name in MODELS if registry.info(name).fit == "gradient")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> RankingData:
    config = DataConfig("tiny", history_length=6, request_window=600)
    return make_data(tmp_path_factory.mktemp("log") / "tiny", config, users=50, longest=200)


def build(info: ModelInfo, data: RankingData, seed: int = 0) -> Ranker:
    torch.manual_seed(seed)
    return info.build(info.config(), data.spec)


def loss_of(model: Ranker, batch: Any) -> torch.Tensor:
    """What the trainer descends."""
    loss = F.binary_cross_entropy_with_logits(model(batch), batch.label)
    auxiliary = model.auxiliary_loss()
    return loss if auxiliary is None else loss + auxiliary


class Ready(NamedTuple):
    """A model with a little training, so that no weight is at its (often zero) start. Tests leave it as it is."""

    info: ModelInfo
    model: Ranker
    scores: dict[int, float]
    """Of all test examples."""


@pytest.fixture(scope="module")
def ready(data: RankingData) -> Callable[[str], Ready]:
    """Each model is trained once, whatever is asked of it."""
    made: dict[str, Ready] = {}

    def of(name: str) -> Ready:
        if name not in made:
            info, model = trained(name, data)
            made[name] = Ready(info, model, scores(model, info, data))
        return made[name]

    return of


def trained(name: str, data: RankingData) -> tuple[ModelInfo, Ranker]:
    info = registry.info(name)
    model = build(info, data)
    batches = make_batches(data, info.view, "train", 256, 512)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.02) if list(model.parameters()) else None
    for plan in batches.plans(0)[:6]:
        batch = batches.assemble(plan, None)
        if info.fit == "counts":
            model.observe(batch)
        else:
            assert optimizer is not None
            optimizer.zero_grad()
            loss_of(model, batch).backward()
            optimizer.step()
    if info.fit == "counts":
        model.finish()
    return info, model.eval()


@pytest.mark.parametrize("name", MODELS)
def test_the_table_of_models_says_what_the_cards_say(name: str) -> None:
    info, entry = registry.info(name), registry.MODELS[name]
    assert (info.name, info.family, info.summary) == (name, entry.family, entry.summary)
    assert info.paper and info.code
    assert dataclasses.is_dataclass(info.config) and info.config() is not None
    from_dict(TrainConfig, dict(info.train), name)


@pytest.mark.parametrize("name", GRADIENT)
@pytest.mark.parametrize(("time", "user_id"), [("none", "none"), ("request", "embedding")])
def test_every_parameter_is_trained(name: str, time: str, user_id: str, data: RankingData) -> None:
    data = with_config(data, time=time)
    info = registry.info(name)
    model = scattered(info, data, user_id=user_id)
    batches = make_batches(data, info.view, "train", 512, 4096)
    batch = batches.assemble(batches.plans(1)[0], None)
    logit = model(batch)
    assert logit.shape == (len(batch),) and torch.isfinite(logit).all()
    loss_of(model, batch).backward()
    for parameter_name, parameter in model.named_parameters():
        assert parameter.grad is not None and torch.isfinite(parameter.grad).all(), parameter_name
        assert parameter.grad.any(), f"{parameter_name} takes no part in the score"


@pytest.mark.parametrize("name", [name for name in MODELS if name not in (*GRADIENT, "random")])
def test_whatever_is_counted_decides_the_score(name: str, data: RankingData, ready: Callable[[str], Ready]) -> None:
    """Fitted to turned labels, a floor of counts gives other scores, and before it is fitted it knows the base rate at most."""
    info, model, _ = ready(name)
    batches = make_batches(data, info.view, "train", 10_000, 512)
    batch = batches.assemble(batches.plans(0)[0], None)
    turned, fresh = build(info, data), build(info, data)
    turned.observe(dataclasses.replace(batch, label=1 - batch.label))
    turned.finish()
    for key, value in model.state_dict().items():
        assert not torch.equal(value, fresh.state_dict()[key]), f"{key} is the same before and after the counts"
    with torch.inference_mode():
        assert not torch.allclose(model(batch), turned.eval()(batch), atol=1e-3)


@pytest.mark.parametrize("name", GRADIENT)
def test_the_user_s_id_is_an_input_if_and_only_if_it_is_embedded(name: str, data: RankingData) -> None:
    """Side information of users stays in both."""
    info = registry.info(name)
    batches = make_batches(data, info.view, "train", 300, 600)
    batch = batches.assemble(batches.plans(1)[0], None)
    assert [field.name for field in data.spec.user] == ["user", "age", "job"]

    def moved(field: str) -> Any:
        ids = batch.fields[field]
        assert isinstance(ids, torch.Tensor)
        other = (ids + 1) % next(f.size for f in data.spec.user if f.name == field)
        return dataclasses.replace(batch, fields={**batch.fields, field: other})

    for user_id in ("none", "embedding"):
        model = scattered(info, data, user_id=user_id).eval()
        with torch.inference_mode():
            expected = model(batch)
            assert torch.equal(model(moved("user")), expected) == (user_id == "none")
            assert not torch.equal(model(moved("job")), expected)
        id_field, *others = data.spec.user
        more = dataclasses.replace(data.spec, user=(dataclasses.replace(id_field, size=id_field.size + 1), *others))
        larger = info.build(info.config(user_id=user_id), more)
        grown = evaluator.parameter_counts(larger)[0] - evaluator.parameter_counts(model)[0]
        assert (grown > 0) == (user_id == "embedding"), "a row for each user"


def test_floors_of_counts_have_no_such_setting() -> None:
    for name in MODELS:
        info = registry.info(name)
        assert issubclass(info.config, IdentityConfig) == (info.fit == "gradient") == ("user_id" in info.space), name


@pytest.mark.parametrize("name", MODELS)
def test_a_score_does_not_depend_on_batch_mates(name: str, data: RankingData, ready: Callable[[str], Ready]) -> None:
    info, model, together = ready(name)
    few = make_batches(data, info.view, "test", 3, 3)
    apart = {}
    for plan in few.plans(None)[::4]:
        batch = few.assemble(plan, None)
        with torch.inference_mode():
            apart |= dict(zip(batch.example.tolist(), model(batch).sigmoid().tolist(), strict=True))
    assert len(apart) > 30
    assert [together[e] for e in apart] == pytest.approx(list(apart.values()), abs=1e-5)


@pytest.mark.parametrize("name", MODELS)
def test_candidates_of_one_request_score_as_if_alone(name: str, data: RankingData, ready: Callable[[str], Ready]) -> None:
    info, model, expected = ready(name)
    for event in data.split.examples("test")[::20]:
        items = np.array([3, int(data.log.item[event]), 5, 0])
        with torch.inference_mode():
            both = [
                model(request_batch(data, info.view, request_of(data, int(event)), chosen)).sigmoid()
                for chosen in (items, items[::-1].copy())
            ]
        assert both[0][1].item() == pytest.approx(expected[int(event)], abs=1e-5)
        if name != "random":
            assert both[0].tolist() == pytest.approx(both[1].tolist()[::-1], abs=1e-5), "the order of candidates does not matter"


@pytest.fixture(scope="module")
def altered(data: RankingData, tmp_path_factory: pytest.TempPathFactory) -> list[tuple[list[int], RankingData]]:
    """For test examples early and late, what `other_outcomes` makes of the log."""
    return [other_outcomes(data, tmp_path_factory.mktemp("altered") / "log", part) for part in range(4)]


@pytest.mark.parametrize("name", MODELS)
def test_no_outcome_at_or_after_hi_changes_a_score(
    name: str, altered: list[tuple[list[int], RankingData]], ready: Callable[[str], Ready]
) -> None:
    info, model, expected = ready(name)
    for events, other in altered:
        assert len(events) > 5
        found = scores(model, info, other)
        assert [found[event] for event in events] == pytest.approx([expected[event] for event in events], abs=1e-6)


class Shortened(NamedTuple):
    """A log in which nothing follows what one example sees, but the example."""

    data: RankingData
    event: int
    now_at: int


@pytest.fixture(scope="module")
def shortened(data: RankingData) -> list[Shortened]:
    found = []
    for event in data.split.examples("test")[::25].tolist():
        user = int(data.log.user_of(np.array([event]))[0])
        gone = np.arange(data.hi[event], data.log.user_offsets[user + 1])
        found.append(Shortened(without(data, gone[gone != event], user), event, event - int((gone < event).sum())))
    return found


@pytest.mark.parametrize("name", MODELS)
def test_deleting_the_future_changes_no_score(name: str, shortened: list[Shortened], ready: Callable[[str], Ready]) -> None:
    info, model, expected = ready(name)
    for other, event, now_at in shortened:
        assert one_score(model, info, other, now_at) == pytest.approx(expected[event], abs=1e-6)


def without(data: RankingData, gone: np.ndarray, user: int) -> RankingData:
    """The data with some events of one user deleted; vocabularies are kept."""
    keep = np.setdiff1d(np.arange(data.log.meta.events), gone)
    offsets = data.log.user_offsets.copy()
    offsets[user + 1 :] -= len(gone)
    log = copy.copy(data.log)
    columns = {name: np.asarray(getattr(data.log, name))[keep] for name in ("item", "time", "label", "action")}
    object.__setattr__(log, "meta", dataclasses.replace(data.log.meta, events=len(keep)))
    log.__dict__.update(columns, user_offsets=offsets)
    start, request = data.request_start[keep], np.searchsorted(keep, data.request[keep])
    lo, hi = visible_intervals(offsets, columns["time"], Requests(start, request), data.spec.history_length)
    context = tuple(
        dataclasses.replace(t, ids=t.ids if isinstance(t.ids, Multi) else t.ids[keep]) for t in data.vocabulary.context
    )
    vocabulary = dataclasses.replace(data.vocabulary, context=context, action_of_event=data.vocabulary.action_of_event[keep])
    split = dataclasses.replace(data.split, role=data.split.role[keep])
    return dataclasses.replace(
        data, log=log, lo=lo, hi=hi, request_start=start, request=request, vocabulary=vocabulary, split=split
    )


def one_score(model: Ranker, info: ModelInfo, data: RankingData, event: int) -> float:
    batch = request_batch(data, info.view, request_of(data, event), np.array([int(data.log.item[event])]))
    with torch.inference_mode():
        return model(batch).sigmoid().item()


@pytest.mark.parametrize("name", MODELS)
def test_the_labels_of_the_examples_themselves_are_never_read(
    name: str, data: RankingData, ready: Callable[[str], Ready]
) -> None:
    info, model, _ = ready(name)
    batches = make_batches(data, info.view, "test", 1000, 10_000)
    batch = batches.assemble(batches.plans(None)[0], None)
    shuffled = dataclasses.replace(batch, label=batch.label[torch.randperm(len(batch))])
    with torch.inference_mode():
        assert torch.equal(model(batch), model(shuffled))


@pytest.fixture(scope="module")
def timeless(data: RankingData, tmp_path_factory: pytest.TempPathFactory) -> tuple[RankingData, RankingData]:
    """Data without time information, and the same where order and ties stay; every gap and every clock time is another."""
    plain = with_config(data, time="none")
    distinct, rank = np.unique(np.array(plain.log.time), return_inverse=True)
    stretched = np.cumsum(np.random.default_rng(0).integers(1, 10**7, len(distinct)))[rank]
    return plain, changed(plain, tmp_path_factory.mktemp("stretched") / "log", time=stretched)


@pytest.mark.parametrize("name", MODELS)
def test_without_time_information_no_time_changes_a_score(name: str, timeless: tuple[RankingData, RankingData]) -> None:
    plain, other = timeless
    info, model = trained(name, plain)
    assert scores(model, info, other) == scores(model, info, plain)


@pytest.mark.parametrize("name", LEARNED)
def test_saved_weights_give_the_same_scores(name: str, data: RankingData, ready: Callable[[str], Ready]) -> None:
    info, model, expected = ready(name)
    fresh = build(info, data, seed=1)
    fresh.load_state_dict(model.state_dict())
    assert scores(fresh.eval(), info, data) == expected


@pytest.fixture(scope="module")
def shuffled(tmp_path_factory: pytest.TempPathFactory) -> RankingData:
    """A log in which the outcome has nothing to do with anything."""
    raw = raw_log(seed=5, users=120, longest=60)
    raw.events["rating"] = np.random.default_rng(0).integers(2, 6, len(raw.events))
    log: EventLog = write_log(raw, tmp_path_factory.mktemp("shuffled") / "log")
    return prepare_log(log, DataConfig("tiny", history_length=6))


@pytest.mark.long
@pytest.mark.parametrize("name", MODELS)
def test_shuffled_labels_teach_nothing(name: str, shuffled: RankingData, tmp_path: Path) -> None:
    info = registry.info(name)
    model = build(info, shuffled)
    config = TrainConfig(epochs=3, batch_size=256, batch_events=512)
    train(model, info, shuffled, config, 0, CPU, Checkpoint(tmp_path / "resume.pt", "test"), Quiet())
    test = evaluator.predictions(evaluator.Forward(model, CPU, "fp32"), info, shuffled, "test")
    positives = int(test["label"].sum())
    # Hanley & McNeil's standard error of an AUC of one half.
    error = np.sqrt((len(test) + 1) / (12 * positives * (len(test) - positives)))
    assert abs(metrics.auc(test["label"].to_numpy(), test["score"].to_numpy()) - 0.5) < 3.5 * error


def test_examples_of_one_request_have_one_history_in_every_role(data: RankingData) -> None:
    """Also when a label of the request is another: no score of a request depends on its outcomes."""
    for role in ("train", "valid", "test"):
        examples = data.examples(role)
        request = data.request[examples.event]
        assert len(np.unique(request)) < len(request), "the log of this test must have requests of several events"
        for seen in (data.lo, data.hi, data.request_start, data.split.role):
            assert (seen[examples.event] == seen[request]).all()


def test_segments_are_cut_by_what_an_event_sees(data: RankingData) -> None:
    events = np.arange(data.log.meta.events)
    start, chunk = segment_start(data, events)
    assert (start <= data.lo[:]).all() and (np.diff(chunk) >= 0).all()
