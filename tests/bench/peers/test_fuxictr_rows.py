"""What FuxiCTR is given of our examples: the same rows, the same past, nothing later, no value that training does not know."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rankbench.bench.config import DataConfig
from rankbench.bench.contract import UNKNOWN
from rankbench.bench.data.dataset import RankingData
from rankbench.bench.data.eventlog import Multi
from rankbench.bench.data.splits import ROLES
from rankbench.bench.peers.fuxictr_rows import ASKED, BETWEEN, VARIANTS, peer_rows
from support.logs import changed, make_data, with_config

LENGTH = 6


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> RankingData:
    config = DataConfig(dataset="tiny", history_length=LENGTH, time="none", split="chrono-rank")
    return make_data(tmp_path_factory.mktemp("rows"), config)


def by_hand(data: RankingData, event: int, liked_only: bool) -> list[int]:
    """The latest visible events of an event, by a loop over the log."""
    user, label = data.log.user, data.log.label
    seen = [
        e
        for e in range(event)
        if user[e] == user[event] and data.log.time[e] < data.log.time[event] and (label[e] or not liked_only)
    ]
    return seen[-LENGTH:]


def token(ids: np.ndarray, row: int) -> str:
    return "unknown" if ids[row] == UNKNOWN else str(ids[row])


def split(text: str) -> list[str]:
    return text.split(BETWEEN) if text else []


@pytest.mark.long
@pytest.mark.parametrize("variant", VARIANTS)
def test_rows_are_our_examples_and_see_what_is_strictly_earlier(data: RankingData, variant: str) -> None:
    tables = peer_rows(data, variant).tables
    item = data.vocabulary.item[0].ids
    assert isinstance(item, np.ndarray) and tuple(tables) == tuple(ROLES)
    filled = 0
    for role, table in tables.items():
        events = data.split.examples(role)
        assert table["label"].tolist() == data.log.label[events].tolist()
        for at, event in enumerate(events.tolist()):
            past = by_hand(data, event, variant == "liked")
            assert split(table["past_item"][at]) == [token(item, data.log.item[e]) for e in past]
            filled += len(past) == LENGTH
            if variant == "all":
                actions, labels = data.vocabulary.action_of_event, data.log.label
                assert split(table["past_outcome"][at]) == [f"{token(actions, e)}:{labels[e]}" for e in past]
    assert filled, "some histories are longer than what is kept"


def test_past_events_carry_the_fields_of_their_items_and_their_context(data: RankingData) -> None:
    table, event = peer_rows(data, "all").tables["test"], data.split.examples("test")
    genres, page = data.vocabulary.item[1].ids, data.vocabulary.context[0].ids
    assert isinstance(genres, Multi) and not isinstance(page, Multi)

    def genre_set(item: int) -> str:
        return "+".join(map(str, sorted(genres.values[genres.offsets[item] : genres.offsets[item + 1]]))) or "none"

    for at, one in enumerate(event.tolist()):
        past = by_hand(data, one, False)
        assert split(table["past_genres_set"][at]) == [genre_set(data.log.item[e]) for e in past]
        assert split(table["past_page"][at]) == [token(page, e) for e in past]
        assert table["genres_set"][at] == genre_set(data.log.item[one])
        assert table["outcome"][at] == ASKED, "a candidate's own outcome is what is asked"


@pytest.mark.parametrize("variant", VARIANTS)
def test_outcomes_at_or_after_the_end_of_the_past_change_nothing(data: RankingData, tmp_path: Path, variant: str) -> None:
    event = int(data.split.examples("test")[-1])
    hidden = np.arange(data.log.meta.events) >= data.hi[event]
    label, action = np.array(data.log.label), np.array(data.log.action)
    other = changed(
        data, tmp_path / "log", label=np.where(hidden, 1 - label, label), action=np.where(hidden, action[::-1], action)
    )
    before, after = (peer_rows(one, variant).tables["test"].iloc[-1] for one in (data, other))
    assert before.drop("label").equals(after.drop("label"))
    assert before["label"] != after["label"]


@pytest.mark.parametrize("variant", VARIANTS)
def test_no_value_without_training_events_has_a_name(data: RankingData, variant: str) -> None:
    rows = peer_rows(data, variant)
    plain = [table.field.name for table in (*data.vocabulary.user, *data.vocabulary.item, *data.vocabulary.context)]
    unknown = 0
    for name in [*plain, *(name for name in rows.past if name.removeprefix("past_") in plain)]:
        known = {one for text in rows.tables["train"][name.removeprefix("past_")] for one in split(text)}
        for table in rows.tables.values():
            met = {one for text in table[name] for one in split(text)}
            assert met - known <= {"unknown"}
            unknown += bool(met - known)
    assert unknown, "the split has cold users"


@pytest.mark.parametrize("variant", VARIANTS)
def test_columns_describe_the_tables_and_share_what_past_and_candidate_share(data: RankingData, variant: str) -> None:
    rows = peer_rows(data, variant)
    names = [column["name"] for column in rows.columns]
    assert sorted(names) == sorted(set(rows.tables["train"]) - {"label"})
    assert len(rows.target) == len(rows.past) == (4 if variant == "all" else 1)
    for at, column in enumerate(rows.columns):
        if "share_embedding" in column:
            assert column["name"] == f"past_{column['share_embedding']}" and column["max_len"] == LENGTH
            assert column["share_embedding"] in names[:at], "FuxiCTR shares only with a column that came before"
    assert {"past_" + name for name in rows.target} == set(rows.past)


def test_frozen_histories_hold_no_event_of_the_own_period(data: RankingData) -> None:
    frozen = with_config(data, test_history="frozen")
    for variant in VARIANTS:
        table, event = peer_rows(frozen, variant).tables["test"], frozen.split.examples("test")
        for at, one in enumerate(event.tolist()):
            seen = len(split(table["past_item"][at]))
            assert seen <= frozen.hi[one] - frozen.log.user_offsets[frozen.log.user[one]]


def test_the_digest_is_that_of_content(data: RankingData, tmp_path: Path) -> None:
    assert peer_rows(data, "all").digest == peer_rows(data, "all").digest != peer_rows(data, "liked").digest
    label = np.array(data.log.label)
    label[data.split.examples("test")[0]] ^= 1
    assert peer_rows(changed(data, tmp_path / "log", label=label), "all").digest != peer_rows(data, "all").digest
