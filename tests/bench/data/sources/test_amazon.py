"""Amazon: the categories of 2023 as domains, with and without metadata; Toys of 2014, whose two files are one log."""

import os
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rankbench.bench.data import sources
from rankbench.bench.data.sources.schema import DataRoots
from support.converted import converted
from support.published import as_told, read, told, write_csv, write_json_lines


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


def product(number: str, **changes: Any) -> dict[str, Any]:
    """A line of metadata, with the keys and types of the publisher."""
    return {
        "main_category": "Toys & Games",
        "title": f'A "toy", {number}',
        "average_rating": 4.8,
        "rating_number": 1000 + int(number[1:]),
        "features": ["Soft", "Washable, of course"],
        "description": [],
        "price": 14.99,
        "images": [{"thumb": "https://a/1.jpg", "large": "https://a/2.jpg", "variant": "MAIN", "hi_res": None}],
        "videos": [{"title": "seen", "url": "https://a/3", "user_id": ""}],
        "store": "Melissa & Doug, Inc.",
        "categories": ["Toys & Games", "Dolls & Accessories", "Dolls"],
        "details": {"Package Dimensions": "7 x 4 inches", "Best Sellers Rank": {"Toys": 12}},
        "parent_asin": number,
        "bought_together": None,
    } | changes


def numbers_of(rows: list[dict[str, Any]]) -> list[str]:
    return sorted({row["parent_asin"] for row in rows})


@pytest.mark.parametrize("where", ["meta_Toys_and_Games.jsonl.gz", "meta_categories/meta_Toys_and_Games.jsonl"])
def test_metadata_beside_the_ratings_are_features_of_the_products_that_were_rated(where: str, tmp_path: Path) -> None:
    rows = {"Toys_and_Games": reviews(1), "Software": reviews(2)}
    for category, part in rows.items():
        write_csv(tmp_path / "amazon-2023" / f"{category}.csv", "user_id,parent_asin,rating,timestamp", part)
    first, second, third, *rest = numbers_of(rows["Toys_and_Games"])
    lines = [
        product(first),
        product(second, price="from 9.99", store=None, categories=["Toys & Games"]),
        product(third, price=None, categories=[]),
        product(first, store="listed twice"),
        *(product(number, price=5) for number in rest[1:]),  # one product has no metadata
        product("B999999999", store="nobody rated it"),
    ]
    write_json_lines(tmp_path / "amazon-2023" / where, lines)
    log, report = read("amazon-2023", tmp_path)
    assert log.items is not None
    features = [(owner, feature.column, feature.kind) for owner, feature in log.meta.features if owner == "item"]
    assert features == [("item", "store", "category"), ("item", "categories", "multi"), ("item", "price", "number")]
    told_of = {f"Toys_and_Games/{number}": log.items.loc[f"Toys_and_Games/{number}"] for number in (first, second, third)}
    one, two, three = told_of.values()
    assert one["store"] == "Melissa & Doug, Inc." and one["price"] == np.float32(14.99)
    assert one["categories"].split("\t") == ["Toys & Games", "Dolls & Accessories", "Dolls"]
    assert (two["store"], two["categories"]) == ("", "Toys & Games") and np.isnan(two["price"])
    assert three["categories"] == "" and np.isnan(three["price"])
    software = log.items[log.items.index.str.startswith("Software/")]
    assert (software["store"] == "").all() and software["price"].isna().all()
    assert report.items_without_features == 1 + len(software)
    assert not {"nobody rated it", "listed twice"} & set(log.items["store"])
    assert Path(where).name in [file.name for file in log.files]
    assert any("here for: Software" in note for note in log.meta.notes)


def test_what_metadata_count_of_the_future_is_no_feature(tmp_path: Path) -> None:
    rows, folder = reviews(1), tmp_path / "amazon-2023"
    write_csv(folder / "Toys_and_Games.csv", "user_id,parent_asin,rating,timestamp", rows)
    found = []
    for rating, count in ((4.8, 10), (1.2, 77)):
        lines = [product(number, average_rating=rating, rating_number=count) for number in numbers_of(rows)]
        write_json_lines(folder / "meta_Toys_and_Games.jsonl", lines)
        found.append(read("amazon-2023", tmp_path)[0].meta.content_hash)
    assert found[0] == found[1]
    write_json_lines(folder / "meta_Toys_and_Games.jsonl", [product(number, store="another") for number in numbers_of(rows)])
    assert read("amazon-2023", tmp_path)[0].meta.content_hash != found[0]


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
