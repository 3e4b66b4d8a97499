"""What steps make of a log: the log of the rows that are left, a test set that stays, a hash and effects of their own."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from rankbench.bench.config import DataConfig
from rankbench.bench.data.dataset import prepare_log
from rankbench.bench.data.description import describe
from rankbench.bench.data.eventlog import EventLog, open_log, write_log
from rankbench.bench.data.logs import open_dataset
from rankbench.bench.data.sources.schema import DataRoots, Feature, RawLog
from rankbench.bench.data.steps.apply import apply_steps
from rankbench.bench.data.steps.declared import KCore, Repeats, SampleUsers, ShortHistories, Step, in_words
from rankbench.bench.data.visibility import requests_of
from rankbench.bench.errors import UserError
from rankbench.bench.evaluation import evaluator
from rankbench.bench.records.facts import facts_of
from support.converted import tables_of
from support.logs import raw_log
from support.tables import click_table


def stepped(log: EventLog, folder: Path, *steps: Step) -> EventLog:
    return apply_steps(log, steps, lambda one: requests_of(one, one.defaults.request_window), folder)


def rows_of(log: EventLog) -> pd.DataFrame:
    """The events as texts."""
    names = {"user": log.dictionary("user")[log.user], "item": log.dictionary("item")[log.item]}
    return pd.DataFrame({**names, "time": np.array(log.time), "label": np.array(log.label)})


def everything(seed: int) -> RawLog:
    """A log with requests, a further label, lists and numbers of every owner."""
    raw = raw_log(seed)
    assert isinstance(raw.events, pd.DataFrame)
    rng = np.random.default_rng(seed)
    n = len(raw.events)
    events = raw.events.assign(
        request=(raw.events["time"] // 100).astype(str),
        price=rng.normal(size=n).astype(np.float32),
        tags=[" ".join(rng.choice(["1", "02", "x"], rng.integers(0, 3), replace=False)) for _ in range(n)],
        size=rng.choice(["7", "10", "large"], n, p=[0.49, 0.49, 0.02]),
    )
    schema = dataclasses.replace(
        raw.schema,
        request_ids=True,
        context_features=(Feature("page"), Feature("price", "number"), Feature("tags", "multi"), Feature("size")),
    )
    return dataclasses.replace(raw, events=events, schema=schema)


@pytest.mark.parametrize("seed", range(4))
def test_the_log_is_that_of_the_rows_that_are_left(seed: int, tmp_path: Path) -> None:
    raw = everything(seed)
    log = stepped(write_log(raw, tmp_path / "whole"), tmp_path / "less", KCore(6, 9, rows="all"), SampleUsers(0.6))
    assert isinstance(raw.events, pd.DataFrame)
    left = rows_of(log).assign(time=lambda frame: frame["time"] // 1000)[["user", "item", "time"]]
    again = raw.events.reset_index().merge(left, on=["user", "item", "time"])["index"].drop_duplicates()
    afresh = write_log(dataclasses.replace(raw, events=raw.events.loc[sorted(again)]), tmp_path / "afresh")
    # Among rows of one user, item, time and request one was kept, the same one.
    assert len(afresh.time) == len(log.time) < len(open_log(tmp_path / "whole").time)
    for found, wanted in ((tables_of(log, raw), tables_of(afresh, raw)),):
        pd.testing.assert_frame_equal(found.events, wanted.events)
        for one, other in ((found.users, wanted.users), (found.items, wanted.items)):
            assert one is not None and other is not None
            pd.testing.assert_frame_equal(one, other)
    for name in ("size", "tags"):
        assert np.array_equal(log.dictionary(f"feature.{name}"), afresh.dictionary(f"feature.{name}"))


def test_steps_on_training_rows_leave_validation_and_test_as_they_were(tmp_path: Path) -> None:
    log = write_log(raw_log(), tmp_path / "whole")
    less = stepped(log, tmp_path / "less", ShortHistories(15), KCore(4, 4))
    before, after = (prepare_log(one, DataConfig("tiny")) for one in (log, less))
    assert len(less.time) < len(log.time) and after.split.name == "declared"
    for role in ("valid", "test"):
        events = (rows_of(one.log).iloc[one.split.examples(role)].reset_index(drop=True) for one in (before, after))
        pd.testing.assert_frame_equal(*events)
    training = rows_of(less).iloc[after.split.examples("train")]
    assert training["user"].value_counts().min() >= 4 and training["item"].value_counts().min() >= 4


def test_a_step_on_all_rows_makes_another_test(tmp_path: Path) -> None:
    log = write_log(raw_log(), tmp_path / "whole")
    less = stepped(log, tmp_path / "less", KCore(5, 12, rows="all"))
    counts = rows_of(less)
    assert counts["user"].value_counts().min() >= 5 and counts["item"].value_counts().min() >= 12
    assert less.meta.default_split == "global-time"
    tests = [len(evaluator.rows(prepare_log(one, DataConfig("tiny")), "test")) for one in (log, less)]
    assert tests[1] < tests[0]


def test_every_declared_step_is_part_of_the_content_hash_and_none_changes_nothing(tmp_path: Path) -> None:
    raw = dataclasses.replace(raw_log(), name="tiny")
    log = write_log(raw, tmp_path / "whole")
    first = stepped(log, tmp_path / "1", SampleUsers(0.5))
    again = stepped(log, tmp_path / "2", SampleUsers(0.5))
    other = stepped(log, tmp_path / "3", SampleUsers(0.5, seed=1))
    idle = stepped(log, tmp_path / "4", KCore(1, 1, rows="all"))  # leaves nothing out, and is declared
    assert first.meta.content_hash == again.meta.content_hash
    assert len({one.meta.content_hash for one in (log, first, other, idle)}) == 4
    # Of a log without steps it is what it was before there were any.
    assert log.meta.content_hash == "d28d4c7e6ee55509cd656dea5efde01dc890c3c441f142c6586b206afa363d74"


def test_effects_are_kept_with_the_log_and_in_records(tmp_path: Path) -> None:
    log = write_log(raw_log(), tmp_path / "whole")
    less = open_log(stepped(log, tmp_path / "less", Repeats(), KCore(4, 4, rows="all")).folder)
    first, second = less.meta.steps
    assert (first.step, second.step) == (Repeats(), KCore(4, 4, rows="all"))
    assert first.before.rows == len(log.time) and first.after == second.before and second.after.rows == len(less.time)
    assert second.after.positive_rate == less.label.mean() and second.after.items == less.meta.items
    kept = facts_of(prepare_log(less, DataConfig("tiny"))).cleaning
    assert kept[f"steps.2 {in_words(second.step)}.rows"] == len(less.time)


def test_a_step_that_leaves_nothing_to_learn_from_is_refused(tmp_path: Path) -> None:
    log = write_log(raw_log(), tmp_path / "whole")
    with pytest.raises(UserError, match=r"the step k-core users=500 .* leaves no row of the rows"):
        stepped(log, tmp_path / "less", KCore(500, 1))
    assert not (tmp_path / "less").exists()


def test_a_published_set_and_a_table_take_steps_and_describe_says_what_they_did(tmp_path: Path) -> None:
    click_table(tmp_path)
    roots = DataRoots(None, tmp_path / "cache")
    steps = "steps: [{step: k-core, users: 45, items: 5, rows: all}]\n"
    own, more = tmp_path / "own.yaml", tmp_path / "more.yaml"
    own.write_text(f"events: clicks.csv\nlabel: click\nname: shop\n{steps}")
    more.write_text("source: own.yaml\nmargin: 0.01\nsteps: [repeats, {step: sample-users, share: 0.9}]\n")
    text = "\n".join(describe(str(own), roots))
    assert "step k-core users=45 items=5 count=all rows=all: rows 1,500 -> " in text and "knows its future" in text
    log = open_dataset(str(more), roots)
    assert [effect.step.step for effect in log.meta.steps] == ["repeats", "sample-users"]
    assert (log.meta.name, log.meta.margin) == ("more", 0.01)
    assert "knows its future" not in "\n".join(describe(str(tmp_path / "clicks.yaml"), roots))
    simulated = tmp_path / "sim.yaml"
    simulated.write_text("source: simulator\nevents: 3000\nusers: 60\nsteps: [{step: sample-users, share: 0.5}]\n")
    assert 0 < open_dataset(str(simulated), roots).meta.users < 60


def test_the_source_of_a_variant_is_part_of_what_it_is_found_by(tmp_path: Path) -> None:
    click_table(tmp_path)
    roots = DataRoots(None, tmp_path / "cache")
    variant = tmp_path / "variant.yaml"
    variant.write_text("source: clicks.yaml\nsteps: [repeats]\n")
    before = open_dataset(str(variant), roots).meta
    frame = pd.read_csv(tmp_path / "clicks.csv")
    frame[:-100].to_csv(tmp_path / "clicks.csv", index=False)
    assert open_dataset(str(variant), roots).meta.steps[0].before.rows == before.steps[0].before.rows - 100


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("source: ml-100\n", "unknown source in .*did you mean 'ml-100k'"),
        ("source: a.yaml\n", "a.yaml: its source leads back to"),
        ("source: clicks.yaml\nlabel: x\n", "unknown key beside `source`"),
        ("source: clicks.yaml\nsteps: [k-cor]\n", r"unknown step in .*steps\[0\].*did you mean 'k-core'"),
        (
            "source: clicks.yaml\nsteps: [{step: k-core, user: 3}]\n",
            r"unknown key in .*steps\[0\]: 'user'|unknown key in .*'user'",
        ),
        ("source: clicks.yaml\nsteps: [{step: sample-users, share: 2}]\n", r"steps\[0\].share must be below 1, not 2"),
        ("source: clicks.yaml\nsteps: repeats\n", "steps must be a list"),
        ("source: clicks.yaml\nsteps: [{step: bots, rows: test}]\n", "rows"),
    ],
)
def test_wrong_declarations_are_one_line(text: str, said: str, tmp_path: Path) -> None:
    click_table(tmp_path)
    path = tmp_path / "a.yaml"
    path.write_text(text)
    from rankbench.bench.data.sources import load

    with pytest.raises(UserError, match=said):
        load(str(path), DataRoots(None, tmp_path / "cache"))
