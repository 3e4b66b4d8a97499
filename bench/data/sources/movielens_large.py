"""MovieLens 20M, 25M and 32M, from GroupLens' own archives: ratings in half stars, films with genres.

ratings.csv (userId, movieId, rating, timestamp) and movies.csv (movieId, title, genres with | between them), as the readme files
of https://grouplens.org/datasets/movielens state. Unlike in the smaller sets there is nothing about users, and films are known
by their number. Tags are left out: they are given when a film is rated, by whoever rates it.
"""

from __future__ import annotations

import pandas as pd

from .fetch import Package, fetch
from .files import column_of, source_file
from .movielens import CITATION, LAST_YEAR, LICENCE, TERMS, TIME_NOTE
from .published import EventFile, FileEvents, renamed
from .schema import DataRoots, Feature, Label, RawLog, Schema
from .side_files import SideFiles

_MD5 = {
    "ml-20m": "cd245b17a1ae2cc31bb14903e1204af3",
    "ml-25m": "6b51fb2759a8657d3bfcbfc42b592ada",
    "ml-32m": "d472be332d4daa821edc399621853b57",
}
"""Of the archives, as GroupLens states them beside each."""
_NO_GENRE = "(no genres listed)"


def package(name: str) -> Package:
    """The archive of ml-20m, ml-25m or ml-32m."""
    return Package(
        name=name,
        url=f"https://files.grouplens.org/datasets/movielens/{name}.zip",
        md5=_MD5[name],
        zip_members=(f"{name}/ratings.csv", f"{name}/movies.csv"),
        terms=TERMS,
    )


def load(name: str, roots: DataRoots) -> RawLog:
    """Ratings with the label rating >= 4.

    Raises:
        UserError: the files are not here and cannot be fetched, or cannot be read.
    """
    found = fetch(package(name), roots)
    ratings, films = found.folder / "ratings.csv", found.folder / "movies.csv"
    names = {"userId": "user", "movieId": "item", "timestamp": "time"}
    return RawLog(
        name=name,
        events=FileEvents([EventFile(ratings, [*names, "rating"], renamed(names))]),
        users=None,
        items=SideFiles([films], "movieId", ("genres", "year"), _films, read=("movieId", "title", "genres"), repeated="refused"),
        schema=Schema(
            label="rating >= 4",
            labels=(Label("five-stars", "rating >= 5"),),
            action=("rating",),
            item_features=(Feature("genres", "multi", "|"), Feature("year", "number")),
            time_unit="s",
            # As for the smaller sets: films are rated page by page.
            request_window=600,
            calendar=True,
        ),
        files=tuple(source_file(path, found.origin) for path in (ratings, films)),
        licence=LICENCE,
        citation=CITATION,
        notes=(TIME_NOTE,),
    )


def _films(table: pd.DataFrame) -> pd.DataFrame:
    genres = column_of(table, "genres")
    return table.assign(genres=genres.mask(genres == _NO_GENRE), year=column_of(table, "title").str.extract(LAST_YEAR)[0])
