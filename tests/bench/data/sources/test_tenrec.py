"""Tenrec: order without times, over blocks of any size; feedback as labels; repeated rows stay."""

import random
from pathlib import Path
from typing import Any

import pytest

from rankbench.bench.data.sources import files
from support.published import as_told, read, told, write_csv

VIDEO = "user_id,item_id,click,follow,like,share,video_category,watching_times,gender,age"
CTR = VIDEO + "," + ",".join(f"hist_{at}" for at in range(1, 11))


def publish(path: Path, columns: str) -> list[dict[str, Any]]:
    rng = random.Random(8)
    rows = []
    for user in (3, 1, 2, 5, 4):
        for _ in range(40):
            item = rng.randrange(12)
            row = dict.fromkeys(columns.split(","), 0) | {"user_id": user, "item_id": item, "gender": user % 2, "age": user}
            row |= {signal: int(rng.random() < 0.3) for signal in ("click", "follow", "like", "share")}
            rows.append(row | {"video_category": "\\N" if item == 0 else item % 4})
    write_csv(path, columns, rows)
    return rows


@pytest.mark.parametrize("block", [1 << 24, 700])
@pytest.mark.parametrize(
    ("name", "file", "columns"),
    [
        ("tenrec-qk-video", "QK-video.csv", VIDEO),
        ("tenrec-qb-video", "QB-video.csv", VIDEO),
        ("tenrec-ctr-1m", "ctr_data_1M.csv", CTR),
    ],
)
def test_a_row_has_its_place_among_those_of_its_user(
    name: str, file: str, columns: str, block: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "_BLOCK_BYTES", block)
    rows = publish(tmp_path / "tenrec" / file, columns)
    log, report = read(name, tmp_path)
    seen: dict[int, int] = {}
    expected = []
    for row in rows:
        place = seen.get(row["user_id"], 0)
        seen[row["user_id"]] = place + 1
        expected.append((row["user_id"], row["item_id"], place * 1000, row["click"], row["like"]))
    assert told(log.events, "user", "item", "time", "label", "label.like") == as_told(expected)
    assert report.repeated == 0 and log.meta.default_split == "per-user-time"
    assert log.users is not None and log.users.loc["5"].to_dict() == {"gender": "1", "age": "5"}
    assert log.items is not None and log.items["video_category"].to_dict() == {
        str(item): "" if item == 0 else str(item % 4) for item in range(12)
    }
