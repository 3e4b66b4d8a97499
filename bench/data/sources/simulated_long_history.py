"""A simulated log in which clicks follow from what the user did many events before, and from nothing nearer.

The user searches for items of one category, scrolls past `distance` items, and opens a page: its item of the category that was
searched for is clicked more often (`search`), and each item is as popular as it is. What is scrolled past is of a category of its
own and tells nothing. Categories are drawn anew for each page, so that neither later events nor earlier pages tell what a search
says. A history of `distance` events misses it; with one event more it holds all that there is to know.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
import pandas as pd
from annotated_types import Ge, Le

from .schema import Feature, RawLog, Schema
from .simulated_pages import (
    APART,
    CategoryPages,
    Count,
    PageCount,
    PagesConfig,
    Strength,
    draw_pages,
    loaders,
    names,
    page_rows,
    past_rows,
    raw_log,
)
from .simulator import sigmoid

OTHERS = 10
"""Items that are scrolled past, of a category of their own."""


@dataclass(frozen=True)
class LongHistoryConfig(PagesConfig):
    """Of a log of clicks on pages that are searched for long before."""

    users: Count = 1_000
    pages: PageCount = 2
    items: Count = 40
    intercept: Strength = -1.5
    categories: Count = 5
    popularity: Strength = 0.3
    search: Strength = 4.0
    searches: Annotated[int, Ge(1), Le(10)] = 3
    """One after the other, of items of one category."""
    distance: Annotated[int, Ge(0), Le(APART - 20)] = 120
    """Events between a search and its page; one is a second after the other."""


def simulate(config: LongHistoryConfig, name: str) -> RawLog:
    """Draw a log; the same config gives the same log, and another strength other clicks alone."""
    time_rng, item_rng, shown_rng, outcome_rng, scroll_rng = map(
        np.random.default_rng, np.random.SeedSequence(config.seed).spawn(5)
    )
    pages = draw_pages(config, time_rng)
    count = len(pages.user)
    of_categories = CategoryPages(config, config.categories, shown_rng)
    quality = item_rng.standard_normal(config.items)
    drawn, category = of_categories.draw(count)
    searched, item = drawn[:, 0], of_categories.item_of(category)
    known = config.intercept + config.popularity * quality[item]
    probability = sigmoid(known + config.search * (category == searched[:, None]))
    click = outcome_rng.random(probability.shape) < probability
    # Each item of a page is as likely as any other to be the one that was searched for.
    share = (category == searched[:, None]).mean()
    without = (1 - share) * sigmoid(known) + share * sigmoid(known + config.search)

    every = config.searches + config.distance
    page, back = np.repeat(np.arange(count), every), np.tile(np.arange(every, 0, -1), count)
    searching = back > config.distance
    other = config.items + scroll_rng.integers(0, OTHERS, len(page))
    past_item = np.where(searching, of_categories.item_of(searched[page]), other)
    past = past_rows("scroll", pages.user[page], past_item, pages.time[page] - back, ("click",))
    past.loc[searching, "behaviour"] = "search"
    others = pd.DataFrame({"category": "other"}, index=names("i", config.items + np.arange(OTHERS)))
    return raw_log(
        name,
        config,
        pd.concat([page_rows(pages, item, {"click": click}, probability), past], ignore_index=True),
        Schema(
            label="click",
            action=("behaviour", "click"),
            item_features=(Feature("category"),),
            roles=True,
            calendar=True,
        ),
        without.ravel(),
        f"a search predicts clicks on its category (logit {config.search:+g}) {config.distance} events later: a history of "
        f"{config.distance + 1} events holds it, a shorter one nothing of it",
        items=pd.concat([of_categories.catalogue(), others]),
    )


load, load_yaml = loaders(LongHistoryConfig, simulate)
