"""A simulated log of three domains: a large one, a small one that it helps, and one that goes against both.

On each page of a domain, items are clicked as they please there. `feed` and `shop` have one taste, `games` has the opposite one
(`opposition` of -1): what is learned on the feed serves the shop, which has too few pages to learn it by itself; and who does not
know the domain learns of the games what is wrong elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from .schema import Domain, Feature, RawLog, Schema
from .simulated_pages import PagesConfig, Share, Strength, draw_pages, loaders, names, raw_log
from .simulator import sigmoid

DOMAINS = ("feed", "games", "shop")


@dataclass(frozen=True)
class DomainsConfig(PagesConfig):
    """Of a log of three domains."""

    taste: Strength = 1.5
    """Of items for all users."""
    opposition: Strength = -1.0
    """The taste of the games over that of the feed: 1, one taste everywhere."""
    games: Share = 0.25
    """Share of the pages."""
    shop: Share = 0.05


def simulate(config: DomainsConfig, name: str) -> RawLog:
    """Draw a log; the same config gives the same log."""
    time_rng, item_rng, shown_rng, outcome_rng = map(np.random.default_rng, np.random.SeedSequence(config.seed).spawn(4))
    pages = draw_pages(config, time_rng)
    count = len(pages.user)
    uniform = shown_rng.random(count)
    domain = np.where(uniform < config.shop, 2, np.where(uniform < config.shop + config.games, 1, 0))
    item = shown_rng.integers(0, config.items, (count, config.shown))
    taste = config.taste * item_rng.standard_normal(config.items)
    sign = np.array([1.0, config.opposition, 1.0])[domain][:, None]
    probability = sigmoid(config.intercept + sign * taste[item])
    games = config.games
    without = (1 - games) * sigmoid(config.intercept + taste[item]) + games * sigmoid(
        config.intercept + config.opposition * taste[item]
    )
    click = outcome_rng.random(probability.shape) < probability
    events = pd.DataFrame(
        {
            "user": names("u", np.repeat(pages.user, config.shown)),
            "item": names("i", item.ravel()),
            "time": np.repeat(pages.time, config.shown),
            "page": np.array(DOMAINS, dtype=object)[np.repeat(domain, config.shown)],
            "click": click.ravel().astype(np.int64),
            "true_probability": probability.ravel(),
        }
    )
    once = ~events.duplicated(["user", "item", "time"])
    return raw_log(
        name,
        config,
        events.loc[once],
        Schema(
            label="click",
            action=("click",),
            context_features=(Feature("page"),),
            domain=Domain("page", "feed and shop have one taste, games another"),
            calendar=True,
        ),
        without.ravel()[once],
        f"tastes of the games are {config.opposition:g} times those of feed and shop, which has {config.shop:.0%} of the pages",
    )


load, load_yaml = loaders(DomainsConfig, simulate)
