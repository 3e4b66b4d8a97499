"""Alibaba's contest of 2014: days without a year, behaviours as actions, and what several behaviours of a day become."""

import os
from pathlib import Path

import pytest

from rankbench.bench.data import sources
from rankbench.bench.data.sources.schema import DataRoots
from support.converted import converted
from support.published import as_told, read, told

ROWS = ["1,10,0,4-15", "1,10,0,4-15", "1,10,1,4-15", "1,11,3,8-1", "2,10,2,6-30", "2,12,0,7-9"]


def test_behaviours_of_a_day(tmp_path: Path) -> None:
    folder = tmp_path / "alibaba-mobile-2014"
    folder.mkdir()
    (folder / "t_alibaba_data.csv").write_text("user_id,brand_id,type,visit_datetime\n" + "\n".join(ROWS) + "\n")
    log, report = read("alibaba-mobile-2014", tmp_path)
    days = {"4-15": 1397491200, "8-1": 1406822400, "6-30": 1404057600, "7-9": 1404835200}
    expected = [
        ("1", "10", days["4-15"] * 1000, "buy"),
        ("1", "11", days["8-1"] * 1000, "cart"),
        ("2", "10", days["6-30"] * 1000, "favourite"),
        ("2", "12", days["7-9"] * 1000, "click"),
    ]
    assert told(log.events, "user", "item", "time", "action") == as_told(expected)
    assert (report.repeated, report.conflicting, log.events["label"].min()) == (1, 1, 1)


def test_the_published_log(tmp_path: Path) -> None:
    root = os.environ.get("RANKBENCH_DATA", "")
    if not root or not (Path(root) / "alibaba-mobile-2014").is_dir():
        pytest.skip("needs RANKBENCH_DATA with a folder alibaba-mobile-2014")
    log, report = converted(sources.load("alibaba-mobile-2014", DataRoots(Path(root), tmp_path)))
    assert (report.rows_read, report.repeated, log.meta.users, log.meta.items) == (182_880, 97_850, 884, 9_531)
