"""What an item is known by is one choice for both families; codes stand in for ids that are rare, new or hidden."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from torch import Tensor

from rankbench.bench.config import DataConfig
from rankbench.bench.contract import ITEM, ITEM_CODES, UNKNOWN, Jagged
from rankbench.bench.data.batches import gather, make_batches
from rankbench.bench.data.dataset import RankingData, prepare_log
from rankbench.bench.data.eventlog import Multi, open_log, write_log
from rankbench.bench.data.item_ids import prefixes
from rankbench.bench.data.semantic_ids.codes import CodeFacts, ItemCodes
from rankbench.bench.data.splits import ROLES, held_out
from rankbench.bench.errors import UserError
from support.logs import make_data, raw_log, with_config

RARE = 30
CODES = {"code_levels": 2, "code_size": 4, "backoff_events": RARE}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> RankingData:
    config = DataConfig("tiny", history_length=6)
    return make_data(tmp_path_factory.mktemp("log") / "tiny", config, users=60, items=40)


def known_by(data: RankingData, how: str, **more: object) -> RankingData:
    return with_config(data, item_id=how, **CODES, **more)


def rows(ids: Jagged) -> list[list[int]]:
    return [ids.values[begin:end].tolist() for begin, end in zip(ids.offsets[:-1], ids.offsets[1:], strict=True)]


@pytest.mark.parametrize(
    ("how", "fields"),
    [
        ("id", [ITEM, "genres"]),
        ("none", [ITEM, "genres"]),
        ("codes", [ITEM, "genres", ITEM_CODES]),
        ("both", [ITEM, "genres", ITEM_CODES]),
        ("backoff", [ITEM, "genres", ITEM_CODES]),
    ],
)
def test_fields_of_each_choice(how: str, fields: list[str], data: RankingData) -> None:
    spec = known_by(data, how).spec
    assert [field.name for field in spec.item] == fields
    assert [field.name for field in spec.item_identity] == [name for name in fields if name != "genres"]
    assert (spec.item[0].size == UNKNOWN + 1) == (how in ("none", "codes"))


def test_rare_items_are_known_by_codes_and_frequent_ones_by_ids(data: RankingData) -> None:
    own, both = known_by(data, "backoff"), known_by(data, "both")
    items = np.arange(data.log.meta.items)
    fields, whole = gather(own.vocabulary.item, items), gather(both.vocabulary.item, items)
    ids, codes, every = fields[ITEM], fields[ITEM_CODES], whole[ITEM_CODES]
    assert isinstance(ids, Tensor) and isinstance(codes, Jagged) and isinstance(every, Jagged)
    frequent = data.split.item_events >= RARE
    assert 0 < frequent.sum() < len(frequent)
    np.testing.assert_array_equal((ids > UNKNOWN).numpy(), frequent)
    for item, (mine, all_of_it) in enumerate(zip(rows(codes), rows(every), strict=True)):
        assert mine == ([] if frequent[item] else all_of_it)


@pytest.mark.parametrize("view", ["pointwise", "sequence"])
def test_a_hidden_id_is_replaced_by_the_codes_of_its_item(view: str, data: RankingData) -> None:
    own = known_by(data, "backoff", unknown_rate=0.4)
    batches = make_batches(own, view, "train", 64, 400)
    plan = batches.plans(0)[0]
    shown, hidden = batches.assemble(plan, None), batches.assemble(plan, np.random.default_rng(0))
    pairs = [(shown.fields, hidden.fields)]
    if view == "pointwise":
        pairs.append((shown.history.fields, hidden.history.fields))  # type: ignore[union-attr]
    both = known_by(data, "both")
    codes_of_item = rows(gather(both.vocabulary.item, np.arange(data.log.meta.items))[ITEM_CODES])  # type: ignore[arg-type]
    own_id = own.vocabulary.item[0].ids
    assert isinstance(own_id, np.ndarray)
    codes_of = {int(own_id[item]): codes for item, codes in enumerate(codes_of_item) if own_id[item] != UNKNOWN}
    for before, after in pairs:
        changed = before[ITEM] != after[ITEM]  # type: ignore[operator]
        assert changed.any() and (after[ITEM][changed] == UNKNOWN).all()  # type: ignore[index]
        old, new = rows(before[ITEM_CODES]), rows(after[ITEM_CODES])  # type: ignore[arg-type]
        for at, id_before in enumerate(before[ITEM].tolist()):  # type: ignore[union-attr]
            assert new[at] == (codes_of[id_before] if changed[at] else old[at])


def test_the_same_ids_are_hidden_whatever_else_items_are_known_by(data: RankingData) -> None:
    """Draws are the same, so that a comparison differs in nothing else."""
    plain, both = (make_batches(one, "pointwise", "train", 64, 400) for one in (data, known_by(data, "both")))
    plan = plain.plans(0)[0]
    one, other = (of.assemble(plan, np.random.default_rng(3)) for of in (plain, both))
    assert (one.fields[ITEM] == other.fields[ITEM]).all()  # type: ignore[union-attr]


def test_prefixes_are_those_of_a_literal_count() -> None:
    rng = np.random.default_rng(0)
    codes, has_code, events = rng.integers(0, 3, (60, 3)), rng.random(60) < 0.9, rng.integers(0, 3, 60)
    facts = CodeFacts("features", "k-means", 3, 3, 0, 0, 0, 0, 0, 0, 0, 0)
    table = prefixes(ItemCodes(np.where(has_code[:, None], codes, 0).astype(np.int32), has_code, facts), events)
    assert isinstance(table.ids, Multi)
    values, offsets = table.ids
    known = {tuple(codes[at, :n]) for at in range(60) if has_code[at] and events[at] for n in (1, 2, 3)}
    name_of: dict[int, tuple[int, ...]] = {}
    for at in range(60):
        own = values[offsets[at] : offsets[at + 1]].tolist()
        wanted = [tuple(codes[at, :n]) for n in (1, 2, 3) if tuple(codes[at, :n]) in known] if has_code[at] else []
        for one, name in zip(own, wanted, strict=True):
            assert name_of.setdefault(one, name) == name
    assert len(set(name_of.values())) == len(name_of) == len(known)
    assert table.field.size == len(known) + 2 and min(name_of) == UNKNOWN + 1


def test_training_knows_nothing_of_held_out_items(data: RankingData) -> None:
    own = with_config(data, held_out_items=0.3)
    held = held_out(data.log, 0.3)
    assert 0 < held.mean() < 0.6 and (held_out(data.log, 0.1) <= held).all()
    for role in ("valid", "test"):
        np.testing.assert_array_equal(own.split.role == ROLES[role], data.split.role == ROLES[role])
    train = data.split.role == ROLES["train"]
    np.testing.assert_array_equal(own.split.role == ROLES["train"], train & ~held[data.log.item])
    assert own.split.hash != data.split.hash and not own.split.item_events[held].any()
    ids = own.vocabulary.item[0].ids
    assert isinstance(ids, np.ndarray) and (ids[held] == UNKNOWN).all()
    np.testing.assert_array_equal(own.hi, data.hi)


@pytest.mark.parametrize("negatives", ["exposed", "uniform", "popularity", "in-batch"])
def test_no_held_out_item_is_an_example_of_any_training(negatives: str, data: RankingData) -> None:
    """Neither as a sampled negative, which would make all of them bad ones, nor where validation is learned from at the end."""
    own = with_config(data, held_out_items=0.3, negatives=negatives, test_negatives="uniform")
    held = held_out(data.log, 0.3)
    for taught in (own, own.with_validation()):
        examples = [taught.examples("train", epoch=epoch) for epoch in range(3)]
        assert not any(held[one.item].any() for one in examples)
        assert negatives == "exposed" or all((one.label == 0).any() for one in examples)
    assert len(own.with_validation().examples("train").item) > len(own.examples("train").item)
    test = own.examples("test")
    assert held[test.item[test.label == 0]].any(), "but the test asks for them"


@pytest.mark.parametrize("source", ["features", "events"])
def test_codes_follow_from_training_events_alone(source: str, data: RankingData, tmp_path: Path) -> None:
    """Labels of validation, test and held-out items may be any."""
    config = dataclasses.replace(data.config, item_id="codes", held_out_items=0.2, code_source=source, code_levels=2, code_size=4)  # type: ignore[arg-type]
    before = prepare_log(data.log, config)
    shutil.copytree(data.log.folder, tmp_path / "other", ignore=shutil.ignore_patterns("codes.*"))
    label = np.array(data.log.label)
    label[~before.split.known[:]] ^= 1
    np.save(tmp_path / "other" / "label.npy", label)
    after = prepare_log(open_log(tmp_path / "other"), config)
    assert after.vocabulary.codes is not None and before.vocabulary.codes is not None
    assert after.vocabulary.codes.hash == before.vocabulary.codes.hash
    label[before.split.known] = np.random.default_rng(0).permutation(label[before.split.known])
    shutil.copytree(tmp_path / "other", tmp_path / "third", ignore=shutil.ignore_patterns("codes.*"))
    np.save(tmp_path / "third" / "label.npy", label)
    third = prepare_log(open_log(tmp_path / "third"), config).vocabulary.codes
    assert third is not None and (third.hash == before.vocabulary.codes.hash) == (source == "features")


@pytest.mark.parametrize("source", ["features", "events"])
def test_the_order_of_rows_in_files_changes_no_code(source: str, tmp_path: Path) -> None:
    raw, rng = raw_log(), np.random.default_rng(1)
    assert isinstance(raw.events, pd.DataFrame) and raw.items is not None
    events, items = (table.iloc[rng.permutation(len(table))] for table in (raw.events, raw.items))
    shuffled = dataclasses.replace(raw, events=events.reset_index(drop=True), items=items)
    config = DataConfig("tiny", item_id="codes", held_out_items=0.2, code_source=source, code_size=4)  # type: ignore[arg-type]
    made = [prepare_log(write_log(one, tmp_path / name), config) for one, name in ((raw, "one"), (shuffled, "other"))]
    first, second = (one.vocabulary.codes for one in made)
    assert first is not None and second is not None and first.hash == second.hash
    assert len({one.log.folder for one in made}) == 2, "made twice"


def test_codes_that_no_hidden_id_teaches_are_those_of_rare_items(data: RankingData) -> None:
    """A beginning that frequent items alone have would be read as it was when training began."""
    own = known_by(data, "backoff", unknown_rate=0.0)
    codes = own.vocabulary.item[-1]
    assert isinstance(codes.ids, Multi)
    items = np.repeat(np.arange(data.log.meta.items), np.diff(codes.ids.offsets))
    taught = np.unique(codes.ids.values[data.split.item_events[items] > 0])
    np.testing.assert_array_equal(taught, np.arange(UNKNOWN + 1, codes.field.size))
    assert codes.field.size < known_by(data, "backoff").vocabulary.item[-1].field.size


def test_other_items_are_held_out_whoever_else_is_in_the_log(tmp_path: Path) -> None:
    raw = raw_log()
    part = dataclasses.replace(raw, events=raw.events[raw.events["item"] != "i1"])
    logs = [write_log(one, tmp_path / name) for one, name in ((raw, "whole"), (part, "part"))]
    held = [dict(zip(log.dictionary("item"), held_out(log, 0.4), strict=True)) for log in logs]
    assert held[1] == {name: value for name, value in held[0].items() if name != "i1"}


def test_items_of_which_nothing_is_told_are_refused(tmp_path: Path) -> None:
    raw = raw_log()
    raw = dataclasses.replace(raw, items=None, schema=dataclasses.replace(raw.schema, item_features=()))
    log = write_log(raw, tmp_path / "log")
    with pytest.raises(UserError, match=r"data\.item_id=none: models are given no side information of the items of tiny either"):
        prepare_log(log, DataConfig("tiny", item_id="none"))
