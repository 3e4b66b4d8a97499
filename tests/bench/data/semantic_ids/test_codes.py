"""Semantic ids are made of what training knows, and of nothing else."""

from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path

import numpy as np
import pytest

from rankbench.bench.config import DataConfig
from rankbench.bench.data.eventlog import write_log
from rankbench.bench.data.semantic_ids.codes import ItemCodes, item_codes
from rankbench.bench.data.semantic_ids.vectors import event_vectors, feature_vectors
from rankbench.bench.data.sources.schema import Feature, RawLog
from rankbench.bench.errors import UserError
from support.logs import raw_log

CONFIG = DataConfig("tiny", item_id="codes", code_levels=2, code_size=4)
LAST = "2020-09-20"
"""Training ends here, about two thirds through the log."""


def rich(raw: RawLog) -> RawLog:
    """With features of every kind."""
    assert raw.items is not None
    number = np.arange(len(raw.items))
    items = raw.items.assign(price=number % 7 + 0.5, brand=[f"b{one % 5}" for one in number])
    schema = dataclasses.replace(
        raw.schema, item_features=(Feature("genres", "multi"), Feature("price", "number"), Feature("brand"))
    )
    return dataclasses.replace(raw, items=items, schema=schema)


def by_name(raw: RawLog, folder: Path, config: DataConfig) -> dict[str, tuple[int, ...]]:
    """Codes of the items that have some."""
    log = write_log(raw, folder)
    made = item_codes(log, known(raw, folder), config)
    names = log.dictionary("item")
    return {name: tuple(made.codes[at].tolist()) for at, name in enumerate(names) if made.has_code[at]}


def known(raw: RawLog, folder: Path) -> np.ndarray:
    """bool [events of the log in `folder`]: before the end of training."""
    return np.load(folder / "time.npy") < border(raw)


def border(raw: RawLog) -> int:
    return int(np.datetime64(LAST, "ms").astype(np.int64))


@pytest.mark.parametrize("source", ["features", "events"])
def test_nothing_behind_the_end_of_training_changes_a_code(source: str, tmp_path: Path) -> None:
    raw = rich(raw_log(users=60))
    config = dataclasses.replace(CONFIG, code_source=source)  # type: ignore[arg-type]
    whole = by_name(raw, tmp_path / "whole", config)
    late = raw.events["time"] * 1000 >= border(raw)
    assert 0.1 < late.mean() < 0.9
    rng = np.random.default_rng(0)
    other = raw.events.copy()
    other.loc[late, "rating"] = rng.integers(1, 6, int(late.sum()))
    other.loc[late, "item"] = rng.choice(["i0", "i1", "i2", "i24"], int(late.sum()))
    assert by_name(dataclasses.replace(raw, events=other), tmp_path / "other", config) == whole
    fewer = by_name(dataclasses.replace(raw, events=raw.events[~late]), tmp_path / "fewer", config)
    assert fewer == {name: whole[name] for name in fewer} and fewer


def test_features_of_items_that_training_never_saw_move_no_centre(tmp_path: Path) -> None:
    raw = rich(raw_log(users=60))
    assert raw.items is not None
    log = write_log(raw, tmp_path / "one")
    train = known(raw, tmp_path / "one") & (log.dictionary("item")[log.item] != "i3")
    before = item_codes(log, train, CONFIG)
    items = raw.items.copy()
    items.loc["i3", "price"] = 1e6
    items.loc["i3", "genres"] = "never seen before"
    changed = write_log(dataclasses.replace(raw, items=items), tmp_path / "two")
    after = item_codes(changed, train, CONFIG)
    others = log.dictionary("item") != "i3"
    np.testing.assert_array_equal(before.codes[others], after.codes[others])


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[ItemCodes, np.ndarray]:
    """Codes of a log that lacks five items in training, and which of its items are in it."""
    log = write_log(rich(raw_log(users=60, items=40)), tmp_path_factory.mktemp("log") / "log")
    train = np.asarray(log.item) % 8 != 0
    return item_codes(log, train, CONFIG), np.bincount(log.item[train], minlength=log.meta.items) > 0


def test_facts_are_those_of_a_count_by_hand(made: tuple[ItemCodes, np.ndarray]) -> None:
    codes, trained = made
    rows = [tuple(row) for row in codes.codes.tolist()]
    warm = [row for row, is_warm, has in zip(rows, trained, codes.has_code, strict=True) if is_warm and has]
    cold = [row for row, is_warm, has in zip(rows, trained, codes.has_code, strict=True) if not is_warm and has]
    facts = codes.facts
    assert (facts.trained, facts.cold) == (trained.sum(), (~trained).sum()) and facts.cold > 0
    assert (facts.coded, facts.cold_coded) == (len(warm), len(cold))
    assert facts.distinct == len(set(warm)) and facts.largest == max(map(warm.count, warm))
    assert facts.colliding == sum(warm.count(row) > 1 for row in warm) > 0
    assert facts.cold_known == sum(row in warm for row in cold)
    assert f"{facts.colliding:,} items share all" in facts.line()


def test_codes_are_made_once_and_found_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = write_log(rich(raw_log()), tmp_path / "log")
    train = np.ones(log.meta.events, dtype=bool)
    first = item_codes(log, train, CONFIG)
    monkeypatch.setattr("rankbench.bench.data.semantic_ids.codes._made", lambda *args: pytest.fail("made again"))
    assert item_codes(log, train, CONFIG).hash == first.hash
    monkeypatch.undo()
    assert item_codes(log, train, dataclasses.replace(CONFIG, code_size=3)).hash != first.hash


def test_items_without_side_information_have_no_codes_of_it(tmp_path: Path) -> None:
    raw = raw_log()
    raw = dataclasses.replace(raw, items=None, schema=dataclasses.replace(raw.schema, item_features=()))
    log = write_log(raw, tmp_path / "log")
    train = np.ones(log.meta.events, dtype=bool)
    with pytest.raises(UserError, match=r"no side information to make codes of: set data\.code_source=events"):
        item_codes(log, train, CONFIG)
    of_events = item_codes(log, train, dataclasses.replace(CONFIG, code_source="events"))
    assert of_events.has_code.all()


def test_events_say_nothing_of_items_that_training_never_saw(tmp_path: Path) -> None:
    log = write_log(raw_log(), tmp_path / "log")
    train = np.asarray(log.item) != 2
    vectors = event_vectors(log, train)
    assert not vectors.known[2] and vectors.known.sum() == log.meta.items - 1
    np.testing.assert_allclose(np.linalg.norm(vectors.values[vectors.known], axis=1), 1, atol=1e-5)


def test_equal_features_are_equal_vectors_and_others_are_not(tmp_path: Path) -> None:
    raw = rich(raw_log(items=70))
    log = write_log(raw, tmp_path / "log")
    assert raw.items is not None
    vectors = feature_vectors(log, np.ones(log.meta.events, dtype=bool))
    table = raw.items.reindex(log.dictionary("item"))
    genres = [frozenset(text.split()) for text in table["genres"]]
    told = list(zip(genres, table["price"], table["brand"], strict=True))
    for one, other in itertools.combinations(range(log.meta.items), 2):
        assert np.allclose(vectors.values[one], vectors.values[other], atol=1e-5) == (told[one] == told[other])
