"""Taobao Ad: impressions with the place as domain, and the publisher's column that is named with a space at its end."""

import random
from pathlib import Path
from typing import Any

import pytest

from rankbench.bench.errors import UserError
from support.published import as_told, read, told, write_csv

PROFILE = "userid,cms_segid,cms_group_id,final_gender_code,age_level,pvalue_level,shopping_level,occupation,new_user_class_level "
PLACES = ("430548_1007", "430539_1007")


def publish(folder: Path) -> list[dict[str, Any]]:
    rng = random.Random(3)
    samples = []
    for at in range(60):
        click = int(rng.random() < 0.2)
        samples.append(
            {
                "user": rng.randrange(9),
                "time_stamp": 1494000000 + 37 * at,
                "adgroup_id": rng.randrange(20),
                "pid": rng.choice(PLACES),
                "nonclk": 1 - click,
                "clk": click,
            }
        )
    write_csv(folder / "raw_sample.csv", "user,time_stamp,adgroup_id,pid,nonclk,clk", samples)
    ads = [
        {"adgroup_id": ad, "cate_id": ad % 3, "campaign_id": ad, "customer": 1, "brand": "NULL" if ad == 0 else 9, "price": 170.5}
        for ad in range(30)
    ]
    write_csv(folder / "ad_feature.csv", "adgroup_id,cate_id,campaign_id,customer,brand,price", ads)
    profiles = [dict.fromkeys(PROFILE.split(","), "2") | {"userid": user, "pvalue_level": ""} for user in range(8)]
    write_csv(folder / "user_profile.csv", PROFILE, profiles)
    return samples


def test_impressions_are_those_of_the_samples(tmp_path: Path) -> None:
    samples = publish(tmp_path / "taobao-ad")
    log, report = read("taobao-ad", tmp_path)
    expected = [(row["user"], row["adgroup_id"], row["time_stamp"] * 1000, row["clk"], row["pid"]) for row in samples]
    assert told(log.events, "user", "item", "time", "label", "pid") == as_told(expected)
    assert log.meta.domain is not None and log.meta.domain.column == "pid"
    assert report.users_without_features == int(any(row["user"] == 8 for row in samples))


def test_features_have_what_the_files_say_and_only_of_what_was_shown(tmp_path: Path) -> None:
    samples = publish(tmp_path / "taobao-ad")
    log, _ = read("taobao-ad", tmp_path)
    assert log.items is not None and set(log.items.index) == {str(row["adgroup_id"]) for row in samples}
    assert set(log.items["price"]) == {170.5} and set(log.items["brand"]) == {"", "9"}
    assert log.users is not None and log.users.loc["2", "city_level"] == "2" and log.users.loc["2", "consumption_level"] == ""


def test_a_profile_without_the_space_at_the_end_is_another_file(tmp_path: Path) -> None:
    publish(tmp_path / "taobao-ad")
    path = tmp_path / "taobao-ad" / "user_profile.csv"
    path.write_text(path.read_text().replace("new_user_class_level ", "city"))
    with pytest.raises(UserError, match=r"user_profile.csv has no column 'new_user_class_level '"):
        read("taobao-ad", tmp_path)
