"""A simulated log with a behaviour that predicts clicks and one that does not.

Before each page the user searches for an item of one category, and scrolls past an item of another; which comes first is a coin.
On the page, an item of the category that was just searched for is clicked more often (`search`), one of the category that was
scrolled past is not (`scroll`, 0 unless asked for), and each item is as popular as it is. Categories are drawn anew for each
page, so that past clicks tell nothing: who sees the history of clicks alone, or cannot tell searches from the rest, misses what
searches say. `liked` is a second outcome of the same causes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from .schema import Feature, Label, RawLog, Schema
from .simulated_pages import CategoryPages, Count, PagesConfig, Strength, draw_pages, loaders, page_rows, past_rows, raw_log
from .simulator import sigmoid


@dataclass(frozen=True)
class BehavioursConfig(PagesConfig):
    """Of a log of clicks, searches and scrolls."""

    categories: Count = 12
    popularity: Strength = 0.6
    search: Strength = 2.5
    scroll: Strength = 0.0


def simulate(config: BehavioursConfig, name: str) -> RawLog:
    """Draw a log; the same config gives the same log."""
    time_rng, item_rng, shown_rng, outcome_rng = map(np.random.default_rng, np.random.SeedSequence(config.seed).spawn(4))
    pages = draw_pages(config, time_rng)
    of_categories = CategoryPages(config, config.categories, shown_rng)
    quality = item_rng.standard_normal(config.items)
    # Of the items of a page one is of the category that was searched for, one of that scrolled past; all categories differ.
    drawn, category = of_categories.draw(len(pages.user))
    searched, scrolled = drawn[:, 0], drawn[:, min(1, config.shown - 1)]
    item = of_categories.item_of(category)
    known = config.intercept + config.popularity * quality[item]
    found = (category == searched[:, None]) * config.search + (category == scrolled[:, None]) * config.scroll
    probability = sigmoid(known + found)
    click, like = (outcome_rng.random(probability.shape) < probability for _ in range(2))
    # Each item of a page is as likely as any other to be the one that was searched for, or scrolled past.
    share = 1 / config.shown
    without = (1 - 2 * share) * sigmoid(known) + share * (sigmoid(known + config.search) + sigmoid(known + config.scroll))

    first = shown_rng.random(len(pages.user)) < 0.5
    rows = [page_rows(pages, item, {"click": click, "liked": like}, probability)]
    for behaviour, of, before in (("search", searched, np.where(first, 60, 30)), ("scroll", scrolled, np.where(first, 30, 60))):
        rows.append(past_rows(behaviour, pages.user, of_categories.item_of(of), pages.time - before, ("click", "liked")))
    return raw_log(
        name,
        config,
        pd.concat(rows, ignore_index=True),
        Schema(
            label="click",
            labels=(Label("liked", "liked"), Label("search", "behaviour == search"), Label("scroll", "behaviour == scroll")),
            action=("behaviour", "click"),
            item_features=(Feature("category"),),
            roles=True,
            calendar=True,
        ),
        without.ravel(),
        f"a search predicts clicks on its category (logit {config.search:+g}); a scroll, {config.scroll:+g}",
        items=of_categories.catalogue(),
    )


load, load_yaml = loaders(BehavioursConfig, simulate)
