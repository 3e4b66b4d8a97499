"""A simulated log in which features of items and users tell what ids hardly can, and others tell nothing.

There are many items, each shown a few times. Whether one is clicked follows from its brand (`brand`), and from how the user's
segment likes the brand (`segment`); `colour` and `shoe_size` are drawn at random. An id can be learned, but from few events; a
brand from many.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from .schema import Feature, RawLog, Schema
from .simulated_pages import Count, PagesConfig, Strength, draw_pages, loaders, names, raw_log
from .simulator import sigmoid


@dataclass(frozen=True)
class SideInformationConfig(PagesConfig):
    """Of a log of items with brands and users with segments."""

    items: Count = 6_000
    brands: Count = 20
    segments: Count = 4
    brand: Strength = 1.2
    """Of the brand for all users."""
    segment: Strength = 0.8
    """Of a brand for the users of one segment."""


def simulate(config: SideInformationConfig, name: str) -> RawLog:
    """Draw a log; the same config gives the same log."""
    time_rng, taste_rng, feature_rng, shown_rng, outcome_rng = map(
        np.random.default_rng, np.random.SeedSequence(config.seed).spawn(5)
    )
    pages = draw_pages(config, time_rng)
    item = shown_rng.integers(0, config.items, (len(pages.user), config.shown))
    brand, colour = (feature_rng.integers(0, config.brands, config.items) for _ in range(2))
    segment, shoes = (feature_rng.integers(0, config.segments, config.users) for _ in range(2))
    of_brand = config.brand * taste_rng.standard_normal(config.brands)
    of_both = config.segment * taste_rng.standard_normal((config.segments, config.brands))
    common = config.intercept + of_brand[brand[item]]
    probability = sigmoid(common + of_both[segment[pages.user][:, None], brand[item]])
    # Who knows neither knows the base rate alone.
    without = np.full(probability.size, probability.mean())
    click = outcome_rng.random(probability.shape) < probability
    events = pd.DataFrame(
        {
            "user": names("u", np.repeat(pages.user, config.shown)),
            "item": names("i", item.ravel()),
            "time": np.repeat(pages.time, config.shown),
            "click": click.ravel().astype(np.int64),
            "true_probability": probability.ravel(),
        }
    )
    once = ~events.duplicated(["user", "item", "time"])
    catalogue, everyone = np.arange(config.items), np.arange(config.users)
    return raw_log(
        name,
        config,
        events.loc[once],
        Schema(
            label="click",
            action=("click",),
            user_features=(Feature("segment"), Feature("shoe_size")),
            item_features=(Feature("brand"), Feature("colour")),
            calendar=True,
        ),
        without[once],
        f"brands (logit {config.brand:g}) and brands by segment ({config.segment:g}); colours and shoe sizes tell nothing",
        users=pd.DataFrame({"segment": names("s", segment), "shoe_size": names("", 36 + shoes)}, index=names("u", everyone)),
        items=pd.DataFrame({"brand": names("b", brand), "colour": names("c", colour)}, index=names("i", catalogue)),
    )


load, load_yaml = loaders(SideInformationConfig, simulate)
