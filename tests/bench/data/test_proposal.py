"""`data init`: what it proposes for four kinds of own data is read as it stands, and what files cannot tell it does not guess."""

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from rankbench.bench import cli
from rankbench.bench.data.description import describe
from rankbench.bench.data.eventlog import EventLog
from rankbench.bench.data.logs import open_dataset
from rankbench.bench.data.proposal.text import Proposal, propose, write_proposal
from rankbench.bench.data.sources.schema import DataRoots
from rankbench.bench.errors import UserError

RNG = np.random.default_rng(0)
GENRES = ["Action", "Comedy", "Drama", "Film-Noir", "Sci-Fi"]


def two_files(folder: Path) -> list[Path]:
    n = 1200
    days = np.datetime64("2013-01-01") + np.sort(RNG.integers(0, 400, n)).astype("timedelta64[D]")
    item = RNG.integers(0, 40, n)
    table = pd.DataFrame({"user_id": RNG.integers(0, 50, n), "item_id": item, "class": item % 7, "reviewTime": days.astype(str)})
    table["overall"] = RNG.integers(0, 2, n)
    files = [folder / "train_set.csv.gz", folder / "test_set.csv.gz"]
    table[:1000].to_csv(files[0], index=False)
    table[1000:].to_csv(files[1], index=False)
    return files


def mind(folder: Path) -> list[Path]:
    rows, news = [], []
    for at in range(120):
        shown = RNG.choice(60, size=6, replace=False)
        entries = " ".join(f"N{item}-{int(place == at % 6)}" for place, item in enumerate(shown))
        rows.append(f"{at + 1}\tU{at % 15}\t11/{1 + at // 8}/2019 {1 + at % 11}:{at % 50 + 10}:05 PM\tN1 N2\t{entries}")
    for item in range(60):
        news.append(f'N{item}\tnews{item % 3}\tsub{item % 7}\t"Quoted {item * 7919} title\tabout {item} things\thttps://x/{item}')
    (folder / "behaviors.tsv").write_text("\n".join(rows))
    (folder / "news.tsv").write_text("\n".join(news))
    return [folder / "behaviors.tsv", folder / "news.tsv"]


def movielens(folder: Path) -> list[Path]:
    n = 1500
    ratings = {"userId": RNG.integers(1, 40, n), "movieId": RNG.integers(1, 90, n), "rating": RNG.integers(1, 11, n) / 2}
    pd.DataFrame({**ratings, "timestamp": RNG.integers(1.1e9, 1.4e9, n)}).to_csv(folder / "ratings.csv", index=False)
    films = {"movieId": range(1, 90), "title": [f"Film, The {at} ({1950 + at % 60})" for at in range(1, 90)]}
    films["genres"] = ["|".join(sorted(set(RNG.choice(GENRES, RNG.integers(1, 4))))) for _ in range(1, 90)]
    pd.DataFrame(films).to_csv(folder / "movies.csv", index=False)
    return [folder / "ratings.csv", folder / "movies.csv"]


def behaviours(folder: Path) -> list[Path]:
    lines = []
    for _ in range(1500):
        kind = str(RNG.choice(["view", "cart", "purchase", "favourite"], p=[0.6, 0.15, 0.2, 0.05]))
        row = {"visitor": 2**62 + int(RNG.integers(0, 40)), "sku": f"{RNG.integers(0, 90):04d}", "event_type": kind}
        lines.append(
            json.dumps({**row, "ts": 1_600_000_000_000 + int(RNG.integers(0, 5e9)), "market": ["de", "fr"][len(lines) % 2]})
        )
    (folder / "log.jsonl").write_text("\n".join(lines))
    return [folder / "log.jsonl"]


def opened(proposal: Proposal, folder: Path) -> EventLog:
    (folder / "own.yaml").write_text(proposal.text)
    return open_dataset(str(folder / "own.yaml"), DataRoots(None, folder / "cache"))


@pytest.mark.parametrize("make", [two_files, mind, movielens, behaviours])
def test_four_kinds_of_own_data_are_read_as_proposed_in_under_ten_lines(make, tmp_path: Path) -> None:
    proposal = propose(make(tmp_path), tmp_path / "own.yaml")
    keys = yaml.safe_load(proposal.text)
    assert proposal.open == () and len(keys) < 10 and proposal.guessed
    log = opened(proposal, tmp_path)
    expected = {
        two_files: (1200, "declared", "overall", [("item", "class")], 0),
        mind: (720, "global-time", "outcome", [("item", "2"), ("item", "3")], 120),
        movielens: (1500, "global-time", "rating >= 4", [("item", "genres")], 0),
        behaviours: (1500, "global-time", "event_type == purchase", [("context", "market")], 0),
    }[make]
    features = [(owner, feature.column) for owner, feature in log.meta.features]
    requests = 0 if log.request_id is None else int(log.request_id.max()) + 1
    assert (log.meta.cleaning.rows_read, log.meta.default_split, log.meta.content.label, features, requests) == expected
    assert 0 < log.label.mean() < 1 and log.meta.calendar


PAGE = (Path(__file__).resolve().parents[3] / "docs" / "howto" / "own-data.md").read_text()
EXAMPLES = re.findall(r"```yaml\n(.*?)```", PAGE.split("## Four examples")[1].split("\n## ")[0], re.DOTALL)


@pytest.mark.parametrize(("make", "text"), list(zip([two_files, mind, movielens, behaviours], EXAMPLES, strict=True)))
def test_the_examples_of_the_page_read_such_data(make, text: str, tmp_path: Path) -> None:
    for path in make(tmp_path):
        path.rename(tmp_path / {"train_set.csv.gz": "train.csv.gz", "test_set.csv.gz": "test.csv.gz"}.get(path.name, path.name))
    if make is behaviours:
        import gzip

        (tmp_path / "log.jsonl.gz").write_bytes(gzip.compress((tmp_path / "log.jsonl").read_bytes()))
    assert len(yaml.safe_load(text).keys() - {"name"}) < 10
    log = opened(Proposal(text, (), ()), tmp_path)
    assert log.meta.events > 500
    if make is behaviours:
        assert any(
            line.startswith("domain market, the country of the shop: 2 values; ")
            for line in describe(str(tmp_path / "own.yaml"), DataRoots(None, tmp_path / "cache"))
        )


def test_day_and_month_that_cannot_be_told_apart_are_asked_for(tmp_path: Path) -> None:
    rows = "".join(f"u{n % 9},i{n % 7},{n % 12 + 1}/{(n * 5) % 12 + 1}/2020,{n % 2}\n" for n in range(200))
    (tmp_path / "a.csv").write_text("user,item,date,click\n" + rows)
    proposal = propose([tmp_path / "a.csv"], tmp_path / "own.yaml")
    assert len(proposal.open) == 1 and "(day first) or" in proposal.open[0]
    assert '# time_format: "%d/%m/%Y"\n# time_format: "%m/%d/%Y"\ntime_format:\n' in proposal.text
    with pytest.raises(UserError, match="the key 'time_format' has no value"):
        opened(proposal, tmp_path)
    log = opened(Proposal(proposal.text.replace("\ntime_format:\n", '\ntime_format: "%d/%m/%Y"\n'), (), ()), tmp_path)
    assert log.meta.events > 50


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        ("user,item,time,click\n" + "".join(f"u{n % 9},i{n % 7},{n},{n % 2}\n" for n in range(99)), "time_unit: In which unit"),
        (
            "".join(f"{n % 9}\t{n % 7}\t{n % 5 + 1}\t{880_000_000 + n}\n" for n in range(99)),
            "columns: Which columns are user and item",
        ),
        (
            "user,item,time,page\n" + "".join(f"u{n % 9},i{n % 7},2020-01-01,p{n % 3}\n" for n in range(99)),
            "label: Which of the col",
        ),
        (
            "user,item,time,rating\n" + "".join(f"u{n % 9},i{n % 7},2020-01-01,{n}\n" for n in range(99)),
            "label: Which values of rating",
        ),
    ],
)
def test_what_the_file_cannot_tell_is_a_key_without_a_value(text: str, asked: str, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(text)
    proposal = propose([tmp_path / "a.csv"], tmp_path / "own.yaml")
    assert any(one.startswith(asked) for one in proposal.open)
    with pytest.raises(UserError, match="has no value"):
        opened(proposal, tmp_path)


def test_semicolons_with_decimal_commas_and_quotes(tmp_path: Path) -> None:
    rows = "".join(f'u{n % 9};"i;{n % 7}";2020-01-{n % 28 + 1:02d};{n % 5},5\n' for n in range(99))
    (tmp_path / "a.csv").write_text("user;item;time;rating\n" + rows)
    keys = yaml.safe_load(propose([tmp_path / "a.csv"], tmp_path / "own.yaml").text)
    assert (keys["delimiter"], keys["decimal"], keys["time_unit"]) == (";", ",", "datetime") and "quoted" not in keys


def test_a_description_that_is_there_stays_unless_it_is_forced(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = [str(path) for path in movielens(tmp_path)]
    assert cli.main(["data", "init", *files]) == 0
    said = capsys.readouterr().out
    assert "guessed: label: rating >= 4 (is this the border of a good rating?)" in said and "written:" in said
    (tmp_path / "ratings.yaml").write_text("mine")
    assert cli.main(["data", "init", *files]) == 2 and "is there already: write --force" in capsys.readouterr().err
    assert (tmp_path / "ratings.yaml").read_text() == "mine"
    assert cli.main(["data", "init", *files, "--force"]) == 0 and "rating" in (tmp_path / "ratings.yaml").read_text()
    with pytest.raises(UserError, match="cannot be written"):
        write_proposal(Proposal("", (), ()), tmp_path / "absent" / "a.yaml", force=False)


@pytest.mark.parametrize(
    ("text", "name", "message"),
    [
        ("", "a.csv", "a.csv is empty"),
        ("user,item,time\n", "a.csv", "a.csv has no rows"),
        ("1::2::3::4\n" * 20, "a.dat", "fields lie between '::'"),
        ("[1]\n", "a.jsonl", "line 1 holds no JSON object"),
        ("x", "a.parquet", "a.parquet cannot be read"),
    ],
)
def test_files_that_tell_nothing_are_one_line(text: str, name: str, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(UserError, match=message):
        propose([tmp_path / name], tmp_path / "own.yaml")


def test_a_table_that_belongs_to_nothing_is_refused(tmp_path: Path) -> None:
    files = movielens(tmp_path)
    (tmp_path / "other.csv").write_text("colour,sound\nred,loud\nblue,soft\n")
    with pytest.raises(UserError, match=r"other.csv has neither the columns of ratings.csv nor one whose values are its users"):
        propose([files[0], tmp_path / "other.csv"], tmp_path / "own.yaml")
