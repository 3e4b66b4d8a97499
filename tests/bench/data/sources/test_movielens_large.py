"""MovieLens 20M to 32M: the archives' csv files, half stars, genres and years, from the folder, the zip or the address."""

import csv
import hashlib
import random
import zipfile
from pathlib import Path

import pytest

from rankbench.bench.data.sources import fetch as fetching
from rankbench.bench.data.sources import movielens_large
from rankbench.bench.errors import UserError
from support.published import as_told, read, told

FILMS = [
    "1,Toy Story (1995),Adventure|Animation|Children|Comedy|Fantasy",
    '11,"American President, The (1995)",Comedy|Drama|Romance',
    '7,"Les ""Misérables"" (1998) ",Drama',
    "9,Nowhere,(no genres listed)",
]


def publish(folder: Path) -> Path:
    rng = random.Random(1)
    folder.mkdir(parents=True)
    stars = [half / 2 for half in range(1, 11)]
    rows = [
        f"{user},{film},{rng.choice(stars)},{1_000_000_000 + rng.randrange(10**8)}"
        for user in range(1, 9)
        for film in (1, 11, 7, 9)
    ]
    (folder / "ratings.csv").write_text("userId,movieId,rating,timestamp\n" + "\n".join(rows) + "\n")
    (folder / "movies.csv").write_text("movieId,title,genres\n" + "\n".join(FILMS) + "\n", encoding="utf-8")
    (folder / "tags.csv").write_text("userId,movieId,tag,timestamp\n1,1,pixar,1139045764\n")
    return folder


@pytest.mark.parametrize("name", ["ml-20m", "ml-25m", "ml-32m"])
def test_ratings_and_films_are_those_of_the_files(name: str, tmp_path: Path) -> None:
    folder = publish(tmp_path / name)
    log, report = read(name, tmp_path)
    with (folder / "ratings.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    expected = [
        (
            row["userId"],
            row["movieId"],
            int(row["timestamp"]) * 1000,
            int(float(row["rating"]) >= 4),
            int(float(row["rating"]) == 5),
        )
        for row in rows
    ]
    assert report.rows_kept == len(rows) == 32
    assert told(log.events, "user", "item", "time", "label", "label.five-stars") == as_told(expected)
    assert set(log.events["action"]) == {row["rating"] for row in rows}
    assert log.items is not None
    assert log.items["genres"].to_dict() == {
        "1": "Adventure|Animation|Children|Comedy|Fantasy",
        "7": "Drama",
        "9": "",
        "11": "Comedy|Drama|Romance",
    }
    assert log.items["year"].fillna(0).astype(int).to_dict() == {"1": 1995, "7": 1998, "9": 0, "11": 1995}


def test_an_archive_is_taken_if_its_checksum_is_the_published_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, root = publish(tmp_path / "made"), tmp_path / "root"
    (root / "ml-32m").mkdir(parents=True)
    archive = root / "ml-32m" / "ml-32m.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        for file in folder.iterdir():
            packed.write(file, f"ml-32m/{file.name}")
    with pytest.raises(UserError, match="wrong checksum: md5 d472be332d4daa821edc399621853b57 expected"):
        read("ml-32m", root)
    monkeypatch.setitem(movielens_large._MD5, "ml-32m", hashlib.md5(archive.read_bytes()).hexdigest())
    assert read("ml-32m", root)[1].rows_kept == 32


def test_no_wheel_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*_: object) -> None:
        raise OSError("no network")

    def wheel(*_: object) -> None:
        raise AssertionError("no wheel carries this set")

    monkeypatch.setattr(fetching, "download", offline)
    monkeypatch.setattr(fetching, "download_wheel", wheel)
    with pytest.raises(UserError, match=r"ml-25m is not here .*Put ml-25m.zip from https://files.grouplens.org"):
        read("ml-25m", tmp_path)
