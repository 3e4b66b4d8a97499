"""Amazon Reviews 2023: ratings of products in 33 categories, 1996 to 2023 (Hou et al., 2024).

Rating-only files of the publisher (https://amazon-reviews-2023.github.io, folders benchmark/0core/rating_only and
benchmark/5core/rating_only): user_id, parent_asin, rating, timestamp in milliseconds; one file a category. Every category whose
file lies in the folder is read, and the category is the domain. A product is known by its category and its number, because a
number may stand in several categories.

Metadata of the products are item features where the publisher's files of them (raw/meta_categories, such as
meta_Toys_and_Games.jsonl.gz) lie beside the ratings, for any of the categories. Each line is an object with the keys
main_category, title, average_rating, rating_number, features, description, price, images, videos, store, categories, details,
parent_asin and bought_together. Read are store, categories (the path from the widest to the narrowest, a list) and price (dollars
when the page was visited). average_rating and rating_number are never read: they count all ratings until 2023, those of the test
among them. bought_together is what users did later, too; the rest is text and pictures.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd

from .files import column_of
from .published import EventFile, FileEvents, Place, matching, sources_of
from .schema import DataRoots, Domain, Feature, Label, RawLog, Schema
from .side_files import SideFiles, SideParts
from .values import as_numbers

_EVENT_NAMES = {"user_id": "user", "parent_asin": "item", "timestamp": "time", "rating": "rating"}
_FOLDER = "amazon-2023"
_LEVELS = "\t"
"""Stands between the categories of a path; names of categories have spaces, commas and other signs within them."""
_METADATA = (Feature("store"), Feature("categories", "multi", _LEVELS), Feature("price", "number"))
_HOW = (
    "put files of benchmark/0core/rating_only or benchmark/5core/rating_only of https://amazon-reviews-2023.github.io, such as "
    "Toys_and_Games.csv.gz, into the folder amazon-2023 of a data root, beside them, if store, categories and price are to be "
    "features, those of raw/meta_categories, such as meta_Toys_and_Games.jsonl.gz, and set RANKBENCH_DATA to that root"
)


def load(name: str, roots: DataRoots) -> RawLog:
    """Ratings of all categories that are there, with the label rating >= 4.

    Raises:
        UserError: no data root, no file in it, a column missing from a file.
    """
    place = Place(name, (_FOLDER, f"{_FOLDER}/rating_only"), _HOW)
    folder = place.folder(roots, "*.csv")
    files = matching(folder, "*.csv")
    categories = {path: path.name.removesuffix(".gz").removesuffix(".csv") for path in files}
    metadata = {category: path for category in categories.values() for path in _metadata_of(category, folder)}
    return RawLog(
        name=name,
        events=FileEvents([EventFile(path, list(_EVENT_NAMES), _of(category)) for path, category in categories.items()]),
        users=None,
        items=SideParts([_products(path, category) for category, path in metadata.items()]) if metadata else None,
        schema=Schema(
            label="rating >= 4",
            labels=(Label("five-stars", "rating >= 5"),),
            action=("rating",),
            item_features=_METADATA if metadata else (),
            context_features=(Feature("category"),),
            domain=Domain("category", "category of products"),
            time_unit="ms",
            calendar=True,
            # Purchases are reviewed together: the reviews of an hour are one request.
            request_window=3600,
        ),
        files=sources_of([*files, *metadata.values()]),
        licence="McAuley lab: research use, cite (https://amazon-reviews-2023.github.io)",
        citation=(
            "Yupeng Hou, Jiacheng Li, Zhankui He, An Yan, Xiusi Chen and Julian McAuley. 2024. Bridging Language and Items for "
            "Retrieval and Recommendation. arXiv:2403.03952"
        ),
        notes=(
            f"categories: {', '.join(categories.values())}",
            "only what was bought and reviewed is here: a rating is no exposure",
            *_notes(list(metadata), list(categories.values())),
        ),
    )


def _of(category: str) -> Callable[[pd.DataFrame], pd.DataFrame]:
    def shape(block: pd.DataFrame) -> pd.DataFrame:
        rows = block.rename(columns=_EVENT_NAMES)
        return rows.assign(item=f"{category}/" + column_of(rows, "item"), category=category)

    return shape


def _metadata_of(category: str, folder: Path) -> list[Path]:
    """The file of the products of a category, or none."""
    base = folder if folder.name == _FOLDER else folder.parent
    places = (folder, base, base / "meta_categories")
    return [path for place in places for path in matching(place, f"meta_{category}.jsonl")][:1]


def _products(path: Path, category: str) -> SideFiles:
    columns = [feature.column for feature in _METADATA]

    def shape(block: pd.DataFrame) -> pd.DataFrame:
        # Some prices are words, such as `from 14.99`: they are missing.
        price = as_numbers(column_of(block, "price"))
        return block.assign(item=f"{category}/" + column_of(block, "parent_asin"), price=price)

    read = ("parent_asin", *columns)
    return SideFiles([path], "item", columns, shape, read, joined={"categories": _LEVELS})


def _notes(known: list[str], categories: list[str]) -> list[str]:
    if not known:
        return ["no metadata of products are here: raw/meta_categories of the publisher would be features of items"]
    lacking = [category for category in categories if category not in known]
    return [
        "store, categories and price are one state of 2023, later than most ratings; ratings that it counts are not read",
        *([f"no metadata of products are here for: {', '.join(lacking)}"] if lacking else []),
    ]
