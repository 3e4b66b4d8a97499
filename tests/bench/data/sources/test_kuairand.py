"""KuaiRand-Pure: parts in order, feedback as action and never as context, and what is said when files are missing."""

import gzip
import os
from pathlib import Path

import pytest

from rankbench.bench.data import sources
from rankbench.bench.data.sources.kuairand import _USER_FEATURES
from rankbench.bench.data.sources.schema import DataRoots, RawLog
from rankbench.bench.errors import UserError
from support.converted import converted

LOG_HEADER = (
    "user_id,video_id,date,hourmin,time_ms,is_click,is_like,is_follow,is_comment,is_forward,is_hate,long_view,play_time_ms,"
    "duration_ms,profile_stay_time,comment_stay_time,is_profile_enter,is_rand,tab"
)
EARLY = ["7,50,20220410,900,1649552400000,1,1,0,0,0,0,1,9000,9000,0,0,1,0,1"]
LATE = [
    "7,51,20220425,100,1650812741436,0,0,0,0,0,0,0,0,9000,0,0,0,0,4",
    "8,50,20220425,100,1650812741500,1,0,0,0,0,0,0,1200,9000,0,0,0,0,1",
    "8,50,20220425,100,1650812741500,1,0,0,0,0,0,0,1200,9000,0,0,0,0,1",
]


def publish(root: Path) -> Path:
    folder = root / "kuairand-pure"
    folder.mkdir(parents=True)
    (folder / "log_standard_4_08_to_4_21_pure.csv").write_text("\n".join([LOG_HEADER, *EARLY]) + "\n")
    with gzip.open(folder / "log_standard_4_22_to_5_08_pure.csv.gz", "wt") as part:
        part.write("\n".join([LOG_HEADER, *LATE]) + "\n")
    (folder / "log_random_4_22_to_5_08_pure.csv").write_text(LOG_HEADER + "\n")
    users = ["user_id,register_days," + ",".join(_USER_FEATURES)]
    users += [
        f'{user},799,full_active,1,0,"(50,100]",{",".join(str(n) for n in range(len(_USER_FEATURES) - 4))}' for user in (7, 8)
    ]
    (folder / "user_features_pure.csv").write_text("\n".join(users) + "\n")
    header = (
        "video_id,author_id,video_type,upload_dt,upload_type,visible_status,video_duration,server_width,music_id,music_type,tag"
    )
    videos = ['50,900,NORMAL,2022-04-10,Web,0,87433.0,720,1,9.0,"12,34"', "51,901,AD,2022-04-10,Web,0,,720,1,,"]
    (folder / "video_features_basic_pure.csv").write_text("\n".join([header, *videos]) + "\n")
    return folder


def load(root: Path | None, cache: Path) -> RawLog:
    return sources.load("kuairand-pure", DataRoots(root, cache))


def test_tables(tmp_path: Path) -> None:
    publish(tmp_path)
    log, report = converted(load(tmp_path, tmp_path))
    assert (report.rows_read, report.repeated, report.rows_kept, report.sorted_by_time) == (4, 1, 3, True)
    assert log.events["user"].tolist() == ["7", "7", "8"]
    assert log.events["time"].tolist() == [1649552400000, 1650812741436, 1650812741500]
    assert log.events["label"].tolist() == [1, 0, 1]
    assert log.events["action"].tolist() == ["1|1|0|0|0|0|1|1", "0|0|0|0|0|0|0|0", "1|0|0|0|0|0|0|0"]
    assert log.events["tab"].tolist() == ["1", "4", "1"]
    assert log.items is not None and log.items["tag"].tolist() == ["12,34", ""]
    assert log.items["video_duration"].isna().tolist() == [False, True]
    assert log.users is not None and log.users["follow_user_num_range"].tolist() == ["(50,100]"] * 2
    assert log.schema.utc_offset_hours == 8


def test_no_outcome_is_an_input(tmp_path: Path) -> None:
    publish(tmp_path)
    raw = load(tmp_path, tmp_path)
    assert [feature.column for feature in raw.schema.context_features] == ["tab"]
    assert not {"play_time_ms", "duration_ms", "profile_stay_time", "comment_stay_time"} & set(raw.events.columns)


def test_a_part_that_is_there_packed_and_unpacked_counts_once(tmp_path: Path) -> None:
    folder = publish(tmp_path)
    with gzip.open(folder / "log_standard_4_08_to_4_21_pure.csv.gz", "wt") as part:
        part.write("\n".join([LOG_HEADER, *EARLY]) + "\n")
    assert len(load(tmp_path, tmp_path).events) == 4


def test_the_publishers_own_folder_names(tmp_path: Path) -> None:
    publish(tmp_path / "x").rename(tmp_path / "data")
    (tmp_path / "KuaiRand-Pure").mkdir()
    (tmp_path / "data").rename(tmp_path / "KuaiRand-Pure" / "data")
    assert len(load(tmp_path, tmp_path).events) == 4


def test_no_data_root(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"needs a data root: download .*zenodo.org/records/10439422.*RANKBENCH_DATA"):
        load(None, tmp_path)


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("user_features_pure.csv", None, "has no user_features_pure.csv or .csv.gz: download"),
        ("video_features_basic_pure.csv", "video_id,author_id\n1,2\n", "has no column 'video_type'; it has: video_id, author_id"),
        ("log_standard_4_22_to_5_08_pure.csv.gz", "not gzip", "log_standard_4_22_to_5_08_pure.csv.gz cannot be read"),
        ("log_standard_4_08_to_4_21_pure.csv", "", "log_standard_4_08_to_4_21_pure.csv is empty"),
    ],
)
def test_missing_and_broken_files(file: str, text: str | None, message: str, tmp_path: Path) -> None:
    folder = publish(tmp_path)
    if text is None:
        (folder / file).unlink()
    else:
        (folder / file).write_text(text)
    with pytest.raises(UserError, match=message):
        load(tmp_path, tmp_path)


def test_empty_data_root(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"kuairand-pure has no log_standard_\*_pure.csv"):
        load(tmp_path, tmp_path)


def test_the_published_log(tmp_path: Path) -> None:
    root = os.environ.get("RANKBENCH_DATA", "")
    if not root or not (Path(root) / "kuairand-pure").is_dir():
        pytest.skip("needs RANKBENCH_DATA with a folder kuairand-pure")
    log, report = converted(load(Path(root), tmp_path))
    assert report.rows_read == report.rows_kept + report.repeated + report.conflicting
    assert 0.3 < log.events["label"].to_numpy().mean() < 0.6
    assert log.users is not None and set(log.events["user"]) <= set(log.users.index)
    assert log.items is not None and set(log.events["item"]) <= set(log.items.index)
