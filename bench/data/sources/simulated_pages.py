"""What simulated scenarios share: users who open pages of items at times of their own, and how a log is made of them."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

import numpy as np
import pandas as pd
from annotated_types import Ge, Gt, Le

from ...errors import UserError
from ...typed import from_dict
from .schema import DataRoots, RawLog, Schema
from .simulator import expected_auc

_START = 1_704_067_200
"""2024-01-01 00:00 UTC, in seconds since 1970."""
_DAYS = 30
APART = 600
"""Seconds between two pages of a user, at least."""

Count = Annotated[int, Ge(1), Le(10_000_000)]
PageCount = Annotated[int, Ge(1), Le(2_000)]
"""As many as lie apart within the time of a log."""
Strength = Annotated[float, Ge(-20), Le(20)]
"""Of an effect, on the logit scale; 0 turns it off."""
Share = Annotated[float, Gt(0), Le(1)]


@dataclass(frozen=True)
class PagesConfig:
    """Size of a simulated log."""

    users: Count = 800
    pages: PageCount = 16
    """Of each user."""
    shown: Count = 5
    """Items on a page, which are one request."""
    items: Count = 300
    seed: Annotated[int, Ge(0)] = 0
    intercept: Strength = -0.5


@dataclass(frozen=True)
class Pages:
    """P pages of `shown` items each, ordered by user and time."""

    user: np.ndarray
    """int64 [P]"""
    time: np.ndarray
    """int64 [P], seconds; more than APART later than the user's page before."""


C = TypeVar("C", bound=PagesConfig)


def loaders(
    config: type[C], simulate: Callable[[C, str], RawLog]
) -> tuple[Callable[[str, DataRoots], RawLog], Callable[[dict[str, Any], str], RawLog]]:
    """What a source is asked for: the log with default settings, and the one that the keys of a YAML file describe."""

    def load(name: str, roots: DataRoots) -> RawLog:
        """Nothing is read from `roots`."""
        return simulate(config(), name)

    def load_yaml(mapping: dict[str, Any], name: str) -> RawLog:
        """Raises UserError: an unknown key, or a value of the wrong type or size."""
        return simulate(from_dict(config, mapping, name), name)

    return load, load_yaml


def draw_pages(config: PagesConfig, rng: np.random.Generator) -> Pages:
    """Pages spread evenly over the time of the log, so that a split by time leaves every user some of each role."""
    slots = _DAYS * 86_400 // (2 * APART)
    time = np.sort(rng.random((config.users, config.pages)) * (slots - config.pages), axis=1).astype(np.int64)
    time = (time + np.arange(config.pages)) * 2 * APART + rng.integers(0, APART, time.shape)
    return Pages(np.repeat(np.arange(config.users), config.pages), _START + time.ravel())


@dataclass(frozen=True)
class CategoryPages:
    """What P pages show where each of their items is of another category: item i is of category i modulo `categories`."""

    config: PagesConfig
    categories: int
    rng: np.random.Generator

    def __post_init__(self) -> None:
        if self.categories > self.config.items:
            raise UserError(f"categories ({self.categories}) must not exceed items ({self.config.items})")

    def draw(self, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Categories that pages are drawn with, and in the order in which they are shown; int64 [count, shown] each.

        They are all different where there are as many categories as places. The first of a row of the former says nothing of its
        place on the page.
        """
        shown = self.config.shown
        drawn = np.argsort(self.rng.random((count, max(self.categories, shown))), axis=1)[:, :shown] % self.categories
        order = self.rng.permuted(np.tile(np.arange(shown), (count, 1)), axis=1)
        return drawn, np.take_along_axis(drawn, order, axis=1)

    def item_of(self, category: np.ndarray) -> np.ndarray:
        """An item of each category, as likely as any other of it; int64, as `category`."""
        sizes = (self.config.items - 1 - category) // self.categories + 1
        return category + self.categories * (self.rng.random(category.shape) * sizes).astype(np.int64)

    def catalogue(self) -> pd.DataFrame:
        """The table of items with the category of each."""
        items = np.arange(self.config.items)
        return pd.DataFrame({"category": names("c", items % self.categories)}, index=names("i", items))


def past_rows(behaviour: str, user: np.ndarray, item: np.ndarray, time: np.ndarray, labels: Sequence[str]) -> pd.DataFrame:
    """Rows of a behaviour that are no examples, and have none of the labels."""
    rows = pd.DataFrame({"user": names("u", user), "item": names("i", item), "time": time, "behaviour": behaviour})
    return rows.assign(role="history", **dict.fromkeys(labels, 0), true_probability=np.nan)


def page_rows(
    pages: Pages, item: np.ndarray, labels: Mapping[str, np.ndarray], probability: np.ndarray, behaviour: str = "view"
) -> pd.DataFrame:
    """Examples: what the pages show.

    Args:
        item, probability, labels: [P, shown]
    """
    shown = item.shape[1]
    user, time = np.repeat(pages.user, shown), np.repeat(pages.time, shown)
    rows = pd.DataFrame({"user": names("u", user), "item": names("i", item.ravel()), "time": time, "behaviour": behaviour})
    outcomes = {name: outcome.ravel().astype(np.int64) for name, outcome in labels.items()}
    return rows.assign(role="", **outcomes, true_probability=probability.ravel())


def names(prefix: str, codes: np.ndarray) -> np.ndarray:
    """str: ids as a log has them."""
    return np.char.add(prefix, codes.astype(str)).astype(object)


def raw_log(
    name: str,
    config: PagesConfig,
    events: pd.DataFrame,
    schema: Schema,
    without: np.ndarray,
    planted: str,
    users: pd.DataFrame | None = None,
    items: pd.DataFrame | None = None,
) -> RawLog:
    """A simulated log, sorted by time.

    Args:
        events: with `true_probability`, that of the label given all that was drawn before it; NaN for rows that are no examples.
        without: float [examples], the probability for who does not know what was planted.
        planted: what was, for people.
    """
    truth = events["true_probability"].to_numpy()
    truth = truth[~np.isnan(truth)]
    settings: dict[str, Any] = dataclasses.asdict(config)
    return RawLog(
        name=name,
        events=events.sort_values(["time", "user"], kind="stable").reset_index(drop=True),
        users=users,
        items=items,
        schema=schema,
        files=(),
        licence="none needed: generated",
        citation="none: simulated by Rankbench",
        bayes_auc=expected_auc(truth),
        notes=(
            f"planted: {planted}",
            f"best AUC for who does not know what was planted: {expected_auc(without):.4f}",
            # The settings are the identity of a log that has no files.
            f"settings: {json.dumps(settings)}",
        ),
    )
