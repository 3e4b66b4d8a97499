"""MIND: shown lists become rows, impressions requests, the development part the test; news with the entities they are about."""

import json
import os
import random
from datetime import UTC, datetime
from pathlib import Path

import pytest

from rankbench.bench.data import sources
from rankbench.bench.data.sources.schema import ROLE_WORDS, DataRoots
from rankbench.bench.errors import UserError
from support.converted import converted
from support.published import as_told, read, told


def publish(folder: Path, seed: int, day: int, impressions: int = 30) -> list[tuple[str, str, int, str, str]]:
    """behaviors.tsv and news.tsv; returns (impression, user, milliseconds, item, click) of each entry."""
    rng, entries, lines = random.Random(seed), [], []
    for number in range(1, impressions + 1):
        user, hour, minute, second = f"U{rng.randrange(8)}", rng.randrange(24), rng.randrange(60), rng.randrange(60)
        at = datetime(2019, 11, day, hour, minute, second, tzinfo=UTC)
        clock = f"11/{day}/2019 {hour % 12 or 12}:{minute:02}:{second:02} {'AM' if hour < 12 else 'PM'}"
        shown = [(f"N{item}", str(int(rng.random() < 0.3))) for item in rng.sample(range(20), rng.randrange(1, 6))]
        history = " ".join(f"N{rng.randrange(20)}" for _ in range(rng.randrange(4)))
        lines.append("\t".join([str(number), user, clock, history, " ".join(f"{item}-{click}" for item, click in shown)]))
        entries += [(str(number), user, round(at.timestamp() * 1000), item, click) for item, click in shown]
    folder.mkdir(parents=True)
    (folder / "behaviors.tsv").write_text("\n".join(lines) + "\n")
    entity = json.dumps([{"Label": 'A "quoted" one', "Type": "P", "WikidataId": "Q7", "Confidence": 1.0}, {"WikidataId": "Q8"}])
    news = [
        "\t".join([f"N{item}", "sports", f"sub{item % 3}", 'He said "no', "", f"https://example.org/{item}", "[]", entity])
        for item in range(19)
    ]
    (folder / "news.tsv").write_text("\n".join(news) + "\n")
    return entries


def test_each_entry_is_a_row_and_the_development_part_the_test(tmp_path: Path) -> None:
    train = publish(tmp_path / "mind-small" / "train", 1, 14)
    dev = publish(tmp_path / "mind-small" / "MINDsmall_dev", 2, 15)
    log, report = read("mind-small", tmp_path)
    assert report.rows_read == report.rows_kept == len(train) + len(dev)
    events = log.events.assign(role=[ROLE_WORDS[code] for code in log.events["role"]])
    rows = [
        (user, item, time, click, role) for part, role in ((train, "train"), (dev, "test")) for _, user, time, item, click in part
    ]
    assert told(events, "user", "item", "time", "label", "role") == as_told(rows)
    assert log.meta.default_split == "declared"


def test_impressions_of_both_parts_with_one_number_are_two_requests(tmp_path: Path) -> None:
    train = publish(tmp_path / "mind-large" / "train", 1, 14)
    dev = publish(tmp_path / "mind-large" / "dev", 2, 15)
    log, _ = read("mind-large", tmp_path)
    together = log.events.groupby("request_id").agg({"user": "nunique", "time": "nunique", "item": "size"})
    assert (together["user"] == 1).all() and (together["time"] == 1).all()
    sizes: dict[tuple[str, str], int] = {}
    for part, entries in (("train", train), ("dev", dev)):
        for number, *_ in entries:
            sizes[part, number] = sizes.get((part, number), 0) + 1
    assert sorted(together["item"]) == sorted(sizes.values())


def test_news_have_their_categories_and_what_they_are_about(tmp_path: Path) -> None:
    publish(tmp_path / "mind-small", 1, 14)
    log, report = read("mind-small", tmp_path)
    assert log.items is not None and log.items.loc["N4"].to_dict() == {
        "category": "sports",
        "subcategory": "sub1",
        "entities": "Q7 Q8",
    }
    assert report.items_without_features == int("N19" in set(log.events["item"]))
    assert log.meta.default_split == "global-time", "without a development part no test is declared"


def test_a_broken_list_of_entities_is_named(tmp_path: Path) -> None:
    publish(tmp_path / "mind-small", 1, 14)
    path = tmp_path / "mind-small" / "news.tsv"
    path.write_text(path.read_text().replace("[]", "[{", 1))
    with pytest.raises(UserError, match=r"news.tsv: the entities of N0 are not JSON"):
        read("mind-small", tmp_path)


def test_the_published_impressions(tmp_path: Path) -> None:
    root = os.environ.get("RANKBENCH_DATA", "")
    if not root or not (Path(root) / "mind-part").is_dir():
        pytest.skip("needs RANKBENCH_DATA with a folder mind-part")
    log, report = converted(sources.load("mind-small", DataRoots(Path(root), tmp_path)))
    assert (report.rows_kept, int(log.events["label"].sum())) == (189_359, 7_542)
    assert log.events["request_id"].nunique() == 5_000
