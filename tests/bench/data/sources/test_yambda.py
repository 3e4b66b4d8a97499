"""Yambda: listens as examples, other events as histories, artists and albums of the tracks that occur."""

import dataclasses
import random
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

from rankbench.bench.config import DataConfig
from rankbench.bench.data import sources
from rankbench.bench.data.conversion import cells, features, merge
from rankbench.bench.data.dataset import prepare
from rankbench.bench.data.eventlog import write_log
from rankbench.bench.data.sources import files
from rankbench.bench.data.sources.schema import HISTORY, DataRoots, RawLog
from rankbench.bench.data.sources.values import as_numbers
from support.in_memory import assert_as_in_memory
from support.published import as_told, read, told, write_arrow
from support.yambda import EVENT_TYPES


def publish(folder: Path, home: Path) -> list[dict[str, Any]]:
    rng, rows = random.Random(5), []
    for at in range(240):
        listen, item = rng.random() < 0.8, rng.randrange(15)
        rows.append(
            {
                "uid": rng.randrange(6),
                "timestamp": 500 * at,
                "item_id": item,
                "is_organic": rng.randrange(2),
                "played_ratio_pct": rng.randrange(131) if listen else None,
                "track_length_seconds": 100 + item if listen else None,
                "event_type": "listen" if listen else rng.choice(("like", "dislike", "unlike", "undislike")),
            }
        )
    write_arrow(folder / "multi_event.parquet", EVENT_TYPES, rows)
    pairs = [{"artist_id": artist, "album_id": 7, "item_id": item} for item in range(20) for artist in (10 + item, 2)]
    for owner in ("artist", "album"):
        types = {f"{owner}_id": pa.uint32(), "item_id": pa.uint32()}
        write_arrow(home / f"{owner}_item_mapping.parquet", types, pairs)
    return rows


@pytest.mark.parametrize("size", ["50m", "500m", "5b"])
def test_listens_are_asked_for_and_the_rest_is_history(size: str, tmp_path: Path) -> None:
    home = tmp_path / f"yambda-{size}"
    rows = publish(home, home)
    log, report = read(f"yambda-{size}", tmp_path)
    assert report.rows_read == report.rows_kept == 240
    expected = []
    for row in rows:
        listen = row["event_type"] == "listen"
        plus = listen and row["played_ratio_pct"] >= 50
        said = ("listen_plus" if plus else "skip") if listen else row["event_type"]
        history = 0 if listen else HISTORY
        expected.append((row["uid"], row["item_id"], row["timestamp"] * 1000, int(plus), said, row["is_organic"], history))
    assert told(log.events, "user", "item", "time", "label", "action", "is_organic", "role") == as_told(expected)


def test_tracks_have_artists_albums_and_lengths(tmp_path: Path) -> None:
    publish(tmp_path / "yambda" / "flat" / "50m", tmp_path / "yambda")
    log, _ = read("yambda-50m", tmp_path)
    assert log.items is not None and set(log.items.index) == {str(item) for item in range(15)}
    assert log.items.loc["4"].to_dict() == {"artist": "2 14", "album": "7", "track_length_seconds": 104.0}


def held_in_memory(raw: RawLog, home: Path) -> RawLog:
    """The same log with a row for each track: its smallest length, and its artists and albums in order of their numbers."""
    events = pd.concat(list(raw.events), ignore_index=True)
    rows = events[["item", "track_length_seconds"]].dropna(subset=["item"]).drop_duplicates()
    items = rows.groupby("item", sort=False)[["track_length_seconds"]].min()
    for owner in ("artist", "album"):
        pairs = pd.read_parquet(home / f"{owner}_item_mapping.parquet").astype("str")
        pairs = pairs[pairs["item_id"].isin(items.index)].drop_duplicates()
        pairs["number"] = as_numbers(pairs[f"{owner}_id"])
        ordered = pairs.sort_values(["item_id", "number"], kind="stable").groupby("item_id", sort=False)
        items[owner] = ordered[f"{owner}_id"].agg(" ".join).reindex(items.index)
    return dataclasses.replace(raw, events=events, items=items, within={})


def scattered(home: Path) -> None:
    """Mappings in which pairs repeat, tracks have many artists or none, and lengths differ."""
    rng, rows = random.Random(3), publish(home, home)
    for row in rows:
        row["track_length_seconds"] = rng.choice((None, 9, 10, 200))
    write_arrow(home / "multi_event.parquet", EVENT_TYPES, rows)
    for owner in ("artist", "album"):
        pairs = [{f"{owner}_id": rng.choice((1, 2, 9, 10, 11, 100)), "item_id": rng.randrange(1, 30)} for _ in range(120)]
        write_arrow(home / f"{owner}_item_mapping.parquet", {f"{owner}_id": pa.uint32(), "item_id": pa.uint32()}, pairs)


@pytest.mark.parametrize("block", [3, 7, 1000])
def test_tracks_are_what_they_were_with_a_row_for_each_in_memory(
    block: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "yambda-50m"
    scattered(home)
    raw = sources.load("yambda-50m", DataRoots(tmp_path, tmp_path / "cache"))
    reference = held_in_memory(raw, home)
    monkeypatch.setattr(files, "_BLOCK_ROWS", 20 * block)
    for module, name in ((cells, "BLOCK_ROWS"), (merge, "RANGE"), (merge, "_BATCH"), (features, "PARTITION_ROWS")):
        monkeypatch.setattr(module, name, block)
    log = write_log(raw, tmp_path / "log", rows=20 * block)
    assert_as_in_memory(log, reference)


def test_a_conversion_that_was_killed_while_tracks_were_written_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "yambda-50m"
    scattered(home)

    def load() -> RawLog:
        return sources.load("yambda-50m", DataRoots(tmp_path, tmp_path / "cache"))

    expected = write_log(load(), tmp_path / "whole").meta.content_hash

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    for module, name in ((files, "_BLOCK_ROWS"), (features, "PARTITION_ROWS")):
        monkeypatch.setattr(module, name, 20)
    with monkeypatch.context() as patch:
        patch.setattr(features, "GrowingColumn", killed)
        with pytest.raises(KeyboardInterrupt):
            write_log(load(), tmp_path / "log", rows=20)
    written = tmp_path / ".log.part" / "rows" / "item.table"
    assert list(written.glob("pairs*")), "what was killed had begun to write"
    assert write_log(load(), tmp_path / "log", rows=20).meta.content_hash == expected


def test_examples_of_every_part_are_listens(tmp_path: Path) -> None:
    home = tmp_path / "yambda-50m"
    publish(home, home)
    data = prepare(DataConfig("yambda-50m"), DataRoots(tmp_path, tmp_path / "cache"))
    for role in ("train", "valid", "test"):
        events = data.split.examples(role)
        assert len(events) and (data.log.declared[events] != HISTORY).all()
    seen = data.log.declared == HISTORY
    assert seen[: data.split.examples("train")[-1]].any(), "histories hold what is no listen"
