"""MovieLens: the official layouts and the wheels' layouts give the same tables."""

from pathlib import Path

import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from rankbench.bench.data import sources
from rankbench.bench.data.eventlog import write_log
from rankbench.bench.data.sources.movielens import _GENRES
from rankbench.bench.data.sources.schema import DataRoots, RawLog
from rankbench.bench.errors import UserError
from support.converted import converted

RATINGS = [("1", "1", "5", "874965758"), ("2", "2", "3", "888550871"), ("2", "1", "4", "888550871"), ("1", "3", "1", "878542960")]
FILMS = [
    ("1", "Toy Story (1995)", "Animation Children's Comedy"),
    ("2", 'Misérables: "Les" (1998)', "Drama"),
    ("3", "unknown", "unknown"),
]


def official_100k(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "u.data").write_text("".join("\t".join(row) + "\n" for row in RATINGS))
    (folder / "u.user").write_text("1|24|M|technician|85711\n2|53|F|other|94043\n")
    lines = []
    for number, title, genres in FILMS:
        flags = "|".join("1" if genre in genres.split() else "0" for genre in _GENRES.split())
        lines.append(f"{number}|{title}|01-Jan-2001||http://example.org/{number}|{flags}\n")
    (folder / "u.item").write_text("".join(lines), encoding="latin-1")
    return folder


def typed_100k(folder: Path) -> Path:
    folder.mkdir(parents=True)
    rows = "".join("\t".join(row) + "\n" for row in RATINGS)
    (folder / "ml-100k.inter").write_text("user_id:token\titem_id:token\trating:float\ttimestamp:float\n" + rows)
    header = "user_id:token\tage:token\tgender:token\toccupation:token\tzip_code:token\n"
    (folder / "ml-100k.user").write_text(header + "1\t24\tM\ttechnician\t85711\n2\t53\tF\tother\t94043\n")
    header = "item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq\n"
    films = f"1\tToy Story\t1995\t{FILMS[0][2]}\n" + '2\tMisérables: "Les"\t1998\tDrama\n3\tunkonwn\tunkonwn\tunknown\n'
    (folder / "ml-100k.item").write_text(header + films, encoding="utf-8")
    return folder


def official_1m(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "ratings.dat").write_text("".join("::".join(row) + "\n" for row in RATINGS))
    (folder / "users.dat").write_text("1::F::1::10::48067\n2::M::56::16::70072\n")
    films = "".join(f"{number}::{title}::{genres.replace(' ', '|')}\n" for number, title, genres in FILMS)
    (folder / "movies.dat").write_text(films, encoding="latin-1")
    return folder


def typed_1m(folder: Path) -> Path:
    folder.mkdir(parents=True)
    titles = {number: title for number, title, _ in FILMS}
    rows = "".join(f"1m_{user}\t{titles[item]}\t{rating}\t{time}\r\n" for user, item, rating, time in RATINGS)
    header = "user_id:token\titem_id:token\trating:float\ttimestamp:float\r\n"
    (folder / "ml-1m.inter").write_text(header + rows, encoding="utf-8", newline="")
    header = "user_id:token\tage:float\tgender:token\toccupation:float\tzip_code:token\r\n"
    (folder / "ml-1m.user").write_text(header + "1m_1\t1\tF\t10\t48067\r\n1m_2\t56\tM\t16\t70072\r\n", newline="")
    header = "item_id:token\tmovie_title:token\trelease_year:float\tgenre:token\r\n"
    years = {"1": "1995", "2": "1998", "3": ""}
    films = "".join(f"{title}\t{title[:-7]}\t{years[number]}\t{genres}\r\n" for number, title, genres in FILMS)
    (folder / "ml-1m.item").write_text(header + films, encoding="utf-8", newline="")
    return folder


def load(name: str, root: Path) -> RawLog:
    return sources.load(name, DataRoots(root, root / "cache"))


@pytest.mark.parametrize(
    ("name", "official", "typed"), [("ml-100k", official_100k, typed_100k), ("ml-1m", official_1m, typed_1m)]
)
def test_both_layouts_give_the_same_log(name, official, typed, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    official(tmp_path / "official" / name)
    typed(tmp_path / "typed" / name)
    raws = [load(name, tmp_path / layout) for layout in ("official", "typed")]
    first, second = (converted(raw)[0] for raw in raws)
    for table in ("events", "users", "items"):
        assert_frame_equal(getattr(first, table), getattr(second, table), check_names=False)
    assert first.schema == second.schema
    logs = [write_log(raw, tmp_path / "logs" / str(at)) for at, raw in enumerate(raws)]
    assert logs[0].meta.content_hash == logs[1].meta.content_hash
    assert {file.origin for file in (*first.files, *second.files)} == {"data root"}
    assert first.meta.default_split == "global-time"


def test_contents_of_ml_100k(tmp_path: Path) -> None:
    official_100k(tmp_path / "ml-100k")
    log, report = converted(load("ml-100k", tmp_path))
    assert report.rows_kept == 4 and not report.sorted_by_time
    first, *twos, last = RATINGS
    rows = [first, last, *sorted(twos)]
    assert log.events["time"].tolist() == [int(row[3]) * 1000 for row in rows]
    assert log.events["item"].tolist() == [row[1] for row in rows] == ["1", "3", "1", "2"]
    assert log.events["label"].tolist() == [1, 0, 1, 0]
    assert log.events["action"].tolist() == [row[2] for row in rows]
    assert log.users is not None and log.users.loc["2"].to_dict() == {"age": 53.0, "gender": "F", "occupation": "other"}
    assert log.items is not None and log.items["genres"].to_dict() == {
        "1": "Animation Children's Comedy",
        "2": "Drama",
        "3": "unknown",
    }
    assert log.items["year"].tolist()[:2] == [1995.0, 1998.0] and pd.isna(log.items["year"].iloc[2])
    assert [file.name for file in log.files] == ["u.data", "u.user", "u.item"]


def test_items_of_ml_1m_are_titles(tmp_path: Path) -> None:
    official_1m(tmp_path / "ml-1m")
    raw = load("ml-1m", tmp_path)
    assert raw.events["item"].tolist() == ["Toy Story (1995)", 'Misérables: "Les" (1998)', "Toy Story (1995)", "unknown"]
    assert raw.users is not None and raw.users.loc["2"].to_dict() == {"age": "56", "gender": "M", "occupation": "16"}


@pytest.mark.parametrize(
    ("build", "file", "text", "message"),
    [
        (
            typed_100k,
            "ml-100k.inter",
            "user_id:token\titem_id:token\ttimestamp:float\n1\t1\t1\n",
            "no column rating; it has: user_id, item_id",
        ),
        (typed_100k, "ml-100k.item", "item_id:token\trelease_year:token\n1\t1995\n", "no column class or genre"),
        (typed_100k, "ml-100k.user", "", "ml-100k.user is empty"),
        (official_100k, "u.item", "1|Toy Story (1995)|01-Jan-1995\n", "u.item has 3 columns"),
        (official_100k, "u.data", "", "u.data is empty"),
        (official_100k, "u.data", "1\t1\t5\t874965758\n1\t2\t5\n", "u.data cannot be read: .*Expected 4 columns, got 3"),
        (official_1m, "ratings.dat", "1,1,5,874965758\n", "ratings.dat has 1 columns"),
        (official_1m, "movies.dat", "1::Toy Story\n", "movies.dat must hold lines of number::title::genres"),
    ],
)
def test_broken_files(build, file: str, text: str, message: str, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    name = "ml-1m" if build is official_1m else "ml-100k"
    folder = build(tmp_path / name)
    (folder / file).write_text(text)
    with pytest.raises(UserError, match=message) as caught:
        converted(load(name, tmp_path))
    assert "\n" not in str(caught.value)
