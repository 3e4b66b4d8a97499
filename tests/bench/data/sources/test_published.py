"""Files below a data root: which one is taken, tables of those alone who occur, blocks of any size."""

from __future__ import annotations

import gzip
import random
from pathlib import Path

import pandas as pd
import pyarrow.feather as feather
import pytest

from rankbench.bench.data.logs import open_dataset
from rankbench.bench.data.sources import files
from rankbench.bench.data.sources.published import EventFile, FileEvents, Place, matching, renamed
from rankbench.bench.data.sources.schema import DataRoots, Feature, RawLog, Schema
from rankbench.bench.data.sources.side_files import SideFiles
from rankbench.bench.errors import UserError
from support.converted import converted
from support.tables import click_table


def test_the_first_folder_with_the_file_is_taken_and_the_unpacked_file_before_the_packed(tmp_path: Path) -> None:
    place, roots = Place("toy", ("first", "second"), "get it"), DataRoots(tmp_path, tmp_path)
    with pytest.raises(UserError, match=r"first has no log_\*.csv: get it"):
        place.folder(roots, "log_*.csv")
    (tmp_path / "second").mkdir()
    with gzip.open(tmp_path / "second" / "log_b.csv.gz", "wt") as packed:
        packed.write("x\n")
    assert place.folder(roots, "log_*.csv") == tmp_path / "second"
    for name in ("log_b.csv", "log_a.csv"):
        (tmp_path / "second" / name).write_text("x\n")
    assert [path.name for path in matching(tmp_path / "second", "log_*.csv")] == ["log_a.csv", "log_b.csv"]
    with pytest.raises(UserError, match=r"second has no users\.csv: get it"):
        place.file(tmp_path / "second", "users.csv")
    with pytest.raises(UserError, match="toy needs a data root: get it"):
        place.folder(DataRoots(None, tmp_path), "log_*.csv")


@pytest.mark.parametrize("block", [1 << 24, 300])
def test_a_log_is_the_same_in_blocks_of_any_size_and_holds_tables_of_those_who_occur(
    block: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "_BLOCK_BYTES", block)
    rng = random.Random(0)
    rows = [(rng.randrange(5), rng.randrange(9), 1_600_000_000 + at, rng.randrange(2), rng.randrange(3)) for at in range(200)]
    (tmp_path / "log.csv").write_text("uid,sku,ts,click,kind\n" + "".join(",".join(map(str, row)) + "\n" for row in rows))
    (tmp_path / "items.csv").write_text("id,colour\n" + "".join(f"{item},c{item}\n" for item in range(50)) + "3,other\n")
    names = {"uid": "user", "sku": "item", "ts": "time"}

    def bought(frame: pd.DataFrame) -> pd.DataFrame:
        return renamed(names)(frame[frame["kind"] != "2"])

    events = FileEvents([EventFile(tmp_path / "log.csv", [*names, "click", "kind"], bought)])
    items = SideFiles([tmp_path / "items.csv"], "id", ("colour",))
    raw = RawLog("toy", events, None, items, Schema("click", ("click",), item_features=(Feature("colour"),)), (), "none", "none")
    log, report = converted(raw)
    kept = [row for row in rows if row[4] != 2]
    assert (report.rows_kept, report.left_out) == (len(kept), 200 - len(kept))
    assert sorted(zip(log.events["user"], log.events["time"], strict=True)) == sorted(
        (str(row[0]), row[2] * 1000) for row in kept
    )
    assert log.items is not None and log.items["colour"].to_dict() == {str(row[1]): f"c{row[1]}" for row in kept}


def test_a_feather_file_gives_the_log_of_the_same_csv_file(tmp_path: Path) -> None:
    path, roots = click_table(tmp_path), DataRoots(None, tmp_path / "cache")
    first = open_dataset(str(path), roots).meta
    feather.write_feather(pd.read_csv(tmp_path / "clicks.csv"), str(tmp_path / "clicks.feather"), chunksize=400)
    path.write_text(path.read_text().replace("clicks.csv", "clicks.feather"))
    other = open_dataset(str(path), roots).meta
    assert other.content_hash == first.content_hash and other.files[0].name == "clicks.feather"
    (tmp_path / "clicks.feather").write_bytes(b"no feather")
    with pytest.raises(UserError, match=r"clicks\.feather cannot be read"):
        open_dataset(str(path), roots)
