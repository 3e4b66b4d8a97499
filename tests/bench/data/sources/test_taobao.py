"""Taobao UserBehavior: a file without header or negatives, and what is said when it has another shape."""

import gzip
import os
from pathlib import Path

import numpy as np
import pytest

from rankbench.bench.config import DataConfig
from rankbench.bench.data import sources
from rankbench.bench.data.dataset import prepare
from rankbench.bench.data.sources.schema import DataRoots, RawLog
from rankbench.bench.errors import UserError
from support.converted import converted

ROWS = ["1,10,100,pv,1511544070", "1,10,101,cart,1511544080", "2,11,100,buy,1511544075", "1,11,100,fav,1511544090"]


def publish(root: Path, rows: list[str] = ROWS) -> DataRoots:
    (root / "taobao-userbehavior").mkdir(parents=True)
    (root / "taobao-userbehavior" / "UserBehavior.csv").write_text("\n".join(rows) + "\n")
    return DataRoots(root, root / "cache")


def load(roots: DataRoots) -> RawLog:
    return sources.load("taobao-userbehavior", roots)


def test_every_row_is_a_positive_and_its_behaviour_the_action(tmp_path: Path) -> None:
    raw = load(publish(tmp_path))
    cleaned, report = converted(raw)
    assert report.rows_kept == 4 and (cleaned.events["label"] == 1).all()
    assert cleaned.items is not None and cleaned.items["category"].to_dict() == {"10": "100", "11": "100"}
    assert sorted(cleaned.events["action"]) == ["buy", "cart", "fav", "pv"]


def test_times_outside_of_the_published_days_are_left_out_and_counted(tmp_path: Path) -> None:
    strange = ["1,10,100,pv,-2134949234", "1,10,100,pv,1505117799", "1,10,100,pv,1512316800", "1,10,100,pv,1511539199"]
    borders = ["3,10,100,pv,1511539200", "3,10,100,pv,1512316799"]
    log, report = converted(load(publish(tmp_path, [*ROWS, *strange, *borders])))
    assert (report.left_out, report.rows_kept) == (4, 6)
    assert "4 more rows are left out, as the source or its description says" in report.lines()
    assert log.events["time"].min() == 1511539200_000


def test_a_compressed_sample_is_read_as_well(tmp_path: Path) -> None:
    folder = tmp_path / "taobao-userbehavior-100k"
    folder.mkdir()
    with gzip.open(folder / "small_sample.csv.gz", "wt") as file:
        file.write("\n".join(ROWS) + "\n")
    assert converted(load(DataRoots(tmp_path, tmp_path / "cache")))[1].rows_kept == 4


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (["1,10,100,pv"], "must have five columns and no header"),
        (["user,item,category,behaviour,time", *ROWS], "behaviour 'behaviour' in row 1 is none of pv, cart, fav, buy"),
        ([*ROWS, "1,10,100,look,1511544070"], "'look' in row 5"),
    ],
)
def test_another_shape_is_refused(tmp_path: Path, rows: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        converted(load(publish(tmp_path, rows)))


def test_a_missing_file_says_where_to_put_it(tmp_path: Path) -> None:
    for root in (None, tmp_path):
        with pytest.raises(UserError, match=r"UserBehavior\.csv .* into the folder taobao-userbehavior"):
            load(DataRoots(root, tmp_path / "cache"))


def test_the_real_sample_becomes_a_ranking_task(tmp_path: Path) -> None:
    root = os.environ.get("RANKBENCH_DATA")
    if not root or not any(Path(root).glob("taobao-userbehavior*")):
        pytest.skip("RANKBENCH_DATA has no folder taobao-userbehavior")
    data = prepare(DataConfig("taobao-userbehavior"), DataRoots(Path(root), tmp_path))
    test = data.examples("test")
    positive = int(test.label.sum())
    assert positive > 1_000 and len(test) == 21 * positive
    assert np.isin(test.event, data.split.examples("test")).all()
