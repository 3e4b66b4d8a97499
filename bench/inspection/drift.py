"""Differences between training and test: in base rate, in features, and in whom they are about."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..data.dataset import RankingData
from .features import columns
from .finding import Fault

RATE, DOUBLE, LEAST = 1.25, 2.0, 0.02
"""Ratio of base rates from which on they are told, and are serious; and the difference that there must be in any case."""
APART = 0.2
"""Total variation distance between training and test from which on a feature is told."""
VALUES = 30
"""Values of a feature that are looked at one by one, the most frequent; the rest is one."""
COLD_USERS, COLD_ITEMS = 0.5, 0.2
"""Shares of the test rows whose user or item training never saw, from which on they are told."""


def drift(data: RankingData) -> Iterator[Fault]:
    """From training to test, under the split of the data."""
    log, split = data.log, data.split
    train, test = split.examples("train"), split.examples("test")
    if not log.positive_only:
        before, after = float(log.label[train].mean()), float(log.label[test].mean())
        ratio = max(before, after) / max(min(before, after), 1e-9)
        if ratio > RATE and abs(before - after) > LEAST:
            yield Fault(
                "drift",
                "serious" if ratio > DOUBLE else "look",
                f"The base rate is {before:.1%} in training and {after:.1%} in the test.",
                "Find out what changed: the label's meaning, what is logged, or the world. Probabilities learned on the one are "
                "off on the other; rankbench study shift shows how fast.",
            )
    for what, cold, bound, counted in (
        ("users", split.user_events[log.user_of(test)] == 0, COLD_USERS, "user"),
        ("items", split.item_events[log.item[test]] == 0, COLD_ITEMS, "item"),
    ):
        if cold.mean() > bound:
            yield Fault(
                "drift",
                "look",
                f"{cold.mean():.0%} of the test rows are of {what} that training never saw.",
                f"Read the slices by {counted} events: what a model learned of a {counted} helps the other rows alone. A split "
                "per user asks about known users, and lets training know the future of others.",
            )
    units = {"user": log.user[test], "context": log.user[test], "item": np.asarray(log.item)[test]}
    for owner, name, codes in columns(data, ids=False):
        apart, noise = _distance(codes[train], codes[test], len(np.unique(units[owner])))
        if apart > APART + 2 * noise:
            yield Fault(
                "drift",
                "look",
                f"The {owner} feature {name} has other values in the test: {apart:.0%} of the rows would have to change.",
                "Look at its values over time: a format that changed, a new version of the product, or other users.",
            )


def _distance(before: np.ndarray, after: np.ndarray, units: int) -> tuple[float, float]:
    """Total variation distance of two columns of codes, and about how much of it chance makes.

    Args:
        units: users or items among the second, each of which brings rows that are alike.
    """
    values, place = np.unique(np.concatenate([before, after]), return_inverse=True)
    frequent = np.argsort(-np.bincount(place), kind="stable")[:VALUES]
    group = np.full(len(values), len(frequent))
    group[frequent] = np.arange(len(frequent))
    shares = [
        np.bincount(group[part], minlength=len(frequent) + 1) / len(part) for part in (place[: len(before)], place[len(before) :])
    ]
    return float(np.abs(shares[0] - shares[1]).sum() / 2), float(np.sqrt(len(frequent) / (2 * np.pi * max(units, 1))))
