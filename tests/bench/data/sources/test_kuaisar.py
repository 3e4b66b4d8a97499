"""KuaiSAR: two services as domains, sessions as requests, words of a search as context, and what is no video left out."""

import random
from pathlib import Path
from typing import Any

import pytest

from support.published import as_told, read, told, write_csv

RECOMMENDED = "user_id,item_id,playing_time,duration_ms,time,timestamp,click,forward,like,follow,search,search_item_related"
SEARCHED = (
    "user_id,search_session_id,search_session_time,search_session_timestamp,keyword,search_source,item_id,click_cnt,item_type"
)
ITEM = (
    "item_id,caption,author_id,item_type,upload_time,upload_type,first_level_category_id,first_level_category_name,"
    "second_level_category_id,third_level_category_id,fourth_level_category_id"
)
START = 1684742000000


def publish(folder: Path) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    rng = random.Random(7)
    recommended = [
        {name: 0 for name in RECOMMENDED.split(",")}
        | {"user_id": at % 5, "item_id": at % 31, "timestamp": f"{START + 1000 * (at // 3)}.0", "time": "2023-05-22 15:53:20"}
        | {signal: int(rng.random() < 0.4) for signal in ("click", "forward", "like", "follow", "search")}
        for at in range(90)
    ]
    searched = [
        {"user_id": session % 5, "search_session_id": session, "search_session_time": "2023-05-22 21:58:52"}
        | {"search_session_timestamp": f"{START + 500 + 60_000 * session}.0", "keyword": f"[{session}, 3]"}
        | {"search_source": "USER_INPUT", "item_id": 40 + place, "click_cnt": rng.choice((0, 0, 1, 2)), "item_type": kind}
        for session in range(12)
        for place, kind in enumerate(("VIDEO", "VIDEO", "USER", "VIDEO"))
    ]
    write_csv(folder / "rec_inter.csv", RECOMMENDED, recommended)
    write_csv(folder / "src_inter.csv", SEARCHED, searched)
    write_csv(folder / "social_network.csv", "user_id,user_follow_id", [{"user_id": 1, "user_follow_id": 2}])
    users = [dict.fromkeys(("search_active_level", "rec_active_level", "onehot_feat1", "onehot_feat2"), 2) | {"user_id": 3}]
    write_csv(folder / "user_features.csv", "user_id,search_active_level,rec_active_level,onehot_feat1,onehot_feat2", users)
    items = [dict.fromkeys(ITEM.split(","), 5) | {"item_id": item, "caption": "[1, 213, 24]"} for item in range(60)]
    write_csv(folder / "item_features.csv", ITEM, items)
    return recommended, searched


@pytest.mark.parametrize("name", ["kuaisar", "kuaisar-small"])
def test_both_services_are_one_log(name: str, tmp_path: Path) -> None:
    recommended, searched = publish(tmp_path / name)
    log, report = read(name, tmp_path)
    videos = [row for row in searched if row["item_type"] == "VIDEO"]
    expected = [
        (row["user_id"], row["item_id"], int(float(row["timestamp"])), row["click"], row["like"], "recommendation", "")
        for row in recommended
    ]
    expected += [
        (row["user_id"], row["item_id"], time, int(row["click_cnt"] > 0), 0, "search", " ".join(sorted(words)))
        for row, time, words in (
            (row, int(float(row["search_session_timestamp"])), row["keyword"].strip("[]").split(", ")) for row in videos
        )
    ]
    events = log.events.assign(keyword=[" ".join(sorted(words.split())) for words in log.events["keyword"]])
    assert told(events, "user", "item", "time", "label", "label.like", "service", "keyword") == as_told(expected)
    assert report.left_out == len(searched) - len(videos) == 12
    assert log.meta.domain is not None and log.meta.domain.column == "service"


def test_a_session_is_a_request_and_so_is_what_was_recommended_at_one_moment(tmp_path: Path) -> None:
    publish(tmp_path / "kuaisar")
    log, _ = read("kuaisar", tmp_path)
    for service, rows in log.events.groupby("service"):
        together = rows.groupby("request_id")
        assert (together[["user", "time"]].nunique() == 1).all().all()
        moments = rows.groupby(["user", "time"]).ngroups
        assert together.ngroups == moments, service


def test_features_of_users_and_videos(tmp_path: Path) -> None:
    publish(tmp_path / "kuaisar")
    log, report = read("kuaisar", tmp_path)
    assert report.users_without_features == 4 and report.items_without_features == 0
    assert log.items is not None and set(log.items["author_id"]) == {"5"} and "caption" not in log.items
