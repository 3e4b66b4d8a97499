"""`data init` of a folder: parts of one table are a pattern, of several each has its place, and what is unclear is said."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from rankbench.bench import cli
from rankbench.bench.data.logs import open_dataset
from rankbench.bench.data.proposal.text import Proposal, propose
from rankbench.bench.data.sources.schema import DataRoots
from rankbench.bench.errors import UserError

N = 900


def events(seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    time = 1_600_000_000 + np.sort(rng.integers(0, 5_000_000, N))
    return pd.DataFrame(
        {"user_id": rng.integers(0, 40, N), "item_id": rng.integers(0, 60, N), "ts": time, "clicked": rng.integers(0, 2, N)}
    )


def items() -> pd.DataFrame:
    return pd.DataFrame({"item_id": range(60), "genre": [f"g{at % 5}" for at in range(60)], "released": ["2001-02-03"] * 60})


def users() -> pd.DataFrame:
    return pd.DataFrame({"user_id": range(40), "segment": [f"s{at % 3}" for at in range(40)]})


def save(table: pd.DataFrame, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".parquet":
        table.to_parquet(path, index=False)
    elif ".jsonl" in path.name:
        table.to_json(path, orient="records", lines=True)
    else:
        table.to_csv(path, index=False)


def proposed(folder: Path) -> tuple[Proposal, dict]:
    proposal = propose([folder], folder.with_suffix(".yaml"))
    return proposal, yaml.safe_load(proposal.text)


def rows_read(proposal: Proposal, folder: Path) -> int:
    path = folder.with_suffix(".yaml")
    path.write_text(proposal.text)
    return open_dataset(str(path), DataRoots(None, folder.parent / "cache")).meta.cleaning.rows_read


@pytest.mark.parametrize("ending", [".csv", ".csv.gz", ".parquet", ".jsonl", ".jsonl.gz"])
def test_parts_of_one_table_are_a_pattern(ending: str, tmp_path: Path) -> None:
    folder = tmp_path / "clicks"
    for part in range(3):
        save(events()[part * 300 : (part + 1) * 300], folder / f"part-{part}{ending}")
    (folder / "_SUCCESS").touch()
    proposal, keys = proposed(folder)
    assert keys["events"] == f"clicks/*{ending}" and keys["label"] == "clicked" and proposal.open == ()
    assert "3 files with the columns user_id, item_id, ts, clicked" in proposal.guessed[0]
    assert rows_read(proposal, folder) == N


def test_parts_in_subfolders_and_in_two_forms_are_found(tmp_path: Path) -> None:
    deep, mixed = tmp_path / "days", tmp_path / "both"
    for part, day in enumerate(("date=2020-01-01", "date=2020-01-02")):
        save(events()[part * 450 : (part + 1) * 450], deep / day / "part-0.csv")
    save(events()[:450], mixed / "a.csv")
    save(events()[450:], mixed / "b.csv.gz")
    proposal, keys = proposed(deep)
    assert keys["events"] == "days/**/*.csv" and rows_read(proposal, deep) == N
    proposal, keys = proposed(mixed)
    assert keys["events"] == ["both/*.csv", "both/*.csv.gz"] and rows_read(proposal, mixed) == N


def test_tables_of_users_and_items_beside_the_parts_are_told_by_their_ids(tmp_path: Path) -> None:
    folder = tmp_path / "shop"
    for part in range(2):
        save(events()[part * 450 : (part + 1) * 450], folder / f"log-{part}.csv")
    save(items(), folder / "catalogue.csv")
    save(users(), folder / "customers.csv")
    past = {"user_id": range(40), "last_ts": range(1_500_000_000, 1_500_000_040), "seen": [[1, 2]] * 40}
    save(pd.DataFrame(past), folder / "past.parquet")
    save(pd.DataFrame({"colour": ["red", "blue"], "sound": ["loud", "soft"]}), folder / "other.csv")
    save(pd.DataFrame({"item_id": range(60), "address": [f"https://x/{at}" for at in range(60)]}), folder / "links.csv")
    (folder / "notes.json").write_text('{\n "a": 1\n}\n')
    proposal, keys = proposed(folder)
    assert (keys["events"], keys["items"], keys["users"]) == ("shop/log-*.csv", "shop/catalogue.csv", "shop/customers.csv")
    assert keys["item_features"][0] == "genre" and keys["user_features"] == ["segment"]
    told = sorted(proposal.left_out)
    assert [one.split(":")[0] for one in told] == ["shop/links.csv", "shop/notes.json", "shop/other.csv", "shop/past.parquet"]
    assert "catalogue.csv is the table of items" in told[0] and "holds no JSON object" in told[1] and "neither" in told[2]
    assert rows_read(proposal, folder) == N


def test_named_parts_are_declared_parts(tmp_path: Path) -> None:
    folder = tmp_path / "shop"
    for name, rows in (("train/0.csv", slice(0, 400)), ("train/1.csv", slice(400, 700)), ("test/0.csv", slice(700, N))):
        save(events()[rows], folder / name)
    proposal, keys = proposed(folder)
    assert keys["events"] == {"test": "shop/test/0.csv", "train": "shop/train/*.csv"}
    assert rows_read(proposal, folder) == N


def test_json_lines_that_lack_a_key_belong_to_the_others(tmp_path: Path) -> None:
    folder, rows = tmp_path / "log", events().to_dict("records")
    folder.mkdir()
    for part in range(2):
        lines = [json.dumps(row if part else {**row, "page": f"p{at % 3}"}) for at, row in enumerate(rows[part::2])]
        (folder / f"{part}.jsonl").write_text("\n".join(lines))
    proposal, keys = proposed(folder)
    assert keys["events"] == "log/*.jsonl" and proposal.left_out == () and rows_read(proposal, folder) == N


@pytest.mark.parametrize(
    ("tables", "said"),
    [
        (
            {"clicks.csv": events(), "views-1.csv": events(1).assign(page="p"), "views-2.csv": events(2).assign(page="p")},
            r"several tables here may hold the events: views-1.csv and 1 more files of its columns \(user_id, item_id, ts, "
            r"clicked, page\); clicks.csv \(.*\). Pass the file of events alone, or .*rankbench data init .*views-1.csv",
        ),
        ({"items.csv": items().drop(columns="released"), "users.csv": users()}, "no table here has a column of times"),
    ],
)
def test_what_is_unclear_is_one_line_that_says_what_to_pass(tables: dict[str, pd.DataFrame], said: str, tmp_path: Path) -> None:
    for name, table in tables.items():
        save(table, tmp_path / "shop" / name)
    with pytest.raises(UserError, match=said) as raised:
        propose([tmp_path / "shop"], tmp_path / "shop.yaml")
    assert "\n" not in str(raised.value)


def test_a_folder_without_tables_and_two_tables_of_items_are_refused(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"empty has no .csv"):
        propose([tmp_path / "empty"], tmp_path / "own.yaml")
    (tmp_path / "empty" / "a.csv").touch()
    with pytest.raises(UserError, match=r"no file of it can be read as a table; .*a.csv is empty"):
        propose([tmp_path / "empty"], tmp_path / "own.yaml")
    save(events(), tmp_path / "log.csv")
    for name in ("one.csv", "two.csv"):
        save(items().rename(columns={"genre": name[:3]}), tmp_path / name)
    with pytest.raises(UserError, match=r"one.csv and .*two.csv are both tables of items"):
        propose([tmp_path / name for name in ("log.csv", "one.csv", "two.csv")], tmp_path / "own.yaml")


@pytest.mark.parametrize(
    ("where", "named", "written", "pattern"),
    [
        (".", "shop/", "shop.yaml", "shop/*.csv"),
        ("shop", ".", "shop.yaml", "*.csv"),
        ("shop", "../shop", "../shop/shop.yaml", "*.csv"),
    ],
)
def test_the_command_takes_a_folder(
    where: str, named: str, written: str, pattern: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    for part in range(2):
        save(events()[part * 450 : (part + 1) * 450], tmp_path / "shop" / f"{part}.csv")
    (tmp_path / "shop" / "broken.json").touch()
    monkeypatch.chdir(tmp_path / where)
    assert cli.main(["data", "init", named]) == 0
    said = capsys.readouterr().out
    assert yaml.safe_load(Path(written).read_text())["events"] == pattern
    assert "left out: " in said and "broken.json" in said and f"written: {written}" in said


def test_a_table_of_items_with_columns_that_events_have_too_is_no_part_of_them(tmp_path: Path) -> None:
    folder = tmp_path / "clicks"
    save(events().assign(genre="g0"), folder / "events.jsonl")
    save(items()[["item_id", "genre"]], folder / "items.jsonl")
    proposal, found = proposed(folder)
    assert found["events"] == "clicks/events.jsonl" and found["items"] == "clicks/items.jsonl"
    assert rows_read(proposal, folder) == N


def test_a_file_that_is_named_beside_its_folder_is_read_once(tmp_path: Path) -> None:
    folder = tmp_path / "clicks"
    for part in range(3):
        save(events(part), folder / f"part-{part}.csv")
    proposal = propose([folder / "part-0.csv", folder], folder.with_suffix(".yaml"))
    assert sorted(yaml.safe_load(proposal.text)["events"]) == [f"clicks/part-{part}.csv" for part in range(3)]
    assert rows_read(proposal, folder) == 3 * N
    alone = tmp_path / "alone"
    save(events(), alone / "part-0.csv")
    proposal = propose([alone / "part-0.csv", alone], alone.with_suffix(".yaml"))
    assert yaml.safe_load(proposal.text)["events"] == "alone/part-0.csv"


@pytest.mark.parametrize("folder", [True, False])
def test_a_table_of_ids_in_another_language_is_named_with_what_to_do(folder: bool, tmp_path: Path) -> None:
    """Whether `kunde` is the user is not guessed; that the other table belongs to `produkt` is seen, and said."""
    german = {"user_id": "kunde", "item_id": "produkt"}
    files = [tmp_path / "log.csv", tmp_path / "waren.csv"]
    save(events().rename(columns=german), files[0])
    save(items()[["item_id", "genre"]].rename(columns=german), files[1])
    proposal = propose([tmp_path] if folder else files, tmp_path / "own.yaml")
    assert "item_key: produkt" in proposal.text and "waren.csv" in proposal.text
    assert "items:" not in [line.split()[0] for line in proposal.text.splitlines() if line.strip()]


def test_ids_of_a_kind_are_ids(tmp_path: Path) -> None:
    save(events().rename(columns={"user_id": "user_hash", "item_id": "product_code"}), tmp_path / "log.csv")
    columns = yaml.safe_load(propose([tmp_path / "log.csv"], tmp_path / "own.yaml").text)["columns"]
    assert (columns["user"], columns["item"]) == ("user_hash", "product_code")
    save(events().assign(product_code=1), tmp_path / "both.csv")
    columns = yaml.safe_load(propose([tmp_path / "both.csv"], tmp_path / "own.yaml").text)["columns"]
    assert columns["item"] == "item_id", "what is called an item is one rather"
