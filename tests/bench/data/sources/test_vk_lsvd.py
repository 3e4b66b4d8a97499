"""VK-LSVD: weeks in order, times made of places, the last week as test, and metadata of those alone who occur."""

import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from rankbench.bench.data.sources.schema import ROLE_WORDS
from support.published import as_told, read, told, write_arrow

SIGNALS = ("like", "dislike", "share", "bookmark", "click_on_author", "open_comments")
TYPES = {
    "user_id": pa.uint32(),
    "item_id": pa.uint32(),
    "place": pa.uint8(),
    "platform": pa.uint8(),
    "agent": pa.uint8(),
    "timespent": pa.uint8(),
    **dict.fromkeys(SIGNALS, pa.bool_()),
}
WEEK_MS = 7 * 86_400_000
TRAINING = {"train/week_00": 40, "train/week_24": 30}


def publish(root: Path, weeks: dict[str, int]) -> dict[str, list[dict[str, Any]]]:
    """Files of so many rows; no user meets an item twice."""
    rng, folder = random.Random(6), root / "vk-lsvd"
    pairs = [(user, item) for user in range(10) for item in range(40)]
    rng.shuffle(pairs)
    found: dict[str, list[dict[str, Any]]] = {}
    for name, count in weeks.items():
        found[name] = [
            {
                "user_id": user,
                "item_id": item,
                "place": rng.randrange(3),
                "platform": 1,
                "agent": 2,
                "timespent": rng.randrange(90),
            }
            | {signal: rng.random() < 0.3 for signal in SIGNALS}
            for user, item in (pairs.pop() for _ in range(count))
        ]
        write_arrow(folder / f"{name}.parquet", TYPES, found[name])
    users = [
        {"user_id": user, "age": 18 + user, "gender": user % 2, "geo": 3, "train_interactions_rank": 1} for user in range(50)
    ]
    kinds = {"user_id": pa.uint32(), "age": pa.uint8(), "gender": pa.uint8(), "geo": pa.uint8()}
    write_arrow(folder / "metadata" / "users_metadata.parquet", {**kinds, "train_interactions_rank": pa.uint32()}, users)
    items = [{"item_id": item, "author_id": item % 4, "duration": 9, "train_interactions_rank": 1} for item in range(99)]
    kinds = {"item_id": pa.uint32(), "author_id": pa.uint32(), "duration": pa.uint8(), "train_interactions_rank": pa.uint32()}
    write_arrow(folder / "metadata" / "items_metadata.parquet", kinds, items)
    return found


@pytest.mark.parametrize(
    ("weeks", "roles"),
    [
        (
            {**TRAINING, "validation/week_25": 25, "test/week_26": 20},
            ("train", "train", "valid", "test"),
        ),
        ({**TRAINING, "validation/week_25": 25}, ("train", "train", "test")),
    ],
)
def test_rows_keep_their_week_order_and_part(weeks: dict[str, int], roles: tuple[str, ...], tmp_path: Path) -> None:
    rows = publish(tmp_path, weeks)
    log, report = read("vk-lsvd", tmp_path)
    expected = []
    for (name, part), role in zip(rows.items(), roles, strict=True):
        for place, row in enumerate(part):
            time = int(name[-2:]) * WEEK_MS + place * WEEK_MS // len(part)
            expected.append((row["user_id"], row["item_id"], time, int(row["like"]), int(row["share"]), row["place"], role))
    events = log.events.assign(role=[ROLE_WORDS[code] for code in log.events["role"]])
    assert told(events, "user", "item", "time", "label", "label.share", "place", "role") == as_told(expected)
    assert report.rows_kept == sum(weeks.values()) and log.meta.default_split == "declared"


def test_what_histories_say_of_an_event(tmp_path: Path) -> None:
    rows = publish(tmp_path, {"train/week_03": 30})
    log, _ = read("vk-lsvd", tmp_path)

    def watched(seconds: int) -> str:
        return "0-4 s" if seconds < 5 else "5-14 s" if seconds < 15 else "15-59 s" if seconds < 60 else "60 s and more"

    expected = [
        (row["user_id"], row["item_id"], "|".join([*(str(row[one]).lower() for one in SIGNALS), watched(row["timespent"])]))
        for row in rows["train/week_03"]
    ]
    assert told(log.events, "user", "item", "action") == as_told(expected)
    assert log.meta.default_split == "global-time", "one week of training alone declares no test"


def test_metadata_of_those_who_occur(tmp_path: Path) -> None:
    rows = publish(tmp_path, {"train/week_03": 30})["train/week_03"]
    log, _ = read("vk-lsvd", tmp_path)
    assert log.users is not None and {user: int(age) for user, age in log.users["age"].items()} == {
        str(row["user_id"]): 18 + row["user_id"] for row in rows
    }
    assert log.items is not None and set(log.items.index) == {str(row["item_id"]) for row in rows}
