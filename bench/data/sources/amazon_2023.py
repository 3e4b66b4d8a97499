"""Amazon Reviews 2023: ratings of products in 33 categories, 1996 to 2023 (Hou et al., 2024).

Rating-only files of the publisher (https://amazon-reviews-2023.github.io, folders benchmark/0core/rating_only and
benchmark/5core/rating_only): user_id, parent_asin, rating, timestamp in milliseconds; one file a category. Every category whose
file lies in the folder is read, and the category is the domain. A product is known by its category and its number, because a
number may stand in several categories.
"""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd

from .files import column_of
from .published import EventFile, FileEvents, Place, matching, sources_of
from .schema import DataRoots, Domain, Feature, Label, RawLog, Schema

_EVENT_NAMES = {"user_id": "user", "parent_asin": "item", "timestamp": "time", "rating": "rating"}
_HOW = (
    "put files of benchmark/0core/rating_only or benchmark/5core/rating_only of https://amazon-reviews-2023.github.io, such as "
    "Toys_and_Games.csv.gz, into the folder amazon-2023 of a data root, and set RANKBENCH_DATA to that root"
)


def load(name: str, roots: DataRoots) -> RawLog:
    """Ratings of all categories that are there, with the label rating >= 4.

    Raises:
        UserError: no data root, no file in it, a column missing from a file.
    """
    place = Place(name, ("amazon-2023", "amazon-2023/rating_only"), _HOW)
    files = matching(place.folder(roots, "*.csv"), "*.csv")
    categories = {path: path.name.removesuffix(".gz").removesuffix(".csv") for path in files}
    return RawLog(
        name=name,
        events=FileEvents([EventFile(path, list(_EVENT_NAMES), _of(category)) for path, category in categories.items()]),
        users=None,
        items=None,
        schema=Schema(
            label="rating >= 4",
            labels=(Label("five-stars", "rating >= 5"),),
            action=("rating",),
            context_features=(Feature("category"),),
            domain=Domain("category", "category of products"),
            time_unit="ms",
            calendar=True,
            # Purchases are reviewed together: the reviews of an hour are one request.
            request_window=3600,
        ),
        files=sources_of(files),
        licence="McAuley lab: research use, cite (https://amazon-reviews-2023.github.io)",
        citation=(
            "Yupeng Hou, Jiacheng Li, Zhankui He, An Yan, Xiusi Chen and Julian McAuley. 2024. Bridging Language and Items for "
            "Retrieval and Recommendation. arXiv:2403.03952"
        ),
        notes=(
            f"categories: {', '.join(categories.values())}",
            "only what was bought and reviewed is here: a rating is no exposure",
        ),
    )


def _of(category: str) -> Callable[[pd.DataFrame], pd.DataFrame]:
    def shape(block: pd.DataFrame) -> pd.DataFrame:
        rows = block.rename(columns=_EVENT_NAMES)
        return rows.assign(item=f"{category}/" + column_of(rows, "item"), category=category)

    return shape
