"""KuaiRand in three sizes: parts in order, feedback as action and never as context, the random log and dates as tests."""

import gzip
import os
import random
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from rankbench.bench.config import DataConfig
from rankbench.bench.data import sources
from rankbench.bench.data.dataset import prepare
from rankbench.bench.data.sources.kuairand import _FEEDBACK, _USER_FEATURES
from rankbench.bench.data.sources.schema import ROLE_WORDS, DataRoots
from rankbench.bench.errors import UserError
from support.converted import converted
from support.published import as_told, read, told, write_csv

LOG = (
    "user_id,video_id,date,hourmin,time_ms,is_click,is_like,is_follow,is_comment,is_forward,is_hate,long_view,play_time_ms,"
    "duration_ms,profile_stay_time,comment_stay_time,is_profile_enter,is_rand,tab"
)
VIDEO = "video_id,author_id,video_type,upload_dt,upload_type,visible_status,video_duration,server_width,music_id,music_type,tag"
PARTS = {
    "pure": {"early": ["log_standard_4_08_to_4_21_pure"], "late": ["log_standard_4_22_to_5_08_pure"]},
    "1k": {"early": ["log_standard_4_08_to_4_21_1k"], "late": ["log_standard_4_22_to_5_08_1k"]},
    "27k": {
        "early": ["log_standard_4_08_to_4_21_27k_part1", "log_standard_4_08_to_4_21_27k_part2"],
        "late": ["log_standard_4_22_to_5_08_27k_part1", "log_standard_4_22_to_5_08_27k_part2"],
    },
}
CHINA = timedelta(hours=8)


def shown(rng: random.Random, first: datetime, days: int, is_rand: int = 0) -> dict[str, Any]:
    """One impression between local midnight of `first` and so many days later."""
    at = first + timedelta(seconds=rng.randrange(days * 86_400))
    signals = {name: int(rng.random() < 0.4) for name in _FEEDBACK}
    rest = dict.fromkeys(("hourmin", "play_time_ms", "duration_ms", "profile_stay_time", "comment_stay_time"), 7)
    return {
        "user_id": rng.randrange(40),
        "video_id": rng.randrange(60),
        "date": at.strftime("%Y%m%d"),
        "time_ms": round((at - CHINA).replace(tzinfo=UTC).timestamp() * 1000),
        "is_rand": is_rand,
        "tab": rng.randrange(15),
        **signals,
        **rest,
    }


def publish(root: Path, size: str = "pure", seed: int = 0) -> dict[str, list[dict[str, Any]]]:
    """Files of one size; returns the rows of each part."""
    rng, folder = random.Random(seed), root / f"kuairand-{size}"
    rows = {
        "early": [shown(rng, datetime(2022, 4, 8), 14) for _ in range(300)],
        "late": [shown(rng, datetime(2022, 4, 22), 17) for _ in range(200)],
        "random": [shown(rng, datetime(2022, 4, 22), 17, is_rand=1) for _ in range(80)],
    }
    for part, names in PARTS[size].items():
        for at, name in enumerate(names):
            write_csv(folder / f"{name}.csv", LOG, rows[part][at :: len(names)])
    write_csv(folder / f"log_random_4_22_to_5_08_{size}.csv", LOG, rows["random"])
    users = [{name: at for at, name in enumerate(_USER_FEATURES)} | {"user_id": user, "register_days": 9} for user in range(40)]
    for row in users:
        row["follow_user_num_range"] = "(50,100]"
    write_csv(folder / f"user_features_{size}.csv", ",".join(("user_id", "register_days", *_USER_FEATURES)), users)
    blank = dict.fromkeys(VIDEO.split(","), "")
    videos = [blank | {"video_id": video, "author_id": video % 7, "tag": "12,34"} for video in range(59)]
    videos += [blank | {"video_id": 59, "video_duration": "87433.0"}]
    write_csv(folder / f"video_features_basic_{size}.csv", VIDEO, videos)
    return rows


def keyed(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One row for each user, video and time: rows that repeat are one, and tests make no others."""
    found = {(row["user_id"], row["video_id"], row["time_ms"]): row for row in rows}
    assert len(found) == len(rows), "choose another seed"
    return list(found.values())


@pytest.mark.parametrize("size", PARTS)
def test_every_size_is_read_with_all_signals_and_scenarios(size: str, tmp_path: Path) -> None:
    rows = publish(tmp_path, size)
    log, report = read(f"kuairand-{size}", tmp_path)
    standard = keyed(rows["early"] + rows["late"])
    assert report.rows_read == report.rows_kept == len(standard)
    expected = [
        (
            row["user_id"],
            row["video_id"],
            row["time_ms"],
            row["is_click"],
            "|".join(str(row[one]) for one in _FEEDBACK),
            row["tab"],
        )
        for row in standard
    ]
    assert told(log.events, "user", "item", "time", "label", "action", "tab") == as_told(expected)
    for name in _FEEDBACK[1:]:
        assert log.events[f"label.{name.removeprefix('is_')}"].sum() == sum(row[name] for row in standard)
    assert log.schema.utc_offset_hours == 8
    assert log.meta.domain is not None and log.meta.domain.column == "tab"
    assert log.users is not None and set(log.users["follow_user_num_range"]) == {"(50,100]"}
    assert log.items is not None and set(log.items["tag"]) == {"12,34", ""}
    assert log.items["video_duration"].notna().sum() == 1


def test_what_was_exposed_at_random_is_the_test_and_no_training_is_later(tmp_path: Path) -> None:
    rows = publish(tmp_path)
    log, _ = read("kuairand-pure-random", tmp_path)
    keyed(rows["early"] + rows["late"] + rows["random"])
    roles = Counter(ROLE_WORDS[code] for code in log.events["role"])
    assert roles == {"train": 300, "history": 200, "test": 80}
    test = log.events[log.events["role"] == ROLE_WORDS.index("test")]
    assert told(test, "user", "item", "time", "label") == as_told(
        (row["user_id"], row["video_id"], row["time_ms"], row["is_click"]) for row in rows["random"]
    )
    data = prepare(DataConfig("kuairand-pure-random"), DataRoots(tmp_path, tmp_path / "cache"))
    assert data.split.name == "declared" and data.split.share_train_after_test == 0
    first_test = min(row["time_ms"] for row in rows["random"])
    assert (data.log.time[data.split.examples("train")] < first_test).all()


def test_the_random_log_needs_the_part_that_is_learned_from(tmp_path: Path) -> None:
    publish(tmp_path)
    (tmp_path / "kuairand-pure" / "log_standard_4_08_to_4_21_pure.csv").unlink()
    with pytest.raises(UserError, match=r"has no log_standard_4_08_to_4_21_pure\*.csv, which kuairand-pure-random learns from"):
        read("kuairand-pure-random", tmp_path)


def test_the_long_view_label_is_split_by_the_publishers_dates(tmp_path: Path) -> None:
    rows = publish(tmp_path)
    log, _ = read("kuairand-pure-long-view", tmp_path)

    def role(date: str) -> str:
        return "train" if date <= "20220421" else "valid" if date <= "20220428" else "test"

    expected = [(row["user_id"], row["time_ms"], row["long_view"], role(row["date"])) for row in rows["early"] + rows["late"]]
    events = log.events.assign(role=[ROLE_WORDS[code] for code in log.events["role"]])
    assert told(events, "user", "time", "label", "role") == as_told(expected)
    assert "click" in log.meta.labels and "long_view" not in log.meta.labels


def test_no_outcome_is_an_input(tmp_path: Path) -> None:
    publish(tmp_path)
    log, _ = read("kuairand-pure", tmp_path)
    assert [feature.column for owner, feature in log.meta.features if owner == "context"] == ["tab"]
    assert not {"play_time_ms", "duration_ms", "profile_stay_time", "comment_stay_time"} & set(log.events.columns)


def test_a_part_that_is_there_packed_and_unpacked_counts_once(tmp_path: Path) -> None:
    rows = publish(tmp_path)
    write_csv(tmp_path / "kuairand-pure" / "log_standard_4_08_to_4_21_pure.csv.gz", LOG, rows["early"])
    assert read("kuairand-pure", tmp_path)[1].rows_read == 500


def test_rows_that_repeat_count_once(tmp_path: Path) -> None:
    rows = publish(tmp_path)
    folder = tmp_path / "kuairand-pure"
    write_csv(folder / "log_standard_4_22_to_5_08_pure.csv", LOG, [*rows["late"], *rows["late"][:7]])
    report = read("kuairand-pure", tmp_path)[1]
    assert (report.repeated, report.rows_kept) == (7, 500)


def test_the_publishers_own_folder_names(tmp_path: Path) -> None:
    publish(tmp_path / "x")
    (tmp_path / "KuaiRand-Pure").mkdir()
    (tmp_path / "x" / "kuairand-pure").rename(tmp_path / "KuaiRand-Pure" / "data")
    assert read("kuairand-pure", tmp_path)[1].rows_read == 500


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("user_features_pure.csv", None, "has no user_features_pure.csv: download"),
        ("video_features_basic_pure.csv", "video_id,author_id\n1,2\n", "has no column 'video_type'; it has: video_id, author_id"),
        ("log_standard_4_22_to_5_08_pure.csv.gz", "not gzip", "log_standard_4_22_to_5_08_pure.csv.gz cannot be read"),
        ("log_standard_4_08_to_4_21_pure.csv", "", "log_standard_4_08_to_4_21_pure.csv is empty"),
    ],
)
def test_missing_and_broken_files(file: str, text: str | None, message: str, tmp_path: Path) -> None:
    publish(tmp_path)
    path = tmp_path / "kuairand-pure" / file
    path.with_name(file.removesuffix(".gz")).unlink()
    if text is not None:
        path.write_text(text)
    with pytest.raises(UserError, match=message):
        read("kuairand-pure", tmp_path)


def test_the_published_log(tmp_path: Path) -> None:
    root = os.environ.get("RANKBENCH_DATA", "")
    if not root or not (Path(root) / "kuairand-pure").is_dir():
        pytest.skip("needs RANKBENCH_DATA with a folder kuairand-pure")
    log, report = converted(sources.load("kuairand-pure", DataRoots(Path(root), tmp_path)))
    assert report.rows_read == report.rows_kept + report.repeated + report.conflicting
    assert 0.3 < log.events["label"].to_numpy().mean() < 0.6
    assert report.users_without_features == report.items_without_features == 0
    path = Path(root) / "kuairand-pure" / "log_standard_4_22_to_5_08_pure.csv.gz"
    with gzip.open(path, "rt") as stream:
        header = next(stream).strip()
    assert header == LOG
