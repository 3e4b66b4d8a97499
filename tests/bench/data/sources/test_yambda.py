"""Yambda: listens as examples, other events as histories, artists and albums of the tracks that occur."""

import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from rankbench.bench.config import DataConfig
from rankbench.bench.data.dataset import prepare
from rankbench.bench.data.sources.schema import HISTORY, DataRoots
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


def test_examples_of_every_part_are_listens(tmp_path: Path) -> None:
    home = tmp_path / "yambda-50m"
    publish(home, home)
    data = prepare(DataConfig("yambda-50m"), DataRoots(tmp_path, tmp_path / "cache"))
    for role in ("train", "valid", "test"):
        events = data.split.examples(role)
        assert len(events) and (data.log.declared[events] != HISTORY).all()
    seen = data.log.declared == HISTORY
    assert seen[: data.split.examples("train")[-1]].any(), "histories hold what is no listen"
