"""Amazon: the categories of 2023 as domains; Toys of 2014, whose two files are one log."""

import os
import random
from pathlib import Path
from typing import Any

import pytest

from rankbench.bench.data import sources
from rankbench.bench.data.sources.schema import DataRoots
from support.converted import converted
from support.published import as_told, read, told, write_csv


def reviews(seed: int) -> list[dict[str, Any]]:
    rng = random.Random(seed)
    return [
        {
            "user_id": f"A{rng.randrange(9)}",
            "parent_asin": f"B{rng.randrange(12):09}",
            "rating": rng.choice(("1.0", "3.0", "4.0", "5.0")),
            "timestamp": 1_600_000_000_123 + 1000 * at,
        }
        for at in range(40)
    ]


def test_each_category_is_a_domain_and_a_number_in_two_of_them_is_two_products(tmp_path: Path) -> None:
    rows = {"Toys_and_Games": reviews(1), "Software": reviews(2)}
    write_csv(tmp_path / "amazon-2023" / "Toys_and_Games.csv", "user_id,parent_asin,rating,timestamp", rows["Toys_and_Games"])
    write_csv(tmp_path / "amazon-2023" / "Software.csv.gz", "user_id,parent_asin,rating,timestamp", rows["Software"])
    log, report = read("amazon-2023", tmp_path)
    expected = [
        (row["user_id"], f"{category}/{row['parent_asin']}", row["timestamp"], int(float(row["rating"]) >= 4), category)
        for category, part in rows.items()
        for row in part
    ]
    assert report.rows_kept == 80
    assert told(log.events, "user", "item", "time", "label", "category") == as_told(expected)
    assert log.meta.domain is not None and log.meta.domain.column == "category"
    assert log.events["label.five-stars"].sum() == sum(row["rating"] == "5.0" for part in rows.values() for row in part)


def test_the_random_split_of_toys_is_joined(tmp_path: Path) -> None:
    rng = random.Random(4)
    rows = [
        {
            "user_id": rng.randrange(9),
            "item_id": item,
            "class": item % 3,
            "reviewTime": f"2014-0{rng.randrange(1, 8)}-1{rng.randrange(10)}",
            "overall": rng.randrange(2),
        }
        for item in range(60)
    ]
    columns = "user_id,item_id,class,reviewTime,overall"
    write_csv(tmp_path / "amazon-toys-2014" / "train_set_Toys_CTR.csv.gz", columns, rows[:50])
    write_csv(tmp_path / "amazon-toys-2014" / "test_set_Toys_CTR.csv.gz", columns, rows[50:])
    log, report = read("amazon-toys-2014", tmp_path)
    assert report.rows_kept == 60 and log.meta.default_split == "global-time"
    assert told(log.events, "user", "item", "label") == as_told((row["user_id"], row["item_id"], row["overall"]) for row in rows)
    assert log.meta.domain is not None and log.meta.domain.column == "class"
    assert told(log.events, "item", "class") == as_told((item, item % 3) for item in range(60))


def test_the_published_toys(tmp_path: Path) -> None:
    root = os.environ.get("RANKBENCH_DATA", "")
    if not root or not (Path(root) / "amazon-toys-2014").is_dir():
        pytest.skip("needs RANKBENCH_DATA with a folder amazon-toys-2014")
    log, report = converted(sources.load("amazon-toys-2014", DataRoots(Path(root), tmp_path)))
    assert (report.rows_kept, log.meta.users, log.meta.items) == (167_597, 19_412, 11_924)
    assert log.events["label"].mean() == pytest.approx(0.934, abs=0.001)
