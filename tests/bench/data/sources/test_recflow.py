"""RecFlow: a feather file a day, requests as logged, features of videos out of the events."""

import random
from pathlib import Path
from typing import Any

import pyarrow as pa

from support.published import as_told, read, told, write_arrow

COLUMNS = (
    "request_id,request_timestamp,user_id,device_id,age,gender,province,video_id,author_id,category_level_one,category_level_two,"
    "upload_type,upload_timestamp,duration,realshow,rerank_pos,rerank_neg,rank_pos,rank_neg,coarse_neg,prerank_neg,rank_index,"
    "rerank_index,playing_time,effective_view,long_view,like,follow,forward,comment"
)
SIGNALS = ("effective_view", "long_view", "like", "follow", "forward", "comment")


def publish(folder: Path) -> list[dict[str, Any]]:
    rng, every = random.Random(9), []
    for day in range(3):
        rows = []
        for request in range(20 * day, 20 * day + 20):
            user, time = rng.randrange(6), 1705075200000 + 86_400_000 * day + 1000 * request
            for video in rng.sample(range(30), 3):
                row = dict.fromkeys(COLUMNS.split(","), 0) | {signal: int(rng.random() < 0.4) for signal in SIGNALS}
                row |= {"request_id": request, "request_timestamp": time, "user_id": user, "province": user, "realshow": 1}
                rows.append(row | {"video_id": video, "author_id": video % 5, "category_level_one": 2, "duration": 1000 * video})
        write_arrow(folder / f"2024-01-{13 + day}.feather", dict.fromkeys(COLUMNS.split(","), pa.int64()), rows)
        every += rows
    return every


def test_what_was_shown_is_read_day_by_day(tmp_path: Path) -> None:
    rows = publish(tmp_path / "recflow" / "realshow")
    log, report = read("recflow", tmp_path)
    expected = [
        (row["user_id"], row["video_id"], row["request_timestamp"], row["effective_view"], row["like"], row["province"])
        for row in rows
    ]
    assert report.rows_kept == 180
    assert told(log.events, "user", "item", "time", "label", "label.like", "province") == as_told(expected)
    assert sorted(log.events.groupby("request_id").size()) == [3] * 60


def test_videos_have_the_features_of_their_rows_and_outcomes_are_no_inputs(tmp_path: Path) -> None:
    publish(tmp_path / "recflow" / "realshow")
    log, _ = read("recflow", tmp_path)
    assert log.items is not None and log.items.loc["7"].to_dict() == {
        "author_id": "2",
        "category_level_one": "2",
        "category_level_two": "0",
        "upload_type": "0",
        "duration": 7000.0,
    }
    inputs = {feature.column for _, feature in log.meta.features}
    assert not inputs & {"playing_time", "rank_index", "rerank_index", *SIGNALS}
