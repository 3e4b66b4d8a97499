"""Once through time: nothing that a window is scored by comes from that window or from a later one."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rankbench.bench import registry
from rankbench.bench.config import DataConfig, Settings, TrainConfig, resolve
from rankbench.bench.contract import UNKNOWN
from rankbench.bench.data.dataset import RankingData, prepare_log
from rankbench.bench.data.eventlog import EventLog, write_log
from rankbench.bench.data.splits import held_out
from rankbench.bench.data.stream import window_of
from rankbench.bench.evaluation import evaluator
from rankbench.bench.training.checkpoint import Checkpoint
from rankbench.bench.training.course import course_of, epochs_of
from rankbench.bench.training.fitting import Fitted, fit
from rankbench.bench.training.progress import Quiet
from support.logs import make_log, raw_log
from support.power import OffAt, PowerOff

CPU = torch.device("cpu")
WINDOWS = 5
CONFIG = DataConfig("tiny", split=f"stream-{WINDOWS}", history_length=6, request_window=3_600)
POOLS = dataclasses.replace(CONFIG, pools=("label", "no-label"), supervision="impression")
TRAIN = {"order": "time", "batch_size": 64, "batch_events": 200, "lr": 3e-3}
QUICK = ("own-rate", "lr")
LONG = ("din", "random", "popularity", "ctr", "gbdt", "dcnv2", "hstu", "stu", "rankmixer", "sasrec")
EVERY = [*QUICK, *(pytest.param(name, marks=pytest.mark.long) for name in LONG)]


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> EventLog:
    return make_log(tmp_path_factory.mktemp("log") / "tiny", users=25, longest=30)


def passed(name: str, data: RankingData, folder: Path, progress: Quiet | None = None, **train: Any) -> Fitted:
    info = registry.info(name)
    heard = {key: value for key, value in (TRAIN | train).items() if not info.ignores(key, data.config.supervision)}
    experiment = dataclasses.replace(resolve(info, Settings(train=heard)), data=data.config)
    return fit(info, experiment, 0, data, CPU, Checkpoint(folder / f"{name}.pt", name), progress or Quiet())


def curve(found: Fitted) -> list[dict[str, float]]:
    return [{key: value for key, value in point.items() if key != "seconds"} for point in found.state.curve]


def scores(found: Fitted, name: str, role: str = "test") -> list[float]:
    return evaluator.predictions(evaluator.Forward(found.model, CPU, "fp32"), registry.info(name), found.data, role)[
        "score"
    ].tolist()


def with_other_outcomes(log: EventLog, folder: Path, later: np.ndarray) -> EventLog:
    """The same log in which the outcomes of the `later` events are the opposite."""
    shutil.copytree(log.folder, folder)
    label, action = log.label.copy(), log.action.copy()
    label[later] ^= 1
    action[later] = (action[later] + 1) % len(log.dictionary("action"))
    for name, values in (("label", label), ("action", action)):
        np.save(folder / f"{name}.npy", values)
    return EventLog(folder, log.meta)


@pytest.mark.parametrize("name", EVERY)
def test_outcomes_of_a_later_window_change_nothing_of_earlier_scores(name: str, log: EventLog, tmp_path: Path) -> None:
    first = 3
    """The window, from 0, from which on outcomes are others; its own scores see its earlier requests."""
    data = prepare_log(log, POOLS)
    later = window_of(data.split.edges, log.time) >= first
    other = prepare_log(with_other_outcomes(log, tmp_path / "other", later), POOLS)
    one, two = passed(name, data, tmp_path), passed(name, other, tmp_path / "two")
    assert curve(one)[: first - 1] == curve(two)[: first - 1] and len(curve(one)) == WINDOWS - 2
    assert name in ("random",) or curve(one)[first - 1 :] != curve(two)[first - 1 :]


@pytest.mark.long
def test_the_first_request_of_a_window_is_scored_from_earlier_windows_alone(log: EventLog, tmp_path: Path) -> None:
    """Where nobody's history reaches into the window itself, not even its own outcomes move a score."""
    data = prepare_log(log, POOLS)
    later = window_of(data.split.edges, log.time) >= WINDOWS - 1
    other = prepare_log(with_other_outcomes(log, tmp_path / "other", later), POOLS)
    one, two = passed("lr", data, tmp_path), passed("lr", other, tmp_path / "two")
    alone = ~np.array([later[seen].any() for seen in np.split(*_seen(data))])
    assert alone.any()
    for before, after, first in zip(scores(one, "lr"), scores(two, "lr"), alone, strict=True):
        assert not first or before == after


def _seen(data: RankingData) -> tuple[np.ndarray, np.ndarray]:
    seen, offsets = data.seen(data.examples("test").event)
    return seen, offsets[1:-1]


def test_every_window_is_scored_once_and_then_learned_from_and_the_test_is_never(log: EventLog) -> None:
    data = prepare_log(log, CONFIG)
    info = registry.info("din")
    course = course_of(data, info, TrainConfig(order="time"), 0)
    learned: set[int] = set()
    for window in range(epochs_of(course)):
        own = set(course.lessons(window).examples.event.tolist())
        assert own and not own & learned
        learned |= own
        judged = course.judge(window)
        if judged is None:
            assert window == WINDOWS - 2
            continue
        ahead = judged.batches.examples.event
        assert (
            set(ahead.tolist()) == set(course.lessons(window + 1).examples.event.tolist()) and not set(ahead.tolist()) & learned
        )
        assert data.log.time[sorted(own)].max() < data.log.time[ahead].min()
    test = data.examples("test").event
    assert learned == set(data.split.examples("train", "valid").tolist()) and not learned & set(test.tolist())
    assert data.log.time[sorted(learned)].max() < data.log.time[test].min()
    # What a past example sees lies before the window of its request, by the one definition of visibility.
    start = data.request_start[test]
    seen, offsets = data.seen(test)
    assert (data.log.time[seen] < np.repeat(start, np.diff(offsets))).all()


def test_an_id_is_unknown_until_a_window_had_it(tmp_path: Path) -> None:
    """Validation before the test is a window like others here, and is judged by training alone in any other order."""
    log = make_log(tmp_path / "tiny", users=25, longest=30, items=150)
    data = prepare_log(log, CONFIG)
    window = window_of(data.split.edges, log.time)
    known_events = np.isin(np.arange(log.meta.events), data.split.examples("train", "valid"))
    whole = np.asarray(data.at(WINDOWS - 2).vocabulary.item[0].ids)
    before, last = (set(np.asarray(log.item)[known_events & (window <= at)].tolist()) for at in (WINDOWS - 3, WINDOWS - 2))
    assert before < last, "or the last window that is learned from has no item of its own"
    assert np.array_equal(data.vocabulary.item[0].ids, data.at(WINDOWS - 3).vocabulary.item[0].ids)
    for at in range(WINDOWS - 1):
        had = set(np.asarray(log.item)[known_events & (window <= at)].tolist())
        ids = np.asarray(data.at(at).vocabulary.item[0].ids)
        assert {item for item in range(log.meta.items) if ids[item] != UNKNOWN} == had
        assert all(ids[item] == whole[item] for item in had), "an id never changes its name"
        assert sorted(ids[ids > UNKNOWN]) == list(range(2, 2 + len(had))), "later windows have later names"


def test_items_that_are_held_out_are_known_in_no_window(tmp_path: Path) -> None:
    """Neither by a window that is learned from, nor by what histories alone hold, nor in any other order of training."""
    raw = raw_log(users=25, longest=30, items=60)
    role = np.where(np.arange(len(raw.events)) % 5 == 0, "history", "")
    schema = dataclasses.replace(raw.schema, roles=True)
    log = write_log(dataclasses.replace(raw, events=raw.events.assign(role=role), schema=schema), tmp_path / "tiny")
    assert log.asked is not None and not log.asked[:].all()
    data = prepare_log(log, dataclasses.replace(CONFIG, held_out_items=0.4))
    out = held_out(log, 0.4)
    for vocabulary in (data.vocabulary, *(data.at(window).vocabulary for window in range(WINDOWS - 1))):
        ids = np.asarray(vocabulary.item[0].ids)
        assert out.any() and (ids[out] == UNKNOWN).all() and (ids[~out] != UNKNOWN).any()


def test_what_an_action_consists_of_is_known_of_every_action_that_a_window_has(tmp_path: Path) -> None:
    log = make_log(tmp_path / "tiny", users=25, longest=30)
    data = prepare_log(log, CONFIG)
    known = np.asarray(data.at(WINDOWS - 2).vocabulary.action_of_event[np.arange(log.meta.events)])
    assert all(data.spec.action_bits[code] for code in np.unique(known[known > UNKNOWN]))


@pytest.mark.long
@pytest.mark.parametrize("name", ["lr", "din", "hstu"])
def test_a_pass_that_was_cut_off_goes_on_to_the_same_end(name: str, log: EventLog, tmp_path: Path) -> None:
    data = prepare_log(log, CONFIG)
    straight = passed(name, data, tmp_path / "straight", checkpoint_seconds=1e-9)
    with pytest.raises(PowerOff):
        passed(name, data, tmp_path / "cut", OffAt(3), checkpoint_seconds=1e-9)
    resumed = passed(name, data, tmp_path / "cut", checkpoint_seconds=1e-9)
    assert curve(resumed) == curve(straight) and scores(resumed, name) == scores(straight, name)
    assert resumed.valid == straight.valid and resumed.state.steps == straight.state.steps
    assert resumed.state.epoch == resumed.state.best_epoch == WINDOWS - 1
    assert straight.valid["all"]["auc"] == pytest.approx(curve(straight)[-1]["valid_auc"], abs=2e-2)


@pytest.mark.long
@pytest.mark.parametrize("name", ["din", "hstu"])
def test_a_pass_with_batches_from_the_device_is_that_of_the_host(name: str, log: EventLog, tmp_path: Path) -> None:
    """And a window's columns lie there once, for what is learned from them and for the window after it, which they judge."""
    data = prepare_log(log, CONFIG)
    usual, there = (passed(name, data, tmp_path / place, assembly=place) for place in ("host", "device"))
    assert curve(there) == curve(usual) and scores(there, name) == scores(usual, name)
    info = registry.info(name)
    course = course_of(data, info, TrainConfig(order="time", assembly="device"), 0)
    lessons, judged = course.lessons(1), course.judge(1)
    assert judged is not None and judged.batches.log is lessons.log  # type: ignore[attr-defined]
